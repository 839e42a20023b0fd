import { InvalidArgumentError } from "../../runtime/index.js";
import { majorityValue, voteResult, type VoteResult } from "./quorum.js";

/**
 * Who votes. Fixed for now; everything that asks "how many" or "who" asks here, so that membership changes (§6) have one
 * place to go.
 */
export class Configuration {
  readonly voters: readonly number[];
  readonly others: readonly number[];
  readonly #scratch: number[] = [];

  constructor(voters: readonly number[], me: number) {
    if (new Set(voters).size !== voters.length || !voters.includes(me)) {
      throw new InvalidArgumentError(`server ${me} must be one of the distinct voters [${voters.join(", ")}]`);
    }
    this.voters = voters;
    this.others = voters.filter((voter) => voter !== me);
  }

  isVoter(id: number): boolean {
    return this.voters.includes(id);
  }

  voteResult(votes: ReadonlyMap<number, boolean>): VoteResult {
    return voteResult(this.voters, votes);
  }

  /** The largest value that a majority reaches, where this server has `own` and each other one `of(item)`. */
  majority<T>(own: number, others: readonly T[], of: (item: T) => number): number {
    const values = this.#scratch;
    values.length = 0;
    values.push(own);
    for (const other of others) values.push(of(other));
    return majorityValue(values);
  }
}
