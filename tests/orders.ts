/**
 * Orders of events, made up by fast-check, each tried on the model of a page.
 *
 * @module
 */

import fc from "fast-check";
import { makeFolder } from "./folder.ts";
import { Page, type Settings, TTL_MS, URLS } from "./model.ts";

type Step = fc.AsyncCommand<object, Page>;

function step(name: string, run: (page: Page) => Promise<void>): Step {
  return { check: () => true, run: (_, page) => run(page), toString: () => name };
}

const url = fc.constantFrom(...URLS);

const readOne = url.map((url) => step(`read ${url}`, (page) => page.readOne(url)));
const readBatch = fc.subarray(URLS, { minLength: 1 }).map((urls) => {
  return step(`read ${urls}`, (page) => page.readBatch(urls));
});
const answer = fc.tuple(fc.nat(9), fc.boolean()).map(([which, good]) => {
  return step(`answer ${which} ${good ? "well" : "badly"}`, (page) => page.answer(which, good));
});
const pass = fc.constantFrom(250, 1_000, TTL_MS).map((ms) => step(`pass ${ms}`, (page) => page.pass(ms)));
const setClock = fc.constantFrom(-3_600_000, -2_000, 5_000).map((ms) => {
  return step(`set clock by ${ms}`, (page) => page.setClock(ms));
});
const change = fc.constant(step("change", (page) => page.change()));
const save = fc.constant(step("save", (page) => page.save()));
const kill = fc.constant(step("kill", (page) => page.kill()));
const purge = fc.option(url, { nil: undefined }).map((url) => step(`purge ${url}`, (page) => page.purge(url)));
const sweep = fc.constant(step("sweep", (page) => page.sweep()));
const flood = fc.constant(step("flood", (page) => page.flood()));

const STEP = fc.oneof(
  { weight: 60, arbitrary: readOne },
  { weight: 30, arbitrary: readBatch },
  { weight: 60, arbitrary: answer },
  { weight: 40, arbitrary: pass },
  { weight: 5, arbitrary: setClock },
  { weight: 15, arbitrary: purge },
  { weight: 5, arbitrary: change },
  { weight: 5, arbitrary: save },
  { weight: 5, arbitrary: kill },
  { weight: 5, arbitrary: sweep },
  { weight: 3, arbitrary: flood },
);

const settings: fc.Arbitrary<Settings> = fc.record({
  staleIfErrorMs: fc.constantFrom(0, 86_400_000),
  staleWhileRevalidateMs: fc.constantFrom(0, 60_000),
  maxEntries: fc.constantFrom(1, 100_000),
  watches: fc.boolean(),
});

/**
 * Makes up so many orders of events and looks whether all promises are kept in each.
 *
 * @throws with the shortest order in which one is not, and the seed that finds it again.
 */
export async function tryOrders(runs: number, seed?: number): Promise<void> {
  await using folder = await makeFolder();
  let started = 0;
  const steps = fc.commands([STEP], { maxCommands: 60, size: "max" });
  const property = fc.asyncProperty(settings, steps, async (settings, steps) => {
    const page = new Page(settings, `${folder.path}/${started++}`);
    await fc.asyncModelRun(() => ({ model: {}, real: page }), steps);
    await page.end();
  });
  await fc.assert(property, { numRuns: runs, ...seed !== undefined && { seed } });
}
