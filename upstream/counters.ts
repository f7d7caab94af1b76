/**
 * What happens when a count is not in the cache, or no longer fresh: one request to Stacosys however many readers
 * wait, and the last good answer if that request fails.
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
  readonly outage: Outage;
  /** How long an expired counter is served while it is fetched anew. */
  readonly staleWhileRevalidateMs: number;
  /** The cache's clock; `Date.now` by default. */
  readonly now?: () => number;
}

/** How a request of a reader ended. */
export type Result = "hit" | "miss" | "stale" | "error" | "rejected";

/** What a reader gets. */
export interface Lookup {
  readonly result: Exclude<Result, "hit">;
  /** The count, fresh or stale; none if it could not be had. */
  readonly entry?: Entry<string>;
  /** How this came about: the parameters of a `Cache-Status` (RFC 9211). */
  readonly cacheStatus: string;
}

/** No article has a longer address. It is counted in UTF-16 units, as JavaScript does. */
const MAX_TARGET_LENGTH = 8 * 1024;

/**
 * How many requests to Stacosys there may be, most of them waiting for their turn, and how many failures are remembered.
 * Flask answers some 700 a second, so that more would wait in vain; and a thousand readers, each with a batch of a hundred
 * made-up counts, took 480 MB.
 */
const MAX_FLIGHTS = 5_000;

/** How long Stacosys is left in peace about a key after it failed to answer. */
const BREATHING_SPACE_MS = 1_000;

/** How long a Stacosys that is known to be failing is waited for by readers whose count is known, all together. */
const PATIENCE_MS = 1_000;

/** A request to Stacosys that is under way. */
interface Flight {
  readonly since: number;
  readonly landing: Promise<Entry<string> | Bad>;
}

/** The counts that the cache has not, and those that it should not have any longer. */
export interface Counters {
  /** Gets the count of `target` where the cache has no fresh one. Never rejects. */
  miss(target: string): Promise<Lookup>;
  /** Removes the counts of an article, or all of them, and returns how many they were. */
  purge(url?: string): number;
}

/** Returns the {@linkcode Counters} of a cache and a Stacosys. */
export function createCounters(options: CountersOptions): Counters {
  const { cache, ask, outage, staleWhileRevalidateMs, now = Date.now } = options;
  const flights = new Map<string, Flight>();
  const failures = new Cache<true>({ ttlMs: BREATHING_SPACE_MS, maxEntries: MAX_FLIGHTS, now });

  return { miss, purge };

  async function miss(target: string): Promise<Lookup> {
    if (target.length > MAX_TARGET_LENGTH) return { result: "rejected", cacheStatus: "detail=too-long" };
    const known = cache.getStale(target);
    const flying = flights.get(target);
    const mayAsk = flights.size < MAX_FLIGHTS && failures.get(target) === undefined;
    if (flying === undefined && !mayAsk) return failed(known);

    const forward = known === undefined ? "fwd=uri-miss" : "fwd=stale";
    const { since, landing } = flying ?? fly(target);
    const overdueMs = now() - (known?.expiresAt ?? -Infinity);
    if (known !== undefined && overdueMs >= 0 && overdueMs < staleWhileRevalidateMs) {
      return { result: "stale", entry: known, cacheStatus: `hit; ${age(known)}; detail=stale-while-revalidate` };
    }

    const impatient = known !== undefined && outage.stacosys === "down";
    const landed = impatient ? await within(Math.max(0, since + PATIENCE_MS - now()), landing) : await landing;
    if (landed !== undefined && "value" in landed) {
      const collapsed = flying === undefined ? "" : "; collapsed";
      return { result: "miss", entry: landed, cacheStatus: `${forward}; fwd-status=200; stored${collapsed}` };
    }
    return failed(known, landed?.status === undefined ? forward : `${forward}; fwd-status=${landed.status}`);
  }

  function purge(url?: string): number {
    const belongs = (target: string) => url === undefined || articleOf(target) === url;
    // What is under way may be a count from before the purge; those who wait get it, but it is not kept.
    for (const target of flights.keys()) if (belongs(target)) flights.delete(target);
    let purged = 0;
    for (const [target] of cache.entries()) if (belongs(target) && cache.delete(target)) purged++;
    return purged;
  }

  /** Asks Stacosys, on behalf of all who want `target` until it has answered. */
  function fly(target: string): Flight {
    const landing = ask(target).then((answer) => {
      const purged = flights.get(target) !== flight;
      if (!purged) flights.delete(target);
      if (answer.outcome === "ok") {
        return purged ? { value: answer.body, expiresAt: now() } : cache.set(target, answer.body);
      }
      failures.set(target, true);
      return answer;
    });
    const flight: Flight = { since: now(), landing };
    flights.set(target, flight);
    return flight;
  }

  /** The last good answer, or none; `forward` tells of the request that failed, if there was one. */
  function failed(known: Entry<string> | undefined, forward?: string): Lookup {
    if (known === undefined) {
      outage.felt("error");
      return { result: "error", cacheStatus: forward ?? "detail=breathing-space" };
    }
    outage.felt("stale");
    return { result: "stale", entry: known, cacheStatus: `${forward ?? "hit"}; ${age(known)}; detail=stale-if-error` };
  }

  /** A negative time to live is how `Cache-Status` says stale. */
  function age(entry: Entry<string>): string {
    return `ttl=${Math.floor((entry.expiresAt - now()) / 1000)}`;
  }
}

/** Resolves as `promise` does, or to nothing after `ms` milliseconds. */
async function within<T>(ms: number, promise: Promise<T>): Promise<T | undefined> {
  let timer;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
