/**
 * A disk may hang: what is asked of it then comes late or never, without an error.
 *
 * @module
 */

/** A disk that takes longer than this hangs. */
const HANGS_MS = 3_000;

/** What is said of it. */
export const HANGS = `it takes longer than ${HANGS_MS / 1000} s (does the disk hang?)`;

/** What `work` comes to, or `late` if it takes longer than 3 s. The work goes on. */
export async function inTime<T, L>(work: Promise<T>, late: L): Promise<T | L> {
  const { promise, resolve } = Promise.withResolvers<L>();
  const timer = setTimeout(resolve, HANGS_MS, late);
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** A function like {@linkcode inTime}. */
export type InTime = typeof inTime;
