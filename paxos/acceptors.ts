import { InvalidArgumentError } from "../runtime/index.js";
import type { Clock } from "../runtime/index.js";
import type { ClientEnd } from "../labrpc/index.js";
import { BadMessageError } from "../replica/index.js";
import type { Ballot } from "./ballot.js";
import { QuorumFailedError, TrimmedError } from "./errors.js";
import { nameOf, type Method, type Register, type Trimmed } from "./messages.js";
import { isReplyTo } from "./replies.js";

/** An acceptor that has not answered for so long is taken for dead, for this request. */
const PATIENCE_MS = 1000;

/** What came of asking: the answers in the order in which they came, and the errors that came in place of some. */
export interface Answers<Reply> {
  readonly replies: readonly Reply[];
  readonly errors: readonly Error[];
}

/** The acceptors of a system, and how many of them are a quorum: so many that any two quorums have one in common. */
export class Acceptors {
  readonly ends: readonly ClientEnd[];
  readonly quorum: number;
  readonly #clock: Clock;

  /** @throws InvalidArgumentError for no acceptors, and for quorums that need not meet or cannot be reached. */
  constructor(ends: readonly ClientEnd[], clock: Clock, quorum = Math.floor(ends.length / 2) + 1) {
    checkEnds(ends);
    if (!Number.isSafeInteger(quorum) || quorum > ends.length || 2 * quorum <= ends.length) {
      const least = Math.floor(ends.length / 2) + 1;
      throw new InvalidArgumentError(
        `the quorum of ${ends.length} acceptors must be from ${least} to ${ends.length}, not ${String(quorum)}: ` +
          `any two quorums must have an acceptor in common`,
      );
    }
    this.ends = ends;
    this.quorum = quorum;
    this.#clock = clock;
  }

  /**
   * Asks all at once and waits until `isDecided`, which is asked after each answer and told how many may still come; or
   * until nobody is left. Who is slow or gone holds nobody up. Null, the network's "no answer", is none here either.
   */
  ask<Reply>(
    method: Method,
    args: unknown,
    isDecided: (replies: readonly Reply[], left: number) => boolean,
    ends = this.ends,
  ): Promise<Answers<Reply>> {
    checkEnds(ends);
    return new Promise((resolve) => {
      const replies: Reply[] = [];
      const errors: Error[] = [];
      let left = ends.length;
      const finish = (): void => {
        this.#clock.clearTimeout(timer);
        left = -1;
        resolve({ replies, errors });
      };
      const timer = this.#clock.setTimeout(finish, PATIENCE_MS);
      const hear = (reply: Reply | null, error?: Error): void => {
        if (left < 0) return;
        left--;
        if (error) errors.push(error);
        if (reply !== null) replies.push(reply);
        if (left === 0 || isDecided(replies, left)) finish();
      };
      for (const end of ends) {
        end.call<Reply>(method, args).then(
          (reply) => (reply === null || isReplyTo(method, reply) ? hear(reply) : hear(null, strange(method))),
          (error: unknown) => hear(null, error as Error),
        );
      }
    });
  }

  /** Asks all, and waits for the answers of a quorum. */
  askQuorum<Reply>(method: Method, args: unknown): Promise<Answers<Reply>> {
    return this.ask<Reply>(method, args, (replies) => replies.length >= this.quorum);
  }

  /**
   * The replies, none of which says that the register was trimmed.
   * @throws TrimmedError; QuorumFailedError where errors alone make a quorum impossible: they are of programs, not of
   * networks, and do not pass.
   */
  untrimmed<Reply>(register: string, answers: Answers<Reply | Trimmed>, maybeApplied: boolean): Reply[] {
    const { replies, errors } = answers;
    const trimmed = replies.find(isTrimmed);
    if (trimmed) throw new TrimmedError(register, trimmed.trimmedBelow, maybeApplied);
    if (this.ends.length - errors.length < this.quorum) {
      throw new QuorumFailedError(errors, this.ends.length, maybeApplied);
    }
    return replies as Reply[];
  }

  /** Asks for something about a register until a quorum agrees, or cannot any more. */
  async askToAgree<Reply>(
    method: Method,
    args: Register & { readonly ballot: Ballot },
    agrees: (reply: Reply) => boolean,
    maybeApplied: boolean,
    ends?: readonly ClientEnd[],
  ): Promise<Reply[]> {
    const { quorum } = this;
    const isDecided = (replies: readonly (Reply | Trimmed)[], left: number): boolean => {
      const agreed = replies.filter((reply) => !isTrimmed(reply) && agrees(reply)).length;
      // Where they refuse, a quorum knows every ballot that has got a quorum: so the next try is not too low again.
      return agreed >= quorum || (agreed + left < quorum && replies.length >= quorum) || replies.some(isTrimmed);
    };
    const answers = await this.ask(method, args, isDecided, ends);
    return this.untrimmed<Reply>(nameOf(args), answers, maybeApplied);
  }

  /** Says something to all; it may get lost. */
  tell(method: Method, args: unknown): void {
    for (const end of this.ends) end.call(method, args).catch(() => {});
  }
}

export function isTrimmed(reply: unknown): reply is Trimmed {
  return (reply as Partial<Trimmed>).trimmedBelow !== undefined;
}

function strange(method: Method): BadMessageError {
  return new BadMessageError(`what came is no answer to ${method}; is there an acceptor of this version?`);
}

/** Each once: otherwise the vote of one would count twice. */
function checkEnds(ends: readonly ClientEnd[]): void {
  if (!Array.isArray(ends) || ends.length === 0) {
    throw new InvalidArgumentError("acceptors must be a list of at least one");
  }
  if (new Set(ends).size < ends.length) throw new InvalidArgumentError("acceptors must be a list that holds each once");
}
