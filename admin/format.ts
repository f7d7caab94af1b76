/**
 * Figures as people read them. What is not a number, as it was divided by nothing, is a dash.
 *
 * @module
 */

/** At most one decimal. Not by `Intl`, which would take 6 MB for a page that is rarely looked at. */
export function number(n: number): string {
  if (Number.isNaN(n)) return "–";
  const digits = n < 10 ? 10 : 1;
  return String(Math.round(n * digits) / digits).replace(/\B(?=(\d{3})+$)/g, ",");
}

/**
 * A share: 0% only of none, 100% only of all.
 *
 * ```ts
 * import { percent } from "./format.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals([0, 0.00001, 0.5, 0.996, 0.99999, 1].map(percent), ["0%", "<0.1%", "50%", "99.6%", ">99.9%", "100%"]);
 * ```
 */
export function percent(ratio: number): string {
  if (Number.isNaN(ratio)) return "–";
  if (ratio > 0 && ratio < 0.001) return "<0.1%";
  if (ratio > 0.999 && ratio < 1) return ">99.9%";
  return `${ratio > 0.99 ? Math.round(ratio * 1000) / 10 : number(ratio * 100)}%`;
}

/** How long something took. */
export function time(seconds: number): string {
  if (Number.isNaN(seconds)) return "–";
  return seconds < 1 ? `${number(seconds * 1000)} ms` : `${number(seconds)} s`;
}

const UNITS = [["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]] as const;

/** How long ago something was, in its two largest units: `3 h 12 min`. */
export function duration(seconds: number): string {
  const first = UNITS.findIndex(([, size]) => seconds >= size);
  if (first === -1) return "0 s";
  let rest = seconds;
  return UNITS.slice(first, first + 2).map(([unit, size]) => {
    const amount = Math.floor(rest / size);
    rest %= size;
    return `${amount} ${unit}`;
  }).join(" ");
}

/**
 * The time of day in UTC, to hold against the log; with the date if it is not that of `now`.
 *
 * ```ts
 * import { utc } from "./format.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(utc(Date.UTC(2026, 0, 2, 8, 11, 27, 900), Date.UTC(2026, 0, 2, 23)), "08:11:27 UTC");
 * assertEquals(utc(Date.UTC(2026, 0, 1, 8, 11, 27), Date.UTC(2026, 0, 2, 23)), "2026-01-01 08:11:27 UTC");
 * ```
 */
export function utc(time: number, now: number): string {
  const [date, clock] = partsOf(time);
  return date === partsOf(now)[0] ? `${clock} UTC` : `${date} ${clock} UTC`;
}

function partsOf(time: number): string[] {
  return new Date(time).toISOString().slice(0, 19).split("T");
}
