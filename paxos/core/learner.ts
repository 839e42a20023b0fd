import { assert } from "../../runtime/index.js";
import { concatBytes, type Snapshot } from "../../replica/core/index.js";
import { maybeCommit } from "./commit.js";
import type { PaxosState } from "./state.js";
import type { Accept, InstanceVote, Learn, LearnReply, SnapshotChunk } from "./types.js";

/** A question without answer for so long a part of the election timeout is lost, whether the network says so or not. */
const PATIENCE = 0.5;

/**
 * The leader tells with every message what is chosen. Of an instance in which this server has voted in the leader's own
 * ballot it has the value: a ballot has only one. Any older vote may be for a value that was never chosen.
 */
export function learnFromLeader(state: PaxosState, { ballot, commitIndex, entries, sender }: Accept): void {
  let index = state.commitIndex;
  while (index < commitIndex && state.log.voteAt(index + 1)?.ballot === ballot) index++;
  if (index > state.commitIndex) state.advanceCommit(index);
  noteChosen(state, commitIndex, sender);
  // What is on its way need not be asked for; what a heartbeat finds missing must be.
  if (entries.length === 0) askForChosen(state);
}

/** Server `from` knows what was chosen up to `index`. */
export function noteChosen(state: PaxosState, index: number, from: number): void {
  if (index > state.knownCommit) state.knownCommit = index;
  state.learnFrom = from;
}

/** Asks for the next range of chosen values, where some are known to be missing. One question at a time. */
export function askForChosen(state: PaxosState): void {
  const { config, now } = state;
  if (state.commitIndex >= state.knownCommit || state.learnFrom === null) return;
  if (state.learnSeq !== 0) {
    if (now - state.learnSentAt < config.electionTimeoutMinMs * PATIENCE) return;
    askElsewhere(state);
  }
  const { learnFrom } = state;
  state.learnSeq = state.nextSeq();
  state.learnSentAt = now;
  state.learnAsked = learnFrom;
  const incoming = state.incomingSnapshot?.from === learnFrom ? state.incomingSnapshot : null;
  const { index: snapshotIndex = 0, received: offset = 0 } = incoming ?? {};
  const from = state.commitIndex + 1;
  state.send(learnFrom, { type: "learn", sender: state.me, seq: state.learnSeq, from, snapshotIndex, offset });
}

/**
 * Another server may know more; asked at heartbeat pace. Who is amid a snapshot gets a second chance, for with another
 * server it begins anew.
 */
function askElsewhere(state: PaxosState): void {
  state.learnSeq = 0;
  state.learnFailures++;
  // Meanwhile another server has said that it knows.
  if (state.learnFrom !== state.learnAsked) return;
  if (state.incomingSnapshot?.from === state.learnFrom && state.learnFailures % 2 === 1) return;
  const { others } = state.configuration;
  const at = others.indexOf(state.learnFrom as number);
  state.learnFrom = others[(at + 1) % others.length] as number;
}

/**
 * A new leader was told that instances up to `chosenBefore` are chosen, and nobody who answers has their values: the one
 * who said so is gone, or has started again and forgotten. The votes are still there, with a majority of the acceptors;
 * another phase 1 finds them.
 */
export function isLearningInVain(state: PaxosState): boolean {
  return state.commitIndex < state.chosenBefore && state.learnFailures >= state.configuration.others.length;
}

export function handleLearn(state: PaxosState, request: number, message: Learn): void {
  const { commitIndex, config, log } = state;
  const isGone = message.from <= log.lastIncludedIndex;
  state.reply(request, {
    type: "learnReply",
    seq: message.seq,
    commitIndex,
    chosen: isGone ? [] : log.votesFrom(message.from, commitIndex, config.maxAppendBytes),
    snapshot: isGone ? chunkFor(state, message) : null,
  });
}

function chunkFor(state: PaxosState, { offset, snapshotIndex }: Learn): SnapshotChunk {
  const { snapshot, log, config } = state;
  assert(snapshot !== null, "values are gone but there is no snapshot");
  const { data: whole, index, term } = snapshot;
  const start = snapshotIndex === index ? Math.min(offset, whole.length) : 0;
  const data = whole.subarray(start, start + config.snapshotChunkBytes);
  const done = start + data.length === whole.length;
  return { index, term, ballot: log.lastIncludedBallot, offset: start, data, done };
}

export function handleLearnReply(state: PaxosState, from: number, message: LearnReply): void {
  if (message.seq !== state.learnSeq) return;
  state.learnSeq = 0;
  const before = state.commitIndex;
  if (message.snapshot !== null) {
    if (!receiveChunk(state, from, message.snapshot)) return askElsewhere(state);
  } else {
    takeChosen(state, message.chosen);
    if (state.commitIndex === before) return askElsewhere(state);
  }
  if (message.commitIndex > state.knownCommit) noteChosen(state, message.commitIndex, from);
  if (state.isLeader()) maybeCommit(state);
  askForChosen(state);
}

export function handleLearnUnanswered(state: PaxosState, seq: number): void {
  if (seq === state.learnSeq) askElsewhere(state);
}

/**
 * Chosen values are votes like any: they were proposed in the ballots that come with them. To promise those first is what
 * makes this server refuse whatever an earlier leader may still want in their place.
 */
function takeChosen(state: PaxosState, chosen: readonly InstanceVote[]): void {
  const { log } = state;
  const fresh: InstanceVote[] = [];
  let index = state.commitIndex;
  for (const { ballot, entry, instance } of chosen) {
    if (instance <= index) continue;
    if (instance !== index + 1) break;
    const own = log.voteAt(instance);
    const isVoted = own !== undefined && own.ballot >= ballot;
    // What was chosen is proposed in all later ballots: no correct server teaches this.
    if (isVoted && own.entry.term !== entry.term) break;
    index = instance;
    observe(state, ballot);
    if (isVoted) continue;
    const vote = { instance, ballot, entry };
    log.set(vote);
    fresh.push(vote);
  }
  state.persistVotes(fresh);
  if (index > state.commitIndex) state.advanceCommit(index);
}

function observe(state: PaxosState, ballot: number): void {
  if (ballot > state.term) state.becomeFollower(ballot, null);
}

/** Keeps the chunk if it is the next one. False where it is of no use. */
function receiveChunk(state: PaxosState, from: number, chunk: SnapshotChunk): boolean {
  const { ballot, data, done, index, offset, term } = chunk;
  if (index <= state.commitIndex) {
    state.incomingSnapshot = null;
    return false;
  }
  let incoming = state.incomingSnapshot;
  if (incoming?.index !== index || incoming.from !== from) {
    incoming = { from, index, chunks: [], received: 0 };
    state.incomingSnapshot = incoming;
  }
  if (offset !== incoming.received) return false;
  state.learnFailures = 0;
  incoming.chunks.push(data);
  incoming.received += data.length;
  if (!done) return true;
  state.incomingSnapshot = null;
  observe(state, ballot);
  install(state, { index, term, data: concatBytes(incoming.chunks) }, ballot);
  return true;
}

function install(state: PaxosState, snapshot: Snapshot, ballot: number): void {
  state.log.compactTo(snapshot.index, snapshot.term, ballot);
  for (const instance of state.acks.keys()) if (instance <= snapshot.index) state.acks.delete(instance);
  state.snapshot = snapshot;
  state.persistSnapshot(snapshot);
  state.effects.push({ type: "restore", after: state.lastWrite, snapshot });
  state.advanceCommit(snapshot.index);
}
