import type { Command } from "commander";

import { benchCommand } from "./bench.js";
import { clusterCommand } from "./cluster.js";
import { operateCommands } from "./operate.js";
import { processOutside } from "./outside.js";
import type { Outside } from "./outside.js";
import { serveCommand } from "./serve.js";
import { storeCommands } from "./store.js";

/** Adds every command that runs a cluster or talks to one. */
export function clusterCommands(program: Command, outside: Outside = processOutside): void {
  clusterCommand(program, outside);
  serveCommand(program, outside);
  storeCommands(program, outside);
  operateCommands(program, outside);
  benchCommand(program, outside);
}
