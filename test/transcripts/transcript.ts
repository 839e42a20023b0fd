/**
 * A transcript is a text that is also a test. Lines that begin with "#" are for the reader. A block is one or more commands
 * (lines that begin with a space belong to the command above them), "----", and exactly what came of them, up to an empty
 * line or the end of the file:
 *
 *     # S1 hears nothing from a leader.
 *     timeout S1
 *     ----
 *     S1: candidate, term 1
 */
export interface Block {
  /** Counted from 1; where the first command stands. */
  readonly line: number;
  readonly commands: readonly Command[];
  readonly expected: readonly string[];
}

export interface Command {
  readonly line: number;
  readonly words: readonly string[];
  /** The indented lines below it, without their indentation. */
  readonly rows: readonly string[];
}

/** Everything of a file: blocks, and the lines between them as they are. */
export type Part = Block | string;

const MARK = "----";

export class TranscriptError extends Error {
  constructor(file: string, line: number, message: string, options?: { cause: unknown }) {
    super(`${file}:${line}: ${message}`, options);
    this.name = "TranscriptError";
  }
}

export function parseTranscript(file: string, content: string): Part[] {
  const lines = content.split("\n");
  const parts: Part[] = [];
  let at = 0;
  while (at < lines.length) {
    const line = lines[at]!;
    if (line === "" || line.startsWith("#")) {
      parts.push(line);
      at++;
      continue;
    }
    const start = at;
    while (at < lines.length && lines[at] !== MARK && lines[at] !== "") at++;
    if (lines[at] !== MARK) throw new TranscriptError(file, start + 1, `this command is not followed by "${MARK}"`);
    const commands = parseCommands(file, lines.slice(start, at), start + 1);
    const outcome = ++at;
    while (at < lines.length && lines[at] !== "") at++;
    parts.push({ line: start + 1, commands, expected: lines.slice(outcome, at) });
  }
  return parts;
}

function parseCommands(file: string, lines: readonly string[], firstLine: number): Command[] {
  const commands: (Command & { rows: string[] })[] = [];
  for (const [i, line] of lines.entries()) {
    if (!line.startsWith(" ")) {
      commands.push({ line: firstLine + i, words: line.split(" ").filter((word) => word !== ""), rows: [] });
    } else {
      const last = commands.at(-1);
      if (last === undefined) throw new TranscriptError(file, firstLine + i, "an indented line without a command");
      last.rows.push(line.trim());
    }
  }
  return commands;
}

export interface Outcome {
  /** The file as it would have to be. */
  readonly content: string;
  /** One text for each block whose outcome is not as written. */
  readonly differences: readonly string[];
}

/** Runs all blocks. `run` returns the lines that come of a command. */
export function playTranscript(file: string, content: string, run: (command: Command) => readonly string[]): Outcome {
  const original = content.split("\n");
  const lines: string[] = [];
  const differences: string[] = [];
  for (const part of parseTranscript(file, content)) {
    if (typeof part === "string") {
      lines.push(part);
      continue;
    }
    const actual = part.commands.flatMap((command) => {
      try {
        return run(command);
      } catch (cause) {
        throw new TranscriptError(file, command.line, `${command.words.join(" ")}: ${String(cause)}`, { cause });
      }
    });
    const last = part.commands.at(-1)!;
    lines.push(...original.slice(part.line - 1, last.line + last.rows.length), MARK, ...actual);
    if (actual.join("\n") !== part.expected.join("\n")) {
      const commands = part.commands.map(({ words }) => `    ${words.join(" ")}`);
      differences.push([`${file}:${part.line}:`, ...commands, ...difference(part.expected, actual)].join("\n"));
    }
  }
  return { content: lines.join("\n"), differences };
}

/** What both have at the beginning and at the end stays in sight: outcomes are short. */
function difference(expected: readonly string[], actual: readonly string[]): string[] {
  const shorter = Math.min(expected.length, actual.length);
  let head = 0;
  while (head < shorter && expected[head] === actual[head]) head++;
  let tail = 0;
  while (tail < shorter - head && expected.at(-1 - tail) === actual.at(-1 - tail)) tail++;
  return [
    ...expected.slice(0, head).map((line) => `      ${line}`),
    ...expected.slice(head, expected.length - tail).map((line) => `    - ${line}`),
    ...actual.slice(head, actual.length - tail).map((line) => `    + ${line}`),
    ...expected.slice(expected.length - tail).map((line) => `      ${line}`),
  ];
}
