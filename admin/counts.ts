/**
 * What the cache holds, for an owner who looks for a count that is wrong.
 *
 * @module
 */

import type { Cache, KeptEntry } from "../cache.ts";
import { escapeInvisible } from "../service/invisible.ts";
import { parseCount } from "../upstream/parse_count.ts";
import { articleOf } from "../upstream/target.ts";
import { withoutToken } from "../upstream/versions.ts";

/** Where the counts are. */
export interface CountsSource {
  readonly cache: Pick<Cache<string>, "entries">;
  /** How long a count is fresh, in milliseconds. */
  readonly ttlMs: number;
}

/** Which of them are asked for, and when. */
export interface CountsQuery {
  /** What the url has in it; an empty text is in each. */
  readonly search: string;
  /** How many there may be at most. */
  readonly limit: number;
  /** Now, by the cache's clock, in milliseconds. */
  readonly now: number;
  /** How long the service has been running, in milliseconds. */
  readonly uptimeMs: number;
}

/** How many characters of targets are gone through before readers are answered, some 2 ms of work. */
const PORTION = 32 * 1024;

/**
 * The counts as JSON, in portions: one a line, those of 0 first, and how many there are in all. Readers are answered
 * between two portions.
 */
export async function* countsAsJson(source: CountsSource, query: CountsQuery): AsyncGenerator<string> {
  let portion = '{"counts":[';
  let passed = 0;
  let found = 0;
  for (const zero of [true, false]) {
    for (const [target, entry] of source.cache.entries()) {
      passed += target.length;
      if (passed > PORTION) {
        yield portion;
        portion = "";
        passed = 0;
        await new Promise((resolve) => setTimeout(resolve));
      }
      if (isZero(entry.value) !== zero) continue;
      const url = articleOf(target);
      if (!(url ?? "").includes(query.search)) continue;
      if (++found > query.limit) continue;
      const row = JSON.stringify({ url, ...rowOf(target, entry, source, query) });
      portion += `${found === 1 ? "" : ","}\n${escapeInvisible(row)}`;
    }
  }
  yield `${portion}\n],"found":${found}}\n`;
}

/** Whether there are counts, and each is 0. It looks no further than the first that is not. */
export function areAllZero({ cache }: Pick<CountsSource, "cache">): boolean {
  let some = false;
  for (const [, { value }] of cache.entries()) {
    if (!isZero(value)) return false;
    some = true;
  }
  return some;
}

function rowOf(
  target: string,
  { value, ttlEndsAt, purged }: KeptEntry<string>,
  { ttlMs }: CountsSource,
  { now, uptimeMs }: CountsQuery,
) {
  const ageMs = ttlMs - (ttlEndsAt - now);
  // A snapshot tells when a count expires. How old it is depends on the ttl of then, which is not kept with it.
  const isOurs = ageMs >= 0 && ageMs <= uptimeMs;
  return {
    count: parseCount(value),
    ageSeconds: isOurs ? Math.floor(ageMs / 1000) : null,
    fresh: !purged && ageMs >= 0 && ageMs < ttlMs,
    target: withoutToken(target),
  };
}

const zeros = new Map<string, boolean>();

/** All bodies of 0 that one Stacosys gives are the same, so each is parsed once. */
function isZero(body: string): boolean {
  if (!body.includes("0")) return false;
  if (zeros.size > 1_000) zeros.clear();
  return zeros.getOrInsertComputed(body, (body) => parseCount(body) === 0);
}
