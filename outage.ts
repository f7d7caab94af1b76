/**
 * Whether Stacosys is well: one line in the log when it begins to fail, one when it is back.
 *
 * @module
 */

import type { Log } from "./log.ts";
import type { Answer } from "./stacosys.ts";

/** Follows the answers of Stacosys. */
export interface Outage {
  /** What the last answer was; `unknown` as long as nobody had to ask. */
  readonly stacosys: "up" | "down" | "unknown";
  /** The last bad answer: why, and when in milliseconds of the clock. */
  readonly lastError: { readonly reason: string; readonly at: number } | undefined;
  /** Takes note of an answer to the request for `target`. */
  answered(target: string, answer: Answer): void;
  /** Takes note of a reader who got a stale counter, or none. */
  felt(by: "stale" | "error"): void;
}

/** Returns an {@linkcode Outage} that tells `log` what the owner should know. */
export function createOutage(log: Log, now: () => number = Date.now): Outage {
  let stacosys: Outage["stacosys"] = "unknown";
  let since = 0;
  let lastError: Outage["lastError"];
  let felt = { stale: 0, error: 0 };
  return {
    get stacosys() {
      return stacosys;
    },
    get lastError() {
      return lastError;
    },
    answered(target, answer) {
      if (answer.outcome === "ok") {
        if (stacosys === "down") log("info", `Stacosys is back after ${lasted()}; ${suffered()}`);
        stacosys = "up";
        return;
      }
      lastError = { reason: answer.reason, at: now() };
      if (stacosys === "down") return;
      stacosys = "down";
      since = now();
      felt = { stale: 0, error: 0 };
      log("warning", `Stacosys fails: ${answer.reason}, asked for ${shorten(target)}`);
    },
    felt(by) {
      felt[by]++;
    },
  };

  function lasted(): string {
    return `${((now() - since) / 1000).toFixed(1)} s`;
  }

  function suffered(): string {
    return `meanwhile ${felt.stale} requests were answered with a stale count and ${felt.error} with none`;
  }
}

function shorten(target: string): string {
  return target.length <= 200 ? target : `${target.slice(0, 199)}…`;
}
