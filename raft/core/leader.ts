import { assert } from "../../runtime/index.js";
import { ENTRY_OVERHEAD_BYTES } from "./log.js";
import { Progress } from "./progress.js";
import type { RaftState } from "./state.js";
import { EntryType, type AppendEntriesReply, type Entry, type InstallSnapshotReply } from "./types.js";

const NO_ENTRIES: readonly Entry[] = [];
const NO_DATA = new Uint8Array(0);

export function becomeLeader(state: RaftState): void {
  assert(state.role === "candidate", () => `a ${state.role} cannot become leader`);
  assert(state.durableWrite >= state.ownVoteWrite || state.votes.size > 1, "leads without a durable majority");
  state.setRole("leader", state.me);
  state.voteRetryAt = Infinity;
  state.leaseForfeited = false;
  state.seqBeforeLeading = state.nextSeq();
  // §5.3: nextIndex starts at the end of the log, matchIndex at 0 (mutation 20: nothing is kept of an earlier term).
  state.followers = state.configuration.others.map((id) => new Progress(id, state.log.lastIndex + 1, state.now));
  if (state.config.noopOnElection) appendAsLeader(state, [{ term: state.term, type: EntryType.noop, data: NO_DATA }]);
  heartbeat(state);
}

/** Appends to the leader's own log. Its disk write runs in parallel with replication (dissertation §10.2.1). */
export function appendAsLeader(state: RaftState, entries: readonly Entry[]): number {
  const firstIndex = state.log.lastIndex + 1;
  for (const entry of entries) state.log.append(entry);
  state.persistEntries(firstIndex, entries);
  state.needsFlush = true;
  return firstIndex;
}

/** At heartbeat pace: every follower hears something, and what went unanswered for too long is sent again. */
export function heartbeat(state: RaftState): void {
  state.heartbeatAt = state.now + state.config.heartbeatMs;
  if (state.config.leaseReads) state.reads.renewLease(state.now);
  for (const progress of state.followers) {
    const isOverdue = state.now - progress.oldestSentAt >= state.config.electionTimeoutMinMs / 2;
    if (isOverdue || progress.failures > 0) retreat(progress);
    if (!sendAppends(state, progress)) sendHeartbeat(state, progress);
  }
}

/** Takes everything in flight as lost (S23: otherwise a full window of lost messages would never move again). */
function retreat(progress: Progress): void {
  if (progress.state === "replicate") progress.becomeProbe(progress.matchIndex + 1);
  else progress.forgetInflight();
}

/** Dissertation §6.2: a leader that cannot reach a majority must not keep clients waiting, nor protect itself. */
export function hasQuorumContact(state: RaftState): boolean {
  const contact = state.configuration.majority(state.now, state.followers, lastAnswerAt);
  return state.now - contact < state.config.electionTimeoutMaxMs;
}

const lastAnswerAt = (progress: Progress): number => progress.lastAnswerAt;
const matchIndex = (progress: Progress): number => progress.matchIndex;

/** Sends appends or a chunk while there is something to send and room for it. False where nothing was sent. */
export function sendAppends(state: RaftState, progress: Progress): boolean {
  const { log, config } = state;
  let sent = false;
  while (progress.canSend(config.maxInflightMessages, config.maxInflightBytes)) {
    if (progress.state === "snapshot") return sendSnapshotChunk(state, progress) || sent;
    const prevLogIndex = progress.nextIndex - 1;
    const prevLogTerm = log.termAt(prevLogIndex);
    if (prevLogTerm === undefined) {
      // §7: the entries it needs are in the snapshot.
      assert(state.snapshot !== null, () => `entry ${prevLogIndex} is compacted but there is no snapshot`);
      progress.becomeSnapshot(state.snapshot);
      continue;
    }
    const pending = log.lastIndex - prevLogIndex;
    // A probe goes out even with nothing to carry: it looks for the point where the logs agree.
    if (pending === 0 && (progress.state === "replicate" || progress.matchIndex === log.lastIndex)) return sent;
    const entries = pending > 0 ? log.slice(prevLogIndex + 1, log.lastIndex, config.maxAppendBytes) : NO_ENTRIES;
    const seq = send(state, progress, prevLogIndex, prevLogTerm, entries);
    progress.sent(seq, prevLogIndex + entries.length, bytesOf(entries), state.now);
    sent = true;
  }
  return sent;
}

/** An empty append at a point that is known to match: it cannot fail, whatever is still on its way. */
export function sendHeartbeat(state: RaftState, progress: Progress): void {
  const term = state.log.termAt(progress.matchIndex);
  if (term === undefined) send(state, progress, 0, 0, NO_ENTRIES);
  else send(state, progress, progress.matchIndex, term, NO_ENTRIES);
}

function send(
  state: RaftState,
  progress: Progress,
  prevLogIndex: number,
  prevLogTerm: number,
  entries: readonly Entry[],
): number {
  const seq = state.nextSeq();
  state.send(progress.id, {
    type: "appendEntries",
    term: state.term,
    leader: state.me,
    seq,
    prevLogIndex,
    prevLogTerm,
    leaderCommit: state.commitIndex,
    readContext: state.reads.context,
    entries,
  });
  return seq;
}

function bytesOf(entries: readonly Entry[]): number {
  let bytes = 0;
  for (const entry of entries) bytes += entry.data.length + ENTRY_OVERHEAD_BYTES;
  return bytes;
}

export function handleAppendEntriesReply(state: RaftState, from: number, message: AppendEntriesReply): void {
  const progress = acceptAnswer(state, from, message);
  if (progress === undefined) return;
  if (message.readContext > progress.readContext) progress.readContext = message.readContext;
  if (message.success) onMatch(state, progress, message.index);
  else onMismatch(state, progress, message);
  sendAppends(state, progress);
}

/** The sender's progress, where the answer belongs to this very leadership; otherwise undefined (mutations 19, 21). */
export function acceptAnswer(
  state: RaftState,
  from: number,
  message: AppendEntriesReply | InstallSnapshotReply,
): Progress | undefined {
  if (message.term > state.term) {
    state.becomeFollower(message.term, null);
    return undefined;
  }
  // An answer from before a restart of ours, whose numbers begin anew, shows by its term.
  if (!state.isLeader() || message.term < state.term) return undefined;
  // The term is the follower's, which may refuse in our present term what we sent in an earlier one (S15).
  if (message.seq <= state.seqBeforeLeading) return undefined;
  const progress = state.progressOf(from);
  if (progress === undefined) return undefined;
  progress.lastAnswerAt = state.now;
  progress.failures = 0;
  return progress;
}

/** The follower's log equals ours up to `index`. */
function onMatch(state: RaftState, progress: Progress, index: number): void {
  if (index > state.log.lastIndex) return; // Nobody can match what does not exist: not a message of this protocol.
  const isNews = progress.acknowledge(index);
  if (progress.state === "probe" && index >= progress.nextIndex - 1) progress.becomeReplicate();
  if (isNews) maybeCommit(state);
}

/** §5.3: step back over everything that cannot match. Answers that are out of date must not move anything (S15). */
function onMismatch(state: RaftState, progress: Progress, message: AppendEntriesReply): void {
  if (message.index <= progress.matchIndex || progress.state === "snapshot") return;
  if (progress.state === "probe" && message.index !== progress.nextIndex - 1) return;
  const match = state.log.lastIndexWithTermAtMost(message.hintIndex, message.hintTerm);
  // Where that is in our snapshot the terms are unknown. Going below its end makes sendAppends turn to the snapshot.
  progress.becomeProbe(Math.min(match, message.hintIndex, message.index - 1) + 1);
}

/** §5.3, §5.4.2: commit what a majority has stored, but count only entries of the current term (figure 8). */
export function maybeCommit(state: RaftState): void {
  const index = state.configuration.majority(state.durableIndex, state.followers, matchIndex);
  if (index <= state.commitIndex || state.log.termAt(index) !== state.term) return;
  state.advanceCommit(index);
}

/** No answer came. The first time at once again, then at heartbeat pace: a dead server must not cause a storm. */
export function handleUnanswered(state: RaftState, to: number, seq: number): void {
  const progress = state.progressOf(to);
  if (progress === undefined || !progress.isInflight(seq)) return;
  if (progress.failures++ > 0) return;
  retreat(progress);
  sendAppends(state, progress);
}

/** Figure 13, leader's side: one chunk at a time, from where the follower says it is. */
function sendSnapshotChunk(state: RaftState, progress: Progress): boolean {
  const snapshot = progress.snapshot;
  assert(snapshot !== null, "state snapshot without a snapshot");
  const data = snapshot.data.subarray(progress.offset, progress.offset + state.config.snapshotChunkBytes);
  const seq = state.nextSeq();
  state.send(progress.id, {
    type: "installSnapshot",
    term: state.term,
    leader: state.me,
    seq,
    lastIncludedIndex: snapshot.index,
    lastIncludedTerm: snapshot.term,
    offset: progress.offset,
    data,
    done: progress.offset + data.length === snapshot.data.length,
  });
  progress.sent(seq, snapshot.index, data.length, state.now);
  return true;
}

export function handleInstallSnapshotReply(state: RaftState, from: number, message: InstallSnapshotReply): void {
  const progress = acceptAnswer(state, from, message);
  if (progress === undefined) return;
  if (message.done) onMatch(state, progress, message.lastIncludedIndex);
  const snapshot = progress.snapshot;
  if (snapshot !== null && snapshot.index === message.lastIncludedIndex) {
    if (message.done) {
      progress.becomeReplicate();
    } else {
      // A repeated or late answer without progress must not make us send twice: that is how storms begin.
      const isNews = message.offset > progress.offset || progress.isInflight(message.seq);
      if (!isNews || message.offset > snapshot.data.length) return;
      progress.forgetInflight();
      progress.offset = message.offset;
    }
  }
  sendAppends(state, progress);
}
