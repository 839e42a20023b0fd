import { followLeader } from "./follower.js";
import { campaign } from "./election.js";
import type { RaftState } from "./state.js";
import type { TimeoutNow } from "./types.js";

/**
 * Dissertation §3.10: stop taking proposals, bring the target's log up to date, tell it to stand at once. Given up after
 * an election timeout. `target` must be a follower.
 */
export function startTransfer(state: RaftState, target: number): void {
  state.endTransfer(false);
  state.transferTarget = target;
  state.transferDeadline = state.now + state.config.electionTimeoutMaxMs;
  continueTransfer(state);
}

/** The follower with the longest log, the first of equals. */
export function bestTransferTarget(state: RaftState): number | null {
  let best = null;
  for (const progress of state.followers) if (best === null || progress.matchIndex > best.matchIndex) best = progress;
  return best?.id ?? null;
}

/** Tells the target as soon as it has everything, and again at each heartbeat. */
export function continueTransfer(state: RaftState): void {
  const target = state.transferTarget;
  if (target === null || state.progressOf(target)?.matchIndex !== state.log.lastIndex) return;
  state.leaseForfeited = true;
  state.send(target, { type: "timeoutNow", term: state.term, leader: state.me, seq: state.nextSeq() });
}

export function handleTimeoutNow(state: RaftState, request: number, message: TimeoutNow): void {
  if (followLeader(state, message.term, message.leader)) campaign(state, true);
  state.reply(request, { type: "timeoutNowReply", term: state.term });
}
