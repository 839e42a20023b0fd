import type { Reply, Request } from "../../raft/core/index.js";

/** A message on its way. */
export interface Packet {
  readonly from: number;
  readonly to: number;
  readonly message: Request | Reply;
  /** What ties a reply to its request, as an RPC does; a reply to a server that died since is not delivered. */
  readonly seq: number;
  readonly askerLife: number;
}

/** Which packets; a field that is missing fits all. */
export interface Match {
  readonly from?: number;
  readonly to?: number;
  /** One end is this server. */
  readonly with?: number;
  readonly type?: Packet["message"]["type"];
  readonly where?: (packet: Packet) => boolean;
}

export function isRequest(message: Request | Reply): message is Request {
  return !message.type.endsWith("Reply");
}

export function fits(packet: Packet, match: Match): boolean {
  if (match.from !== undefined && packet.from !== match.from) return false;
  if (match.to !== undefined && packet.to !== match.to) return false;
  if (match.with !== undefined && packet.from !== match.with && packet.to !== match.with) return false;
  if (match.type !== undefined && packet.message.type !== match.type) return false;
  return match.where?.(packet) ?? true;
}
