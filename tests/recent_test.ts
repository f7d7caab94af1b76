import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import type { Span } from "../admin/recent.ts";
import { BAD, startService } from "./service.ts";

function hitsAMinute({ counted, ms }: Span): number {
  return counted.hit / ms * 60_000;
}

Deno.test("the last five minutes and the last day are what was counted in them", async () => {
  const { recent, metrics, pass } = await startService();
  metrics.results.hit += 1_000;
  pass(86_400);
  metrics.results.hit += 100;
  pass(300);
  metrics.results.hit += 10;
  pass(120);
  metrics.results.hit += 1;
  assertEquals(recent.fiveMinutes().whole.counted.hit, 11);
  assertEquals(recent.day().whole.counted.hit, 111);
  assertEquals(recent.sinceStart().hit, 1_111);
});

Deno.test("soon after the start they are all that there was so far", async () => {
  const { recent, count, pass } = await startService();
  await count("/a/");
  pass(25);
  for (const { whole } of [recent.fiveMinutes(), recent.day()]) {
    assertEquals([whole.ms, whole.counted.miss], [25_000, 1]);
  }
});

Deno.test("a request every seven seconds is a steady rate", async () => {
  const { recent, metrics, pass } = await startService();
  for (let i = 0; i < 60; i++) {
    pass(7);
    metrics.results.hit++;
  }
  const rates = recent.fiveMinutes().steps.map(hitsAMinute);
  assert(rates.length > 25);
  for (const rate of rates) assert(rate > 7 && rate < 10, `${rate} a minute`);
});

Deno.test("steps end where they were counted, so that a curve shows when something began", async () => {
  const { recent, count, pass, stacosys } = await startService();
  pass(3_600);
  stacosys.answer = BAD;
  await count("/a/");
  pass(200);
  const bad = recent.fiveMinutes().steps.filter(({ counted }) => counted.error > 0);
  assertEquals([bad.at(0)?.endedMs, bad.at(-1)?.endedMs], [190_000, 140_000]);
  pass(7_000);
  const then = recent.day().steps.filter(({ counted }) => counted.error > 0);
  assertEquals(then.map(({ ms }) => ms), [300_000]);
});

Deno.test("what is remembered has an end, and the steps of a day add up to it", async () => {
  const { recent, metrics, pass } = await startService();
  for (let minute = 0; minute < 3 * 24 * 60; minute++) {
    metrics.results.hit++;
    pass(60);
  }
  assertLessOrEqual(recent.fiveMinutes().steps.length, 30);
  const { whole, steps } = recent.day();
  assertEquals(steps.length, 288);
  assertEquals(steps.reduce((sum, { counted }) => sum + counted.hit, 0), whole.counted.hit);
});

Deno.test("a timer that comes late or early leaves no gap, and counts nothing twice", async () => {
  const { recent, metrics, clock } = await startService();
  for (let i = 0; i < 8_640; i++) {
    metrics.results.hit++;
    clock.now += i % 2 === 0 ? 9_990 : 10_020;
    recent.sample();
  }
  const { whole, steps } = recent.day();
  const all = steps.reduce((sum, { counted }) => sum + counted.hit, 0);
  assert(Math.abs(all - whole.counted.hit) <= 30, `${all} in steps, ${whole.counted.hit} in all`);
});
