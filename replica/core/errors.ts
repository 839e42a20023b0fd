import { KvraftError } from "../../runtime/index.js";

/** A message that no correct server sends; it was not acted on. Code `REFUSED_MESSAGE`. */
export class RefusedMessageError extends KvraftError {
  constructor(message: string) {
    super("REFUSED_MESSAGE", message);
  }
}
