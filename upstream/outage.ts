/**
 * Whether Stacosys is well: one line in the log when it begins to fail, one when it is back.
 *
 * @module
 */

import type { Log } from "../service/log.ts";
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
      // It may quote Stacosys, whose headers may be long.
      const reason = shorten(answer.reason);
      lastError = { reason, at: now() };
      if (stacosys === "down") return;
      stacosys = "down";
      since = now();
      felt = { stale: 0, error: 0 };
      log("warning", `Stacosys fails: ${reason}, asked for ${shorten(target)}`);
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

function shorten(text: string): string {
  return text.length <= 200 ? text : `${text.slice(0, 199)}…`;
}
