export { SimulationDeadlock, SimulationTimeout, simulate } from "./simulate.js";
export type { Pace, SimReport, SimRuntime, SimulateOptions } from "./simulate.js";
export { SimulationGuardError } from "./guard.js";
export * from "./history.js";
export * from "./checker/index.js";
