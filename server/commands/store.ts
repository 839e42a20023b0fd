import type { Command } from "commander";

import { ConfigError } from "../checks.js";
import type { KvClient } from "../connect.js";
import { addClientOptions, withClient } from "./options.js";
import type { ClientFlags } from "./options.js";
import { Exit, EXIT_CODES_HELP, run } from "./outside.js";
import type { Outside } from "./outside.js";

/** What a command found: for programs, for people, and whether the answer is yes. */
interface Answer {
  readonly json: object;
  readonly text: string;
  readonly isNo?: boolean;
}

type Action = (
  client: KvClient,
  args: readonly string[],
  limits: { timeoutMs: number },
  flags: CasFlags,
) => Promise<Answer>;
type CasFlags = ClientFlags & { readonly byVersion?: boolean };

/** get, put, append, del, cas. */
export function storeCommands(program: Command, outside: Outside): void {
  add(program, outside, "get <key>", "print the value of a key", async ({ clerk }, [key = ""], limits) => {
    const found = await clerk.read(key, limits);
    if (found === null) return { json: { key, value: null, version: 0 }, text: `no key "${key}"`, isNo: true };
    return { json: { key, ...found }, text: found.value };
  });
  add(program, outside, "put <key> <value>", "set a key", async ({ clerk }, [key = "", value = ""], limits) => {
    await clerk.put(key, value, limits);
    return { json: { key, ok: true }, text: "ok" };
  });
  add(
    program,
    outside,
    "append <key> <value>",
    "add to the end of a value; creates the key",
    async ({ clerk }, [key = "", value = ""], limits) => {
      await clerk.append(key, value, limits);
      return { json: { key, ok: true }, text: "ok" };
    },
  );
  add(program, outside, "del <key>", "delete a key", async ({ clerk }, [key = ""], limits) => {
    const existed = await clerk.delete(key, limits);
    return { json: { key, existed }, text: existed ? "deleted" : `no key "${key}"`, isNo: !existed };
  });
  add(program, outside, "cas <key> <expected> <value>", "set a key if it has the expected value", compareAndSet).option(
    "--by-version",
    "<expected> is the key's version; 0: the key must be absent",
  );
}

async function compareAndSet(
  { clerk }: KvClient,
  [key = "", expected = "", value = ""]: readonly string[],
  limits: { timeoutMs: number },
  flags: CasFlags,
): Promise<Answer> {
  if (flags.byVersion) {
    if (!/^\d+$/.test(expected))
      throw new ConfigError("expected", `with --by-version, <expected> must be a whole number, not "${expected}"`);
    const { ok, version } = await clerk.putIf(key, value, Number(expected), limits);
    return {
      json: { key, ok, version },
      text: ok ? `ok, version ${version}` : `no: its version is ${version}`,
      isNo: !ok,
    };
  }
  for (;;) {
    const found = await clerk.read(key, limits);
    if (found === null || found.value !== expected) {
      const text = found === null ? `no: there is no key "${key}"` : `no: the value is ${JSON.stringify(found.value)}`;
      return { json: { key, ok: false, value: found?.value ?? null, version: found?.version ?? 0 }, text, isNo: true };
    }
    const { ok, version } = await clerk.putIf(key, value, found.version, limits);
    // Written in between, perhaps with the same value: look again.
    if (ok) return { json: { key, ok, version }, text: `ok, version ${version}` };
  }
}

function add(program: Command, outside: Outside, usage: string, description: string, action: Action): Command {
  const command = addClientOptions(program.command(usage).description(description)).addHelpText(
    "after",
    EXIT_CODES_HELP,
  );
  command.action(async () => {
    const flags = command.opts<CasFlags>();
    const limits = { timeoutMs: flags.timeout };
    await run(outside, flags.json === true, () =>
      withClient(flags, outside.environment, async (client) => {
        const { json, text, isNo = false } = await action(client, command.args, limits, flags);
        if (flags.json) outside.out(`${JSON.stringify(json)}\n`);
        else if (isNo) outside.err(`${text}\n`);
        else outside.out(`${text}\n`);
        return isNo ? Exit.no : Exit.ok;
      }),
    );
  });
  return command;
}
