/**
 * Whether Stacosys is well: one line in the log when it begins to fail, one when it is back, and one for a failure that
 * is no outage. What readers get does not depend on it.
 *
 * @module
 */

import type { Log } from "../service/log.ts";
import type { Answer, Bad } from "./stacosys.ts";

/** A bad answer of Stacosys. */
export interface Failure {
  /** What it was asked for. */
  readonly target: string;
  readonly reason: string;
  readonly outcome: Bad["outcome"];
  /** The status, if there was one. */
  readonly status?: number | undefined;
  /** When, by the monotonic clock. */
  readonly at: number;
}

/** How many counts were served stale, and how many not at all, as Stacosys failed or was slow. */
export interface Served {
  readonly stale: number;
  readonly error: number;
}

/** Failing this long, without a good answer in between, is an outage. */
const OUTAGE_MS = 1_000;

/**
 * By then a failure is an outage if it is to become one: while Stacosys fails, it is asked for a count once a second.
 */
const TELL_AFTER_MS = 2_000;

/** A new cause replaces the old one when the old one was not seen for this long. */
const STEADY_MS = 10_000;

/** How many failures are remembered, to log each only once and to know which urls fail. */
const MAX_TOLD = 1_000;

/** Calls a function after so many milliseconds. */
export type Later = (callback: () => void, ms: number) => void;

/** Follows the answers of Stacosys. */
export class Outage {
  readonly #log: Log;
  readonly #monotonic: () => number;
  readonly #later: Later;
  #stacosys: "up" | "down" | "unknown" = "unknown";
  /** When that began, by the monotonic clock. */
  #since: number;
  #lastGoodAt: number | undefined;
  #lastFailure: Failure | undefined;
  #cause: Failure | undefined;
  #lastServedAt: number | undefined;
  /** The targets whose last answer was bad: since when, and when it came. */
  readonly #failingTargets = new Map<string, { readonly since: number; readonly at: number }>();
  /** The failures since the last good answer, and what speaks for an outage. */
  #failing:
    | { readonly since: number; readonly target: string; readonly isSeveral: boolean; readonly isSign: boolean }
    | undefined;
  readonly #servedInAll = { stale: 0, error: 0 };
  #servedBefore = { stale: 0, error: 0 };
  /** What has its line in the log, or is about to: targets that failed since their last good answer, and reasons. */
  readonly #told = new Set<string>();
  /** A failure that gets a line in a moment, unless there is an outage by then. */
  #suspect: object | undefined;

  constructor(log: Log, monotonic: () => number = () => performance.now(), later: Later = setTimeout) {
    this.#log = log;
    this.#monotonic = monotonic;
    this.#later = later;
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

  /** A bad answer since the last good one. If two causes alternate, it stays with one. */
  get cause(): Failure | undefined {
    return this.#cause;
  }

  /** When a count was last served stale, or not at all, as Stacosys failed or was slow, by the monotonic clock. */
  get lastServedAt(): number | undefined {
    return this.#lastServedAt;
  }

  /**
   * For how many targets the last answer was bad, and came after this moment of the monotonic clock. What failed in an
   * outage that is over is thought to be well.
   */
  failingSince(at: number): number {
    const from = this.#stacosys === "up" ? Math.max(at, this.#since) : at;
    return [...this.#failingTargets.values()].filter((failing) => failing.at > from).length;
  }

  /** How many since the last good answer. */
  get served(): Served {
    const { stale, error } = this.#servedInAll;
    return { stale: stale - this.#servedBefore.stale, error: error - this.#servedBefore.error };
  }

  /** The same since the start. */
  get servedInAll(): Served {
    return this.#servedInAll;
  }

  /** Takes note of a count that was served stale, or not at all, as Stacosys failed or was slow. */
  countServed(what: "stale" | "error"): void {
    this.#servedInAll[what]++;
    this.#lastServedAt = this.#monotonic();
  }

  /**
   * Takes note of an answer to the request for `target`, which took `ms` milliseconds.
   *
   * @param isKnown whether Stacosys has given that count before.
   */
  follow(target: string, answer: Answer, ms: number, isKnown: boolean): void {
    if (answer.outcome === "ok") this.#good(shorten(target));
    else this.#bad(shorten(target), answer, ms, isKnown);
  }

  #good(target: string): void {
    const now = this.#monotonic();
    this.#told.delete(target);
    if (this.#stacosys === "down") {
      const { stale, error } = this.served;
      this.#log(
        "info",
        `Stacosys is back after ${((now - this.#since) / 1000).toFixed(1)} s; meanwhile ${stale} counts were ` +
          `stale and ${error} missing`,
        "always",
      );
    }
    if (this.#stacosys !== "up") this.#since = now;
    this.#stacosys = "up";
    this.#lastGoodAt = now;
    this.#failing = undefined;
    this.#failingTargets.delete(target);
    this.#cause = undefined;
    this.#servedBefore = { ...this.#servedInAll };
  }

  #bad(target: string, answer: Bad, ms: number, isKnown: boolean): void {
    const now = this.#monotonic();
    const reason = shorten(answer.reason);
    const { outcome, status } = answer;
    const failure = this.#lastFailure = { target, reason, outcome, status, at: now };
    const { reason: before, at = -Infinity } = this.#cause ?? {};
    if (reason === before || now - at > STEADY_MS) this.#cause = failure;
    const failsSince = this.#remember(failure);
    const refused = isRefusal(answer);
    if (refused || this.#stacosys !== "down") this.#tellOnce(target, reason, status === 404);
    // A Stacosys with other paths is no outage.
    if (refused && this.#lastGoodAt === undefined) return;
    // Without a connection all counts fail. Otherwise it is an outage when several do, and not only such as have always failed.
    const isConnected = outcome !== "network";
    const first = this.#failing;
    const lastGoodAt = this.#lastGoodAt ?? -Infinity;
    const since = first?.since ?? Math.max(now - ms, lastGoodAt);
    const isSeveral = !isConnected || first !== undefined && (first.isSeveral || first.target !== target);
    const isSign = isKnown || failsSince >= lastGoodAt || first?.isSign === true;
    this.#failing = { since, target: first?.target ?? target, isSeveral, isSign };
    const isOutage = isSeveral && isSign && first !== undefined && now - since >= OUTAGE_MS;
    if (this.#stacosys === "down" || !isOutage) return;
    this.#stacosys = "down";
    this.#since = since;
    this.#suspect = undefined;
    this.#told.add(reason);
    this.#log("warning", `Stacosys fails: ${reason}, asked for ${target}`, "always");
  }

  /** Since when the target fails. Without a connection it is not the target that does. */
  #remember({ target, outcome, at }: Failure): number {
    if (outcome === "network") return at;
    const since = this.#failingTargets.get(target)?.since ?? at;
    if (this.#failingTargets.size >= MAX_TOLD) this.#failingTargets.clear();
    this.#failingTargets.set(target, { since, at });
    return since;
  }

  /** Logs a failure once it is clear that it is no outage. What fails meanwhile gets its line when it fails again. */
  #tellOnce(target: string, reason: string, notFound: boolean): void {
    // As long as nothing is good, one url stands for all.
    const key = this.#stacosys === "up" ? target : reason;
    if (this.#suspect !== undefined || this.#told.has(key)) return;
    const suspect = this.#suspect = {};
    if (this.#told.size >= MAX_TOLD) this.#told.clear();
    this.#told.add(key);
    this.#later(() => {
      if (this.#suspect !== suspect) return;
      this.#suspect = undefined;
      const paths = notFound && this.#lastGoodAt === undefined ? "; Paths may be wrong for this Stacosys" : "";
      this.#log("warning", `Stacosys gave no count for ${target}: ${reason}${paths}`);
    }, TELL_AFTER_MS);
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
