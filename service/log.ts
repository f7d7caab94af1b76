/**
 * Lines for the owner of the service: on stderr, with time and level, and never a flood.
 *
 * @module
 */

/** Writes a line. */
export type Log = (level: "info" | "warning" | "error", text: string) => void;

/** So many lines may come at once; after that one a minute, and the next one tells how many were left out. */
const BURST = 30;
const REFILL_MS = 60_000;

/**
 * Returns a function that writes lines such as `2026-11-23T08:11:27.000Z warning Stacosys fails: …`. Control
 * characters are escaped, so that no reader's URL can forge a line or reach the terminal.
 *
 * @param write takes a finished line; stderr by default.
 */
export function createLog(write: (line: string) => void = console.error, now: () => number = Date.now): Log {
  let allowance = BURST;
  let refilled = now();
  let leftOut = 0;
  return (level, text) => {
    const refills = Math.floor((now() - refilled) / REFILL_MS);
    if (refills > 0) {
      allowance = Math.min(BURST, allowance + refills);
      refilled += refills * REFILL_MS;
    }
    if (allowance === 0) {
      leftOut++;
      return;
    }
    allowance--;
    const omission = leftOut === 0 ? "" : ` (${leftOut} lines left out before this one)`;
    leftOut = 0;
    try {
      write(`${new Date(now()).toISOString()} ${level} ${escapeControls(text)}${omission}`);
    } catch {
      // The disk that the log is on may be full. That is no reason to fail whoever had something to say.
    }
  };
}

function escapeControls(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
