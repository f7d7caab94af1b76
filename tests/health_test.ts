import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import project from "../deno.json" with { type: "json" };
import type { Answer } from "../upstream/stacosys.ts";
import { BAD, GOOD, startService } from "./service.ts";

/** What health tells as long as nobody asked for anything. */
const COLD = {
  status: "ok",
  version: project.version,
  host: Deno.hostname(),
  pid: Deno.pid,
  uptimeSeconds: 0,
  stacosys: "unknown",
  sinceSeconds: 0,
  testedSeconds: null,
  lastGoodSeconds: null,
  lastError: null,
  lastErrorUrl: null,
  lastErrorSeconds: null,
  cause: null,
  failingUrls: 0,
  oldestRequestSeconds: 0,
  waiting: 0,
  servedStale: 0,
  servedNone: 0,
  lastServedSeconds: null,
  entries: 0,
  maxEntries: 100,
  evictions: 0,
  allZero: false,
  certificate: null,
  certificateEndsSeconds: null,
  watch: null,
  snapshot: null,
};

Deno.test("health is JSON that nobody keeps", async () => {
  const { own } = await startService();
  const { status, headers } = await own("GET", "/healthz");
  const type = headers.get("content-type");
  assertEquals([status, type, headers.get("cache-control")], [200, "application/json", "no-store"]);
});

Deno.test("as long as nobody asked for a count, Stacosys is unknown", async () => {
  const { health, clock } = await startService();
  assertEquals(await health(), COLD);
  clock.now += 1_999;
  assertEquals(await health(), { ...COLD, uptimeSeconds: 1, sinceSeconds: 1 });
});

Deno.test("the watched file is told of, with its last change, or why it cannot be seen", async () => {
  const watch = { file: "/db.sqlite", changes: 0, changedAt: undefined, fault: undefined };
  const quiet = { file: "/db.sqlite", changes: 0, changedSeconds: null, fault: null };
  const { health, own, samples } = await startService({ watch });
  assertEquals((await health()).watch, quiet);
  assertStringIncludes((await own("GET", "/")).text, "/db.sqlite last changed before the start");
  assertEquals((await samples()).get("httpfastcache_watch_changes_total"), 0);
  Object.assign(watch, { changes: 3, changedAt: Date.UTC(2026, 0, 1) - 61_000 });
  assertEquals((await health()).watch, { ...quiet, changes: 3, changedSeconds: 61 });
  assertEquals((await samples()).get("httpfastcache_watch_changes_total"), 3);
  Object.assign(watch, { fault: "/db.sqlite is not there" });
  assertStringIncludes((await own("GET", "/")).text, "does not see its watched file");
});

Deno.test("the snapshot is told of, and why counts are not being saved as long as that is so", async () => {
  const snapshot = { file: "/snapshot", fault: undefined, save: () => Promise.resolve(undefined) };
  const { health, own } = await startService({ snapshot });
  assertEquals((await health()).snapshot, { file: "/snapshot", fault: null });
  assert(!(await own("GET", "/")).text.includes("does not save its counts"));
  const fault = "No space left on device (os error 28)";
  Object.assign(snapshot, { fault });
  assertEquals((await health()).snapshot, { file: "/snapshot", fault });
  assertStringIncludes((await own("GET", "/")).text, "▲ does not save its counts");
  assertStringIncludes((await own("GET", "/")).text, `cannot save /snapshot: ${fault}`);
});

Deno.test("up says since when, and when that was last tested", async () => {
  const { health, count, clock } = await startService();
  await count("/a/");
  clock.now += 90_000;
  await count("/b/");
  clock.now += 3_600_000;
  assertEquals(await health(), {
    ...COLD,
    uptimeSeconds: 3_690,
    stacosys: "up",
    sinceSeconds: 3_690,
    testedSeconds: 3_600,
    lastGoodSeconds: 3_600,
    entries: 2,
  });
});

Deno.test("down says since when, the last good answer, for which url it fails and why, and what readers got", async () => {
  const { health, count, clock, stacosys, readers } = await startService();
  await count("/a/");
  clock.now += 60_000;
  stacosys.answer = BAD;
  await count("/b/");
  clock.now += 2_000;
  await count("/a/");
  clock.now += 5_000;
  readers.waiting = 3;
  const down = {
    ...COLD,
    uptimeSeconds: 67,
    stacosys: "down",
    sinceSeconds: 7,
    testedSeconds: 5,
    lastGoodSeconds: 67,
    lastError: "status 500",
    lastErrorUrl: "/comments/count?token=T&url=/a/",
    lastErrorSeconds: 5,
    cause: { outcome: "status", status: 500, reason: "status 500" },
    failingUrls: 2,
    waiting: 3,
    servedStale: 1,
    servedNone: 1,
    lastServedSeconds: 5,
    entries: 1,
  };
  assertEquals(await health(), down);

  stacosys.answer = GOOD;
  await count("/c/");
  const back = { stacosys: "up", sinceSeconds: 0, testedSeconds: 0, lastGoodSeconds: 0, servedStale: 0, servedNone: 0 };
  assertEquals(await health(), { ...down, ...back, cause: null, failingUrls: 0, entries: 2 });
});

Deno.test("a hang shows while it lasts, once a request has waited for a second", async () => {
  const { health, count, clock, stacosys } = await startService();
  await count("/a/");
  const { promise, resolve } = Promise.withResolvers<Answer>();
  stacosys.answer = promise;
  const reader = count("/b/");
  clock.now += 999;
  assertEquals((await health()).stacosys, "up");
  clock.now += 4_001;
  const { stacosys: state, sinceSeconds, oldestRequestSeconds, lastGoodSeconds } = await health();
  assertEquals([state, sinceSeconds, oldestRequestSeconds, lastGoodSeconds], ["slow", 5, 5, 5]);

  resolve(GOOD);
  await reader;
  assertEquals([(await health()).stacosys, (await health()).oldestRequestSeconds], ["up", 0]);
});

Deno.test("a bad answer that is no outage is an error until the next good one", async () => {
  const { health, count, clock, stacosys } = await startService();
  await count("/a/");
  clock.now += 1_000;
  stacosys.answer = { outcome: "status", reason: "status 404", status: 404 };
  await count("/gone/");
  clock.now += 30_000;
  const { stacosys: state, sinceSeconds, testedSeconds, lastErrorUrl } = await health();
  assertEquals([state, sinceSeconds, testedSeconds, lastErrorUrl], [
    "error",
    30,
    30,
    "/comments/count?token=T&url=/gone/",
  ]);

  stacosys.answer = GOOD;
  await count("/b/");
  assertEquals((await health()).stacosys, "up");
});

Deno.test("counts that are served while they are fetched anew are not served in need", async () => {
  const { health, count, clock } = await startService({ staleWhileRevalidateMs: 60_000 });
  await count("/a/");
  clock.now += 70_000;
  await count("/a/");
  assertEquals([(await health()).servedStale, (await health()).stacosys], [0, "up"]);
});

Deno.test("entries are told beside how many there may be, and how many had to go", async () => {
  const { health, count } = await startService({ maxEntries: 3 });
  for (let i = 0; i < 5; i++) await count(`/${i}/`);
  const { entries, maxEntries, evictions } = await health();
  assertEquals([entries, maxEntries, evictions], [3, 3, 2]);
});

Deno.test("/healthz is 200 whatever Stacosys does, and ?stacosys is 503 while it is down or has never given a count", async () => {
  const { own, count, clock, stacosys } = await startService();
  const statuses = async () => [(await own("GET", "/healthz")).status, (await own("GET", "/healthz?stacosys")).status];
  assertEquals(await statuses(), [200, 200], "not asked yet");
  stacosys.answer = { outcome: "status", reason: "status 404", status: 404 };
  await count("/a/");
  assertEquals(await statuses(), [200, 503], "never good");
  stacosys.answer = GOOD;
  await count("/b/");
  assertEquals(await statuses(), [200, 200], "good");
  stacosys.answer = BAD;
  await count("/c/");
  assertEquals(await statuses(), [200, 200], "one bad answer");
  clock.now += 2_000;
  await count("/d/");
  assertEquals(await statuses(), [200, 503], "down");
  const { status, text } = await own("GET", "/healthz?stacosys");
  assertEquals([status, JSON.parse(text).stacosys], [503, "down"]);
  stacosys.answer = new Promise(() => {});
  count("/e/");
  clock.now += 5_000;
  assertEquals(await statuses(), [200, 503], "still down");
});

Deno.test("a slow Stacosys is no alarm", async () => {
  const { own, count, clock, stacosys, health } = await startService();
  await count("/a/");
  stacosys.answer = new Promise(() => {});
  count("/b/");
  clock.now += 5_000;
  assertEquals([(await health()).stacosys, (await own("GET", "/healthz?stacosys")).status], ["slow", 200]);
});

Deno.test("health tells how long the certificate lasts yet, that it is due in the last third of its life, and that it has ended", async () => {
  const beginsAt = Date.UTC(2026, 0, 1);
  const { health, clock } = await startService({ certificate: { life: { beginsAt, endsAt: beginsAt + 90_000_000 } } });
  const told = async () => {
    const { certificate, certificateEndsSeconds } = await health();
    return [certificate, certificateEndsSeconds];
  };
  assertEquals(await told(), ["good", 90_000]);
  clock.now += 59_999_000;
  assertEquals(await told(), ["good", 30_001]);
  clock.now += 1_000;
  assertEquals(await told(), ["due", 30_000]);
  clock.now += 30_000_000;
  assertEquals(await told(), ["ended", 0]);
  clock.now += 5_000;
  assertEquals(await told(), ["ended", -5]);
});

Deno.test("health tells whether each count that is kept is 0", async () => {
  const { health, count, stacosys } = await startService();
  assertEquals((await health()).allZero, false, "no count is not a count of 0");
  stacosys.answer = { outcome: "ok", body: '{"count": 0}' };
  for (const article of ["/a/", "/b/"]) await count(article);
  assertEquals((await health()).allZero, true);
  stacosys.answer = { outcome: "ok", body: '{"count":10}\n' };
  await count("/c/");
  assertEquals((await health()).allZero, false);
});
