/** Within this time another SIGINT is an echo of the first: npx passes on to us what the terminal sent to both. */
const ECHO_MS = 500;
const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/**
 * The first SIGINT or SIGTERM calls `begin`, a second one ends the process at once. So does the loss of the process that
 * started this one with a channel to it, as `kvraft cluster` does: it calls `begin` too.
 */
export function onStop(begin: (why: string) => void): void {
  let begunAt: number | undefined;
  const stop = (why: string): void => {
    if (begunAt !== undefined) return;
    begunAt = performance.now();
    begin(why);
  };
  for (const signal of SIGNALS) {
    process.on(signal, () => {
      const isEcho = begunAt !== undefined && signal === "SIGINT" && performance.now() - begunAt < ECHO_MS;
      if (begunAt === undefined) stop(signal);
      else if (!isEcho) process.exit(signal === "SIGINT" ? 130 : 143);
    });
  }
  process.on("disconnect", () => stop("the parent process is gone"));
  // To listen for that is no reason to stay: whoever has nothing else to do ends.
  process.channel?.unref();
}
