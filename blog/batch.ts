/**
 * The counts of a whole page in one request, each the same entry of the cache as the request for it alone.
 *
 * @module
 */

import type { Entry } from "../cache.ts";
import { parseCount } from "../upstream/parse_count.ts";
import type { Counters, Result } from "../upstream/counters.ts";
import { pathOf } from "../upstream/target.ts";

/** A request for several counts. */
export interface Batch {
  /** The articles, as the answer names them; each once. */
  readonly urls: readonly string[];
  /** For each, the target that asks for it alone. */
  readonly targets: readonly string[];
}

/** What became of a batch. */
export interface Page {
  /** `stale` if a count is, `hit` if all are, `error` if there is no count at all, otherwise `miss`. */
  readonly result: Result;
  /** The counts in one body, which expires with its first count; undefined if there is no count at all. */
  readonly entry: Entry<string> | undefined;
  /** How many counts had each result. */
  readonly tally: Readonly<Record<Result, number>>;
}

/** A page of a blog has ten articles, its archive perhaps a hundred. */
export const MAX_URLS = 100;

/**
 * How long the targets of a batch may be together: a hundred articles with long addresses. Each target repeats the
 * other parameters, so that a request of 16 KB could otherwise become 1.5 MB.
 */
export const MAX_BATCH_LENGTH = 32 * 1024;

/**
 * Reads a target that asks for several counts. For each `url` there is a target that asks for this count alone: the
 * path without its `s`, all other parameters, and the `url` as the reader spelled it.
 *
 * ```ts
 * import { parseBatch } from "./batch.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(parseBatch("/comments/counts?token=T&url=/a/&url=%2Fb%2F&url=/a/"), {
 *   urls: ["/a/", "/b/"],
 *   targets: ["/comments/count?token=T&url=/a/", "/comments/count?token=T&url=%2Fb%2F"],
 * });
 * ```
 */
export function parseBatch(target: string): Batch {
  const path = pathOf(target);
  let prefix = `${path.slice(0, -1)}?`;
  const urls: string[] = [];
  const spellings: string[] = [];
  for (const parameter of target.slice(path.length + 1).split("&")) {
    if (!parameter.startsWith("url=")) {
      if (parameter !== "") prefix += `${parameter}&`;
      continue;
    }
    const url = decode(parameter.slice("url=".length));
    if (urls.includes(url)) continue;
    urls.push(url);
    // However many more there are, the batch is refused.
    if (urls.length > MAX_URLS) break;
    spellings.push(parameter);
  }
  return { urls, targets: spellings.map((spelling) => prefix + spelling) };
}

function decode(text: string): string {
  if (!text.includes("%") && !text.includes("+")) return text;
  return new URLSearchParams(`url=${text}`).get("url") ?? text;
}

/**
 * Looks up all counts of a batch: at once if nobody has to wait, otherwise when the last of them is there. Where one of
 * them is known, none is waited for longer than for a known one.
 */
export function lookUp(
  { urls, targets }: Batch,
  counters: Pick<Counters, "cache" | "miss" | "known">,
): Page | Promise<Page> {
  let isOneKnown: boolean | undefined;
  const found = targets.map((target): Found | Promise<Found> => {
    const entry = counters.cache.get(target);
    if (entry !== undefined) return { result: "hit", entry };
    isOneKnown ??= targets.some((each) => counters.known(each) !== undefined);
    return counters.miss(target, isOneKnown);
  });
  if (found.every(isThere)) return assemble(urls, found);
  return Promise.all(found).then((all) => assemble(urls, all.map((one, i) => latest(one, targets[i] ?? ""))));

  /** While one count was waited for, another may have come after all. */
  function latest(one: Found, target: string): Found {
    if (one.result === "hit" || one.result === "miss") return one;
    const entry = counters.cache.get(target);
    if (entry !== undefined) return { result: "miss", entry };
    const stale = one.entry ?? counters.known(target);
    return stale === undefined ? one : { result: "stale", entry: stale };
  }
}

interface Found {
  readonly result: Result;
  readonly entry?: Entry<string> | undefined;
}

function isThere(found: Found | Promise<Found>): found is Found {
  return !(found instanceof Promise);
}

function assemble(urls: readonly string[], found: readonly Found[]): Page {
  const tally = { hit: 0, miss: 0, stale: 0, error: 0, rejected: 0 };
  let counts = "";
  let expiresAt = Infinity;
  for (const [i, { result, entry }] of found.entries()) {
    tally[result]++;
    expiresAt = Math.min(expiresAt, entry?.expiresAt ?? 0);
    const count = entry === undefined ? undefined : parseCount(entry.value);
    counts += `${i === 0 ? "" : ","}${JSON.stringify(urls[i])}:${count ?? null}`;
  }
  if (found.every(({ entry }) => entry === undefined)) return { result: "error", entry: undefined, tally };
  const result = tally.stale > 0 ? "stale" : tally.hit === found.length ? "hit" : "miss";
  return { result, entry: { value: `{"counts":{${counts}}}\n`, expiresAt, purged: false }, tally };
}
