import type { Chain } from "./causal.js";
import type { Message, Operation, Run } from "./run.js";
import type { States } from "./state.js";
import type { Theme } from "./theme.js";
import type { Viewport } from "./viewport.js";
import type { Visible } from "./visible.js";

/** A run with all that was worked out from it. */
export interface Loaded {
  readonly run: Run;
  readonly states: States;
  readonly visible: Visible;
}

/** What a person has picked. */
export type Selection =
  | { readonly type: "message"; readonly message: Message }
  | { readonly type: "operation"; readonly operation: Operation; readonly chain: Chain };

/** All that a drawing of the timeline depends on. */
export interface Scene {
  readonly loaded: Loaded;
  readonly theme: Theme;
  readonly viewport: Viewport;
  /** The event under the cursor; it has happened. */
  readonly cursor: number;
  readonly selection: Selection | null;
  /** Events found by the search. */
  readonly hits: readonly number[];
  /** What to call this run beside another; empty where it stands alone. */
  readonly caption: string;
  /** Where the fork leaves the original. */
  readonly divergence: number | null;
}
