/** What messages meet on a link. Rates are chances from 0 to 1, times in milliseconds, drawn evenly between two ends. */
export interface LinkConditions {
  /** Time under way. */
  readonly delayMs: readonly [min: number, max: number];
  /** So many messages are lost. */
  readonly loss: number;
  /** So many messages take `slowMs` longer: others overtake them. */
  readonly slow: number;
  readonly slowMs: readonly [min: number, max: number];
  /** So many messages take `lateMs` longer: by then the world has moved on. */
  readonly late: number;
  readonly lateMs: readonly [min: number, max: number];
  /** So many requests arrive twice, the second time so much later. */
  readonly duplicate: number;
  readonly duplicateMs: readonly [min: number, max: number];
  /** How long the caller of what is lost waits before it is told that there is no answer. */
  readonly noticeMs: readonly [min: number, max: number];
}

/** A quiet network: a millisecond or two, nothing lost. */
export const quietConditions: LinkConditions = {
  delayMs: [1, 2],
  loss: 0,
  slow: 0,
  slowMs: [0, 0],
  late: 0,
  lateMs: [0, 0],
  duplicate: 0,
  duplicateMs: [0, 0],
  noticeMs: [50, 100],
};

/** `chance` of [0, 1) as a point of a range. */
export function within([min, max]: readonly [number, number], chance: number): number {
  return min + chance * (max - min);
}

/** What becomes of one message. Decided when it is sent, from as many draws for every message. */
export interface Fate {
  readonly isLost: boolean;
  readonly delayMs: number;
  /** Not 0: a copy arrives so much after the first. */
  readonly duplicateMs: number;
  /** Where it is lost. */
  readonly noticeMs: number;
}

/** Three numbers of [0, 1): removing a fault changes what they mean, but not which message gets which. */
export function fateOf(conditions: LinkConditions, place: number, luck: number, extent: number): Fate {
  const { loss, slow, late } = conditions;
  let delayMs = within(conditions.delayMs, place);
  if (luck < loss) return { isLost: true, delayMs, duplicateMs: 0, noticeMs: within(conditions.noticeMs, place) };
  if (luck < loss + late) delayMs += within(conditions.lateMs, extent);
  else if (luck < loss + late + slow) delayMs += within(conditions.slowMs, extent);
  const isTwice = luck >= 1 - conditions.duplicate;
  const duplicateMs = isTwice ? Math.max(0.001, within(conditions.duplicateMs, extent)) : 0;
  return { isLost: false, delayMs, duplicateMs, noticeMs: 0 };
}
