import type { Message, RequestMessage } from "../../replica/core/index.js";
import type { Reply, Request } from "../../raft/core/index.js";

/** A message on its way. */
export interface Packet<M extends Message = Request | Reply> {
  readonly from: number;
  readonly to: number;
  readonly message: M;
  /** What ties a reply to its request, as an RPC does; a reply to a server that died since is not delivered. */
  readonly seq: number;
  readonly askerLife: number;
}

/** Which packets; a field that is missing fits all. */
export interface Match<M extends Message = Request | Reply> {
  readonly from?: number;
  readonly to?: number;
  /** One end is this server. */
  readonly with?: number;
  readonly type?: M["type"];
  readonly where?: (packet: Packet<M>) => boolean;
}

export function isRequest<Q extends RequestMessage>(message: Q | Message): message is Q {
  return !message.type.endsWith("Reply");
}

export function fits<M extends Message>(packet: Packet<M>, match: Match<M>): boolean {
  if (match.from !== undefined && packet.from !== match.from) return false;
  if (match.to !== undefined && packet.to !== match.to) return false;
  if (match.with !== undefined && packet.from !== match.with && packet.to !== match.with) return false;
  if (match.type !== undefined && packet.message.type !== match.type) return false;
  return match.where?.(packet) ?? true;
}
