/**
 * A `Map` that forgets: each entry has an expiry, their number is bounded, and a sweeper removes those that are too old
 * even to be served stale.
 *
 * Eviction is SIEVE: a hit sets one flag, and a hand walks from the oldest entry to the newest, clears the flags it
 * meets and evicts the first entry without one. What readers keep asking for stays; what was asked for once goes.
 * No list of its own is needed for that: a JavaScript `Map` keeps its entries in the order they came, and an iterator
 * over it stays where it is, whatever is added or deleted meanwhile. That iterator is the hand.
 *
 * @module
 */

/** What the cache keeps for a key. */
export interface Entry<V> {
  readonly value: V;
  /** When the entry ceases to be fresh, in milliseconds of the cache's clock. */
  readonly expiresAt: number;
  /** Whether a purge expired it, and not its ttl. */
  readonly purged: boolean;
}

/** An entry with the time at which its ttl ends, whether it was expired before or not. */
export interface KeptEntry<V> extends Entry<V> {
  readonly ttlEndsAt: number;
}

/** How a {@linkcode Cache} is set up. All times are in milliseconds. */
export interface CacheOptions {
  /** How long an entry is fresh. */
  readonly ttlMs: number;
  /** How long an entry is kept, stale, after that. None by default. */
  readonly staleMs?: number;
  /** How many entries there may be, 1 at least. One more evicts another. */
  readonly maxEntries: number;
  /** The clock; `Date.now` by default. */
  readonly now?: () => number;
}

/** A time between two calls of {@linkcode Cache.expireAll}. An entry is never fresh beyond the end of its era. */
interface Era {
  /** Infinite as long as the era goes on. */
  endsAt: number;
}

class Slot<V> implements KeptEntry<V> {
  constructor(readonly value: V, readonly ttlEndsAt: number, public era: Era, public visited: boolean) {}

  get expiresAt(): number {
    return Math.min(this.ttlEndsAt, this.era.endsAt);
  }

  get purged(): boolean {
    return this.era.endsAt !== Infinity;
  }
}

/** How many entries the sweeper looks at before it yields, about 0.3 ms of work. */
const SWEEP_SLICE = 1_000;

/**
 * A bounded cache with time to live. Getting, setting and expiring take the same time on average, however many entries
 * there are.
 *
 * ```ts
 * import { Cache } from "./cache.ts";
 * import { assertEquals } from "@std/assert";
 *
 * let now = 0;
 * const cache = new Cache<string>({ ttlMs: 1000, staleMs: 500, maxEntries: 100, now: () => now });
 *
 * cache.set("/a", "7");
 * assertEquals(cache.get("/a")?.value, "7");
 *
 * now = 1000;
 * assertEquals(cache.get("/a"), undefined);
 * assertEquals(cache.getStale("/a")?.value, "7");
 *
 * now = 1500;
 * assertEquals(cache.getStale("/a"), undefined);
 * ```
 */
export class Cache<V> {
  /** How long an entry is fresh. */
  readonly ttlMs: number;
  readonly #staleMs: number;
  readonly #maxEntries: number;
  readonly #now: () => number;
  readonly #slots = new Map<string, Slot<V>>();
  #hand: MapIterator<[string, Slot<V>]> | undefined;
  #era: Era = { endsAt: Infinity };
  #evictions = 0;

  constructor({ ttlMs, staleMs = 0, maxEntries, now = Date.now }: CacheOptions) {
    this.ttlMs = ttlMs;
    this.#staleMs = staleMs;
    this.#maxEntries = maxEntries;
    this.#now = now;
  }

  /** How many entries are kept, stale ones and those not swept yet among them. */
  get size(): number {
    return this.#slots.size;
  }

  /** How many entries had to go because there were too many. */
  get evictions(): number {
    return this.#evictions;
  }

  /** Whether there is an entry of `key`, however old: what is not swept yet is there, too. */
  has(key: string): boolean {
    return this.#slots.has(key);
  }

  /** The entry of `key` as long as it is fresh. */
  get(key: string): Entry<V> | undefined {
    const slot = this.#slots.get(key);
    if (slot === undefined || !this.#isFresh(slot)) return undefined;
    slot.visited = true;
    return slot;
  }

  /** The entry of `key` as long as it is kept, fresh or stale. */
  getStale(key: string): Entry<V> | undefined {
    const slot = this.#slots.get(key);
    if (slot === undefined || this.#isOver(slot)) return undefined;
    slot.visited = true;
    return slot;
  }

  /**
   * Keeps `value` for `key`, fresh from now on for the cache's time to live, or with the expiry that it had in a
   * snapshot. A value that replaces another takes over its place in the order of eviction.
   */
  set(key: string, value: V, expiresAt = this.#now() + this.ttlMs): Entry<V> {
    const old = this.#slots.get(key);
    if (old === undefined && this.#slots.size >= this.#maxEntries) this.#evict();
    const slot = new Slot(value, expiresAt, this.#era, old?.visited ?? false);
    this.#slots.set(key, slot);
    return slot;
  }

  /** Lets the entry of `key` be stale from now on. */
  expire(key: string): void {
    const slot = this.#slots.get(key);
    if (slot !== undefined && !slot.purged) slot.era = { endsAt: this.#now() };
  }

  /** Lets all entries be stale from now on, in the same time however many there are. */
  expireAll(): void {
    this.#era.endsAt = this.#now();
    this.#era = { endsAt: Infinity };
  }

  /** All entries, those not swept yet among them, in the order in which their keys first came. */
  entries(): MapIterator<[key: string, entry: KeptEntry<V>]> {
    return this.#slots.entries();
  }

  /**
   * Removes entries that are too old even to be served stale. It yields after each thousand, so that readers are
   * answered in between.
   *
   * ```ts
   * import { Cache } from "./cache.ts";
   * import { assertEquals } from "@std/assert";
   *
   * let now = 0;
   * const cache = new Cache<string>({ ttlMs: 1000, maxEntries: 100, now: () => now });
   * cache.set("/a", "7");
   * now = 1000;
   *
   * for (const _ of cache.sweep()) { /* readers are answered here *\/ }
   * assertEquals(cache.size, 0);
   * ```
   */
  *sweep(): Generator<void> {
    let seen = 0;
    for (const [key, slot] of this.#slots) {
      if (this.#isOver(slot)) this.#slots.delete(key);
      if (++seen % SWEEP_SLICE === 0) yield;
    }
    // An iterator that is kept keeps old tables of the `Map` in memory.
    this.#hand = undefined;
  }

  /** An expiry later than now + ttl means that the clock was set back: the entry is not fresh. */
  #isFresh(slot: Slot<V>): boolean {
    const left = slot.ttlEndsAt - this.#now();
    return left > 0 && left <= this.ttlMs && !slot.purged;
  }

  #isOver(slot: Slot<V>): boolean {
    return slot.expiresAt + this.#staleMs <= this.#now();
  }

  #evict(): void {
    while (true) {
      this.#hand ??= this.#slots.entries();
      const { value, done } = this.#hand.next();
      if (done) {
        this.#hand = undefined;
      } else if (value[1].visited) {
        value[1].visited = false;
      } else {
        this.#slots.delete(value[0]);
        this.#evictions++;
        return;
      }
    }
  }
}

/**
 * Sweeps `cache` every `everyMs` milliseconds, in steps between which readers are answered. It never keeps the process
 * alive.
 *
 * @param everyMs 2^31 - 1 at most, as for every timer.
 * @param onSwept called after each complete sweep.
 * @returns a function that stops it.
 */
export function startSweeper(
  cache: Pick<Cache<unknown>, "sweep">,
  everyMs: number,
  onSwept?: () => void,
): () => void {
  let steps: Iterator<void> | undefined;
  let pause: ReturnType<typeof setTimeout> | undefined;
  function step(): void {
    steps ??= cache.sweep();
    if (steps.next().done) {
      steps = undefined;
      onSwept?.();
    } else {
      pause = setTimeout(step);
      Deno.unrefTimer(pause);
    }
  }
  const interval = setInterval(() => steps ?? step(), everyMs);
  Deno.unrefTimer(interval);
  return () => {
    clearInterval(interval);
    clearTimeout(pause);
  };
}
