import { AbortError, InvalidArgumentError, TimeoutError } from "./errors.js";
import type { CallOptions, Clock } from "./types.js";

/** Makes the error of a call that met its limit, once the call says whether it may have happened. */
export type LimitError = (maybeApplied: boolean) => TimeoutError | AbortError;

function timedOut(what: string, timeoutMs: number): LimitError {
  return (maybeApplied) => new TimeoutError(`${what} did not finish within ${timeoutMs} ms`, maybeApplied);
}

function aborted(what: string, signal: AbortSignal): LimitError {
  return (maybeApplied) => new AbortError(`${what} was aborted`, maybeApplied, signal.reason);
}

/** The error of a call that must not even begin: wrong options, a signal aborted before, no time at all. */
export function refusal(what: string, options: CallOptions): Error | undefined {
  const { signal, timeoutMs } = options;
  if (timeoutMs !== undefined && !(typeof timeoutMs === "number" && timeoutMs >= 0)) {
    return new InvalidArgumentError(`timeoutMs must be a number of milliseconds, 0 or more, not ${String(timeoutMs)}`);
  }
  if (signal?.aborted) return aborted(what, signal)(false);
  if (timeoutMs === 0) return timedOut(what, 0)(false);
  return undefined;
}

/**
 * Watches the limits of a call that has begun, and calls `onLimit` at most once, when the first of them is met.
 * Returns what must be called when the call ends otherwise, or undefined where there is nothing to watch.
 */
export function watchLimits(
  clock: Clock,
  what: string,
  options: CallOptions,
  onLimit: (error: LimitError) => void,
): (() => void) | undefined {
  const { signal, timeoutMs } = options;
  const limited = timeoutMs !== undefined && timeoutMs !== Infinity;
  if (!signal && !limited) return undefined;

  const onAbort = (): void => {
    release();
    onLimit(aborted(what, signal!));
  };
  const timer = limited
    ? clock.setTimeout(() => {
        release();
        onLimit(timedOut(what, timeoutMs));
      }, timeoutMs)
    : undefined;
  const release = (): void => {
    if (timer) clock.clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  };
  signal?.addEventListener("abort", onAbort, { once: true });
  return release;
}
