/**
 * What a full cache costs: a hit among ever more entries, and a sweep.
 *
 * @module
 */

import { Cache } from "../cache.ts";
import { measure, type Measured, runWrk } from "./measure.ts";
import { number, type Options, type Report, targetOf, WARM_UP_SECONDS, withSpread } from "./part.ts";
import * as peers from "./peers.ts";
import { stopAll } from "./processes.ts";
import { alternate, quantile, ratio, spread } from "./rounds.ts";

/** How many different counts there are, as on a blog. */
const COUNTS = 50;

const SIZES = [10, 1_000, 100_000, 1_000_000];

/** How many counters are asked for: those of a page, and far more than a processor keeps at hand. */
const PAGE = 10;
const MANY = 1_000;

/** How long a reader is watched while the cache is swept. */
const WATCH_SECONDS = 12;

/** What a reader is watched with: no sweep, sweeps that find nothing, and one that finds that all has expired. */
const SWEEPS = ["without", "fresh", "expired"] as const;
type Sweep = typeof SWEEPS[number];

/** Measures it. */
export async function growth(options: Options): Promise<Report> {
  const { folder, clients, rounds, seconds } = options;
  await using stacosys = peers.upstream();
  const sizes = new Map(SIZES.map((size) => [`${size.toLocaleString("en")} entries`, size]));
  const results = await alternate("growth", [...sizes.keys()], rounds, async (name) => {
    const size = peers.named(sizes, name);
    try {
      const { url, pids } = await filled(name, size, Date.now() + 3_600_000, folder, stacosys.url);
      const askFor = async (asked: number): Promise<Measured> => {
        // Far apart.
        const targets = Array.from({ length: asked }, (_, i) => targetOf(articleOf(Math.floor(i * size / asked))));
        const load = { url, targets, clients };
        await runWrk({ ...load, seconds: WARM_UP_SECONDS });
        return await measure(pids, { ...load, seconds });
      };
      return { page: await askFor(PAGE), many: size < MANY ? undefined : await askFor(MANY) };
    } finally {
      await stopAll();
    }
  });

  const watches = SIZES.flatMap((size) => SWEEPS.map((sweep) => ({ size, sweep })));
  const watched = new Map(watches.map((watch) => [watchOf(watch.size, watch.sweep), watch]));
  const pauses = await alternate("growth", [...watched.keys()], rounds, async (name) => {
    const { size, sweep } = peers.named(watched, name);
    return await longestPauseMs(size, sweep, folder, stacosys.url);
  });

  const [least = []] = [...results.values()].map((measured) => measured.map(({ page }) => page.cpuMicros));
  const rows = [...results].map(([name, measured]) => {
    const size = peers.named(sizes, name);
    const page = measured.map(({ page }) => page.cpuMicros);
    const many = measured.flatMap(({ many }) => many?.cpuMicros ?? []);
    return [
      size.toLocaleString("en"),
      withSpread(spread(page)),
      withSpread(ratio(page, least)),
      many.length === 0 ? "" : withSpread(ratio(many, least)),
      number(quantile(measured.map(({ page }) => page.rss), 0.5)),
      number(sweepMs(size, 0)),
      number(sweepMs(size, size)),
      ...SWEEPS.map((sweep) => withSpread(spread(pauses.get(watchOf(size, sweep)) ?? []))),
    ];
  });
  return {
    title: "Growth",
    text:
      "The executable with so many entries, asked for the ten counters of a page, and for a thousand far apart, which the " +
      "processor has to fetch from memory. A sweep is timed in one go on the cache alone, when nothing has expired and " +
      "when all has; in the service it makes pauses for readers. The longest answer is that of a reader who asks without " +
      `pause on one connection for ${WATCH_SECONDS} s, with no sweep and with one each second that also saves a snapshot, ` +
      "of a cache in which nothing expires or all of it at once.",
    head: [
      "entries",
      "CPU per hit, µs",
      "÷ 10 entries",
      "asked for 1,000, ÷ 10 entries",
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

function watchOf(size: number, sweep: Sweep): string {
  return `the longest answer with ${size.toLocaleString("en")} entries, ${sweep}`;
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
      return JSON.stringify([targetOf(articleOf(from + i)), `{"count":${i % COUNTS}}\n`, expiresAt]);
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
async function longestPauseMs(size: number, sweep: Sweep, folder: string, stacosys: string): Promise<number> {
  const expiresAt = Date.now() + (sweep === "expired" ? 10_000 : 3_600_000);
  const peer = await filled(`${size}`, size, expiresAt, folder, stacosys, {
    SweepSeconds: sweep === "without" ? 86_400 : 1,
    StaleIfErrorSeconds: 0,
  });
  const { hostname, port } = new URL(peer.url);
  using connection = await Deno.connect({ hostname, port: Number(port) });
  const request = new TextEncoder().encode(`GET ${targetOf("/probe/")} HTTP/1.1\r\nHost: bench\r\n\r\n`);
  const answer = new Uint8Array(4_096);
  const decoder = new TextDecoder();
  let longest = 0;
  const end = performance.now() + WATCH_SECONDS * 1_000;
  for (let asked = 0; performance.now() < end; asked++) {
    const start = performance.now();
    await connection.write(request);
    const length = await connection.read(answer) ?? 0;
    const waited = performance.now() - start;
    const said = decoder.decode(answer.subarray(0, length));
    if (!said.startsWith("HTTP/1.1 200 ")) throw new Error(`expected 200 from ${peer.url}, got ${said}`);
    // The first is a miss.
    if (asked > 0) longest = Math.max(longest, waited);
  }
  await stopAll();
  return longest;
}
