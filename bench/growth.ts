/**
 * What a full cache costs: a hit among ever more entries, and a sweep.
 *
 * @module
 */

import { Cache } from "../cache.ts";
import { measure, type Measured } from "./measure.ts";
import { number, type Options, type Report, targetOf, withSpread } from "./part.ts";
import * as peers from "./peers.ts";
import { alternate, progress, quantile, ratio, spread } from "./rounds.ts";

const SIZES = [10, 1_000, 100_000, 1_000_000];

/** How long readers are watched while the largest cache is swept. */
const WATCH_SECONDS = 15;

/** Measures it. */
export async function growth(options: Options): Promise<Report> {
  const { folder, clients, rounds, seconds } = options;
  await using stacosys = peers.upstream();
  const running = new Map<string, peers.Peer>();
  for (const size of SIZES) {
    const name = size.toLocaleString("en");
    progress(`growth: filling a cache with ${name} entries`);
    running.set(name, await filled(name, size, Date.now() + 3_600_000, folder, stacosys.url));
  }
  const results = await alternate("growth", [...running.keys()], rounds, async (name): Promise<Measured> => {
    const { url, pids } = peers.named(running, name);
    // Some of all that is there, far apart.
    const size = Number(name.replaceAll(",", ""));
    const targets = Array.from({ length: Math.min(size, 1_000) }, (_, i) => {
      return targetOf(articleOf(Math.floor(i * size / Math.min(size, 1_000))));
    });
    return await measure(pids, { url, targets, clients, seconds });
  });
  await peers.stopAll();

  const rows: string[][] = [];
  const least = cpu(results.get("10"));
  for (const size of SIZES) {
    const name = size.toLocaleString("en");
    progress(`growth: sweeping ${name} entries`);
    rows.push([
      name,
      withSpread(spread(cpu(results.get(name)))),
      size === SIZES[0] ? "1" : withSpread(ratio(cpu(results.get(name)), least)),
      number(quantile(results.get(name)?.map(({ rss }) => rss) ?? [], 0.5)),
      number(sweepMs(size, 0)),
      number(sweepMs(size, size)),
      number(await longestPauseMs(size, "without", folder, stacosys.url)),
      number(await longestPauseMs(size, "fresh", folder, stacosys.url)),
      number(await longestPauseMs(size, "expired", folder, stacosys.url)),
    ]);
  }
  return {
    title: "Growth",
    text:
      "The executable with so many entries, of which up to 1,000 are asked for. A sweep is timed in one go on the cache " +
      "alone, when nothing has expired and when all has; in the service it makes pauses for readers. The longest answer is " +
      `that of a reader who asks without pause on one connection for ${WATCH_SECONDS} s, with no sweep and with one each ` +
      "second that also saves a snapshot, of a cache in which nothing expires or all of it during that time.",
    head: [
      "entries",
      "CPU per hit, µs",
      "÷ 10 entries",
      "memory, MB",
      "sweep, nothing expired, ms",
      "all expired, ms",
      "longest answer without a sweep, ms",
      "with sweeps",
      "while all expires",
    ],
    rows,
  };
}

function cpu(measured: readonly Measured[] | undefined): number[] {
  return measured?.map(({ cpuMicros }) => cpuMicros) ?? [];
}

function articleOf(n: number): string {
  return `/2017/article-${n}/`;
}

/** Starts the executable from a snapshot with so many entries. */
async function filled(
  name: string,
  size: number,
  expiresAt: number,
  folder: string,
  stacosys: string,
  more: Readonly<Record<string, unknown>> = {},
): Promise<peers.Peer> {
  const SnapshotFile = `${folder}/${size}.snapshot`;
  using file = await Deno.open(SnapshotFile, { write: true, create: true, truncate: true });
  const write = async (lines: string) => {
    const bytes = new TextEncoder().encode(lines);
    for (let written = 0; written < bytes.length;) written += await file.write(bytes.subarray(written));
  };
  await write(`${JSON.stringify({ kind: "httpfastcache snapshot", version: 1, stacosys })}\n`);
  for (let from = 0; from < size; from += 10_000) {
    const rows = Array.from({ length: Math.min(10_000, size - from) }, (_, i) => {
      return JSON.stringify([targetOf(articleOf(from + i)), `{"count":${i}}\n`, expiresAt]);
    });
    await write(`${rows.join("\n")}\n`);
  }
  await write(`${JSON.stringify({ entries: size })}\n`);
  const setting = { folder, stacosys, ttlSeconds: 3_600 };
  return await peers.executable(name, setting, { MaxEntries: size + 10, SnapshotFile, SweepSeconds: 86_400, ...more });
}

/** How long a sweep takes when nothing else happens. */
function sweepMs(size: number, expired: number): number {
  let time = 0;
  const cache = new Cache<string>({ ttlMs: 1_000, staleMs: 0, maxEntries: size, now: () => time });
  for (let i = 0; i < size; i++) {
    time = i < expired ? 0 : 1_500;
    cache.set(targetOf(articleOf(i)), "");
  }
  time = 2_000;
  const start = performance.now();
  for (const _ of cache.sweep());
  return performance.now() - start;
}

/** The longest time that a reader waits for an answer. */
async function longestPauseMs(
  size: number,
  sweep: "without" | "fresh" | "expired",
  folder: string,
  stacosys: string,
): Promise<number> {
  progress(`growth: the longest answer with ${size.toLocaleString("en")} entries, ${sweep}`);
  const expiresAt = Date.now() + (sweep === "expired" ? 10_000 : 3_600_000);
  const peer = await filled(`${size}`, size, expiresAt, folder, stacosys, {
    SweepSeconds: sweep === "without" ? 86_400 : 1,
    StaleIfErrorSeconds: 0,
  });
  const { hostname, port } = new URL(peer.url);
  using connection = await Deno.connect({ hostname, port: Number(port) });
  const request = new TextEncoder().encode(`GET ${targetOf("/probe/")} HTTP/1.1\r\nHost: bench\r\n\r\n`);
  const answer = new Uint8Array(4_096);
  let longest = 0;
  const end = performance.now() + WATCH_SECONDS * 1_000;
  for (let asked = 0; performance.now() < end; asked++) {
    const start = performance.now();
    await connection.write(request);
    await connection.read(answer);
    // The first is a miss.
    if (asked > 0) longest = Math.max(longest, performance.now() - start);
  }
  await peers.stopAll();
  return longest;
}
