/**
 * Whether Stacosys is well: one line in the log when it begins to fail, one when it is back.
 *
 * @module
 */

import type { Log } from "./log.ts";
import type { Answer } from "./stacosys.ts";

/** Follows the answers of Stacosys. */
export interface Outage {
  /** Whether the last answer was a bad one. */
  readonly on: boolean;
  /** Takes note of an answer to the request for `target`. */
  answered(target: string, answer: Answer): void;
  /** Takes note of a reader who got a stale counter, or none. */
  felt(by: "stale" | "error"): void;
}

/** Returns an {@linkcode Outage} that tells `log` what the owner should know. */
export function createOutage(log: Log, now: () => number = Date.now): Outage {
  let since: number | undefined;
  let felt = { stale: 0, error: 0 };
  return {
    get on() {
      return since !== undefined;
    },
    answered(target, answer) {
      if (!answer.ok && since === undefined) {
        since = now();
        log("warning", `Stacosys fails: ${answer.reason}, asked for ${shorten(target)}`);
      } else if (answer.ok && since !== undefined) {
        const seconds = Math.round((now() - since) / 1000);
        log(
          "info",
          `Stacosys is back after ${seconds} s; readers who got a stale count: ${felt.stale}, none: ${felt.error}`,
        );
        since = undefined;
        felt = { stale: 0, error: 0 };
      }
    },
    felt(by) {
      if (since !== undefined) felt[by]++;
    },
  };
}

function shorten(target: string): string {
  return target.length <= 200 ? target : `${target.slice(0, 199)}…`;
}
