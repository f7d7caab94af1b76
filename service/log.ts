/**
 * Lines for the owner of the service: on stderr, with time and level, and never a flood.
 *
 * @module
 */

import { CLOCKS } from "./clock.ts";
import { escapeInvisible } from "./invisible.ts";

/** Writes a line. With `always` it is never left out: for rare lines that the owner has to know. */
export type Log = (level: "info" | "warning" | "error", text: string, always?: "always") => void;

/** How many lines may come at once. After that there is one a minute, which tells how many were left out. */
const BURST = 30;
const REFILL_MS = 60_000;

/**
 * Returns a function that writes lines such as `2026-11-23T08:11:27.000Z warning Stacosys fails: …`. Control
 * characters are escaped, so that no reader's URL can forge a line or reach the terminal.
 *
 * @param write takes a finished line; stderr by default.
 */
export function createLog(
  write: (line: string) => void = console.error,
  { now, monotonic } = CLOCKS,
): Log {
  let allowance = BURST;
  // By the time of day, set back a day, the log would be silent for a day.
  let refilled = monotonic();
  let leftOut = 0;
  return (level, text, always) => {
    const refills = Math.floor((monotonic() - refilled) / REFILL_MS);
    allowance = Math.min(BURST, allowance + refills);
    refilled += refills * REFILL_MS;
    if (always === undefined) {
      if (allowance === 0) {
        leftOut++;
        return;
      }
      allowance--;
    }
    const omission = leftOut === 0 ? "" : ` (${leftOut} lines left out before this one)`;
    leftOut = 0;
    try {
      write(`${new Date(now()).toISOString()} ${level} ${escapeInvisible(text)}${omission}`);
    } catch {
      // The disk that the log is on may be full. That is no reason to fail whoever had something to say.
    }
  };
}

/** Logs errors that nothing else caught, so that readers go on being served. */
export function survive(log: Log): void {
  addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    log("error", `a promise was rejected: ${inFull(event.reason)}`);
  });
  addEventListener("error", (event) => {
    event.preventDefault();
    log("error", `an error was thrown: ${inFull(event.error)}`);
  });
}

/** The message of an error, whatever was thrown. */
export function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The error and where it came from, in one line. */
export function inFull(error: unknown): string {
  const text = error instanceof Error ? error.stack ?? error.message : String(error);
  return text.replaceAll(/\s+/g, " ");
}
