/** In the page nothing but the simulation's own code runs within it, and the tests under Node have watched that code. */
export function installGuard(): void {}
export function uninstallGuard(): void {}
export function keepGuard(): void {}
export class SimulationGuardError extends Error {}
