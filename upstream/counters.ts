/**
 * What a reader gets where the cache has no fresh count: the answer to a request that all readers share, or the last
 * good count if that request fails or is slow.
 *
 * @module
 */

import { Cache, type Entry } from "../cache.ts";
import { InFlight, type Shared } from "./in_flight.ts";
import type { Outage } from "./outage.ts";
import type { Ask, Bad } from "./stacosys.ts";
import { sizeInMemory, targetsAbout } from "./target.ts";

/** What the counters work with. All times are in milliseconds. */
export interface CountersOptions {
  readonly ask: Ask;
  readonly outage: Pick<Outage, "countServed">;
  /** How long a count is fresh. */
  readonly ttlMs: number;
  /** How long an expired count is served if Stacosys fails or is slow. */
  readonly staleIfErrorMs: number;
  /** How long an expired count is served while it is refetched. */
  readonly staleWhileRevalidateMs: number;
  /** How many counts are kept at most. */
  readonly maxEntries: number;
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
  /** Why he got a stale count, or why he stopped waiting. */
  readonly detail?: "stale-while-revalidate" | "stale-if-error" | "slow" | "breathing-space";
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

/** What a request to Stacosys came to. */
type Fetched = Bad | { readonly outcome: "ok"; readonly entry: Entry<string> };

/** No article has a longer address. */
const MAX_TARGET_BYTES = 8 * 1024;

/**
 * How many requests to Stacosys may be open, most of them waiting for the semaphore, or have failed within the last
 * second. Flask answers about 700 a second, so more would wait in vain. Without this limit 1,000 readers with 100
 * made-up counts each took 480 MB.
 */
const MAX_OPEN = 5_000;

/** How many of them are kept free for known counts, which a flood of made-up ones must not keep from being fetched. */
const RESERVED = 1_000;

/** Backoff: Stacosys is not asked again for a count within this time after it failed to give it. */
const BREATHING_SPACE_MS = 1_000;

/** Readers with a known count wait at most this long for a fresh one, counted from the start of the shared request. */
const PATIENCE_MS = 1_000;

/** Fetches the counts that are not in the cache or no longer fresh, each once however many readers wait. */
export class Counters {
  /** The bodies of good answers, by target. */
  readonly cache: Cache<string>;
  readonly #ask: Ask;
  readonly #outage: Pick<Outage, "countServed">;
  readonly #staleIfErrorMs: number;
  readonly #staleWhileRevalidateMs: number;
  readonly #now: () => number;
  readonly #monotonic: () => number;
  readonly #sleep: (ms: number) => Promise<undefined>;
  readonly #inFlight: InFlight<Fetched>;
  /** The answer to a shared request, or undefined when it is another second old. Its readers share one timer. */
  readonly #inTime = new WeakMap<Shared<Fetched>, Promise<Fetched | undefined>>();
  /** When Stacosys failed to give a count, the oldest first: what is in here is not asked for again. */
  readonly #failedAt = new Map<string, number>();

  constructor(options: CountersOptions) {
    const { ask, outage, ttlMs, staleIfErrorMs, staleWhileRevalidateMs, maxEntries } = options;
    const { now = Date.now, monotonic = () => performance.now() } = options;
    this.cache = new Cache({ ttlMs, staleMs: Math.max(staleIfErrorMs, staleWhileRevalidateMs), maxEntries, now });
    this.#ask = ask;
    this.#outage = outage;
    this.#staleIfErrorMs = staleIfErrorMs;
    this.#staleWhileRevalidateMs = staleWhileRevalidateMs;
    this.#now = now;
    this.#monotonic = monotonic;
    this.#sleep = options.sleep ?? ((ms) => new Promise((resolve) => setTimeout(resolve, ms, undefined)));
    this.#inFlight = new InFlight(monotonic);
  }

  /** How old the oldest unanswered request to Stacosys is, in milliseconds; 0 if there is none. */
  get oldestRequestMs(): number {
    return this.#inFlight.oldestMs;
  }

  /** The count of `target`, fresh or stale, that readers get without asking Stacosys; undefined if there is none. */
  known(target: string): Entry<string> | undefined {
    const kept = this.cache.getStale(target);
    return this.#mayRevalidate(kept) ? kept : this.#servable(kept);
  }

  /**
   * Gets the count of `target` where the cache has no fresh one: at once if nobody has to wait. Never rejects.
   *
   * @param hurried whether the reader has other counts to show, so that he waits no longer than for a known one.
   */
  miss(target: string, hurried = false): Lookup | Promise<Lookup> {
    if (sizeInMemory(target) > MAX_TARGET_BYTES) return { result: "rejected" };
    const stale = this.cache.getStale(target);
    const joined = this.#inFlight.join(target);
    const request = joined ?? this.#send(target, this.cache.has(target));
    if (this.#mayRevalidate(stale)) return { result: "stale", entry: stale, detail: "stale-while-revalidate" };
    const known = this.#servable(stale);
    if (request === undefined) {
      return this.#failed(known, { detail: known === undefined ? "breathing-space" : "stale-if-error" });
    }
    const forward = { why: known === undefined ? "uri-miss" : "stale", collapsed: joined !== undefined } as const;
    const isPatient = known === undefined && !hurried;
    if (!isPatient && this.#ageMs(request) >= PATIENCE_MS) return this.#failed(known, { detail: "slow" });
    return this.#wait(target, known, forward, request, isPatient);
  }

  /**
   * Expires the counts of the article with this url, and of the whole site, or all counts if there is no url: the next
   * reader waits for a new one, and gets the old one only if Stacosys fails or is slow. Those of an article
   * are looked for in steps between which readers are answered, and expire together.
   *
   * @returns how many entries that were, stale ones among them.
   */
  async purge(url?: string): Promise<number> {
    // What is under way may be the count from before.
    const underWay = this.#inFlight.keys();
    if (url === undefined) {
      for (const target of underWay) this.#inFlight.forget(target);
      this.cache.expireAll();
      return this.cache.size;
    }
    for await (const target of targetsAbout(url, underWay)) this.#inFlight.forget(target);
    // Among these is what came meanwhile.
    const kept = [...this.cache.entries().map(([target]) => target)];
    const targets = await Array.fromAsync(targetsAbout(url, kept));
    for (const target of targets) this.cache.expire(target);
    return targets.length;
  }

  /** The count that a reader gets if Stacosys fails or is slow. */
  #servable(stale: Entry<string> | undefined): Entry<string> | undefined {
    return this.#overdueMs(stale) < this.#staleIfErrorMs ? stale : undefined;
  }

  /** A purge is a promise that the next reader gets the new count, so what was purged is not served while it comes. */
  #mayRevalidate(stale: Entry<string> | undefined): boolean {
    const overdueMs = this.#overdueMs(stale);
    return stale?.purged === false && overdueMs >= 0 && overdueMs < this.#staleWhileRevalidateMs;
  }

  #overdueMs(stale: Entry<string> | undefined): number {
    return this.#now() - (stale?.expiresAt ?? -Infinity);
  }

  #ageMs({ sentAt }: Shared<Fetched>): number {
    return this.#monotonic() - sentAt;
  }

  #answerInTime(request: Shared<Fetched>): Promise<Fetched | undefined> {
    return this.#inTime.getOrInsertComputed(
      request,
      () => {
        const second = this.#sleep(PATIENCE_MS - this.#ageMs(request) % PATIENCE_MS);
        return Promise.race([request.answer, second.finally(() => this.#inTime.delete(request))]);
      },
    );
  }

  async #wait(
    target: string,
    before: Entry<string> | undefined,
    forward: Forward,
    request: Shared<Fetched>,
    isPatient: boolean,
  ): Promise<Lookup> {
    let fetched, known;
    do {
      fetched = await this.#answerInTime(request);
      if (fetched?.outcome === "ok") {
        return { result: "miss", entry: fetched.entry, forward: { ...forward, status: 200 } };
      }
      // A request from before a purge may have brought a count meanwhile.
      known = this.#servable(this.cache.getStale(target)) ?? before;
    } while (isPatient && fetched === undefined && known === undefined);
    if (fetched === undefined) return this.#failed(known, { forward, detail: "slow" });
    const tried = { ...forward, status: fetched.status };
    return this.#failed(known, known === undefined ? { forward: tried } : { forward: tried, detail: "stale-if-error" });
  }

  /** The last good count, or none. */
  #failed(known: Entry<string> | undefined, why: Pick<Lookup, "forward" | "detail">): Lookup {
    const result = known === undefined ? "error" : "stale";
    this.#outage.countServed(result);
    return { result, entry: known, ...why };
  }

  /** Asks Stacosys for all who want `target`, unless it failed to give it a moment ago or too much is open. */
  #send(target: string, isKept: boolean): Shared<Fetched> | undefined {
    const most = isKept ? MAX_OPEN : MAX_OPEN - RESERVED;
    if (this.#hasFailedLately(target) || this.#inFlight.size + this.#failedAt.size >= most) return undefined;
    return this.#inFlight.start(target, async (request) => {
      const answer = await this.#ask(target, isKept);
      if (answer.outcome === "ok") return { outcome: "ok", entry: this.#keep(target, answer.body, request) };
      if (request.state === "joinable") this.#failedAt.set(target, this.#monotonic());
      return answer;
    });
  }

  #hasFailedLately(target: string): boolean {
    for (const [key, failedAt] of this.#failedAt) {
      if (this.#monotonic() - failedAt < BREATHING_SPACE_MS) break;
      this.#failedAt.delete(key);
    }
    return this.#failedAt.has(target);
  }

  /** Puts a count into the cache. One that was asked for before a purge is stale there, unless a newer one has come. */
  #keep(target: string, body: string, { state }: Shared<Fetched>): Entry<string> {
    if (state === "overtaken") return { value: body, expiresAt: this.#now(), purged: true };
    const entry = this.cache.set(target, body);
    if (state === "forgotten") this.cache.expire(target);
    return entry;
  }
}
