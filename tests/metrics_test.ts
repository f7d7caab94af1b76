import { assert, assertEquals } from "@std/assert";
import project from "../deno.json" with { type: "json" };
import { BAD, GOOD, sample, startService } from "./service.ts";

Deno.test("each count is counted once, by how it ended", async () => {
  const { count, read, clock, stacosys, samples } = await startService();
  async function gained(act: () => Promise<unknown>): Promise<Record<string, number>> {
    const before = await samples();
    await act();
    const after = await samples();
    const results = ["hit", "miss", "stale", "error", "rejected"].map((result): [string, number] => {
      const name = `httpfastcache_counts_total{result="${result}"}`;
      return [result, sample(after, name) - sample(before, name)];
    });
    return Object.fromEntries(results.filter(([, gain]) => gain !== 0));
  }
  assertEquals(await gained(() => count("/a/")), { miss: 1 });
  assertEquals(await gained(() => Promise.all([count("/a/"), count("/a/"), count("/a/")])), { hit: 3 });
  assertEquals(await gained(() => read("/comments/counts?token=T&url=/a/")), { hit: 1 });
  assertEquals(await gained(() => read("/comments/counts?token=T&url=/a/&url=/b/")), { hit: 1, miss: 1 });
  assertEquals(await gained(() => read("/comments/counts.js")), {});
  assertEquals(await gained(() => read("/nothing/here")), { rejected: 1 });
  assertEquals(await gained(() => count("x".repeat(8_192))), { rejected: 1 });
  assertEquals(await gained(() => read("/comments/counts")), { rejected: 1 });
  stacosys.answer = BAD;
  clock.now += 60_000;
  assertEquals(await gained(() => count("/a/")), { stale: 1 });
  assertEquals(await gained(() => count("/c/")), { error: 1 });
});

Deno.test("each answer of Stacosys is counted once, by how it ended", async () => {
  const { count, stacosys, samples } = await startService();
  const outcomes = ["ok", "status", "body", "redirect", "timeout", "network"] as const;
  for (const [i, outcome] of outcomes.entries()) {
    stacosys.answer = outcome === "ok" ? GOOD : { outcome, reason: "a test says so" };
    for (let n = 0; n <= i; n++) await count(`/${outcome}/${n}/`);
  }
  const found = await samples();
  const counted = (name: string) => outcomes.map((outcome) => found.get(`${name}{outcome="${outcome}"}`));
  assertEquals(counted("httpfastcache_stacosys_requests_total"), [1, 2, 3, 4, 5, 6]);
  assertEquals(counted("httpfastcache_stacosys_response_seconds_count"), [1, 2, 3, 4, 5, 6]);
});

Deno.test("a hit asks Stacosys for nothing, and is not in its figures", async () => {
  const { count, samples } = await startService();
  for (let i = 0; i < 5; i++) await count("/a/");
  const found = await samples();
  assertEquals(found.get('httpfastcache_stacosys_requests_total{outcome="ok"}'), 1);
  assertEquals(found.get('httpfastcache_stacosys_response_seconds_count{outcome="ok"}'), 1);
});

Deno.test("the histogram tells how many answers took at most so long, and refused connections do not make it fast", async () => {
  const { count, stacosys, samples } = await startService();
  for (const [i, seconds] of [0.0005, 0.005, 0.0051, 0.5, 60].entries()) {
    stacosys.seconds = seconds;
    await count(`/${i}/`);
  }
  stacosys.answer = { outcome: "network", reason: "connection refused" };
  stacosys.seconds = 0.0001;
  for (let i = 0; i < 100; i++) await count(`/refused/${i}/`);
  const found = await samples();
  const name = "httpfastcache_stacosys_response_seconds";
  const bucket = (le: string) => found.get(`${name}_bucket{outcome="ok",le="${le}"}`);
  assertEquals(["0.001", "0.0025", "0.005", "0.01", "0.25", "0.5", "10", "+Inf"].map(bucket), [1, 1, 2, 3, 3, 4, 4, 5]);
  assertEquals(found.get(`${name}_count{outcome="ok"}`), 5);
  assert(Math.abs(sample(found, `${name}_sum{outcome="ok"}`) - 60.5106) < 1e-9);
  assertEquals(found.get(`${name}_bucket{outcome="network",le="0.001"}`), 100);
});

Deno.test("entries and evictions are told beside the limit", async () => {
  const { count, samples } = await startService({ maxEntries: 3 });
  for (let i = 0; i < 5; i++) await count(`/${i}/`);
  const found = await samples();
  const told = ["entries", "entries_limit", "evictions_total"].map((name) => found.get(`httpfastcache_${name}`));
  assertEquals(told, [3, 3, 2]);
});

Deno.test("Stacosys is up until an outage, and not a number before it was asked", async () => {
  const { count, clock, stacosys, samples } = await startService();
  const up = async () => (await samples()).get("httpfastcache_stacosys_up");
  assertEquals(await up(), NaN);
  await count("/a/");
  assertEquals(await up(), 1);
  stacosys.answer = BAD;
  await count("/b/");
  assertEquals(await up(), 1);
  clock.now += 2_000;
  await count("/b/");
  // So far that may be this article's fault.
  assertEquals(await up(), 1);
  await count("/d/");
  assertEquals(await up(), 0);
  stacosys.answer = GOOD;
  await count("/c/");
  assertEquals(await up(), 1);
});

Deno.test("a Stacosys that is slow, as long as it is not known to fail, is up", async () => {
  const { count, clock, stacosys, samples, health } = await startService();
  await count("/a/");
  stacosys.answer = new Promise(() => {});
  count("/b/");
  clock.now += 3_500;
  assertEquals((await health())["stacosys"], "slow");
  assertEquals((await samples()).get("httpfastcache_stacosys_up"), 1);
});

Deno.test("readers who wait, and how long the oldest request has, are told while it lasts", async () => {
  const { count, clock, stacosys, readers, samples } = await startService();
  stacosys.answer = new Promise(() => {});
  count("/a/");
  readers.waiting = 1;
  clock.now += 3_500;
  const found = await samples();
  assertEquals(found.get("httpfastcache_waiting_requests"), 1);
  assertEquals(found.get("httpfastcache_stacosys_oldest_request_seconds"), 3.5);
});

Deno.test("the version is told as Prometheus has it", async () => {
  const { samples } = await startService();
  assertEquals((await samples()).get(`httpfastcache_build_info{version="${project.version}"}`), 1);
});

Deno.test("when the certificate ends is told as a time, and not at all without one", async () => {
  const name = "httpfastcache_certificate_end_time_seconds";
  const endsAt = Date.UTC(2026, 2, 1);
  const { samples, clock } = await startService({ certificate: { life: { beginsAt: Date.UTC(2026, 0, 1), endsAt } } });
  assertEquals((await samples()).get(name), endsAt / 1000);
  clock.now += 86_400_500;
  assertEquals((await samples()).get(name), endsAt / 1000);
  assertEquals((await (await startService()).samples()).get(name), undefined);
});
