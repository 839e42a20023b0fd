import { accessSync, closeSync, constants, existsSync, openSync, statSync, unlinkSync, writeFileSync } from "node:fs";

import { InvalidArgumentError } from "../runtime/index.js";

/**
 * Finds out before the runs, not after them, that a file cannot be written. What is there stays as it is. `name`: what
 * the caller knows the file by, for instance an option.
 * @throws InvalidArgumentError with the reason
 */
export function checkWritable(name: string, file: string): void {
  try {
    if (!existsSync(file)) {
      closeSync(openSync(file, "a"));
      unlinkSync(file);
    } else if (statSync(file).isDirectory()) {
      throw new Error("EISDIR: it is a directory");
    } else {
      accessSync(file, constants.W_OK);
    }
  } catch (error) {
    throw notWritable(`${name} ${file}`, error);
  }
}

/** @throws InvalidArgumentError with the name of the file and the reason */
export function writeText(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch (error) {
    throw notWritable(file, error);
  }
}

export function notWritable(what: string, error: unknown): InvalidArgumentError {
  return new InvalidArgumentError(`${what} cannot be written: ${(error as Error).message}`);
}
