/**
 * Who may go, and who waits.
 *
 * @module
 */

/** So many callers at a time, first come, first served. */
export interface Turns {
  /** Takes a turn if one is free, and tells whether it did. */
  takeFree(): boolean;
  /** Resolves to true when it is the caller's turn, to false when `signal` aborts first. */
  take(signal: AbortSignal): boolean | Promise<boolean>;
  /** Ends the caller's turn, and gives it to the next. */
  pass(): void;
}

/** Returns {@linkcode Turns} for `atOnce` callers at a time. */
export function createTurns(atOnce: number): Turns {
  let free = atOnce;
  const waiting = new Set<() => void>();
  return { takeFree, take, pass };

  function takeFree(): boolean {
    if (free === 0) return false;
    free--;
    return true;
  }

  function take(signal: AbortSignal): boolean | Promise<boolean> {
    return takeFree() || new Promise((resolve) => {
      function go(): void {
        signal.removeEventListener("abort", giveUp);
        resolve(true);
      }
      function giveUp(): void {
        waiting.delete(go);
        resolve(false);
      }
      waiting.add(go);
      signal.addEventListener("abort", giveUp);
    });
  }

  function pass(): void {
    const [next] = waiting;
    if (next === undefined) {
      free++;
    } else {
      waiting.delete(next);
      next();
    }
  }
}
