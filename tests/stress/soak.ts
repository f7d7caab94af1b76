/**
 * A hundred readers of fifty articles while Stacosys is stopped, hung and restarted at random.
 *
 * Comments keep being written, so that each count grows. Readers may see old counts but none that Stacosys never gave,
 * and never an error; afterwards all counts are right, memory has not grown, and no connection is left.
 *
 * @module
 */

import { createRandom } from "../../bench/random.ts";
import { memoryOf } from "../system/memory.ts";
import { type Program, startProgram } from "../system/program.ts";
import { type Answer, received } from "../system/reader.ts";
import * as stand from "../stand_in.ts";
import { until } from "../until.ts";
import { type Figure, pause } from "./measure.ts";

const READERS = 100;
const ARTICLES = Array.from({ length: 50 }, (_, i) => `/2017/${i}/`);

/** How long a reader reads one article before he turns to the next, in milliseconds. */
const READING_MS = 20;

/** How long Stacosys is away, and how long it is well in between, in milliseconds. */
const OUTAGE_MS = { least: 500, most: 4_000 };
const PEACE_MS = { least: 0, most: 2_000 };

/** How long a reader may wait: `TimeoutSeconds`, and some for a busy machine. */
const SLOWEST_MS = 3_500;

/** How soon all counts are right when Stacosys is: the time to live, the breathing space, and some for the requests. */
const RECOVERY_MS = 2_500;

/** How much more memory the last third of the time may take than the first. */
const GROWTH_MB = 20;

/** What readers have seen so far. */
interface Tally {
  requests: number;
  hits: number;
  stale: number;
  outages: number;
  slowestMs: number;
  /** The answers that were wrong, in a few words. */
  readonly faults: string[];
}

/** The counts that Stacosys gives. */
interface Blog {
  /** Has Stacosys answer with counts. */
  open(): void;
  /** Has each count grow one last time. */
  close(): void;
  /** Whether Stacosys ever gave that answer for the article. */
  gave(article: string, text: string): boolean;
  /** Whether that is what it would answer now, once the counts no longer grow. */
  isLast(article: string, text: string): boolean;
}

/** Asks for the count of an article. */
type Ask = (article: string) => Promise<Answer>;

/** Runs a soak of so many seconds, with the outages of a seed. */
export async function soak(seconds: number, seed: number): Promise<Figure[]> {
  await using stacosys = await stand.startStandIn();
  await using program = await startProgram({ Stacosys: stacosys.url, TtlSeconds: 1, TimeoutSeconds: 2 });
  const filesBefore = await filesOf(program);
  const client = Deno.createHttpClient({});
  const ask: Ask = async (article) =>
    await received(await fetch(`${program.url}/comments/count?token=t&url=${article}`, { client }));
  const blog = createBlog(stacosys);
  const tally: Tally = { requests: 0, hits: 0, stale: 0, outages: 0, slowestMs: 0, faults: [] };

  const warm = await Promise.all(ARTICLES.map((article) => visit(ask, blog, article, tally)));
  if (!warm.every((right) => right)) throw new Error(`the soak cannot begin: ${tally.faults[0]}`);

  const end = AbortSignal.timeout(seconds * 1_000);
  const [memory] = await Promise.all([
    watch(program, end),
    trouble(stacosys, blog, createRandom(seed), tally, end),
    ...Array.from({ length: READERS }, (_, reader) => read(ask, blog, reader, tally, end)),
  ]);

  const recoveryMs = await recover(ask, blog, tally);
  client.close();
  const filesAfter = await filesBackTo(filesBefore, program);

  const third = Math.ceil(memory.length / 3);
  const growth = Math.max(...memory.slice(-third)) - Math.max(...memory.slice(0, third));
  const fault = tally.faults[0] === undefined ? "" : `, the first: ${tally.faults[0]}`;
  return [
    { what: `${seconds} s of outages of seed ${seed}: requests`, seen: tally.requests, unit: "" },
    { what: "  hits among them", seen: tally.hits, unit: "" },
    { what: "  stale counts among them", seen: tally.stale, unit: "" },
    { what: "  outages", seen: tally.outages, unit: "" },
    { what: `  wrong answers${fault}`, seen: tally.faults.length, unit: "", atMost: 0 },
    { what: "  slowest answer", seen: tally.slowestMs, unit: "ms", atMost: SLOWEST_MS },
    { what: "  afterwards, until all counts are right", seen: recoveryMs, unit: "ms", atMost: RECOVERY_MS },
    { what: "  most memory in the last third, against the first", seen: growth, unit: "MB more", atMost: GROWTH_MB },
    { what: "  files left open", seen: filesAfter - filesBefore, unit: "", atMost: 0 },
  ];
}

/** Reads article after article until the end. */
async function read(ask: Ask, blog: Blog, reader: number, tally: Tally, end: AbortSignal): Promise<void> {
  for (let i = reader; !end.aborted; i++) {
    await visit(ask, blog, ARTICLES[i % ARTICLES.length] ?? "", tally);
    await pause(READING_MS);
  }
}

/** Asks for the count of an article, and tells whether the answer is right. */
async function visit(ask: Ask, blog: Blog, article: string, tally: Tally): Promise<boolean> {
  const start = performance.now();
  const answer = await ask(article).catch((error) => ({ text: String(error), status: 0, headers: undefined }));
  tally.slowestMs = Math.max(tally.slowestMs, performance.now() - start);
  tally.requests++;
  const cacheStatus = answer.headers?.get("cache-status") ?? "";
  if (cacheStatus.endsWith("; hit")) tally.hits++;
  if (cacheStatus.includes("stale-if-error")) tally.stale++;
  const right = answer.status === 200 && blog.gave(article, answer.text);
  if (!right) tally.faults.push(`${answer.status} ${answer.text.trim()} for ${article}`);
  return right;
}

/** Does to Stacosys what befalls it, until the end, and leaves it well. */
async function trouble(
  stacosys: stand.StandIn,
  blog: Blog,
  random: () => number,
  tally: Tally,
  end: AbortSignal,
): Promise<void> {
  while (!end.aborted) {
    await pause(between(PEACE_MS, random()), end);
    if (end.aborted) return;
    tally.outages++;
    const outageMs = between(OUTAGE_MS, random());
    if (random() < 0.5) {
      await stacosys.stop();
      await pause(outageMs, end);
      await stacosys.start();
    } else {
      stacosys.answer(stand.hang);
      await pause(outageMs, end);
      // Whoever restarts a Stacosys that hangs ends its connections.
      await stacosys.stop();
      blog.open();
      await stacosys.start();
    }
  }
}

/** Returns the memory that the process held at each second, in MB. */
async function watch({ process }: Program, end: AbortSignal): Promise<number[]> {
  const memory: number[] = [];
  while (!end.aborted) {
    await pause(1_000, end);
    memory.push((await memoryOf(process)).now);
  }
  return memory;
}

/** How long it takes until each count is what Stacosys would say, in milliseconds. */
async function recover(ask: Ask, blog: Blog, tally: Tally): Promise<number> {
  blog.close();
  const start = performance.now();
  const wrong = new Set(ARTICLES);
  await until(async () => {
    await Promise.all([...wrong].map(async (article) => {
      const { text } = await ask(article);
      if (blog.isLast(article, text)) wrong.delete(article);
    }));
    return wrong.size === 0;
  }, "all counts are right").catch(() => tally.faults.push(`${wrong.size} counts that stay wrong`));
  return performance.now() - start;
}

/** The open files of the process, connections among them, once they are as few as they were, or after 5 seconds. */
async function filesBackTo(before: number, program: Program): Promise<number> {
  let files = Infinity;
  await until(
    async () => {
      files = await filesOf(program);
      return files <= before;
    },
    "files are closed",
    5_000,
  ).catch(() => {});
  return files;
}

async function filesOf({ process }: Program): Promise<number> {
  // Deno itself may look into this folder only with all permissions.
  const { stdout } = await new Deno.Command("ls", { args: [`/proc/${process.pid}/fd`] }).output();
  return new TextDecoder().decode(stdout).trim().split("\n").length;
}

/** Has each answer of Stacosys be a count higher by one than the last for that article, and remembers them. */
function createBlog(stacosys: stand.StandIn): Blog {
  // No two articles ever have the same count, so that one cannot pass for the other's.
  const firsts = new Map(ARTICLES.map((article, i) => [article, i * 1_000_000]));
  const given = new Map(firsts);
  let growing = true;
  function open(): void {
    stacosys.answer((exchange) => {
      const article = new URLSearchParams(exchange.target.replace(/^[^?]*/, "")).get("url") ?? "";
      const count = (given.get(article) ?? 0) + (growing ? 1 : 0);
      given.set(article, count);
      return stand.count(count)(exchange);
    });
  }
  open();
  return {
    open,
    close() {
      for (const [article, count] of given) given.set(article, count + 1);
      growing = false;
    },
    gave(article, text) {
      const count = parseCount(text);
      return count > (firsts.get(article) ?? 0) && count <= (given.get(article) ?? 0);
    },
    isLast: (article, text) => parseCount(text) === given.get(article),
  };
}

/** The count in an answer, `NaN` if it is none. */
function parseCount(text: string): number {
  return Number(/^{"count":(\d+)}\n$/.exec(text)?.[1]);
}

function between({ least, most }: typeof PEACE_MS, share: number): number {
  return least + (most - least) * share;
}
