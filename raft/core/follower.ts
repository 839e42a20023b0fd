import { concatBytes, RefusedMessageError } from "../../replica/core/index.js";
import type { RaftState } from "./state.js";
import type { AppendEntries, Entry, InstallSnapshot, Snapshot } from "./types.js";

/** A message of the leader of this or a later term: follow it. False where it is from an earlier term. */
export function followLeader(state: RaftState, term: number, leader: number): boolean {
  if (term < state.term) return false;
  if (term === state.term && state.isLeader()) {
    throw new RefusedMessageError(`server ${leader} claims to lead term ${term}, which server ${state.me} leads`);
  }
  state.becomeFollower(term, leader);
  state.lastLeaderContact = state.now;
  state.resetElectionTimer();
  return true;
}

export function handleAppendEntries(state: RaftState, request: number, message: AppendEntries): void {
  const { log } = state;
  const isCurrent = followLeader(state, message.term, message.leader);
  const { prevLogIndex, prevLogTerm } = message;
  if (!isCurrent) return replyMismatch(state, request, message, 0, 0);
  if (prevLogIndex >= log.lastIncludedIndex && log.termAt(prevLogIndex) !== prevLogTerm) {
    const hintIndex = log.lastIndexWithTermAtMost(Math.min(prevLogIndex, log.lastIndex), prevLogTerm);
    return replyMismatch(state, request, message, hintIndex, log.termAt(hintIndex) as number);
  }
  // The prefix up to our snapshot is committed, and the leader has every committed entry (§5.4.3): it matches.
  const lastNew = Math.max(prevLogIndex + message.entries.length, log.lastIncludedIndex);
  storeEntries(state, prevLogIndex, message.entries);
  // Only up to the last entry that this message vouches for: what lies beyond may be another leader's (mutation 15).
  state.advanceCommit(Math.min(message.leaderCommit, lastNew));
  state.reply(request, {
    type: "appendEntriesReply",
    term: state.term,
    seq: message.seq,
    readContext: message.readContext,
    success: true,
    index: lastNew,
    hintIndex: 0,
    hintTerm: 0,
  });
}

function replyMismatch(
  state: RaftState,
  request: number,
  message: AppendEntries,
  hintIndex: number,
  hintTerm: number,
): void {
  state.reply(request, {
    type: "appendEntriesReply",
    term: state.term,
    seq: message.seq,
    // A mismatch still confirms that its sender leads; an answer from a later term confirms nothing.
    readContext: message.term === state.term ? message.readContext : 0,
    success: false,
    index: message.prevLogIndex,
    hintIndex,
    hintTerm,
  });
}

/**
 * §5.3: what is there already stays; from the first entry that differs, ours go. Never cut off because a message ends
 * early: it may be an old one (S13).
 */
function storeEntries(state: RaftState, prevLogIndex: number, entries: readonly Entry[]): void {
  const { log } = state;
  let skip = Math.min(entries.length, Math.max(0, log.lastIncludedIndex - prevLogIndex));
  while (skip < entries.length && log.termAt(prevLogIndex + 1 + skip) === (entries[skip] as Entry).term) skip++;
  if (skip === entries.length) return;
  const firstIndex = prevLogIndex + 1 + skip;
  // Where the message reaches back into our snapshot, its entries were not compared with what is in there.
  if ((entries[skip] as Entry).term < (log.termAt(firstIndex - 1) as number)) {
    throw new RefusedMessageError(`entry ${firstIndex} has a term before that of the entry in front of it`);
  }
  if (firstIndex <= log.lastIndex) {
    if (firstIndex <= state.commitIndex) {
      throw new RefusedMessageError(
        `entry ${firstIndex} differs from the one committed here (commit ${state.commitIndex})`,
      );
    }
    log.truncateFrom(firstIndex);
  }
  const fresh = skip === 0 ? entries : entries.slice(skip);
  for (const entry of fresh) log.append(entry);
  state.persistEntries(firstIndex, fresh);
}

/** Figure 13, follower's side. Never goes back: a snapshot of what is committed here already is not needed. */
export function handleInstallSnapshot(state: RaftState, request: number, message: InstallSnapshot): void {
  const { lastIncludedIndex } = message;
  if (!followLeader(state, message.term, message.leader)) return replySnapshot(state, request, message, 0, false);
  if (lastIncludedIndex <= state.commitIndex) {
    state.incomingSnapshot = null;
    return replySnapshot(state, request, message, 0, true);
  }
  const received = receiveChunk(state, message);
  if (received !== message.offset + message.data.length || !message.done) {
    return replySnapshot(state, request, message, received, false);
  }
  const chunks = state.incomingSnapshot?.chunks ?? [];
  state.incomingSnapshot = null;
  install(state, { index: lastIncludedIndex, term: message.lastIncludedTerm, data: concatBytes(chunks) });
  replySnapshot(state, request, message, received, true);
}

/** Keeps the chunk if it is the next one; returns how many bytes are there. Chunks of two leaders are never mixed. */
function receiveChunk(state: RaftState, message: InstallSnapshot): number {
  const { term, leader, lastIncludedIndex, offset, data } = message;
  let incoming = state.incomingSnapshot;
  if (incoming === null || incoming.term !== term || incoming.lastIncludedIndex !== lastIncludedIndex) {
    incoming = { leader, term, lastIncludedIndex, chunks: [], received: 0 };
    state.incomingSnapshot = incoming;
  }
  if (offset === incoming.received) {
    incoming.chunks.push(data);
    incoming.received += data.length;
  }
  return incoming.received;
}

function install(state: RaftState, snapshot: Snapshot): void {
  const { log } = state;
  // §7: if the log goes on beyond the snapshot with the same history, the rest stays; otherwise all of it goes.
  const extendsSnapshot = log.termAt(snapshot.index) === snapshot.term;
  if (extendsSnapshot) log.compactTo(snapshot.index);
  else log.reset(snapshot.index, snapshot.term);
  state.snapshot = snapshot;
  state.persistSnapshot(snapshot, !extendsSnapshot);
  state.effects.push({ type: "restore", after: state.lastWrite, snapshot });
  state.advanceCommit(snapshot.index);
}

function replySnapshot(
  state: RaftState,
  request: number,
  message: InstallSnapshot,
  offset: number,
  done: boolean,
): void {
  state.reply(request, {
    type: "installSnapshotReply",
    term: state.term,
    seq: message.seq,
    lastIncludedIndex: message.lastIncludedIndex,
    offset,
    done,
  });
}
