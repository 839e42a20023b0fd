import { KvraftError } from "../runtime/index.js";

export type RemoteErrorCode = "BAD_METHOD" | "UNKNOWN_SERVICE" | "UNKNOWN_METHOD" | "HANDLER_FAILED" | "BAD_REPLY";

/**
 * A call reached its server and a programming error came out. Codes: `BAD_METHOD` (the name is not "Service.Method"),
 * `UNKNOWN_SERVICE` and `UNKNOWN_METHOD` (the message lists what there is), `HANDLER_FAILED` (the handler threw `cause`),
 * `BAD_REPLY` (the handler returned nothing, or what cannot be carried).
 */
export class RemoteError extends KvraftError {
  declare readonly code: RemoteErrorCode;
  /** Where a name was wrong: the names there are. Else empty, and over TCP, where only code and message travel. */
  readonly candidates: readonly string[];

  constructor(
    code: RemoteErrorCode,
    message: string,
    options: { cause?: unknown; candidates?: readonly string[] } = {},
  ) {
    const { candidates = [], ...rest } = options;
    super(code, message, rest);
    this.candidates = candidates;
  }
}
