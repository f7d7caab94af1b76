import { assertEquals } from "@std/assert";
import { A, BAD, brief, GOOD, startCounters } from "./counters.ts";
import type { Answer } from "../upstream/stacosys.ts";

Deno.test("a miss is one request to Stacosys, and its answer is kept", async () => {
  const { asked, cache, read } = startCounters();
  assertEquals(await read(GOOD), "miss 7 uri-miss 200");
  assertEquals(asked.map(({ target }) => target), [A]);
  assertEquals([cache.get(A)?.value, cache.get(A)?.expiresAt], ["7", 10_000]);
});

Deno.test("however many wait for a count, Stacosys is asked once", async () => {
  const { asked, counters } = startCounters();
  const readers = Array.from({ length: 25 }, () => counters.miss(A));
  assertEquals(asked.length, 1);
  asked[0]?.answer(GOOD);
  const [first, ...others] = (await Promise.all(readers)).map(brief);
  assertEquals(first, "miss 7 uri-miss 200");
  assertEquals(new Set(others), new Set(["miss 7 uri-miss 200 collapsed"]));
});

Deno.test("an expired count is fetched anew", async () => {
  const { pass, read } = startCounters();
  await read(GOOD);
  pass(10_000);
  assertEquals(await read({ outcome: "ok", body: "8" }), "miss 8 stale 200");
});

Deno.test("a failure leaves the last good count", async () => {
  const { pass, read } = startCounters();
  await read(GOOD);
  pass(15_500);
  assertEquals(await read(BAD), "stale 7 stale 500 stale-if-error");
  pass(5_000);
  const unreachable: Answer = { outcome: "network", reason: "Connection refused" };
  assertEquals(await read(unreachable), "stale 7 stale stale-if-error");
});

Deno.test("a failure is an error when there is no count, and when the last good one is too old", async () => {
  const { pass, read } = startCounters();
  assertEquals(await read(BAD), "error uri-miss 500");
  pass(1_000);
  await read(GOOD);
  pass(70_000);
  assertEquals(await read(BAD), "error uri-miss 500");
});

Deno.test("readers who got a stale count or none are counted until Stacosys answers well", async () => {
  const { cache, outage, pass, read } = startCounters();
  cache.set("/known", "7");
  pass(10_000);
  await read(BAD);
  await read(BAD, "/known");
  await read(BAD, "/known");
  assertEquals(outage.served, { stale: 2, error: 1 });
});

Deno.test("after a failure Stacosys is not asked for that count for a second", async () => {
  const { asked, pass, read } = startCounters();
  await read(BAD);
  pass(999);
  assertEquals(await read(GOOD), "error breathing-space");
  assertEquals(asked.length, 1);
  pass(1);
  assertEquals(await read(GOOD), "miss 7 uri-miss 200");

  pass(10_000);
  await read(BAD);
  assertEquals(await read(GOOD), "stale 7 stale-if-error");
});

Deno.test("a failure is over in a second, also where the clock is set back", async () => {
  const { pass, read, setClock } = startCounters();
  setClock(3_600_000);
  await read(BAD);
  setClock(0);
  pass(1_000);
  assertEquals(await read(GOOD), "miss 7 uri-miss 200");
});

Deno.test("while it may be served stale, an expired count is served at once and refreshed by one request", async () => {
  const { asked, cache, counters, pass, read } = startCounters({ staleWhileRevalidateMs: 5_000 });
  await read(GOOD);
  pass(12_000);
  for (let reader = 0; reader < 3; reader++) {
    assertEquals(brief(await counters.miss(A)), "stale 7 stale-while-revalidate");
  }
  assertEquals(asked.length, 2);
  const waiting = counters.miss("/other");
  asked[1]?.answer({ outcome: "ok", body: "8" });
  asked[2]?.answer(GOOD);
  await waiting;
  assertEquals(cache.get(A)?.value, "8");
  pass(15_000);
  assertEquals(await read(GOOD), "miss 7 stale 200");
});

Deno.test("where the clock is set back, counts are fetched anew, and failures leave the last good one", async () => {
  for (const staleWhileRevalidateMs of [0, 5_000]) {
    const { pass, read, setClock } = startCounters({ staleWhileRevalidateMs });
    setClock(3_600_000);
    await read(GOOD);
    setClock(0);
    assertEquals(await read(BAD), "stale 7 stale 500 stale-if-error");
    pass(1_000);
    assertEquals(await read(GOOD), "miss 7 stale 200");
  }
});

Deno.test("who has a known count waits a second for a slow Stacosys, and the answer that comes later is kept", async () => {
  const { asked, cache, counters, pass, read } = startCounters();
  await read(GOOD);
  pass(10_000);
  const first = counters.miss(A);
  pass(900);
  const second = counters.miss(A);
  pass(100);
  assertEquals(brief(await first), "stale 7 stale slow");
  assertEquals(brief(await second), "stale 7 stale collapsed slow");
  asked[1]?.answer({ outcome: "ok", body: "8" });
  await new Promise((resolve) => setTimeout(resolve));
  assertEquals(cache.get(A)?.value, "8");
});

Deno.test("who comes when the request is a second old gets the known count at once, without a timer of his own", () => {
  const { asked, cache, counters, pass, sleepers } = startCounters();
  cache.set(A, "7");
  pass(10_000);
  counters.miss(A);
  counters.miss(A);
  assertEquals(sleepers.size, 1);
  pass(1_000);
  for (let reader = 0; reader < 100; reader++) {
    const lookup = counters.miss(A);
    assertEquals(lookup instanceof Promise ? "waits" : brief(lookup), "stale 7 slow");
  }
  assertEquals([sleepers.size, asked.length], [1, 1]);
});

Deno.test("the second is counted from the start of the request, whoever it was sent for", async () => {
  const { counters, pass, read } = startCounters({ staleWhileRevalidateMs: 500 });
  await read(GOOD);
  pass(10_400);
  assertEquals(brief(await counters.miss(A)), "stale 7 stale-while-revalidate");
  pass(900);
  const reader = counters.miss(A);
  pass(100);
  assertEquals(brief(await reader), "stale 7 stale collapsed slow");
});

Deno.test("within StaleWhileRevalidateSeconds an expired count is served at once, also while Stacosys is down", async () => {
  const { asked, counters, pass, read } = startCounters({ staleIfErrorMs: 0, staleWhileRevalidateMs: 5_000 });
  await read(GOOD);
  pass(10_000);
  for (let reader = 0; reader < 10; reader++) {
    const lookup = counters.miss(A);
    assertEquals(lookup instanceof Promise ? "waits" : brief(lookup), "stale 7 stale-while-revalidate");
    asked.at(-1)?.answer(BAD);
    await new Promise((resolve) => setTimeout(resolve));
    pass(500);
  }
  assertEquals(asked.length, 6);
  assertEquals(await read(BAD), "error uri-miss 500");
});

for (const [known, name] of [[false, "a count never seen"], [true, "a known count"]] as const) {
  Deno.test(`who waits for a hung request for ${name} gets what came after a purge, as soon as it is there`, async () => {
    const { asked, cache, counters, pass } = startCounters();
    if (known) cache.set(A, "7");
    pass(10_000);
    const first = counters.miss(A);
    await counters.purge();
    const second = counters.miss(A);
    await counters.purge("/a/");
    const third = counters.miss(A);
    assertEquals(asked.length, 3);
    asked[2]?.answer({ outcome: "ok", body: "8" });
    const counts = (await Promise.all([first, second, third])).map(({ entry }) => entry?.value);
    assertEquals(counts, ["8", "8", "8"]);
    // What comes after all from before the purge is old.
    asked[0]?.answer(GOOD);
    asked[1]?.answer(GOOD);
    await new Promise((resolve) => setTimeout(resolve));
    assertEquals(cache.get(A)?.value, "8");
  });
}

Deno.test("a failure after a purge leaves who came before it waiting, until a later request is answered", async () => {
  const { asked, counters, pass, read } = startCounters();
  const first = counters.miss(A);
  await counters.purge();
  assertEquals(await read(BAD), "error uri-miss 500");
  pass(1_000);
  assertEquals(await read(GOOD), "miss 7 uri-miss 200");
  assertEquals(brief(await first), "miss 7 uri-miss 200");
  assertEquals(asked.length, 3);
});

Deno.test("who asks for a count never seen waits as long as Stacosys may take", async () => {
  const { asked, counters, pass } = startCounters();
  const reader = counters.miss(A);
  pass(9_000);
  asked[0]?.answer(GOOD);
  assertEquals(brief(await reader), "miss 7 uri-miss 200");
  assertEquals(asked.length, 1);
});

Deno.test("when 4,000 counts never seen are waited for, another one is not, until one has come", async () => {
  const { asked, counters } = startCounters();
  const waiting = Array.from({ length: 4_000 }, (_, i) => counters.miss(`${A}${i}`));
  assertEquals((await counters.miss(A)).result, "error");
  assertEquals(asked.length, 4_000);

  const another = counters.miss(`${A}0`);
  asked[0]?.answer(GOOD);
  assertEquals([(await waiting[0])?.entry?.value, (await another).entry?.value], ["7", "7"]);
  counters.miss(A);
  assertEquals(asked.length, 4_001);
});

Deno.test("a flood of counts never seen leaves 1,000 requests for known ones", async () => {
  const { asked, cache, counters, pass } = startCounters({ maxEntries: 2_000 });
  for (let i = 0; i < 1_001; i++) cache.set(`/known/${i}`, "7");
  pass(10_000);
  for (let i = 0; i < 5_000; i++) counters.miss(`${A}${i}`);
  for (let i = 0; i < 1_000; i++) counters.miss(`/known/${i}`);
  assertEquals(asked.length, 5_000);
  assertEquals(brief(await counters.miss("/known/1000")), "stale 7 stale-if-error");
});

Deno.test("what a purge has forgotten counts as open, and as old as it is, until it ends", async () => {
  const { asked, counters, pass } = startCounters();
  for (let purges = 0; purges < 4; purges++) {
    for (let i = 0; i < 1_500; i++) counters.miss(`${A}${i}`);
    pass(1_000);
    await counters.purge(purges === 0 ? "/a/" : undefined);
  }
  assertEquals([asked.length, counters.oldestRequestMs], [4_000, 4_000]);
  for (const { answer } of asked) answer(BAD);
  await new Promise((resolve) => setTimeout(resolve));
  assertEquals(counters.oldestRequestMs, 0);
});

Deno.test("who asks for a known count is before those who ask for one never seen", () => {
  const { asked, cache, counters, pass } = startCounters();
  cache.set("/known", "7");
  pass(10_000);
  counters.miss(A);
  counters.miss("/known");
  assertEquals(asked.map(({ target, urgent }) => [target, urgent]), [[A, false], ["/known", true]]);
});

Deno.test("a target longer than 8 KiB is rejected, and Stacosys is not asked", async () => {
  const { asked, counters } = startCounters();
  const longest = A + "x".repeat(8192 - A.length);
  assertEquals(await counters.miss(`${longest}x`), { result: "rejected" });
  assertEquals(asked.length, 0);
  counters.miss(longest);
  assertEquals(asked.length, 1);
  // Each character takes two bytes where one of them needs them.
  const long = "\u044f".padEnd(4096, "x");
  assertEquals(await counters.miss(`${long}x`), { result: "rejected" });
  counters.miss(long);
  counters.miss(longest.replace("x", "\u00e9"));
  assertEquals(asked.length, 3);
});

Deno.test("a count of before that comes while a purge still looks for its article is purged, too", async () => {
  const { asked, cache, counters } = startCounters();
  for (let i = 0; i < 10; i++) counters.miss(`?${i}&`.padEnd(8_192, "a&"));
  counters.miss(A);
  cache.set("?url=/b/", "7");
  const purged = counters.purge("/a/");
  asked.at(-1)?.answer(GOOD);
  assertEquals([await purged, cache.get(A), cache.getStale(A)?.value], [1, undefined, "7"]);
  assertEquals(cache.get("?url=/b/")?.value, "7");
});

Deno.test("a purge expires an article in every spelling and the total of the site, or everything", async () => {
  const { cache, counters } = startCounters();
  const targets = ["?url=/a/&token=T", "?token=T&url=%2Fa%2F", "?url=%2fa/", "?token=T", "?url=/b/", "?url=/a"];
  const fresh = () => targets.filter((target) => cache.get(target) !== undefined);
  for (const target of targets) cache.set(target, "7");
  assertEquals(await counters.purge("/a/"), 4);
  assertEquals(fresh(), ["?url=/b/", "?url=/a"]);
  assertEquals(await counters.purge(), 6);
  assertEquals(fresh(), []);
});

Deno.test("after a purge the next reader waits for the new count, and gets the old one only if Stacosys fails", async () => {
  for (const url of ["/a/", undefined]) {
    const { cache, counters, pass, read } = startCounters({ staleWhileRevalidateMs: 60_000 });
    await read(GOOD);
    await counters.purge(url);
    assertEquals(cache.getStale(A)?.expiresAt, 0);
    assertEquals(await read(BAD), "stale 7 stale 500 stale-if-error");
    pass(1_000);
    assertEquals(await read({ outcome: "ok", body: "8" }), "miss 8 stale 200");
  }
});

Deno.test("what is purged when it has expired already is not served while it is fetched, either", async () => {
  for (const url of ["/a/", undefined]) {
    const { counters, pass, read } = startCounters({ staleWhileRevalidateMs: 60_000 });
    await read(GOOD);
    pass(11_000);
    await counters.purge(url);
    assertEquals(await read({ outcome: "ok", body: "8" }), "miss 8 stale 200");
  }
});

Deno.test("a count that was asked for before a purge reaches those who wait, and is kept as a stale one", async () => {
  const { asked, cache, counters, read } = startCounters();
  const before = counters.miss(A);
  await counters.purge("/a/");
  asked[0]?.answer(GOOD);
  assertEquals([brief(await before), (await before).entry?.purged], ["miss 7 uri-miss 200", true]);
  assertEquals([cache.get(A), cache.getStale(A)?.value], [undefined, "7"]);
  assertEquals(await read(BAD), "stale 7 stale 500 stale-if-error");
});

Deno.test("who waits for a count never seen gets the one from before a purge within a second, if his own is slow", async () => {
  const { asked, counters, pass } = startCounters();
  counters.miss(A);
  await counters.purge();
  const after = counters.miss(A);
  pass(3_500);
  asked[0]?.answer(GOOD);
  await new Promise((resolve) => setTimeout(resolve));
  pass(500);
  assertEquals(brief(await after), "stale 7 uri-miss slow");
});

Deno.test("who came after a purge, and gets no answer, gets the count that was asked for before it", async () => {
  const { asked, counters } = startCounters();
  const before = counters.miss(A);
  await counters.purge();
  const after = counters.miss(A);
  asked[0]?.answer(GOOD);
  assertEquals(brief(await before), "miss 7 uri-miss 200");
  asked[1]?.answer(BAD);
  assertEquals(brief(await after), "stale 7 uri-miss 500 stale-if-error");
});

Deno.test("a failure from before a purge does not keep anybody from the request after it", async () => {
  const { asked, counters } = startCounters();
  const before = counters.miss(A);
  await counters.purge();
  asked[0]?.answer(BAD);
  await before;
  const reader = counters.miss(A);
  asked[1]?.answer(GOOD);
  assertEquals((await reader).result, "miss");
});

Deno.test("the oldest request to Stacosys has an age as long as it is not answered", async () => {
  const { asked, counters, pass } = startCounters();
  assertEquals(counters.oldestRequestMs, 0);
  const first = counters.miss(A);
  pass(3_000);
  counters.miss("/b");
  assertEquals(counters.oldestRequestMs, 3_000);
  asked[0]?.answer(GOOD);
  await first;
  assertEquals(counters.oldestRequestMs, 0);
});
