/**
 * What is measured while the service is under stress, and the program that it is measured on.
 *
 * @module
 */

import { memoryOf } from "../system/memory.ts";
import { type Program, startProgram } from "../system/program.ts";
import { brief, received } from "../system/reader.ts";
import { type StandIn, startStandIn } from "../stand_in.ts";

/** A row of the table. */
export interface Figure {
  readonly what: string;
  readonly seen: number;
  /** `ms`, `MB` or whatever is counted. */
  readonly unit: string;
  /** What is still good; without it the figure only tells what was going on. */
  readonly atMost?: number;
}

/** The count of the home page. */
export const HOME = "/comments/count?token=t&url=/";

/** A program that has the count of the home page, before a Stacosys that does as it is told. */
export interface Stage extends AsyncDisposable {
  readonly stacosys: StandIn;
  readonly program: Program;
}

/** Starts both. */
export async function setStage(config: Readonly<Record<string, unknown>> = {}): Promise<Stage> {
  const stacosys = await startStandIn();
  const program = await startProgram({ Stacosys: stacosys.url, ...config });
  await received(await fetch(program.url + HOME));
  return {
    stacosys,
    program,
    async [Symbol.asyncDispose]() {
      await program[Symbol.asyncDispose]();
      await stacosys[Symbol.asyncDispose]();
    },
  };
}

/** A fresh count, by its body and `Cache-Status`. */
const HIT = /^200 \{"count":7\}, httpfastcache; hit$/;

/**
 * How long the program takes at most to answer a well-behaved reader during an attack, in milliseconds. The reader asks
 * for the count of the home page, each time on a new connection.
 *
 * @param expected what each answer has to be, by status, body and `Cache-Status`; a hit by default.
 * @throws if one is something else.
 */
export async function slowestAnswerDuring(
  { url }: Program,
  attack: () => Promise<void>,
  expected: RegExp = HIT,
): Promise<number> {
  using client = Deno.createHttpClient({ poolMaxIdlePerHost: 0 });
  let slowest = 0;
  let over = false;
  async function keepReading(): Promise<void> {
    while (!over) {
      const start = performance.now();
      const answer = await received(await fetch(url + HOME, { client }));
      slowest = Math.max(slowest, performance.now() - start);
      const got = `${brief(answer)}, ${answer.headers.get("cache-status")}`;
      if (!expected.test(got)) throw new Error(`expected the count of home, got ${got}`);
      await pause(5);
    }
  }
  await Promise.all([attack().finally(() => over = true), keepReading()]);
  return slowest;
}

/** By how much the most memory that the program ever held grows during an attack, in MB. */
export async function growthDuring({ process }: Program, attack: () => Promise<void>): Promise<number> {
  const before = await memoryOf(process);
  await attack();
  return (await memoryOf(process)).peak - before.now;
}

/** Waits, at most until `end` is aborted. */
export async function pause(ms: number, end?: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  end?.addEventListener("abort", () => resolve());
  if (end?.aborted) resolve();
  await promise;
  clearTimeout(timer);
}
