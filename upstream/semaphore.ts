/**
 * A limit to how many requests go to Stacosys at once.
 *
 * @module
 */

/**
 * Flask answers each request in a thread of its own, and about 700 a second. More at once would queue there, where
 * nobody can drop them.
 */
export const MAX_AT_ONCE = 64;

/**
 * Lets up to `atOnce` callers in. The others wait: the urgent ones before the rest, each kind first come, first served.
 */
export class Semaphore {
  #free: number;
  readonly #urgent = new Set<() => void>();
  readonly #rest = new Set<() => void>();

  constructor(atOnce: number) {
    this.#free = atOnce;
  }

  /** Resolves to true when the caller is let in, to false when `signal` aborts first. After true, call `release`. */
  acquire(signal: AbortSignal, urgent: boolean): boolean | Promise<boolean> {
    if (this.#free > 0) {
      this.#free--;
      return true;
    }
    const queue = urgent ? this.#urgent : this.#rest;
    return new Promise((resolve) => {
      const enter = () => {
        signal.removeEventListener("abort", giveUp);
        resolve(true);
      };
      const giveUp = () => {
        queue.delete(enter);
        resolve(false);
      };
      queue.add(enter);
      signal.addEventListener("abort", giveUp);
    });
  }

  /** Lets the next one in. */
  release(): void {
    const queue = this.#urgent.size > 0 ? this.#urgent : this.#rest;
    const [next] = queue;
    if (next === undefined) {
      this.#free++;
    } else {
      queue.delete(next);
      next();
    }
  }
}
