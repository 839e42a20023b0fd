export {
  CorruptLogError,
  DiskFailedError,
  DiskFullError,
  FormatTooNewError,
  isDiskFull,
  StorageClosedError,
} from "./errors.js";
export {
  formatInspection,
  inspect,
  type Inspection,
  type InspectedSegment,
  type InspectedSnapshot,
  type JournalSummary,
  type ReadJournal,
} from "./inspect.js";
export { nodeDisk } from "./node-disk.js";
export { openStorage, type StorageOptions } from "./open.js";
export type { DurableStorage, RecoveryReport, StorageHealth, StorageStats } from "./storage.js";
