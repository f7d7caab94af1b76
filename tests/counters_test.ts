import { assertEquals, assertLess } from "@std/assert";
import { Cache } from "../cache.ts";
import { createCounters } from "../upstream/counters.ts";
import { createOutage } from "../upstream/outage.ts";
import type { Answer } from "../upstream/stacosys.ts";
import { until } from "./until.ts";

const A = "/comments/count?token=T&url=/a/";
const GOOD: Answer = { outcome: "ok", body: "7" };
const BAD: Answer = { outcome: "status", reason: "status 500", status: 500 };

/** Counters with a clock that stands at 0, and a Stacosys that answers when a test says so. */
function counters({ staleWhileRevalidateMs = 0 } = {}) {
  const clock = { now: 0 };
  const now = () => clock.now;
  const asked: { target: string; answer: (answer: Answer) => void }[] = [];
  const cache = new Cache<string>({ ttlMs: 10_000, staleMs: 60_000, maxEntries: 100, now });
  const log: string[] = [];
  const outage = createOutage((_, text) => log.push(text), now);
  async function ask(target: string): Promise<Answer> {
    const answer = await new Promise<Answer>((answer) => asked.push({ target, answer }));
    outage.answered(target, answer);
    return answer;
  }
  const { miss, purge } = createCounters({ cache, ask, outage, staleWhileRevalidateMs, now });
  /** What a reader gets if Stacosys answers so, should it be asked. */
  async function read(answer: Answer): Promise<string> {
    const before = asked.length;
    const lookup = miss(A);
    if (asked.length > before) asked.at(-1)?.answer(answer);
    const { result, entry, cacheStatus } = await lookup;
    return [result, entry?.value ?? "none", cacheStatus].join(" | ");
  }
  return { cache, clock, asked, log, miss, purge, read, ask: () => asked.at(-1)?.answer };
}

Deno.test("a miss is one request to Stacosys, and its answer is kept", async () => {
  const { cache, asked, read } = counters();
  assertEquals(await read(GOOD), "miss | 7 | fwd=uri-miss; fwd-status=200; stored");
  assertEquals(asked.map(({ target }) => target), [A]);
  assertEquals(cache.get(A), { ...cache.get(A), value: "7", expiresAt: 10_000 });
});

Deno.test("however many wait for a count, Stacosys is asked once", async () => {
  const { asked, miss } = counters();
  const readers = Array.from({ length: 25 }, () => miss(A));
  assertEquals(asked.length, 1);
  asked[0]?.answer(GOOD);
  const [first, ...others] = await Promise.all(readers);
  assertEquals(first?.cacheStatus, "fwd=uri-miss; fwd-status=200; stored");
  for (const other of others) {
    assertEquals(other.entry?.value, "7");
    assertEquals(other.cacheStatus, "fwd=uri-miss; fwd-status=200; stored; collapsed");
  }
});

Deno.test("an expired count is fetched anew", async () => {
  const { clock, read } = counters();
  await read(GOOD);
  clock.now = 10_000;
  assertEquals(await read({ outcome: "ok", body: "8" }), "miss | 8 | fwd=stale; fwd-status=200; stored");
});

Deno.test("a failure leaves the last good count, and says how old it is", async () => {
  const { clock, read } = counters();
  await read(GOOD);
  clock.now = 15_500;
  assertEquals(await read(BAD), "stale | 7 | fwd=stale; fwd-status=500; ttl=-6; detail=stale-if-error");
  clock.now = 20_000;
  const unreachable: Answer = { outcome: "network", reason: "Connection refused" };
  assertEquals(await read(unreachable), "stale | 7 | fwd=stale; ttl=-10; detail=stale-if-error");
});

Deno.test("a failure is an error when there is no count, and when the last good one is too old", async () => {
  const { clock, read } = counters();
  assertEquals(await read(BAD), "error | none | fwd=uri-miss; fwd-status=500");
  clock.now = 1_000;
  await read(GOOD);
  clock.now = 71_000;
  assertEquals(await read(BAD), "error | none | fwd=uri-miss; fwd-status=500");
});

Deno.test("who got a stale count or none is told of when Stacosys is back", async () => {
  const { clock, cache, log, read, miss, asked } = counters();
  await read(BAD);
  cache.set("/known", "7");
  clock.now = 10_000;
  const known = miss("/known");
  asked.at(-1)?.answer(BAD);
  await known;
  await read(GOOD);
  assertEquals(
    log[1],
    "Stacosys is back after 10.0 s; meanwhile 1 requests were answered with a stale count and 1 with none",
  );
});

Deno.test("after a failure Stacosys is left in peace about that count for a second", async () => {
  const { clock, asked, read } = counters();
  await read(BAD);
  clock.now = 999;
  assertEquals(await read(GOOD), "error | none | detail=breathing-space");
  assertEquals(asked.length, 1);
  clock.now = 1_000;
  assertEquals(await read(GOOD), "miss | 7 | fwd=uri-miss; fwd-status=200; stored");

  clock.now = 11_000;
  await read(BAD);
  assertEquals(await read(GOOD), "stale | 7 | hit; ttl=0; detail=stale-if-error");
});

Deno.test("while it may be served stale, an expired count is served at once and refreshed by one request", async () => {
  const { clock, asked, cache, miss, read } = counters({ staleWhileRevalidateMs: 5_000 });
  await read(GOOD);
  clock.now = 12_000;
  for (let reader = 0; reader < 3; reader++) {
    assertEquals((await miss(A)).cacheStatus, "hit; ttl=-2; detail=stale-while-revalidate");
  }
  assertEquals(asked.length, 2);
  asked[1]?.answer({ outcome: "ok", body: "8" });
  await until(() => cache.get(A)?.value === "8", "the new count is kept");
  clock.now = 27_000;
  assertEquals(await read(GOOD), "miss | 7 | fwd=stale; fwd-status=200; stored");
});

Deno.test("where the clock is set back, counts are fetched anew, also those that failed", async () => {
  for (const staleWhileRevalidateMs of [0, 5_000]) {
    const { clock, read } = counters({ staleWhileRevalidateMs });
    clock.now = 3_600_000;
    await read(GOOD);
    clock.now = 0;
    assertEquals(await read(BAD), "stale | 7 | fwd=stale; fwd-status=500; ttl=3610; detail=stale-if-error");
    clock.now = -1;
    assertEquals(await read(GOOD), "miss | 7 | fwd=stale; fwd-status=200; stored");
  }
});

Deno.test("whose count is known does not wait long for a Stacosys that is known to be failing, and not once more", async () => {
  const { clock, asked, miss, read } = counters();
  await read(GOOD);
  clock.now = 10_000;
  await read(BAD);
  clock.now = 12_000;
  const unknown = miss("/unknown");
  const untried = counters();
  untried.cache.set(A, "7");
  untried.clock.now = 10_000;
  const patient = untried.miss(A);
  assertEquals((await miss(A)).cacheStatus, "fwd=stale; ttl=-2; detail=stale-if-error");
  asked[2]?.answer(BAD);
  assertEquals((await unknown).cacheStatus, "fwd=uri-miss; fwd-status=500");
  untried.asked[0]?.answer(GOOD);
  assertEquals((await patient).result, "miss");
  clock.now = 13_000;
  const start = performance.now();
  for (let reader = 0; reader < 100; reader++) assertEquals((await miss(A)).result, "stale");
  assertLess(performance.now() - start, 500);
  assertEquals(asked.length, 4);
  asked[3]?.answer(GOOD);
});

Deno.test("when 5,000 counts are waited for, another one is not, until one has come", async () => {
  const { clock, asked, cache, miss } = counters();
  cache.set("/known", "7");
  clock.now = 10_000;
  const waiting = Array.from({ length: 5_000 }, (_, i) => miss(`${A}${i}`));
  assertEquals((await miss(A)).result, "error");
  assertEquals((await miss("/known")).cacheStatus, "hit; ttl=0; detail=stale-if-error");
  assertEquals(asked.length, 5_000);

  const another = miss(`${A}0`);
  asked[0]?.answer(GOOD);
  assertEquals([(await waiting[0])?.entry?.value, (await another).entry?.value], ["7", "7"]);
  miss(A);
  assertEquals(asked.length, 5_001);
});

Deno.test("a target longer than 8 KiB is rejected, and Stacosys is not asked", async () => {
  const { asked, miss } = counters();
  const longest = A + "x".repeat(8192 - A.length);
  assertEquals(await miss(`${longest}x`), { result: "rejected", cacheStatus: "detail=too-long" });
  assertEquals(asked.length, 0);
  miss(longest);
  assertEquals(asked.length, 1);
});

Deno.test("a purge removes an article in every spelling, or everything", () => {
  const { cache, purge } = counters();
  for (const url of ["/a/", "%2Fa%2F", "%2fa/", "/b/", "/a"]) cache.set(`/comments/count?url=${url}&token=T`, "7");
  assertEquals(purge("/a/"), 3);
  assertEquals(purge("/a/"), 0);
  assertEquals(purge(), 2);
  assertEquals(cache.size, 0);
});

Deno.test("a count that was asked for before a purge reaches those who wait, but is not kept", async () => {
  const { cache, asked, miss, purge } = counters();
  const before = miss(A);
  const other = miss("/comments/count?url=/b/");
  assertEquals(purge("/a/"), 0);
  const after = miss(A);
  assertEquals(asked.length, 3);
  asked[0]?.answer({ outcome: "ok", body: "7" });
  assertEquals((await before).entry, { value: "7", expiresAt: 0 });
  asked[1]?.answer(GOOD);
  await other;
  assertEquals(cache.size, 1);
  assertEquals(cache.get(A), undefined);
  asked[2]?.answer({ outcome: "ok", body: "8" });
  assertEquals((await after).entry?.value, "8");
  assertEquals(cache.get(A)?.value, "8");
});

Deno.test("a failure from before a purge does not keep anybody from the request after it", async () => {
  const { asked, miss, purge } = counters();
  miss(A);
  purge();
  const readers = [miss(A)];
  asked[0]?.answer(BAD);
  await new Promise((resolve) => setTimeout(resolve));
  readers.push(miss(A));
  asked[1]?.answer(GOOD);
  assertEquals((await Promise.all(readers)).map(({ result }) => result), ["miss", "miss"]);
});
