import { main } from "../../server/cli.js";

export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a command of `kvraft` in this process. */
export async function kvraft(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Outcome> {
  const outcome = { code: 0, out: "", err: "" };
  await main(args, {
    environment,
    out: (text) => (outcome.out += text),
    err: (text) => (outcome.err += text),
    setExitCode: (code) => (outcome.code = code),
  });
  return outcome;
}
