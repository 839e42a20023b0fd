import { dirname, resolve } from "node:path";

import { engines, type EngineName } from "./engines.js";
import { engineOf } from "./identity.js";
import { inspect as inspectStorage, nodeDisk, type Inspection } from "./storage/index.js";

/**
 * Reads the directory of one group of a node, without changing it or asking for its lock. What a running node is writing
 * may look torn. Which engine has written it says the node's own file in the directory above; without that nobody knows.
 */
export async function inspect(dir: string): Promise<Inspection> {
  const engine = engineOf(dirname(resolve(dir)));
  const isKnown = engine !== null && Object.hasOwn(engines, engine);
  return inspectStorage(dir, nodeDisk, {
    engine,
    readJournal: isKnown ? engines[engine as EngineName].readJournal : null,
  });
}
