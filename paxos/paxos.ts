import {
  makeReplica,
  type Engine,
  type Replica,
  type ReplicaInput,
  type ReplicaObserver,
  type ReplicaOptions,
  type ReplicaStatus,
} from "../replica/index.js";
import { PaxosCore, type AcceptorProgress, type PaxosState, type Reply, type Request } from "./core/index.js";
import { decodeReply, decodeRequest, encodeReply, encodeRequest, METHODS } from "./wire.js";

export type PaxosOptions = ReplicaOptions<Request, Reply, PaxosState>;
export type PaxosInput = ReplicaInput<Request, Reply>;
export type PaxosObserver = ReplicaObserver<Request, Reply, PaxosState>;

const PAXOS: Engine<Request, Reply, PaxosState> = {
  name: "Paxos",
  methods: METHODS,
  makeCore: (options) => new PaxosCore(options),
  senderOf: (message) => message.sender,
  encodeRequest,
  decodeRequest,
  encodeReply,
  decodeReply,
  describe,
};

/**
 * Starts a server of a log replicated by Multi-Paxos from what its storage holds. It runs until kill(). The interface and
 * its guarantees are those of `makeRaft`; what is called term there is the ballot here, one number for (n, proposerId).
 * Storage and messages of the two engines do not mix.
 * @throws InvalidArgumentError for wrong settings; InvariantError where the stored state is not that of an acceptor.
 */
export function makePaxos(options: PaxosOptions): Replica {
  return makeReplica(PAXOS, options);
}

function describe(state: PaxosState, appliedIndex: number, killed: boolean): ReplicaStatus {
  const { log } = state;
  return {
    id: state.me,
    role: state.role,
    term: state.term,
    votedFor: state.term === 0 ? null : state.proposerOf(state.term),
    leader: state.leader,
    commitIndex: state.commitIndex,
    appliedIndex,
    durableIndex: state.durableWrite === state.lastWrite ? log.lastIndex : state.commitIndex,
    lastIncludedIndex: log.lastIncludedIndex,
    lastIncludedTerm: log.lastIncludedTerm,
    lastIndex: log.lastIndex,
    lastTerm: log.lastTerm,
    killed,
    isSettled: state.isLeader() && state.commitIndex >= state.recoveredTo,
    followers: state.acceptors.map((acceptor) => ({
      id: acceptor.id,
      state: acceptor.failures > 0 ? "probe" : "replicate",
      matchIndex: matchIndex(state, acceptor),
      hasStored: acceptor.votedIndex > 0,
      nextIndex: acceptor.nextIndex,
      inflightMessages: acceptor.inflightMessages,
      inflightBytes: acceptor.inflightBytes,
      active: state.now - acceptor.lastAnswerAt < state.config.electionTimeoutMaxMs,
    })),
  };
}

/** What an acceptor has learned, and behind that its votes, up to the first hole. */
function matchIndex(state: PaxosState, { commitIndex, id }: AcceptorProgress): number {
  let index = commitIndex;
  if (index < state.commitIndex) return index;
  while (((state.acks.get(index + 1) ?? 0) & (1 << id)) !== 0) index++;
  return index;
}
