/**
 * From the start of the executable to its first answer.
 *
 * @module
 */

import { type Memory, memory } from "./measure.ts";
import { number, type Options, type Report, TARGETS, withSpread } from "./part.ts";
import * as peers from "./peers.ts";
import { run, start as startProcess } from "./processes.ts";
import { alternate, middle, spread } from "./rounds.ts";

const STARTS = 10;

interface Start extends Memory {
  readonly ms: number;
}

/** Measures it. */
export async function start({ folder, wants }: Options): Promise<Report> {
  await using stacosys = peers.upstream();
  const unpacked = peers.unpackedIn(folder);
  await run([peers.EXECUTABLE, "--version"], { env: unpacked });
  const names = ["httpfastcache", "httpfastcache, first start"];
  if (wants("go")) names.push("Go program");
  const results = await alternate("start", names, STARTS, async (name): Promise<Start> => {
    const config = peers.configFor({ folder, stacosys: stacosys.url, ttlSeconds: 300 });
    const file = `${folder}/start.json`;
    await Deno.writeTextFile(file, JSON.stringify(config));
    const program = name === "Go program" ? `${folder}/go-peer` : peers.EXECUTABLE;
    const env = name.endsWith("first start") ? peers.unpackedIn(await Deno.makeTempDir({ dir: folder })) : unpacked;
    return await firstAnswer([program, "--config", file], `http://${config.HostPort}${TARGETS[0]}`, env);
  });
  return {
    title: "Start",
    text:
      `From exec to the first answer, a miss, and the memory then; ${STARTS} starts each. A first start unpacks the ` +
      "self-extracting executable.",
    head: ["", "first answer, ms", "memory then, MB", "its own, MB"],
    rows: [...results].map(([name, starts]) => [
      name,
      withSpread(spread(starts.map(({ ms }) => ms))),
      number(middle(starts, "rss")),
      number(middle(starts, "own")),
    ]),
  };
}

async function firstAnswer(command: readonly string[], url: string, env: Record<string, string>): Promise<Start> {
  const start = performance.now();
  const child = startProcess(command, { env });
  try {
    while (true) {
      try {
        await (await fetch(url)).text();
        break;
      } catch (error) {
        if (performance.now() - start > 20_000) throw error;
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    }
    return { ms: performance.now() - start, ...await memory(child.pid) };
  } finally {
    child.kill("SIGKILL");
    await child.status;
  }
}
