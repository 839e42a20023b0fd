export {
  checkRecord,
  EventKind,
  MESSAGE_FIELDS,
  MESSAGE_KINDS,
  RecordError,
  ROLES,
  type IllegalOperation,
  type RecordedOutcome,
  type RunRecord,
  type StepData,
  type StoreChange,
} from "./format.js";
export {
  clientActor,
  RunRecorder,
  type LogChange,
  type RecordEnding,
  type RecorderOptions,
  type ServerFigures,
} from "./recorder.js";
export { findIllegal } from "./illegal.js";
