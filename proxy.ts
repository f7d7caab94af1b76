/**
 * Request to response: which requests are counters, what a hit costs, and which headers an answer has.
 *
 * @module
 */

import { STATUS_CODE } from "@std/http/status";
import { type Batch, lookUp, MAX_URLS, parseBatch } from "./blog/batch.ts";
import { Cache, type Entry } from "./cache.ts";
import type { Counters, Lookup, Result } from "./upstream/counters.ts";
import { pathOf, targetOf } from "./upstream/target.ts";

/** What the proxy works with. */
export interface ProxyOptions {
  /** Keeps the bodies of good answers, by target. */
  readonly cache: Cache<string>;
  readonly counters: Pick<Counters, "miss">;
  /** Where requests are counted. */
  readonly requests: Record<Result, number>;
  /** The paths that are counters. */
  readonly paths: readonly string[];
  /** `*`, an origin, a list of origins, or none. */
  readonly corsOrigin?: string | readonly string[] | undefined;
  /** Whether browsers and CDNs may keep a count for what is left of its life. */
  readonly cacheControl?: boolean;
  /** Hands out the script for blogs. */
  readonly script: (request: Request, cors: Readonly<Record<string, string>>) => Response;
  /** The cache's clock; `Date.now` by default. */
  readonly now?: () => number;
}

/** What of an answer depends on who asks. */
interface Variant {
  readonly cors: Readonly<Record<string, string>>;
  /** The answer to a hit. */
  readonly hit: (body: string) => Response;
}

/** So many batches are kept as they were read, which is most of their cost: the pages of a blog. */
const BATCHES = 500;

/**
 * How long the requests that a batch stands for may be together: a hundred articles with long addresses. Each of them
 * repeats all other parameters, so that 16 KB could otherwise stand for 1.5 MB.
 */
const MAX_BATCH_LENGTH = 32 * 1024;

/** Returns the handler of the public port. */
export function createProxy(options: ProxyOptions): (request: Request) => Response | Promise<Response> {
  const { cache, counters, requests, paths, corsOrigin, script, cacheControl = false, now = Date.now } = options;
  const variantFor = createVariants(corsOrigin);
  const batches = new Cache<Batch>({ ttlMs: Infinity, maxEntries: BATCHES });
  const routes = new Map([
    ...paths.map((path) => [`${path}s`, "batch"] as const),
    ...paths.map((path) => [`${path}s.js`, "script"] as const),
    ...paths.map((path) => [path, "count"] as const),
  ]);

  return function handle(request) {
    if (request.method !== "GET") return notServed("detail=not-a-get");
    const target = targetOf(request.url);
    // Only counts are ever kept, so a hit need not look at the path.
    const entry = cache.get(target);
    if (entry !== undefined) {
      requests.hit++;
      return hit(entry, variantFor(request));
    }
    const variant = variantFor(request);
    switch (routes.get(pathOf(target))) {
      case "count":
        return counters.miss(target).then((lookup) => reply(lookup, variant.cors));
      case "batch":
        return batch(target, variant);
      case "script":
        requests.hit++;
        return script(request, variant.cors);
      default:
        return notServed("detail=not-a-counter");
    }
  };

  function hit(entry: Entry<string>, variant: Variant): Response {
    if (cacheControl) return new Response(entry.value, { headers: found("hit", entry, variant.cors) });
    return variant.hit(entry.value);
  }

  function batch(target: string, variant: Variant): Response | Promise<Response> {
    let batch = batches.get(target)?.value;
    if (batch === undefined) {
      batch = parseBatch(target);
      const { urls, targets } = batch;
      if (urls.length === 0 || urls.length > MAX_URLS) {
        requests.rejected++;
        const error = `expected 1 to ${MAX_URLS} urls, got ${urls.length}`;
        const headers = foundHeaders("detail=not-a-batch", variant.cors);
        return new Response(`${JSON.stringify({ error })}\n`, { status: STATUS_CODE.BadRequest, headers });
      }
      if (targets.reduce((sum, { length }) => sum + length, 0) > MAX_BATCH_LENGTH) {
        return reply({ result: "rejected", cacheStatus: "detail=too-long" }, variant.cors);
      }
      batches.set(target, batch);
    }
    const found = lookUp(batch, cache, counters.miss);
    if (found instanceof Promise) return found.then((lookup) => reply(lookup, variant.cors));
    requests.hit++;
    return hit(found, variant);
  }

  function reply({ result, entry, cacheStatus }: Lookup, cors: Readonly<Record<string, string>>): Response {
    requests[result]++;
    if (entry !== undefined) return new Response(entry.value, { headers: found(cacheStatus, entry, cors) });
    if (result === "rejected") return refusal(STATUS_CODE.URITooLong, "414 URI too long\n", cacheStatus, cors);
    return refusal(STATUS_CODE.NotFound, NOT_FOUND, cacheStatus, cors);
  }

  function notServed(why: string): Response {
    requests.rejected++;
    return refusal(STATUS_CODE.NotFound, NOT_FOUND, why);
  }

  function found(
    cacheStatus: string,
    { expiresAt }: Entry<string>,
    cors: Readonly<Record<string, string>>,
  ): Readonly<Record<string, string>> {
    const headers = foundHeaders(cacheStatus, cors);
    if (!cacheControl) return headers;
    const maxAge = Math.max(0, Math.floor((expiresAt - now()) / 1000));
    return { ...headers, "cache-control": `public, max-age=${maxAge}` };
  }
}

/** Only a blog in development, such as the demo, may read `Cache-Status`: a header more costs a hit 0.6 µs, 4 %. */
const LOOPBACK = /^https?:\/\/(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/;

function createVariants(corsOrigin: ProxyOptions["corsOrigin"]): (request: Request) => Variant {
  const allow = (origin: string): Readonly<Record<string, string>> => ({
    "access-control-allow-origin": origin,
    ...LOOPBACK.test(origin) && { "access-control-expose-headers": "Cache-Status" },
  });
  if (typeof corsOrigin !== "object") {
    const everyone = createVariant(corsOrigin === undefined ? {} : allow(corsOrigin));
    return () => everyone;
  }
  const stranger = createVariant({ vary: "Origin" });
  const listed = new Map(corsOrigin.map((origin) => [origin, createVariant({ vary: "Origin", ...allow(origin) })]));
  return (request) => listed.get(request.headers.get("origin") ?? "") ?? stranger;
}

/** Bodies whose answer is kept ready, and how long they may be: the counts of a blog, and those of its pages. */
const READY_BODIES = 1_000;
const READY_LENGTH = 1_000;

/**
 * A `Response` can be handed out only once, but its clone costs 0.4 µs where a new one with three headers costs 5.6.
 * Most articles have one of a few counts, so that a few answers serve them all.
 */
function createVariant(cors: Readonly<Record<string, string>>): Variant {
  const headers = foundHeaders("hit", cors);
  const ready = new Map<string, Response>();
  function hit(body: string): Response {
    const answer = ready.get(body);
    if (answer !== undefined) return answer.clone();
    const response = new Response(body, { headers });
    if (body.length > READY_LENGTH) return response;
    if (ready.size >= READY_BODIES) ready.clear();
    ready.set(body, response);
    return response.clone();
  }
  return { cors, hit };
}

function foundHeaders(cacheStatus: string, cors: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return { "content-type": "application/json", "cache-status": `httpfastcache; ${cacheStatus}`, ...cors };
}

const NOT_FOUND = "404 page not found\n";

function refusal(
  status: number,
  body: string,
  cacheStatus: string,
  cors: Readonly<Record<string, string>> = {},
): Response {
  const headers = {
    "content-type": "text/plain; charset=utf-8",
    "x-content-type-options": "nosniff",
    "cache-status": `httpfastcache; ${cacheStatus}`,
    ...cors,
  };
  return new Response(body, { status, headers });
}
