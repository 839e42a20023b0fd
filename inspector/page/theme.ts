import type { MessageClass } from "./words.js";

/** Colours of the canvases; those of the page around them are in page.css. */
export interface Theme {
  readonly background: string;
  readonly band: string;
  readonly line: string;
  readonly text: string;
  readonly dim: string;
  readonly cursor: string;
  readonly bad: string;
  readonly fault: string;
  readonly faultText: string;
  readonly diverge: string;
  readonly snapshot: string;
  readonly operation: string;
  readonly unknown: string;
  readonly onTerm: string;
  readonly terms: readonly string[];
  readonly messages: Readonly<Record<MessageClass, string>>;
}

const DARK: Theme = {
  ...{ background: "#10151c", band: "#151c25", line: "#243040", text: "#dbe3ec", dim: "#8493a5", cursor: "#f4f7fa" },
  ...{ bad: "#ff5d5d", fault: "#f0885e", faultText: "#ffb393", diverge: "#c58af9", snapshot: "#465364" },
  ...{ operation: "#3f8f73", unknown: "#b98a2f", onTerm: "#0b0f14" },
  terms: ["#6aa7e8", "#e3b04b", "#6cc28b", "#cf8bd6", "#4fc0c4", "#e58e73", "#a79cf0", "#b5bd5a"],
  messages: { vote: "#f2c14e", append: "#62aef0", heartbeat: "#56677b", snapshot: "#c79bf2", client: "#56c596" },
};

const LIGHT: Theme = {
  ...{ background: "#ffffff", band: "#f5f7fa", line: "#dde4ec", text: "#1c2733", dim: "#67788a", cursor: "#101820" },
  ...{ bad: "#d42c2c", fault: "#d9622f", faultText: "#a8431a", diverge: "#7e3fc0", snapshot: "#b9c4d0" },
  ...{ operation: "#5fb796", unknown: "#d9a63c", onTerm: "#ffffff" },
  terms: ["#2f74bd", "#b07a10", "#2f8f56", "#9a4ba3", "#12868b", "#bd5a3c", "#6757cc", "#7a8220"],
  messages: { vote: "#b98500", append: "#1f78d1", heartbeat: "#a9b6c4", snapshot: "#8a4fd0", client: "#1d9565" },
};

export function themeOf(isDark: boolean): Theme {
  return isDark ? DARK : LIGHT;
}

export function termColor(theme: Theme, term: number): string {
  return term <= 0 ? theme.dim : (theme.terms[term % theme.terms.length] as string);
}

export const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif";
export const MONO = "ui-monospace, 'SF Mono', Menlo, Consolas, 'Liberation Mono', monospace";
