/**
 * A disk may hang: what is asked of it then comes late or never, without an error.
 *
 * @module
 */

/** A disk that takes longer than this hangs. */
const HANGS_MS = 3_000;

/** What is said of it. */
export const HANGS = `it takes longer than ${HANGS_MS / 1000} s (does the disk hang?)`;

/**
 * What `work` comes to, or `late` if 3 s pass in which it takes no step. The work goes on.
 *
 * @param stepsSoFar how many steps it has taken; it is thought to be a single one, by default.
 */
export async function inTime<T, L>(
  work: Promise<T>,
  late: L,
  stepsSoFar: () => number = () => 0,
  hangsMs = HANGS_MS,
): Promise<T | L> {
  for (let before = -1, now = stepsSoFar();; [before, now] = [now, stepsSoFar()]) {
    if (before === now) return late;
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const timer = setTimeout(resolve, hangsMs, undefined);
    const done = await Promise.race([work.then((result) => ({ result })), promise]).finally(() => clearTimeout(timer));
    if (done !== undefined) return done.result;
  }
}

/** A function like {@linkcode inTime}. */
export type InTime = typeof inTime;
