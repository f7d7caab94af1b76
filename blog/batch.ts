/**
 * The counts of a whole page in one request, each the same entry of the cache as the request for it alone.
 *
 * @module
 */

import type { Cache, Entry } from "../cache.ts";
import type { Counters, Lookup } from "../upstream/counters.ts";
import { pathOf } from "../upstream/target.ts";

/** A request for several counts. */
export interface Batch {
  /** The articles, as the answer names them; each once. */
  readonly urls: readonly string[];
  /** For each, the target that asks for it alone. */
  readonly targets: readonly string[];
  /** The last answer, which is still right if it would be made of the same entries. */
  last?: { readonly hits: readonly (Entry<string> | undefined)[]; readonly answer: Entry<string> };
}

/** A page of a blog has ten articles, its archive perhaps a hundred. */
export const MAX_URLS = 100;

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
  return { urls: [...spellings.keys()], targets: [...spellings.values()].map((spelling) => prefix + spelling) };
}

function decode(text: string): string {
  if (!text.includes("%") && !text.includes("+")) return text;
  return new URLSearchParams(`url=${text}`).get("url") ?? text;
}

/**
 * Looks up all counts of a batch: at once if all of them are hits, otherwise when the last of them is there. A result is
 * that of its worst count, an error only if none could be had.
 */
export function lookUp(
  batch: Batch,
  cache: Pick<Cache<string>, "get">,
  miss: Counters["miss"],
): Entry<string> | Promise<Lookup> {
  const { urls, targets, last } = batch;
  const hits = targets.map((target) => cache.get(target));
  if (!hits.includes(undefined)) {
    if (last !== undefined && hits.every((entry, i) => entry === last.hits[i])) return last.answer;
    const answer = assemble(urls, hits);
    batch.last = { hits, answer };
    return answer;
  }

  return Promise.all(targets.map((target, i) => hits[i] ?? miss(target))).then((found) => {
    const tally = { hit: 0, miss: 0, stale: 0, error: 0, rejected: 0 };
    const entries = found.map((each) => {
      if ("value" in each) {
        tally.hit++;
        return each;
      }
      tally[each.result]++;
      return each.entry;
    });
    const cacheStatus = `fwd=${tally.hit > 0 ? "partial" : "uri-miss"}; detail="${inWords(tally)}"`;
    if (entries.every((entry) => entry === undefined)) return { result: "error", cacheStatus };
    return { result: tally.stale > 0 ? "stale" : "miss", entry: assemble(urls, entries), cacheStatus };
  });
}

function inWords(tally: Readonly<Record<string, number>>): string {
  return Object.entries(tally).filter(([, count]) => count > 0).map(([result, count]) => `${count} ${result}`).join(
    ", ",
  );
}

/** `{"counts":{"/a/":3}}`, null for a count that could not be had; no longer fresh when its first count is not. */
function assemble(urls: readonly string[], entries: readonly (Entry<string> | undefined)[]): Entry<string> {
  let counts = "";
  let expiresAt = Infinity;
  for (let i = 0; i < urls.length; i++) {
    const entry = entries[i];
    counts += `${i === 0 ? "" : ","}${JSON.stringify(urls[i])}:${entry === undefined ? null : countOf(entry.value)}`;
    expiresAt = Math.min(expiresAt, entry?.expiresAt ?? 0);
  }
  return { value: `{"counts":{${counts}}}\n`, expiresAt };
}

/** The number in `{"count":7}`, null if Stacosys said something else. */
function countOf(body: string): number | null {
  const { count }: { count?: unknown } = Object(JSON.parse(body));
  return typeof count === "number" ? count : null;
}
