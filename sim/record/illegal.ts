import { checkLinearizable, type CheckedOperation, type CheckResult } from "../checker/index.js";
import type { HistoryEvent } from "../history.js";
import type { IllegalOperation } from "./format.js";

/**
 * The operation that no order of the others explains. `operations`: by the number of each invocation among the history's
 * invocations, its number in the record. Null where the history is linearizable or could not be decided.
 */
export function findIllegal(history: readonly HistoryEvent[], operations: readonly number[]): IllegalOperation | null {
  const result: CheckResult = checkLinearizable(history);
  const { counterexample, window } = result;
  if (result.verdict !== "not-linearizable" || counterexample === undefined || window === undefined) return null;
  const invocations = history.filter((event) => event.type === "invoke");
  const numberOf = (checked: CheckedOperation): number | undefined => {
    const at = invocations.findIndex(
      ({ process, key, time, f }) =>
        process === checked.process && key === checked.key && time === checked.call && f === checked.f,
    );
    return operations[at];
  };
  const culprit = counterexample.find((checked) => checked.return === window.to);
  const operation = culprit && numberOf(culprit);
  if (operation === undefined) return null;
  const all = counterexample.map(numberOf).filter((number) => number !== undefined);
  return { operation, others: all.filter((number) => number !== operation), text: result.explanation };
}
