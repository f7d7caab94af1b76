/**
 * A `Map` that forgets: each entry has an expiry, their number is bounded, and a sweeper removes what is over.
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

interface Slot<V> extends Entry<V> {
  visited: boolean;
}

interface Shard<V> {
  readonly slots: Map<string, Slot<V>>;
  hand: MapIterator<[string, Slot<V>]> | undefined;
}

/**
 * V8 copies a whole `Map` when it grows or shrinks: 36 ms for one that shrinks from a million entries, 56 ms when it
 * grows to them. A large cache is therefore spread over several maps, so that no reader waits for such a copy.
 */
const SHARD_ENTRIES = 16_384;

/** How many entries the sweeper looks at before it lets readers pass, some 0.3 ms of work. */
const SWEEP_SLICE = 1_000;

/** Timers count in 32 bits; a longer one would fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/**
 * A bounded cache with time to live. Each operation takes the same time however many entries there are.
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
  readonly #ttlMs: number;
  readonly #staleMs: number;
  readonly #maxEntries: number;
  readonly #now: () => number;
  readonly #first: Shard<V> = { slots: new Map(), hand: undefined };
  readonly #shards: Shard<V>[] = [this.#first];
  #size = 0;
  #evictions = 0;

  constructor({ ttlMs, staleMs = 0, maxEntries, now = Date.now }: CacheOptions) {
    this.#ttlMs = ttlMs;
    this.#staleMs = staleMs;
    this.#maxEntries = maxEntries;
    this.#now = now;
    while (this.#shards.length * SHARD_ENTRIES < maxEntries) {
      this.#shards.push({ slots: new Map(), hand: undefined });
    }
  }

  /** How many entries are kept, stale ones and those not swept yet among them. */
  get size(): number {
    return this.#size;
  }

  /** How many entries had to go because there were too many. */
  get evictions(): number {
    return this.#evictions;
  }

  /** The entry of `key` as long as it is fresh. */
  get(key: string): Entry<V> | undefined {
    const slot = this.#shardOf(key).slots.get(key);
    if (slot === undefined || !this.#isFresh(slot)) return undefined;
    slot.visited = true;
    return slot;
  }

  /** The entry of `key` as long as it is kept, fresh or stale. */
  getStale(key: string): Entry<V> | undefined {
    const slot = this.#shardOf(key).slots.get(key);
    if (slot === undefined || this.#isOver(slot)) return undefined;
    slot.visited = true;
    return slot;
  }

  /**
   * Keeps `value` for `key`, fresh from now on for the cache's time to live, or until `expiresAt` if that is sooner. A
   * value that replaces another takes over its place in the order of eviction.
   */
  set(key: string, value: V, expiresAt: number = Infinity): Entry<V> {
    const shard = this.#shardOf(key);
    const old = shard.slots.get(key);
    if (old === undefined) {
      if (this.#size >= this.#maxEntries) this.#evict(shard);
      this.#size++;
    }
    const slot = { value, expiresAt: Math.min(expiresAt, this.#now() + this.#ttlMs), visited: old?.visited ?? false };
    shard.slots.set(key, slot);
    return slot;
  }

  /** Removes the entry of `key`, and tells whether there was one. */
  delete(key: string): boolean {
    const deleted = this.#shardOf(key).slots.delete(key);
    if (deleted) this.#size--;
    return deleted;
  }

  /** Removes all entries. */
  clear(): void {
    for (const shard of this.#shards) {
      shard.slots.clear();
      shard.hand = undefined;
    }
    this.#size = 0;
  }

  /** All entries, those not swept yet among them; of a cache that is one map, the oldest first. */
  *entries(): Generator<[key: string, entry: Entry<V>]> {
    for (const { slots } of this.#shards) yield* slots;
  }

  /**
   * Removes what is over, a thousand entries at each step, so that the caller can do other things in between.
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
   * for (const _ of cache.sweep()) { /* readers may pass here *\/ }
   * assertEquals(cache.size, 0);
   * ```
   */
  *sweep(): Generator<void> {
    let seen = 0;
    for (const shard of this.#shards) {
      for (const [key, slot] of shard.slots) {
        if (this.#isOver(slot)) this.delete(key);
        if (++seen % SWEEP_SLICE === 0) yield;
      }
      // A hand at rest would hold on to each table that the map has outgrown since.
      shard.hand = undefined;
    }
  }

  /** One with more than its time to live ahead is from before the clock was set back; nobody knows how old it is. */
  #isFresh(slot: Slot<V>): boolean {
    const left = slot.expiresAt - this.#now();
    return left > 0 && left <= this.#ttlMs;
  }

  #isOver(slot: Slot<V>): boolean {
    return slot.expiresAt + this.#staleMs <= this.#now();
  }

  #evict(preferred: Shard<V>): void {
    let shard: Shard<V> | undefined = preferred;
    if (shard.slots.size === 0) shard = this.#shards.find(({ slots }) => slots.size > 0);
    while (shard !== undefined) {
      shard.hand ??= shard.slots.entries();
      const { value, done } = shard.hand.next();
      if (done) {
        shard.hand = undefined;
      } else if (value[1].visited) {
        value[1].visited = false;
      } else {
        shard.slots.delete(value[0]);
        this.#size--;
        this.#evictions++;
        return;
      }
    }
  }

  #shardOf(key: string): Shard<V> {
    if (this.#shards.length === 1) return this.#first;
    // FNV-1a over all of the key, as any part of it may be the one that differs: 0.2 µs.
    let hash = 0;
    for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
    return this.#shards[((hash ^ hash >>> 15) >>> 0) % this.#shards.length] ?? this.#first;
  }
}

/**
 * Sweeps `cache` every `everyMs` milliseconds, in steps between which readers pass. It never keeps the process alive.
 *
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
  const interval = setInterval(() => steps ?? step(), Math.min(everyMs, LONGEST_TIMER_MS));
  Deno.unrefTimer(interval);
  return () => {
    clearInterval(interval);
    clearTimeout(pause);
  };
}
