/**
 * How old a count gets, and what Stacosys is asked for it: a day of a blog, by a clock that stands still while the
 * program works.
 *
 * @module
 */

import { EQUAL_LOOKS, ONCE_MORE_MS } from "../service/watch.ts";
import { Counters } from "../upstream/counters.ts";
import { Outage } from "../upstream/outage.ts";
import { number, type Options, type PeerName, type Report, targetOf } from "./part.ts";
import { createRandom } from "./random.ts";
import { progress } from "./rounds.ts";

const ARTICLES = 200;

/** So many counters are read each second: a page, of any ten articles. */
const PAGE = 10;

const SECOND_MS = 1_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Asks Stacosys how many comments an article has. */
type AskStacosys = (target: string) => number;

/** Something between readers and Stacosys. */
interface Between {
  readonly read: (target: string) => number | Promise<number>;
  /** What it does when Stacosys' database has changed and is still again, and 30 s later; nothing if it does not look. */
  readonly changed?: () => void;
}

type Start = (ask: AskStacosys, now: () => number) => Between;

const PEERS: readonly (readonly [PeerName, string, Start])[] = [
  ["go", "Go program, counts fresh for 300 s", (ask, now) => expiring(ask, now, 300)],
  ["nginx", "NginX's cache, `proxy_cache_valid 200 300s`", (ask, now) => expiring(ask, now, 300)],
  ["ours", "httpfastcache, `TtlSeconds` 300", (ask, now) => ours(ask, now, 300)],
  ["ours", "httpfastcache, `WatchFile`, `TtlSeconds` 300", (ask, now) => watching(ours(ask, now, 300))],
  ["ours", "httpfastcache, `WatchFile`, `TtlSeconds` 3600", (ask, now) => watching(ours(ask, now, 3_600))],
];

/** Works it out. */
export async function freshness({ wants }: Options): Promise<Report> {
  const rows: string[][] = [];
  for (const [word, name, start] of PEERS) {
    if (!wants(word)) continue;
    progress(`freshness: ${name}`);
    const { asked, oldestMs, oldReads } = await day(start);
    rows.push([name, asked.toLocaleString("en"), number(oldestMs / SECOND_MS), oldReads.toLocaleString("en")]);
  }
  return {
    title: "Freshness",
    text:
      `A blog of ${ARTICLES} articles, any ${PAGE} of which are read each second, with a comment an hour: a day, by a ` +
      "clock that is set forward. This program's cache and counters are the real ones; the Go program and NginX are " +
      "taken for what they promise, a time to live. (Readers who come at once, of whom the Go program asks for each, are " +
      "in the table of a cold start.) A count is old from the moment when a comment is in the database that it does not count. " +
      "With `WatchFile` the file is looked at once a second; after three equal looks, and 30 s later, all counts expire.",
    head: ["", "requests to Stacosys a day", "oldest count that a reader saw, s", "old counts a day"],
    rows,
  };
}

/** A day before one of the peers. */
async function day(start: Start) {
  let time = 0;
  let asked = 0;
  const random = createRandom(1);
  /** When the comments of each article came. */
  const comments = new Map<string, number[]>();
  const anyArticle = () => targetOf(`/2017/article-${Math.floor(random() * ARTICLES)}/`);
  const cameAt = (target: string) => comments.get(target) ?? [];
  const ask = (target: string) => {
    asked++;
    return cameAt(target).length;
  };
  const between = start(ask, () => time);
  let oldestMs = 0;
  let oldReads = 0;
  let still: number | undefined;
  let changed = false;
  let onceMoreAt = Infinity;
  // A comment comes at any moment of its hour, between two looks and two readers.
  let nextComment = random() * HOUR_MS;
  for (let hour = 1; time < DAY_MS; time += SECOND_MS / PAGE) {
    while (nextComment <= time) {
      const target = anyArticle();
      comments.set(target, [...cameAt(target), nextComment]);
      changed = true;
      nextComment = (hour++ + random()) * HOUR_MS;
    }
    // The file is looked at once a second.
    if (time % SECOND_MS === 0) {
      if (changed) still = EQUAL_LOOKS;
      changed = false;
      if (still !== undefined && still-- === 0) {
        still = undefined;
        onceMoreAt = time + ONCE_MORE_MS;
        between.changed?.();
      }
      if (time >= onceMoreAt) {
        onceMoreAt = Infinity;
        between.changed?.();
      }
    }
    const target = anyArticle();
    const answer = await between.read(target);
    // The first comment that it does not count.
    const missed = cameAt(target)[answer];
    if (missed === undefined) continue;
    oldReads++;
    oldestMs = Math.max(oldestMs, time - missed);
  }
  return { asked, oldestMs, oldReads };
}

/** A cache that knows a time to live alone. */
function expiring(ask: AskStacosys, now: () => number, ttlSeconds: number): Between {
  const known = new Map<string, { readonly count: number; readonly expiresAt: number }>();
  return {
    read(target) {
      const entry = known.get(target);
      if (entry !== undefined && entry.expiresAt > now()) return entry.count;
      const count = ask(target);
      known.set(target, { count, expiresAt: now() + ttlSeconds * SECOND_MS });
      return count;
    },
  };
}

/** This program, without HTTP. */
function ours(ask: AskStacosys, now: () => number, ttlSeconds: number): Between & { readonly purge: () => void } {
  const counters = new Counters({
    ask: (target) => Promise.resolve({ outcome: "ok", body: `{"count":${ask(target)}}\n` }),
    outage: new Outage(() => {}, now),
    ttlMs: ttlSeconds * SECOND_MS,
    staleIfErrorMs: DAY_MS,
    staleWhileRevalidateMs: 0,
    maxEntries: 10_000,
    now,
    monotonic: now,
    // Stacosys answers at once.
    sleep: () => new Promise(() => {}),
  });
  return {
    async read(target) {
      const entry = counters.cache.get(target) ?? (await counters.miss(target)).entry;
      if (entry === undefined) throw new Error(`expected a count of ${target}, got none`);
      return Number(JSON.parse(entry.value).count);
    },
    purge: () => void counters.purge(),
  };
}

/** With it, a change expires all counts. */
function watching(cache: ReturnType<typeof ours>): Between {
  return { read: cache.read, changed: cache.purge };
}
