import { Option, type Command } from "commander";

import { realRuntime } from "../../runtime/index.js";
import { deleteKeys, fillKeys, MAX_KEYS, MIXES, runLoad } from "../load.js";
import type { LoadFigures, LoadPlan, Mix } from "../load.js";
import { addClientOptions, withClient, wholeNumber } from "./options.js";
import type { ClientFlags } from "./options.js";
import { Exit, EXIT_CODES_HELP, run } from "./outside.js";
import type { Outside } from "./outside.js";

interface BenchFlags extends ClientFlags {
  readonly clients: number;
  readonly seconds: number;
  readonly valueBytes: number;
  readonly keys: number;
  readonly mix: Mix;
}

const MAX_CLIENTS = 4000;
const MAX_SECONDS = 3600;
const MAX_VALUE_BYTES = 1024 * 1024;
const WARM_UP_PART = 0.2;

/** `kvraft bench`: how fast is the cluster? */
export function benchCommand(program: Command, outside: Outside): void {
  const command = program
    .command("bench")
    .description("measure a running cluster; writes keys bench000, bench001, ... and deletes them afterwards")
    .option("--clients <number>", "each makes one call after the other", wholeNumber(1, MAX_CLIENTS), 64)
    .option(
      "--seconds <number>",
      "how long to measure, after a fifth of that to warm up",
      wholeNumber(1, MAX_SECONDS),
      5,
    )
    .option("--value-bytes <number>", "size of the values", wholeNumber(0, MAX_VALUE_BYTES), 256)
    .option("--keys <number>", "how many keys", wholeNumber(1, MAX_KEYS), 1000)
    .addOption(new Option("--mix <mix>", "what to do; mixed: 9 gets to a put").choices(MIXES).default("mixed"));
  addClientOptions(command).addHelpText("after", EXIT_CODES_HELP);
  command.action(async () => {
    const flags = command.opts<BenchFlags>();
    await run(outside, flags.json === true, () =>
      withClient(flags, outside.environment, async (client) => {
        const { mix, seconds, keys, valueBytes, timeout: patienceMs } = flags;
        const plan: LoadPlan = { mix, seconds, warmUpSeconds: seconds * WARM_UP_PART, keys, valueBytes, patienceMs };
        const clerks = Array.from({ length: flags.clients }, () => client.makeClerk());
        await fillKeys(clerks, plan);
        const figures = await runLoad(clerks, plan, realRuntime());
        await deleteKeys(clerks, plan);
        outside.out(flags.json ? `${JSON.stringify({ ...figures, keys, valueBytes })}\n` : `${describe(figures)}\n`);
        return Exit.ok;
      }),
    );
  });
}

function describe({ mix, clients, operations, seconds, perSecond, p50Ms, p99Ms, maxMs }: LoadFigures): string {
  const [p50, p99, max] = [p50Ms, p99Ms, maxMs].map((ms) => ms.toFixed(2));
  return (
    `${mix}, ${clients} clients: ${operations} operations in ${seconds} s, ${Math.round(perSecond)}/s; ` +
    `p50 ${p50} ms, p99 ${p99} ms, max ${max} ms`
  );
}
