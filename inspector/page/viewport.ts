/** Nobody needs to see less than this much time across the page. */
const LEAST_MS = 0.2;

/** The stretch of time that is shown, and where it lies on the canvas. */
export class Viewport {
  fromMs = 0;
  toMs = 1;
  left = 0;
  width = 1;
  #endMs = 1;

  get spanMs(): number {
    return this.toMs - this.fromMs;
  }

  /** The run is this long; all of it is shown. */
  fit(endMs: number): void {
    this.#endMs = Math.max(endMs, LEAST_MS);
    this.fromMs = -0.01 * this.#endMs;
    this.toMs = 1.01 * this.#endMs;
  }

  x(ms: number): number {
    return this.left + ((ms - this.fromMs) / this.spanMs) * this.width;
  }

  ms(x: number): number {
    return this.fromMs + ((x - this.left) / this.width) * this.spanMs;
  }

  /** What lies at `aroundMs` stays where it is. */
  zoom(factor: number, aroundMs: number): void {
    const span = Math.min(Math.max(this.spanMs * factor, LEAST_MS), this.#endMs * 1.02);
    const part = (aroundMs - this.fromMs) / this.spanMs;
    this.#set(aroundMs - part * span, span);
  }

  pan(ms: number): void {
    this.#set(this.fromMs + ms, this.spanMs);
  }

  show(fromMs: number, toMs: number): void {
    const span = Math.min(Math.max(toMs - fromMs, LEAST_MS), this.#endMs * 1.02);
    this.#set((fromMs + toMs - span) / 2, span);
  }

  /** Moves so that `ms` can be seen, with some room around it. */
  reveal(ms: number): void {
    const margin = this.spanMs * 0.06;
    if (ms < this.fromMs + margin || ms > this.toMs - margin) this.#set(ms - this.spanMs / 2, this.spanMs);
  }

  #set(fromMs: number, span: number): void {
    const low = -0.01 * this.#endMs;
    const high = 1.01 * this.#endMs - span;
    this.fromMs = Math.max(low, Math.min(fromMs, high));
    this.toMs = this.fromMs + span;
  }
}

/** A round step so that ticks stand at least `leastPx` apart, in milliseconds. */
export function tickStep(spanMs: number, width: number, leastPx: number): number {
  const least = (spanMs / width) * leastPx;
  const power = 10 ** Math.floor(Math.log10(least));
  for (const factor of [1, 2, 5, 10]) if (factor * power >= least) return factor * power;
  return 10 * power;
}
