import {
  makeReplica,
  type Engine,
  type Replica,
  type ReplicaInput,
  type ReplicaObserver,
  type ReplicaOptions,
} from "../replica/index.js";
import { RaftCore, type RaftState, type Reply, type Request } from "./core/index.js";
import { describeStatus } from "./status.js";
import { decodeReply, decodeRequest, encodeReply, encodeRequest, METHODS } from "./wire.js";

export type RaftOptions = ReplicaOptions<Request, Reply, RaftState>;
export type RaftInput = ReplicaInput<Request, Reply>;
export type RaftObserver = ReplicaObserver<Request, Reply, RaftState>;

const RAFT: Engine<Request, Reply, RaftState> = {
  name: "Raft",
  methods: METHODS,
  makeCore: (options) => new RaftCore(options),
  senderOf: (message) => (message.type === "requestVote" ? message.candidate : message.leader),
  encodeRequest,
  decodeRequest,
  encodeReply,
  decodeReply,
  describe: describeStatus,
};

/**
 * Starts a Raft server from what its storage holds. It runs until kill().
 * @throws InvalidArgumentError for wrong settings; InvariantError where the stored state contradicts itself.
 */
export function makeRaft(options: RaftOptions): Replica {
  return makeReplica(RAFT, options);
}
