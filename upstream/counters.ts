/**
 * What happens when a count is not in the cache, or no longer fresh: one request to Stacosys however many readers
 * wait (single-flight), and the last good count if that request fails or is slow.
 *
 * @module
 */

import { Cache, type Entry } from "../cache.ts";
import type { Outage } from "./outage.ts";
import type { Ask, Bad } from "./stacosys.ts";
import { articleOf } from "./target.ts";

/** What the counters work with. All times are in milliseconds. */
export interface CountersOptions {
  /** Keeps the bodies of good answers, by target. */
  readonly cache: Cache<string>;
  readonly ask: Ask;
  readonly outage: Pick<Outage, "countServed">;
  /** How long an expired count is served if Stacosys fails or is slow. */
  readonly staleIfErrorMs: number;
  /** How long an expired count is served while it is refetched. */
  readonly staleWhileRevalidateMs: number;
  /** The cache's clock; `Date.now` by default. */
  readonly now?: () => number;
  /** A monotonic clock; `performance.now` by default. */
  readonly monotonic?: () => number;
  /** Resolves after so many milliseconds; by a timer, by default. */
  readonly sleep?: (ms: number) => Promise<undefined>;
}

/** How a request of a reader ended. */
export type Result = "hit" | "miss" | "stale" | "error" | "rejected";

/** What a reader gets, and why. */
export interface Lookup {
  readonly result: Exclude<Result, "hit">;
  /** The count, fresh or stale; undefined if there is none to give. */
  readonly entry?: Entry<string> | undefined;
  /** The request to Stacosys that the reader waited for, if he waited for one. */
  readonly forward?: Forward;
  /** Why he got a stale count, or none without a request to Stacosys. */
  readonly detail?: "stale-while-revalidate" | "stale-if-error" | "slow" | "breathing-space" | "too-long";
}

/** A request to Stacosys that a reader waited for. */
export interface Forward {
  /** Whether a stale count was known before. */
  readonly why: "uri-miss" | "stale";
  /** The status of the answer, if it came in time and had one. */
  readonly status?: number | undefined;
  /** Whether another reader had sent it already. */
  readonly collapsed: boolean;
}

/** No article has a longer address. It is counted in UTF-16 units, as JavaScript does. */
const MAX_TARGET_LENGTH = 8 * 1024;

/**
 * How many requests to Stacosys there may be, most of them waiting for the semaphore, and how many failures are remembered.
 * Flask answers about 700 a second, so more would wait in vain. Without this limit 1,000 readers with 100 made-up counts
 * each took 480 MB.
 */
const MAX_IN_FLIGHT = 5_000;

/** Backoff: Stacosys is not asked again for a count within this time after it failed to give it. */
const BREATHING_SPACE_MS = 1_000;

/** Readers with a known count wait at most this long for a fresh one, counted from the start of the shared request. */
const PATIENCE_MS = 1_000;

/** A request to Stacosys that all readers of a count share. */
interface Request {
  readonly sentAt: number;
  readonly answer: Promise<Entry<string> | Bad>;
  /** The answer, or undefined after `PATIENCE_MS`, for readers with a known count. They share one timer. */
  answerInTime?: Promise<Entry<string> | Bad | undefined>;
}

/** Fetches the counts that are not in the cache or no longer fresh, each once however many readers wait. */
export class Counters {
  readonly #cache: Cache<string>;
  readonly #ask: Ask;
  readonly #outage: Pick<Outage, "countServed">;
  readonly #staleIfErrorMs: number;
  readonly #staleWhileRevalidateMs: number;
  readonly #now: () => number;
  readonly #monotonic: () => number;
  readonly #sleep: (ms: number) => Promise<undefined>;
  readonly #inFlight = new Map<string, Request>();
  /** What Stacosys failed to give a moment ago. */
  readonly #failures: Cache<true>;

  constructor(options: CountersOptions) {
    const { cache, ask, outage, staleIfErrorMs, staleWhileRevalidateMs } = options;
    const { now = Date.now, monotonic = () => performance.now(), sleep = sleepByTimer } = options;
    this.#cache = cache;
    this.#ask = ask;
    this.#outage = outage;
    this.#staleIfErrorMs = staleIfErrorMs;
    this.#staleWhileRevalidateMs = staleWhileRevalidateMs;
    this.#now = now;
    this.#monotonic = monotonic;
    this.#sleep = sleep;
    this.#failures = new Cache({ ttlMs: BREATHING_SPACE_MS, maxEntries: MAX_IN_FLIGHT, now: monotonic });
  }

  /** How old the oldest unanswered request to Stacosys is, in milliseconds; 0 if there is none. */
  get oldestRequestMs(): number {
    const [oldest] = this.#inFlight.values();
    return oldest === undefined ? 0 : this.#monotonic() - oldest.sentAt;
  }

  /** Gets the count of `target` where the cache has no fresh one: at once if nobody has to wait. Never rejects. */
  miss(target: string): Lookup | Promise<Lookup> {
    if (target.length > MAX_TARGET_LENGTH) return { result: "rejected", detail: "too-long" };
    const stale = this.#cache.getStale(target);
    const known = this.#overdueMs(stale) < this.#staleIfErrorMs ? stale : undefined;
    const shared = this.#inFlight.get(target);
    if (shared === undefined && !this.#mayAsk(target)) {
      return this.#failed(known, { detail: known === undefined ? "breathing-space" : "stale-if-error" });
    }
    const request = shared ?? this.#send(target);
    const collapsed = shared !== undefined;
    if (this.#mayRevalidate(stale)) return { result: "stale", entry: stale, detail: "stale-while-revalidate" };
    if (known === undefined) return this.#waitForUnknown(request, collapsed);
    if (this.#monotonic() - request.sentAt >= PATIENCE_MS) return this.#failed(known, { detail: "slow" });
    return this.#waitForKnown(target, known, request, collapsed);
  }

  /**
   * Expires the counts of the article with this url, and of the whole site, or all counts if there is no url: the next
   * reader waits for a new one, and gets the old one only if Stacosys fails or is slow.
   *
   * @returns how many entries that were, stale ones among them.
   */
  purge(url?: string): number {
    if (url === undefined) {
      this.#inFlight.clear();
      this.#cache.expireAll();
      return this.#cache.size;
    }
    const belongs = (target: string) => [url, null].includes(articleOf(target));
    // What is under way may be the count from before. Those who wait get it, but it is not kept.
    for (const target of this.#inFlight.keys()) if (belongs(target)) this.#inFlight.delete(target);
    const targets = [...this.#cache.entries()].map(([target]) => target).filter(belongs);
    for (const target of targets) this.#cache.expire(target);
    return targets.length;
  }

  #mayAsk(target: string): boolean {
    return this.#inFlight.size < MAX_IN_FLIGHT && this.#failures.get(target) === undefined;
  }

  /** A purge is a promise that the next reader gets the new count, so what was purged is not served while it comes. */
  #mayRevalidate(stale: Entry<string> | undefined): boolean {
    const overdueMs = this.#overdueMs(stale);
    return stale?.purged === false && overdueMs >= 0 && overdueMs < this.#staleWhileRevalidateMs;
  }

  #overdueMs(stale: Entry<string> | undefined): number {
    return this.#now() - (stale?.expiresAt ?? -Infinity);
  }

  async #waitForUnknown(request: Request, collapsed: boolean): Promise<Lookup> {
    return this.#answered(undefined, await request.answer, collapsed);
  }

  async #waitForKnown(
    target: string,
    known: Entry<string>,
    request: Request,
    collapsed: boolean,
  ): Promise<Lookup> {
    const leftMs = request.sentAt + PATIENCE_MS - this.#monotonic();
    request.answerInTime ??= Promise.race([request.answer, this.#sleep(leftMs)]);
    const answer = await request.answerInTime;
    // After a purge another request may have been quicker.
    const newer = this.#cache.get(target);
    if (newer !== undefined) return this.#answered(known, newer, collapsed);
    if (answer !== undefined) return this.#answered(known, answer, collapsed);
    return this.#failed(known, { forward: { why: "stale", collapsed }, detail: "slow" });
  }

  #answered(known: Entry<string> | undefined, answer: Entry<string> | Bad, collapsed: boolean): Lookup {
    const why = known === undefined ? "uri-miss" : "stale";
    if ("value" in answer) return { result: "miss", entry: answer, forward: { why, status: 200, collapsed } };
    const forward = { why, status: answer.status, collapsed } as const;
    return this.#failed(known, known === undefined ? { forward } : { forward, detail: "stale-if-error" });
  }

  /** The last good count, or none. */
  #failed(known: Entry<string> | undefined, why: Pick<Lookup, "forward" | "detail">): Lookup {
    const result = known === undefined ? "error" : "stale";
    this.#outage.countServed(result);
    return { result, entry: known, ...why };
  }

  /** Asks Stacosys, on behalf of all who want `target` until it has answered. */
  #send(target: string): Request {
    const answer = this.#ask(target).then((answer) => {
      const purged = this.#inFlight.get(target) !== request;
      if (!purged) this.#inFlight.delete(target);
      if (answer.outcome !== "ok") {
        if (!purged) this.#failures.set(target, true);
        return answer;
      }
      return purged ? { value: answer.body, expiresAt: this.#now(), purged } : this.#cache.set(target, answer.body);
    });
    const request: Request = { sentAt: this.#monotonic(), answer };
    this.#inFlight.set(target, request);
    return request;
  }
}

function sleepByTimer(ms: number): Promise<undefined> {
  return new Promise((resolve) => setTimeout(() => resolve(undefined), ms));
}
