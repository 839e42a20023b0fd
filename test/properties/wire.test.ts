import * as fc from "fast-check";
import { expect, test } from "vitest";

import { BadMessageError } from "../../raft/index.js";
import type { Reply, Request } from "../../raft/core/index.js";
import { decodeReply, decodeRequest, encodeReply, encodeRequest } from "../../raft/wire.js";
import { decode, encode } from "../../runtime/index.js";
import { outcome } from "./bits.js";
import { holds } from "./property.js";
import { anyReply, anyRequest, nonsense } from "./raft-messages.js";

const TYPES = ["requestVote", "appendEntries", "installSnapshot", "timeoutNow"] as const;
const request = anyRequest([0, 1, 2]);
const typeOf = (reply: Reply): Request["type"] => reply.type.slice(0, -"Reply".length) as Request["type"];

test("every request and every reply comes out of the wire as it went in", () => {
  holds(
    fc.property(request, anyReply, (message, reply) => {
      expect(decodeRequest(message.type, decode(encode(encodeRequest(message))))).toEqual(message);
      expect(decodeReply(typeOf(reply), decode(encode(encodeReply(reply))))).toEqual(reply);
    }),
    1000,
  );
});

function expectRefused(read: () => unknown): void {
  expect(outcome(read)).toBeInstanceOf(BadMessageError);
}

test("whatever else arrives is refused by name", () => {
  holds(
    fc.property(fc.constantFrom(...TYPES), fc.anything(), (type, junk) => {
      for (const read of [decodeRequest, decodeReply]) {
        const result = outcome<unknown>(() => read(type, junk));
        // A list of whole numbers may be a message by chance.
        if (!(result instanceof BadMessageError)) expect(Array.isArray(junk)).toBe(true);
      }
    }),
    2000,
  );
});

test("so is a message with nonsense in any field, or without its last", () => {
  holds(
    fc.property(request, anyReply, nonsense, fc.nat(), (message, reply, junk, at) => {
      const asked = encodeRequest(message);
      const answered = encodeReply(reply);
      expectRefused(() => decodeRequest(message.type, asked.with(at % asked.length, junk)));
      expectRefused(() => decodeReply(typeOf(reply), answered.with(at % answered.length, junk)));
      expectRefused(() => decodeRequest(message.type, asked.slice(0, at % asked.length)));
    }),
    1000,
  );
});
