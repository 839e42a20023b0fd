import { KvraftError } from "../runtime/index.js";

export type RemoteErrorCode = "BAD_METHOD" | "UNKNOWN_SERVICE" | "UNKNOWN_METHOD" | "HANDLER_FAILED" | "BAD_REPLY";

/**
 * A call reached its server and a programming error came out. Codes: `BAD_METHOD` (the name is not "Service.Method"),
 * `UNKNOWN_SERVICE` and `UNKNOWN_METHOD` (the message lists what there is), `HANDLER_FAILED` (the handler threw `cause`),
 * `BAD_REPLY` (the handler returned nothing, or what cannot be carried).
 */
export class RemoteError extends KvraftError {
  declare readonly code: RemoteErrorCode;

  // eslint-disable-next-line no-useless-constructor -- it narrows the type of `code`
  constructor(code: RemoteErrorCode, message: string, options?: { cause?: unknown }) {
    super(code, message, options);
  }
}
