/**
 * What a full cache costs: a hit among ever more entries, and how long readers wait while it is swept and saved.
 *
 * @module
 */

import { measure, type Measured, runWrk } from "./measure.ts";
import { type Bound, number, type Options, type Report, targetOf, WARM_UP_SECONDS, withSpread } from "./part.ts";
import * as peers from "./peers.ts";
import { stopAll } from "./processes.ts";
import { alternate, middle, ratio, spread } from "./rounds.ts";

/** How many different counts there are, as on a blog. */
const COUNTS = 50;

/** The third is what a cache holds by default, the last what it can be told to hold. */
const SIZES = [10, 1_000, 10_000, 100_000];
const BY_DEFAULT = 10_000;

/** How many counters are asked for: those of a page. */
const PAGE = 10;

/** How long a reader is watched, and when, in the middle of it, all expires in a cache of which that is wanted. */
const WATCH_SECONDS = 5;
const EXPIRY_SECONDS = 3;

/** A pause is the same in each round, so that few will do. */
const WATCH_ROUNDS = 3;

/** What a reader is watched with: no sweep, sweeps that find nothing, and one that finds that all has expired. */
const SWEEPS = ["without", "fresh", "expired"] as const;
type Sweep = typeof SWEEPS[number];

/** Measures it. */
export async function growth(options: Options): Promise<Report> {
  const { folder, clients, rounds, seconds } = options;
  await using stacosys = peers.upstream();
  const sizes = new Map(SIZES.map((size) => [`${size.toLocaleString("en")} entries`, size]));
  const results = await alternate("growth", [...sizes.keys()], rounds, async (name): Promise<Measured> => {
    const size = peers.named(sizes, name);
    try {
      const peer = await filled(size, Date.now() + 3_600_000, folder, stacosys.url);
      // Far apart.
      const targets = Array.from({ length: PAGE }, (_, i) => targetOf(articleOf(Math.floor(i * size / PAGE))));
      const load = { targets, headers: "browser", clients } as const;
      await runWrk(peer, { ...load, seconds: WARM_UP_SECONDS });
      return await measure(peer, { ...load, seconds });
    } finally {
      await stopAll();
    }
  });
  if (stacosys.asked > 0) throw new Error("the executable did not take its entries from the snapshot");

  const watches = SIZES.flatMap((size) => SWEEPS.map((sweep) => ({ size, sweep })));
  const watched = new Map(watches.map((watch) => [watchOf(watch.size, watch.sweep), watch]));
  const pauses = await alternate("growth", [...watched.keys()], Math.min(rounds, WATCH_ROUNDS), async (name) => {
    const { size, sweep } = peers.named(watched, name);
    return await longestPauseMs(size, sweep, folder, stacosys.url);
  });

  const cpu = (measured: readonly Measured[]) => measured.map(({ cpuMicros }) => cpuMicros);
  const pause = (size: number, sweep: Sweep) => spread(pauses.get(watchOf(size, sweep)) ?? []);
  const [least = []] = results.values();
  const saved: Bound = {
    what: `${BY_DEFAULT.toLocaleString("en")} entries swept and saved: the longest answer, ms`,
    is: "at most",
    limit: 10,
    measured: pause(BY_DEFAULT, "fresh"),
  };
  return {
    title: "Growth",
    text:
      "The executable with so many entries, asked for the ten counters of a page. The longest answer is that of a reader " +
      `who asks without pause on one connection for ${WATCH_SECONDS} s: with no sweep, with one each second that also ` +
      "saves a snapshot, and with such sweeps when all expires at once.",
    head: [
      "entries",
      "CPU per hit, µs",
      "÷ 10 entries",
      "memory, MB",
      "its own, MB",
      "longest answer without a sweep, ms",
      "with sweeps",
      "while all expires",
    ],
    rows: [...results].map(([name, measured]) => {
      const size = peers.named(sizes, name);
      return [
        size.toLocaleString("en"),
        withSpread(spread(cpu(measured))),
        withSpread(ratio(cpu(measured), cpu(least))),
        number(middle(measured, "rss")),
        number(middle(measured, "own")),
        ...SWEEPS.map((sweep) => withSpread(pause(size, sweep))),
      ];
    }),
    bounds: [saved],
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
  size: number,
  expiresAt: number,
  folder: string,
  stacosys: string,
  more: Readonly<Record<string, unknown>> = {},
): Promise<peers.Peer> {
  const SnapshotFile = `${folder}/${size}.snapshot`;
  const rows = Array.from({ length: size }, (_, i) => {
    return JSON.stringify([targetOf(articleOf(i)), `{"count":${i % COUNTS}}\n`, expiresAt]);
  });
  const lines = [
    JSON.stringify({ kind: "httpfastcache snapshot", version: 1, stacosys }),
    ...rows,
    JSON.stringify({ entries: size }),
  ];
  await Deno.writeTextFile(SnapshotFile, `${lines.join("\n")}\n`);
  const setting = { folder, stacosys, ttlSeconds: 3_600 };
  // One entry more is that of the reader who is watched; MaxEntries has its own limit.
  const MaxEntries = Math.min(size + 1, 100_000);
  return await peers.executable("httpfastcache", setting, { MaxEntries, SnapshotFile, SweepSeconds: 86_400, ...more });
}

/** The longest time that a reader waits for an answer. */
async function longestPauseMs(size: number, sweep: Sweep, folder: string, stacosys: string): Promise<number> {
  const expiresAt = Date.now() + (sweep === "expired" ? EXPIRY_SECONDS : 3_600) * 1_000;
  try {
    const peer = await filled(size, expiresAt, folder, stacosys, {
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
    return longest;
  } finally {
    await stopAll();
  }
}
