import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { Cache, startSweeper } from "../cache.ts";
import { until } from "./until.ts";

function cacheAt0(options: { ttlMs?: number; staleMs?: number; maxEntries?: number } = {}) {
  const clock = { now: 0 };
  const cache = new Cache<number>({ ttlMs: 100, maxEntries: 10, ...options, now: () => clock.now });
  return { cache, clock };
}

function sweepAll(cache: Cache<number>): void {
  for (const _ of cache.sweep());
}

/** Long enough for any sweeper that is due to have had its turn. */
async function untilOthersHaveSwept(): Promise<void> {
  let swept = 0;
  const stop = startSweeper(cacheAt0().cache, 1, () => swept++);
  await until(() => swept > 2, "another sweeper has swept");
  stop();
}

Deno.test("an entry is fresh until its time to live is over, to the millisecond", () => {
  const { cache, clock } = cacheAt0();
  cache.set("a", 1);
  clock.now = 99;
  assertEquals(cache.get("a")?.value, 1);
  clock.now = 100;
  assertEquals(cache.get("a"), undefined);
  assertEquals(cache.getStale("a"), undefined);
});

Deno.test("an expired entry is kept as long as stale ones are, and a sweep leaves it until then", () => {
  const { cache, clock } = cacheAt0({ staleMs: 50 });
  cache.set("a", 1);
  clock.now = 149;
  sweepAll(cache);
  assertEquals(cache.get("a"), undefined);
  assertEquals(cache.getStale("a")?.expiresAt, 100);
  clock.now = 150;
  assertEquals(cache.getStale("a"), undefined);
  assertEquals(cache.size, 1);
  sweepAll(cache);
  assertEquals(cache.size, 0);
});

Deno.test("where the clock is set back, an entry is no longer fresh", () => {
  const { cache, clock } = cacheAt0({ staleMs: 50 });
  clock.now = 1_000;
  cache.set("a", 7);
  clock.now = 999;
  assertEquals([cache.get("a"), cache.getStale("a")?.value], [undefined, 7]);
  cache.set("a", 8);
  assertEquals(cache.get("a")?.value, 8);
});

Deno.test("an entry of a snapshot has the expiry that it had, and is fresh only within the time to live", () => {
  const { cache, clock } = cacheAt0({ staleMs: 500 });
  clock.now = 1_000;
  for (const [key, expiresAt] of [["over", 900], ["fresh", 1_030], ["later", 3_000]] as const) {
    cache.set(key, 1, expiresAt);
    const { expiresAt: kept, purged } = cache.getStale(key) ?? {};
    assertEquals([kept, purged], [expiresAt, false]);
  }
  assertEquals(["over", "fresh", "later"].filter((key) => cache.get(key) !== undefined), ["fresh"]);
  // A machine that starts in 1970 learns the time after it has read its snapshot.
  clock.now = 2_950;
  assertEquals(cache.get("later")?.value, 1);
});

Deno.test("one entry too many evicts the oldest that nobody asked for", () => {
  const { cache } = cacheAt0({ maxEntries: 3 });
  for (const key of ["a", "b", "c"]) cache.set(key, 1);
  cache.get("a");
  cache.set("d", 1);
  assertEquals([...cache.entries()].map(([key]) => key), ["a", "c", "d"]);
  assertEquals(cache.evictions, 1);
});

Deno.test("what readers keep asking for stays, however many ask for something else once", () => {
  const { cache } = cacheAt0({ maxEntries: 100 });
  cache.set("home", 1);
  for (let i = 0; i < 10_000; i++) {
    if (i % 50 === 0) assert(cache.get("home"));
    cache.set(`made-up-${i}`, 1);
  }
  assertEquals(cache.size, 100);
});

Deno.test("entries that all were asked for make room as well", () => {
  const { cache } = cacheAt0({ maxEntries: 3 });
  for (const key of ["a", "b", "c"]) cache.set(key, 1);
  for (const key of ["a", "b", "c"]) cache.get(key);
  cache.set("d", 1);
  assertEquals(cache.size, 3);
  assertEquals(cache.get("d")?.value, 1);
});

Deno.test("a new value keeps the place of the old one", () => {
  const { cache } = cacheAt0({ maxEntries: 2 });
  cache.set("a", 1);
  cache.set("b", 1);
  cache.set("a", 2);
  cache.set("c", 1);
  assertEquals([...cache.entries()].map(([key]) => key), ["b", "c"]);
});

Deno.test("an expired entry is stale from then on, and purged, until it is set again", () => {
  const { cache, clock } = cacheAt0({ staleMs: 50 });
  cache.set("a", 1);
  cache.set("b", 2);
  clock.now = 10;
  cache.expire("a");
  cache.expire("unknown");
  assertEquals([cache.get("a"), cache.get("b")?.value], [undefined, 2]);
  const { value, expiresAt, purged } = cache.getStale("a") ?? {};
  assertEquals([value, expiresAt, purged], [1, 10, true]);
  clock.now = 60;
  assertEquals(cache.getStale("a"), undefined);
  cache.set("a", 3);
  assertEquals([cache.get("a")?.value, cache.get("a")?.purged], [3, false]);
});

Deno.test("all entries can be expired at once, and those that are set afterwards are fresh", () => {
  const { cache, clock } = cacheAt0({ staleMs: 50 });
  for (const key of ["a", "b"]) cache.set(key, 1);
  clock.now = 10;
  cache.expireAll();
  clock.now = 20;
  cache.set("b", 2);
  cache.expire("a");
  assertEquals([cache.get("a"), cache.get("b")?.value], [undefined, 2]);
  assertEquals([...cache.entries()].map(([key, { expiresAt, purged }]) => [key, expiresAt, purged]), [
    ["a", 10, true],
    ["b", 120, false],
  ]);
});

Deno.test("an entry that had expired when it was purged keeps the expiry that it had", () => {
  const { cache, clock } = cacheAt0({ staleMs: 500 });
  cache.set("a", 1);
  clock.now = 200;
  cache.expireAll();
  assertEquals([cache.getStale("a")?.expiresAt, cache.getStale("a")?.purged], [100, true]);
});

Deno.test("what was purged is not fresh again where the clock is set back", () => {
  const { cache, clock } = cacheAt0({ staleMs: 50 });
  clock.now = 1_000;
  cache.set("a", 1);
  clock.now = 1_050;
  cache.expireAll();
  clock.now = 1_020;
  assertEquals(cache.get("a"), undefined);
});

Deno.test("a sweep of many entries lets readers pass every thousand", () => {
  const { cache, clock } = cacheAt0({ maxEntries: 5_000 });
  for (let i = 0; i < 5_000; i++) cache.set(`${i}`, i);
  clock.now = 100;
  const sizes: number[] = [];
  for (const _ of cache.sweep()) sizes.push(cache.size);
  assertEquals(sizes, [4_000, 3_000, 2_000, 1_000, 0]);
});

Deno.test("the sweeper sweeps by itself, tells so, and stops", async () => {
  const { cache, clock } = cacheAt0({ maxEntries: 3_000 });
  for (let i = 0; i < 3_000; i++) cache.set(`${i}`, i);
  let swept = 0;
  const stop = startSweeper(cache, 1, () => swept++);
  await until(() => swept > 0, "it has swept");
  assertEquals(cache.size, 3_000);
  clock.now = 100;
  await until(() => cache.size === 0, "all is swept");
  stop();
  cache.set("late", 1, 0);
  const before = swept;
  await untilOthersHaveSwept();
  assertEquals([swept, cache.size], [before, 1]);
});

Deno.test("the sweeper takes a step at a time, begins no sweep before the last has ended, and tells of whole ones", async () => {
  let [steps, turns] = [0, 0];
  const told: number[] = [];
  function* sweep(): Generator<void> {
    for (let i = 0; i < 50; i++) {
      steps++;
      yield;
    }
  }
  const stop = startSweeper({ sweep }, 1, () => told.push(steps));
  for (; told.length < 2; turns++) await new Promise((resolve) => setTimeout(resolve));
  stop();
  assertEquals(told, [50, 100]);
  assert(turns >= 80, `${steps} steps in ${turns} turns`);
});

Deno.test("the sweeper never keeps a process alive, not even between two steps", async () => {
  const module = import.meta.resolve("../cache.ts");
  const script = `
    const { startSweeper } = await import("${module}");
    const swept = new Promise((resolve) => {
      startSweeper({ *sweep() { for (let steps = 0;; steps++) { if (steps === 10) resolve(); yield; } } }, 1);
    });
    const alive = setInterval(() => {});
    await swept;
    clearInterval(alive);`;
  const signal = AbortSignal.timeout(60_000);
  const { code } = await new Deno.Command(Deno.execPath(), { args: ["eval", script], signal }).output();
  assertEquals(code, 0);
});

/** SIEVE as its paper has it, with a list and an index, nothing shared with the cache. */
class NaiveCache {
  entries: { key: string; value: number; expiresAt: number; visited: boolean }[] = [];
  hand = 0;

  constructor(readonly ttlMs: number, readonly staleMs: number, readonly maxEntries: number) {}

  find(key: string, now: number, extra: number): number | undefined {
    const entry = this.entries.find((entry) => entry.key === key);
    if (entry === undefined || entry.expiresAt + extra <= now) return undefined;
    entry.visited = true;
    return entry.value;
  }

  set(key: string, value: number, now: number): void {
    const entry = this.entries.find((entry) => entry.key === key);
    if (entry !== undefined) {
      entry.value = value;
      entry.expiresAt = now + this.ttlMs;
      return;
    }
    while (this.entries.length >= this.maxEntries) {
      if (this.hand >= this.entries.length) this.hand = 0;
      const candidate = this.entries[this.hand];
      if (candidate?.visited) {
        candidate.visited = false;
        this.hand++;
      } else {
        this.entries.splice(this.hand, 1);
      }
    }
    this.entries.push({ key, value, expiresAt: now + this.ttlMs, visited: false });
  }

  expire(now: number, key?: string): void {
    for (const entry of this.entries) {
      if (key === undefined || entry.key === key) entry.expiresAt = Math.min(entry.expiresAt, now);
    }
  }

  sweep(now: number): void {
    this.entries = this.entries.filter((entry) => entry.expiresAt + this.staleMs > now);
    this.hand = 0;
  }
}

Deno.test("whatever is done to it, the cache holds what a naive one holds", () => {
  const key = fc.constantFrom("a", "b", "c", "d", "e", "f", "g");
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.record({ does: fc.constant("get" as const), key }) },
    fc.record({ does: fc.constant("getStale" as const), key }),
    { weight: 10, arbitrary: fc.record({ does: fc.constant("set" as const), key }) },
    fc.record({ does: fc.constant("expire" as const), key }),
    fc.record({ does: fc.constant("expireAll" as const) }),
    fc.record({ does: fc.constant("wait" as const), ms: fc.integer({ min: 1, max: 60 }) }),
    fc.record({ does: fc.constant("sweep" as const) }),
  );
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), fc.array(step, { maxLength: 60, size: "max" }), (maxEntries, steps) => {
      const { cache, clock } = cacheAt0({ staleMs: 50, maxEntries });
      const naive = new NaiveCache(100, 50, maxEntries);
      for (const [i, step] of steps.entries()) {
        if (step.does === "get") {
          assertEquals(cache.get(step.key)?.value, naive.find(step.key, clock.now, 0));
        } else if (step.does === "getStale") {
          assertEquals(cache.getStale(step.key)?.value, naive.find(step.key, clock.now, 50));
        } else if (step.does === "set") {
          cache.set(step.key, i);
          naive.set(step.key, i, clock.now);
        } else if (step.does === "expire") {
          cache.expire(step.key);
          naive.expire(clock.now, step.key);
        } else if (step.does === "expireAll") {
          cache.expireAll();
          naive.expire(clock.now);
        } else if (step.does === "wait") {
          clock.now += step.ms;
        } else {
          sweepAll(cache);
          naive.sweep(clock.now);
        }
        assertEquals(cache.size, naive.entries.length);
      }
      assertEquals([...cache.entries()].map(([key]) => key), naive.entries.map(({ key }) => key));
    }),
    { numRuns: 2_000 },
  );
});
