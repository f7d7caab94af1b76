/**
 * The clock of the machine, by which counts expire. If somebody sets it back, they would be fresh for longer.
 *
 * @module
 */

import type { Clocks } from "./log.ts";

/** A smaller step may be none: a busy machine stops a process between two readings. */
const LEAST_STEP_MS = 1_000;

/**
 * Returns a function that looks at the clock. It is to be called once a second.
 *
 * @param onSetBack is called if the clock was set back by a second or more since the last look.
 */
export function createClockWatch(
  onSetBack: () => void,
  { now, monotonic }: Clocks = { now: Date.now, monotonic: () => performance.now() },
): () => void {
  let ahead = now() - monotonic();
  return () => {
    const aheadNow = now() - monotonic();
    const isSetBack = aheadNow <= ahead - LEAST_STEP_MS;
    ahead = isSetBack ? aheadNow : Math.max(ahead, aheadNow);
    if (isSetBack) onSetBack();
  };
}
