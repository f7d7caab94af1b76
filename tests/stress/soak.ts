/**
 * A hundred readers of fifty articles while Stacosys is stopped, hung and restarted at random: `deno task soak`, or
 * `deno task soak 120` for two minutes, or `deno task soak 120 7` for the outages of another seed.
 *
 * Comments keep being written, so that each count grows. Readers may see old counts but none that Stacosys never gave,
 * and never an error; afterwards all counts are right, memory has not grown, and no connection is left.
 *
 * @module
 */

import { canTellMemory, memoryOf } from "../system/memory.ts";
import { FROM_SOURCE, type Program, startProgram } from "../system/program.ts";
import { type Answer, received } from "../system/reader.ts";
import * as stand from "../stand_in.ts";
import { until } from "../until.ts";

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

/** What ends the soak early, with a report. */
const SIGNALS = ["SIGINT", "SIGTERM"] as const;

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

/** A row of the table; it is a check if it says whether that is good. */
interface Row {
  readonly what: string;
  readonly seen: string;
  readonly good?: boolean;
}

/** Runs a soak, and tells whether all went well. */
async function soak(seconds: number, seed: number): Promise<boolean> {
  console.log(`${READERS} readers of ${ARTICLES.length} articles for ${seconds} s, outages of seed ${seed}`);
  await using stacosys = await stand.startStandIn();
  const config = { Stacosys: stacosys.url, TtlSeconds: 1, TimeoutSeconds: 2 };
  // Ctrl-C is for the soak alone, which then ends the program.
  await using program = await startProgram(config, ["setsid", ...FROM_SOURCE]);
  const filesBefore = await filesOf(program);
  const client = Deno.createHttpClient({});
  const ask: Ask = async (article) =>
    await received(await fetch(`${program.url}/comments/count?token=t&url=${article}`, { client }));
  const blog = createBlog(stacosys);
  const tally: Tally = { requests: 0, hits: 0, stale: 0, outages: 0, slowestMs: 0, faults: [] };

  const warm = await Promise.all(ARTICLES.map((article) => visit(ask, blog, article, tally)));
  if (!warm.every((right) => right)) throw new Error(`the soak cannot begin: ${tally.faults[0]}`);

  const end = new AbortController();
  const stop = () => end.abort();
  const timer = setTimeout(stop, seconds * 1_000);
  for (const signal of SIGNALS) Deno.addSignalListener(signal, stop);
  const [memory] = await Promise.all([
    watch(program, tally, seconds, end.signal),
    trouble(stacosys, blog, createRandom(seed), tally, end.signal),
    ...Array.from({ length: READERS }, (_, reader) => read(ask, blog, reader, tally, end.signal)),
  ]);
  clearTimeout(timer);

  const recovery = await recover(ask, blog, tally);
  client.close();
  const filesAfter = await filesBackTo(filesBefore, program);
  for (const signal of SIGNALS) Deno.removeSignalListener(signal, stop);

  const first = Math.max(...memory.slice(0, Math.ceil(memory.length / 3)));
  const last = Math.max(...memory.slice(-Math.ceil(memory.length / 3)));
  const fault = tally.faults[0] === undefined ? "" : `, the first: ${tally.faults[0]}`;
  return report([
    { what: "requests", seen: `${tally.requests}` },
    { what: "hits", seen: `${tally.hits}` },
    { what: "stale", seen: `${tally.stale}` },
    { what: "outages", seen: `${tally.outages}` },
    { what: "slowest answer", seen: `${(tally.slowestMs / 1_000).toFixed(2)} s`, good: tally.slowestMs < SLOWEST_MS },
    { what: "wrong answers", seen: `${tally.faults.length}${fault}`, good: tally.faults.length === 0 },
    { what: "all counts right", seen: `after ${(recovery / 1_000).toFixed(2)} s`, good: recovery < RECOVERY_MS },
    {
      what: "most memory in the first third",
      seen: `${first.toFixed(1)} MB`,
    },
    { what: "and in the last", seen: `${last.toFixed(1)} MB`, good: last < first + GROWTH_MB },
    { what: "open files before", seen: `${filesBefore}` },
    { what: "and afterwards", seen: `${filesAfter}`, good: filesAfter <= filesBefore },
  ]);
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

/** Shows each second how it goes, and returns the memory that the process held at each. */
async function watch(program: Program, tally: Tally, seconds: number, end: AbortSignal): Promise<number[]> {
  const terminal = Deno.stdout.isTerminal();
  const memory: number[] = [];
  for (let second = 1; second <= seconds; second++) {
    await pause(1_000, end);
    const { now } = await memoryOf(program.process);
    memory.push(now);
    const { requests, stale, outages, faults } = tally;
    const line = `${second} s: ${requests} requests, ${stale} stale, ${outages} outages, ${faults.length} wrong, ` +
      `${now.toFixed(0)} MB`;
    await Deno.stdout.write(new TextEncoder().encode(terminal ? `\r\x1b[K${line}` : `${line}\n`));
    if (end.aborted) break;
  }
  if (terminal) console.log();
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
      const count = countOf(text);
      return count > (firsts.get(article) ?? 0) && count <= (given.get(article) ?? 0);
    },
    isLast: (article, text) => countOf(text) === given.get(article),
  };
}

/** The count in an answer, `NaN` if it is none. */
function countOf(text: string): number {
  return Number(/^{"count":(\d+)}\n$/.exec(text)?.[1]);
}

/** Numbers from 0 to 1 that look random, and are the same for the same seed: mulberry32. */
function createRandom(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), seed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function between({ least, most }: typeof PEACE_MS, share: number): number {
  return least + (most - least) * share;
}

/** Waits, at most until `end` is aborted. */
async function pause(ms: number, end?: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  end?.addEventListener("abort", () => resolve());
  if (end?.aborted) resolve();
  await promise;
  clearTimeout(timer);
}

/** Prints the table and the verdict. */
function report(rows: readonly Row[]): boolean {
  const width = Math.max(...rows.map(({ what }) => what.length));
  console.log();
  for (const { what, seen, good } of rows) {
    console.log(`${what.padEnd(width)}  ${seen}${good === undefined ? "" : good ? "  good" : "  BAD"}`);
  }
  const bad = rows.filter(({ good }) => good === false);
  console.log(bad.length === 0 ? "\nall is well" : `\nnot well: ${bad.map(({ what }) => what).join(", ")}`);
  return bad.length === 0;
}

/** A number from the command line. */
function parseNumber(text: string, what: string, least: number): number {
  const number = Number(text);
  if (/^\d{1,9}$/.test(text) && number >= least) return number;
  return fail(`soak: expected ${what}, got ${JSON.stringify(text)}`);
}

function fail(text: string): never {
  console.error(text);
  Deno.exit(1);
}

if (import.meta.main) {
  const [seconds = "30", seed = `${Date.now() % 1_000_000}`, ...rest] = Deno.args;
  if (rest.length > 0) fail(`soak: expected seconds and a seed, got ${Deno.args.join(" ")}`);
  if (!canTellMemory) fail("soak: memory and open files can be told only on Linux");
  const well = await soak(
    parseNumber(seconds, "a whole number of seconds, 1 at least", 1),
    parseNumber(seed, "a whole number as the seed", 0),
  );
  Deno.exit(well ? 0 : 1);
}
