/**
 * The clocks of the machine. Counts expire by the one that somebody may set back, and would be fresh for longer then.
 *
 * @module
 */

/** Two clocks. */
export interface Clocks {
  /** The time of day, in milliseconds since 1970. */
  readonly now: () => number;
  /** One that nobody can set, in milliseconds. */
  readonly monotonic: () => number;
}

/** The clocks of this machine. */
export const CLOCKS: Clocks = { now: () => Date.now(), monotonic: () => performance.now() };

const LOOK_EVERY_MS = 1_000;

/** A smaller step may be none: a busy machine stops a process between two readings. */
const LEAST_STEP_MS = 1_000;

/**
 * Looks at the time of day once a second, by default. It never keeps the process alive.
 *
 * @param onSetBack is called when the time is a second or more behind what it should be, after one step or many.
 */
export function watchClock(
  onSetBack: () => void,
  { now, monotonic } = CLOCKS,
  repeat: (look: () => void, everyMs: number) => void = repeatByTimer,
): void {
  let ahead = now() - monotonic();
  repeat(() => {
    const aheadNow = now() - monotonic();
    const isSetBack = aheadNow <= ahead - LEAST_STEP_MS;
    ahead = isSetBack ? aheadNow : Math.max(ahead, aheadNow);
    if (isSetBack) onSetBack();
  }, LOOK_EVERY_MS);
}

/** Calls `look` again and again. It never keeps the process alive. */
export function repeatByTimer(look: () => void, everyMs: number): void {
  Deno.unrefTimer(setInterval(look, everyMs));
}
