import type { LogLevel } from "./config.js";
import type { Logger } from "./transport/index.js";

/** As pino numbers them. */
const LEVELS = { debug: 20, info: 30, warn: 40, error: 50, silent: 100 } as const satisfies Record<LogLevel, number>;

/** Writes a line of JSON for each message from `least` on, in pino's format: `pino-pretty` reads it. */
export function jsonLogger(least: LogLevel, bindings: object, write: (line: string) => void): Logger {
  const at = (level: Exclude<LogLevel, "silent">): Logger["info"] => {
    if (LEVELS[level] < LEVELS[least]) return () => {};
    return (details, message) => {
      const line = { level: LEVELS[level], time: Date.now(), ...bindings, ...details, msg: message };
      write(`${JSON.stringify(line, plainErrors)}\n`);
    };
  };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

function plainErrors(_key: string, value: unknown): unknown {
  if (typeof value === "bigint") return String(value);
  if (!(value instanceof Error)) return value;
  const { name, message, cause } = value;
  const { code } = value as { code?: unknown };
  return { type: name, message, ...(code !== undefined && { code }), ...(cause !== undefined && { cause }) };
}
