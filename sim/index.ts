export { SimulationDeadlock, SimulationTimeout, simulate } from "./simulate.js";
export type { SimReport, SimRuntime, SimulateOptions } from "./simulate.js";
export { SimulationGuardError } from "./guard.js";
