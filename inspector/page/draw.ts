/** Of a canvas, in pixels of the page. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** `text`, or as much of it as fits; nothing where that would say nothing. */
export function fit(context: CanvasRenderingContext2D, text: string, width: number): string {
  if (width < 14) return "";
  const full = context.measureText(text).width;
  if (full <= width) return text;
  const count = Math.floor((text.length * (width - 8)) / full);
  return count < 3 ? "" : `${text.slice(0, count)}…`;
}

export function line(context: CanvasRenderingContext2D, x1: number, y1: number, x2: number, y2: number): void {
  context.beginPath();
  context.moveTo(x1, y1);
  context.lineTo(x2, y2);
  context.stroke();
}
