import { assertEquals } from "@std/assert";
import { lookUp, type Page, parseBatch } from "../blog/batch.ts";
import { startCounters } from "./counters.ts";

const URLS = Array.from({ length: 10 }, (_, i) => `/${i}/`);
const BATCH = parseBatch(`/comments/counts?${URLS.map((url) => `url=${url}`).join("&")}`);
const NEVER_SEEN = BATCH.targets[9] ?? "";

/** Counters that know all counts of the batch but the last. */
function knowNine(options: Parameters<typeof startCounters>[0] = {}) {
  const started = startCounters(options);
  for (const target of BATCH.targets.slice(0, 9)) started.cache.set(target, '{"count":7}');
  return started;
}

/** How many counts of a page have which value; or that the reader waits. */
async function soon(page: Page | Promise<Page>): Promise<string> {
  const waits = new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined)));
  const there = await Promise.race([page, waits]);
  if (there === undefined) return "waits";
  const { counts } = JSON.parse(there.entry?.value ?? '{"counts":{}}');
  const tally = Object.entries(there.tally).filter(([, n]) => n > 0).map(([result, n]) => `${n} ${result}`);
  return `${Object.values(counts).filter((count) => count !== null).length} counts: ${tally.join(", ")}`;
}

Deno.test("whoever has known counts waits a second for the others, which are null then, and kept when they come", async () => {
  const { asked, cache, counters, pass } = knowNine();
  const page = lookUp(BATCH, counters);
  pass(999);
  assertEquals(await soon(page), "waits");
  pass(1);
  assertEquals(await soon(page), "9 counts: 9 hit, 1 error");
  assertEquals(await soon(lookUp(BATCH, counters)), "9 counts: 9 hit, 1 error");
  asked[0]?.answer({ outcome: "ok", body: '{"count":8}' });
  await new Promise((resolve) => setTimeout(resolve));
  assertEquals(cache.get(NEVER_SEEN)?.value, '{"count":8}');
  assertEquals(await soon(lookUp(BATCH, counters)), "10 counts: 10 hit");
  assertEquals(asked.length, 1);
});

Deno.test("a stale count is a known one, for as long as it may be served", async () => {
  for (
    const [seconds, options, known] of [
      [15, {}, true],
      [15, { staleIfErrorMs: 0, staleWhileRevalidateMs: 60_000 }, true],
      [80, {}, false],
    ] as const
  ) {
    const { counters, pass } = knowNine(options);
    pass(seconds * 1_000);
    const page = lookUp(BATCH, counters);
    pass(1_000);
    assertEquals(await soon(page), known ? "9 counts: 9 stale, 1 error" : "waits");
  }
});

Deno.test("where no count of a page is known all are waited for, as for one alone", async () => {
  const { asked, counters, pass } = startCounters();
  const page = lookUp(BATCH, counters);
  pass(9_000);
  assertEquals(await soon(page), "waits");
  for (const { answer } of asked) answer({ outcome: "ok", body: '{"count":8}' });
  assertEquals(await soon(page), "10 counts: 10 miss");
});

Deno.test("of a page that asks for too many counts, no more than 101 are read", () => {
  const urls = Array.from({ length: 1_000 }, (_, i) => `url=/${i}/`).join("&");
  const { urls: read, targets } = parseBatch(`/comments/counts?${urls}`);
  assertEquals([read.length, targets.length], [101, 100]);
});
