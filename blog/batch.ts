/**
 * The counts of a whole page in one request, each the same entry of the cache as the request for it alone.
 *
 * @module
 */

import type { Cache, Entry } from "../cache.ts";
import { countOf } from "../upstream/count.ts";
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
  /** That of its worst count, an error only if no count could be had. */
  readonly result: Result;
  /** The counts in one body, no longer fresh when the first of them is not; none if no count could be had. */
  readonly entry: Entry<string> | undefined;
  /** How many counts had each result. */
  readonly tally: Readonly<Record<Result, number>>;
}

/** A page of a blog has ten articles, its archive perhaps a hundred. */
export const MAX_URLS = 100;

/**
 * How long the targets of a batch may be together: a hundred articles with long addresses. Each of them repeats all other
 * parameters, so that 16 KB could otherwise stand for 1.5 MB.
 */
export const MAX_BATCH_LENGTH = 32 * 1024;

/**
 * Reads a target that asks for several counts: its path less the `s` is the counter's, and each `url` becomes the
 * request that has this one `url`, behind all other parameters, in the spelling of the reader.
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
  const spellings = new Map<string, string>();
  for (const parameter of target.slice(path.length + 1).split("&")) {
    if (!parameter.startsWith("url=")) {
      if (parameter !== "") prefix += `${parameter}&`;
      continue;
    }
    const url = decode(parameter.slice("url=".length));
    if (!spellings.has(url)) spellings.set(url, parameter);
  }
  return { urls: [...spellings.keys()], targets: Array.from(spellings.values(), (spelling) => prefix + spelling) };
}

function decode(text: string): string {
  if (!text.includes("%") && !text.includes("+")) return text;
  return new URLSearchParams(`url=${text}`).get("url") ?? text;
}

/** Looks up all counts of a batch: at once if nobody has to wait, otherwise when the last of them is there. */
export function lookUp(
  { urls, targets }: Batch,
  cache: Pick<Cache<string>, "get">,
  counters: Pick<Counters, "miss">,
): Page | Promise<Page> {
  const found = targets.map((target): Found | Promise<Found> => {
    const entry = cache.get(target);
    return entry === undefined ? counters.miss(target) : { result: "hit", entry };
  });
  return found.every(isThere) ? assemble(urls, found) : Promise.all(found).then((all) => assemble(urls, all));
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
    const count = entry === undefined ? undefined : countOf(entry.value);
    counts += `${i === 0 ? "" : ","}${JSON.stringify(urls[i])}:${count ?? null}`;
  }
  if (found.every(({ entry }) => entry === undefined)) return { result: "error", entry: undefined, tally };
  const result = tally.stale > 0 ? "stale" : tally.hit === found.length ? "hit" : "miss";
  return { result, entry: { value: `{"counts":{${counts}}}\n`, expiresAt, purged: false }, tally };
}
