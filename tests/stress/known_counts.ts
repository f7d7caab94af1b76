/**
 * Readers of counts that are known but expired, while Stacosys is busy with others, hangs or is away.
 *
 * @module
 */

import { connectMany, request } from "../system/connections.ts";
import { memoryOf } from "../system/memory.ts";
import type { Program } from "../system/program.ts";
import { count, hang, slowly } from "../stand_in.ts";
import { type Figure, HOME, pause, setStage, slowestAnswerDuring } from "./measure.ts";

/** A count, fresh or stale. */
const KNOWN = /^200 \{"count":7\}/;

/** With a patience for each reader they waited 6 s here. */
export async function knownInAFlood(): Promise<Figure[]> {
  await using stage = await setStage({ TtlSeconds: 0.5 });
  const { program, stacosys } = stage;
  stacosys.answer(slowly(90, 7));
  await using crowd = await connectMany(program, 3_000);
  let round = 0;
  const slowest = await slowestAnswerDuring(program, async () => {
    for (; round < 10; round++) {
      await crowd.send((member) => request(`/comments/count?url=/made-up/${round}/${member}/`));
      await pause(1_000);
    }
  }, KNOWN);
  return [{ what: "a flood of 3,000 readers of made-up URLs, Stacosys takes 90 ms", seen: round, unit: "s" }, {
    what: "  slowest answer to a reader of a known count",
    seen: slowest,
    unit: "ms",
    atMost: 2_000,
  }];
}

/** First come, first served it was up to 7.9 s old here. */
export async function knownBesideMadeUp(): Promise<Figure[]> {
  await using stage = await setStage({ TtlSeconds: 2 });
  const { program, stacosys } = stage;
  // A Stacosys that gives 94 answers a second; the count tells when it was given.
  let turn = Promise.resolve();
  stacosys.answer((exchange) => {
    turn = turn.then(() => pause(1_000 / 94));
    return turn.then(() => count(Math.round(performance.now()))(exchange));
  });
  let oldest = 0;
  for (let tenth = 0; tenth < 120; tenth++) {
    const urls = Array.from({ length: 100 }, (_, i) => `url=/made-up/${tenth}/${i}/`).join("&");
    // Six pages a second.
    if (tenth % 5 < 3) fetch(`${program.url}/comments/counts?${urls}`).then(({ body }) => body?.cancel(), () => {});
    const { count: givenAt } = await (await fetch(program.url + HOME)).json();
    // The first answers are from before the flood.
    if (tenth >= 20) oldest = Math.max(oldest, performance.now() - givenAt);
    await pause(100);
  }
  return [{ what: "600 made-up counts a second: age of a known one", seen: oldest, unit: "ms", atMost: 4_000 }];
}

/** With a patience that began when the hang was known they waited 10 s here. */
export async function knownInAHang(): Promise<Figure[]> {
  await using stage = await setStage({ TtlSeconds: 0.5 });
  const { program, stacosys } = stage;
  const slowest = await slowestAnswerDuring(program, async () => {
    await pause(1_000);
    stacosys.answer(hang);
    await pause(13_000);
  }, KNOWN);
  return [{ what: "a hang: slowest answer to a reader of a known count", seen: slowest, unit: "ms", atMost: 2_000 }];
}

/** The last known count is to cost less than twice a hit. */
export async function knownInAnOutage(): Promise<Figure[]> {
  await using stage = await setStage({ TtlSeconds: 4 });
  const { program, stacosys } = stage;
  const hits = await answersIn(program, 3_000);
  await stacosys.stop();
  await pause(2_000);
  await answersIn(program, 1_000);
  const before = (await memoryOf(program.process)).now;
  const stale = await answersIn(program, 8_000);
  const { now } = await memoryOf(program.process);
  return [
    { what: "an outage: time for a stale count, by that for a hit", seen: 100 * hits / stale, unit: "%", atMost: 200 },
    { what: "  memory after 8 s of it", seen: now - before, unit: "MB more", atMost: 20 },
  ];
}

/** How many requests for the count of the home page a second are answered on 50 connections. */
async function answersIn(program: Program, ms: number): Promise<number> {
  let answers = 0;
  const end = performance.now() + ms;
  await Promise.all(Array.from({ length: 50 }, async () => {
    for (; performance.now() < end; answers++) await (await fetch(program.url + HOME)).body?.cancel();
  }));
  return answers / (ms / 1_000);
}
