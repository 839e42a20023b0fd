import type { Entry, PersistEffect, RaftCore, Reply, Request } from "../../raft/core/index.js";
import type { Persister } from "../../replica/persister.js";
import { text } from "../harness/core-messages.js";

export type NameOf = (n: number) => string;

/** A message in the words of the paper. (4, term 2) is entry 4 of term 2. */
export function messageText(message: Request | Reply, name: NameOf): string {
  switch (message.type) {
    case "requestVote": {
      const { term, lastLogIndex, lastLogTerm, preVote, transfer } = message;
      const kind = preVote ? "PreVote" : "RequestVote";
      return `${kind} for term ${term}, last entry ${place(lastLogIndex, lastLogTerm)}${transfer ? ", at the leader's wish" : ""}`;
    }
    case "requestVoteReply": {
      const { term, requestTerm, preVote, granted } = message;
      const answer = `${preVote ? "PreVote" : "RequestVote"} for term ${requestTerm} ${granted ? "granted" : "refused"}`;
      return `${answer}, in term ${term}`;
    }
    case "appendEntries": {
      const { term, prevLogIndex, prevLogTerm, leaderCommit, readContext, entries } = message;
      const what = entries.length === 0 ? "nothing" : entriesText(prevLogIndex + 1, entries);
      const read = readContext > 0 ? `, round ${readContext}` : "";
      const after = `after ${place(prevLogIndex, prevLogTerm)}`;
      return `AppendEntries in term ${term} ${after}: ${what}, commit ${leaderCommit}${read}`;
    }
    case "appendEntriesReply": {
      const { term, readContext, success, index, hintIndex, hintTerm } = message;
      const read = readContext > 0 ? `, round ${readContext}` : "";
      const answer = success ? `matches up to ${index}` : `no match at ${index}, try ${place(hintIndex, hintTerm)}`;
      return `AppendEntries ${answer}, in term ${term}${read}`;
    }
    case "installSnapshot": {
      const { term, lastIncludedIndex, lastIncludedTerm, offset, data, done } = message;
      const bytes = `bytes ${offset}-${offset + data.length - 1}${done ? ", the last" : ""}`;
      return `InstallSnapshot in term ${term} up to ${place(lastIncludedIndex, lastIncludedTerm)}: ${bytes}`;
    }
    case "installSnapshotReply": {
      const { term, lastIncludedIndex, offset, done } = message;
      const answer = done ? `has all up to ${lastIncludedIndex}` : `up to ${lastIncludedIndex} needs byte ${offset}`;
      return `InstallSnapshot ${answer}, in term ${term}`;
    }
    case "timeoutNow":
      return `TimeoutNow in term ${message.term} from ${name(message.leader)}`;
    case "timeoutNowReply":
      return `TimeoutNow taken, in term ${message.term}`;
  }
}

function place(index: number, term: number): string {
  return index === 0 ? "nothing" : `(${index}, term ${term})`;
}

/** "4-6 of terms 2 2 3". */
export function entriesText(firstIndex: number, entries: readonly Entry[]): string {
  const terms = entries.map(({ term }) => term);
  const lastIndex = firstIndex + entries.length - 1;
  const isOneTerm = terms.every((term) => term === terms[0]);
  const which = firstIndex === lastIndex ? `entry ${firstIndex}` : `entries ${firstIndex}-${lastIndex}`;
  return `${which} of ${isOneTerm ? `term ${terms[0]}` : `terms ${terms.join(" ")}`}`;
}

/** What a write changes on the disk, where the log reached up to `lastIndex` before. */
export function writeText(write: PersistEffect, lastIndex: number, name: NameOf): string {
  const parts: string[] = [];
  const { hardState, snapshot, discardLog, firstIndex, entries } = write;
  if (hardState !== null) {
    parts.push(
      `term ${hardState.term}, ${hardState.votedFor === null ? "no vote" : `vote ${name(hardState.votedFor)}`}`,
    );
  }
  if (snapshot !== null) {
    parts.push(`snapshot up to ${place(snapshot.index, snapshot.term)}${discardLog ? ", without the log" : ""}`);
  }
  if (firstIndex > 0) {
    const old = firstIndex === lastIndex ? `${lastIndex}` : `${firstIndex}-${lastIndex}`;
    const replaced = firstIndex > lastIndex ? "" : ` in place of ${old}`;
    parts.push(`${entriesText(firstIndex, entries)}${replaced}`);
  }
  return parts.join("; ");
}

export function roleText({ state }: RaftCore, name: NameOf): string {
  const following = state.leader === null ? "follower without a leader" : `follower of ${name(state.leader)}`;
  return `${state.role === "follower" ? following : state.role}, term ${state.term}`;
}

/**
 * The logs one below the other, as in figure 7: each entry's term, "#" where a snapshot holds it; "|" behind what is known
 * to be committed; "?" behind an entry that is not durable yet.
 */
export function logsPicture(servers: readonly { name: string; core: RaftCore | null; disk: Persister }[]): string[] {
  const rows = servers.map(({ name, core, disk }) => {
    const stored = disk.load();
    const base = core?.state.log.lastIncludedIndex ?? stored.snapshot?.index ?? 0;
    const terms: number[] = [];
    if (core === null) terms.push(...stored.entries.map(({ term }) => term));
    else for (let i = base + 1; i <= core.state.log.lastIndex; i++) terms.push(core.state.log.termAt(i)!);
    const cells = [...new Array<string>(base).fill("#"), ...terms.map(String)];
    const { commitIndex, durableIndex } = core?.state ?? { commitIndex: 0, durableIndex: Infinity };
    const marked = cells.map((cell, i) => {
      const isDurable = i < base || i + 1 <= durableIndex;
      return `${cell}${isDurable ? "" : "?"}${i + 1 === commitIndex ? "|" : ""}`;
    });
    const role = core === null ? "down" : core.state.role;
    const term = core?.state.term ?? stored.hardState.term;
    return { head: [name, role, `term ${term}`], cells: marked };
  });
  const widths = [0, 1, 2].map((column) =>
    Math.max(column === 0 ? 5 : 0, ...rows.map(({ head }) => head[column]!.length)),
  );
  const longest = Math.max(...rows.map(({ cells }) => cells.length));
  const indices = Array.from({ length: longest }, (_, i) => String(i + 1));
  // The figures stand one below the other, the marks behind them.
  const digits = Math.max(...indices.map((index) => index.length), ...rows.flatMap(({ cells }) => cells.map(figures)));
  const marks = Math.max(1, ...rows.flatMap(({ cells }) => cells.map((cell) => cell.length - figures(cell))));
  const align = (cell: string): string =>
    `${" ".repeat(digits - figures(cell))}${cell}${" ".repeat(marks - cell.length + figures(cell))}`;
  return [{ head: ["index", "", ""], cells: indices }, ...rows].map(({ head, cells }) => {
    const left = head.map((word, i) => word.padEnd(widths[i]!)).join("  ");
    return `${left}   ${cells.map(align).join(" ")}`.trimEnd();
  });
}

function figures(cell: string): number {
  return cell.replace(/[?|]/g, "").length;
}

/** What would be there after a restart. */
export function diskText(disk: Persister, name: NameOf): string {
  const { hardState, snapshot, entries } = disk.load();
  const vote = hardState.votedFor === null ? "no vote" : `vote ${name(hardState.votedFor)}`;
  const kept =
    snapshot === null ? "" : `, snapshot up to ${place(snapshot.index, snapshot.term)} "${text(snapshot.data)}"`;
  const log = entries.length === 0 ? "no entries" : entriesText((snapshot?.index ?? 0) + 1, entries);
  return `term ${hardState.term}, ${vote}${kept}, ${log}`;
}
