/**
 * Whether Stacosys is well: one line in the log when it begins to fail, one when it is back. What readers get does not
 * depend on it.
 *
 * @module
 */

import type { Log } from "../service/log.ts";
import type { Answer, Bad } from "./stacosys.ts";

/** The last bad answer of Stacosys. */
export interface Failure {
  /** What it was asked for. */
  readonly target: string;
  readonly reason: string;
  /** When, by the monotonic clock. */
  readonly at: number;
}

/** How many requests of readers were answered with a stale count, or with none, as Stacosys failed or was slow. */
export interface Served {
  readonly stale: number;
  readonly error: number;
}

/** Failing this long, without a good answer in between, is an outage. */
const OUTAGE_MS = 1_000;

/** How many refused targets are remembered, to log each only once. */
const MAX_TOLD = 1_000;

/** Follows the answers of Stacosys. */
export class Outage {
  readonly #log: Log;
  readonly #monotonic: () => number;
  #stacosys: "up" | "down" | "unknown" = "unknown";
  /** When that began, by the monotonic clock. */
  #since: number;
  #lastGoodAt: number | undefined;
  #lastFailure: Failure | undefined;
  /** The failures since the last good answer. */
  #failing: { readonly since: number; readonly target: string; readonly failures: number } | undefined;
  readonly #servedInAll = { stale: 0, error: 0 };
  #servedBefore = { stale: 0, error: 0 };
  #told = new Set<string>();

  constructor(log: Log, monotonic: () => number = () => performance.now()) {
    this.#log = log;
    this.#monotonic = monotonic;
    this.#since = monotonic();
  }

  /** How Stacosys is, as far as its answers tell; `unknown` until one does. */
  get stacosys(): "up" | "down" | "unknown" {
    return this.#stacosys;
  }

  /** When that began, by the monotonic clock. */
  get since(): number {
    return this.#since;
  }

  /** When the last good answer came, by the monotonic clock; nothing if there was none. */
  get lastGoodAt(): number | undefined {
    return this.#lastGoodAt;
  }

  /** The last bad answer; nothing if there was none. */
  get lastFailure(): Failure | undefined {
    return this.#lastFailure;
  }

  /** How many readers felt it since the last good answer. */
  get served(): Served {
    const { stale, error } = this.#servedInAll;
    return { stale: stale - this.#servedBefore.stale, error: error - this.#servedBefore.error };
  }

  /** The same since the start. */
  get servedInAll(): Served {
    return this.#servedInAll;
  }

  /** Takes note of a reader who got a stale count, or none, as Stacosys failed or was slow. */
  countServed(what: "stale" | "error"): void {
    this.#servedInAll[what]++;
  }

  /** Takes note of an answer to the request for `target`, which took `ms` milliseconds. */
  answered(target: string, answer: Answer, ms: number): void {
    if (answer.outcome === "ok") this.#good();
    else this.#bad(shorten(target), answer, ms);
  }

  #good(): void {
    const now = this.#monotonic();
    if (this.#stacosys === "down") {
      const { stale, error } = this.served;
      this.#log(
        "info",
        `Stacosys is back after ${((now - this.#since) / 1000).toFixed(1)} s; meanwhile ${stale} requests were ` +
          `answered with a stale count and ${error} with none`,
        "always",
      );
    }
    if (this.#stacosys !== "up") this.#since = now;
    this.#stacosys = "up";
    this.#lastGoodAt = now;
    this.#failing = undefined;
    this.#servedBefore = { ...this.#servedInAll };
  }

  #bad(target: string, answer: Bad, ms: number): void {
    const now = this.#monotonic();
    const reason = shorten(answer.reason);
    this.#lastFailure = { target, reason, at: now };
    if (isRefusal(answer)) {
      this.#tellOnce(target, reason, answer.status === 404);
      // One refused url alone is no outage, and neither is a Stacosys with other paths.
      if (this.#lastGoodAt === undefined || this.#failing?.target === target) return;
    }
    const { since, failures, target: first } = this.#failing ??
      { since: Math.max(now - ms, this.#lastGoodAt ?? -Infinity), failures: 0, target };
    this.#failing = { since, failures: failures + 1, target: first };
    if (this.#stacosys === "down" || failures === 0 || now - since < OUTAGE_MS) return;
    this.#stacosys = "down";
    this.#since = since;
    this.#log("warning", `Stacosys fails: ${reason}, asked for ${target}`, "always");
  }

  #tellOnce(target: string, reason: string, notFound: boolean): void {
    const neverGood = this.#lastGoodAt === undefined;
    // As long as nothing was good, one refused url stands for all.
    if (this.#told.has(target) || neverGood && this.#told.size > 0) return;
    if (this.#told.size >= MAX_TOLD) this.#told.clear();
    this.#told.add(target);
    const paths = neverGood && notFound ? "; Paths may be wrong for this Stacosys" : "";
    this.#log("warning", `Stacosys refuses ${target}: ${reason}${paths}`);
  }
}

/** A status from 400 to 499 is about what was asked for. */
function isRefusal({ status = 0 }: Bad): boolean {
  return status >= 400 && status <= 499;
}

/** Addresses and reasons come from others and may be long. */
function shorten(text: string): string {
  return text.length <= 200 ? text : `${text.slice(0, 199)}…`;
}
