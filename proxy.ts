/**
 * Request to response: which requests are counters, what a hit costs, and which headers an answer has.
 *
 * @module
 */

// @ts-types="./types/std_status.d.ts"
import { STATUS_CODE } from "@std/http/status";
import { type Hit, lookUp, MAX_URLS, parseBatch } from "./batch.ts";
import type { Cache, Entry } from "./cache.ts";
import type { Counters, Lookup } from "./counters.ts";
import type { Result } from "./metrics.ts";
import { pathOf, targetOf } from "./target.ts";

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
  readonly script: (request: Request, cors: Headers) => Response;
  /** The cache's clock; `Date.now` by default. */
  readonly now?: () => number;
}

/** Answers a request, at once if it can. */
export type Handler = (request: Request) => Response | Promise<Response>;

/** Header names and values. */
export type Headers = Readonly<Record<string, string>>;

/** What of an answer depends on who asks. */
interface Variant {
  readonly cors: Headers;
  /** The same object for each hit: making one would cost more than the lookup. */
  readonly hit: ResponseInit;
}

/** Returns the handler of the public port. */
export function createProxy(options: ProxyOptions): Handler {
  const { cache, counters, requests, paths, corsOrigin, script, cacheControl = false, now = Date.now } = options;
  const variantFor = createVariants(corsOrigin);
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
      const variant = variantFor(request);
      return new Response(entry.value, cacheControl ? { headers: found("hit", entry, variant.cors) } : variant.hit);
    }
    const { cors } = variantFor(request);
    switch (routes.get(pathOf(target))) {
      case "count":
        return counters.miss(target).then((lookup) => reply(lookup, cors));
      case "batch":
        return batch(target, cors);
      case "script":
        requests.hit++;
        return script(request, cors);
      default:
        return notServed("detail=not-a-counter");
    }
  };

  function batch(target: string, cors: Headers): Response | Promise<Response> {
    const batch = parseBatch(target);
    if (batch.urls.length === 0 || batch.urls.length > MAX_URLS) {
      requests.rejected++;
      const error = `expected 1 to ${MAX_URLS} urls, got ${batch.urls.length}`;
      const headers = foundHeaders("detail=not-a-batch", cors);
      return new Response(`${JSON.stringify({ error })}\n`, { status: STATUS_CODE.BadRequest, headers });
    }
    const lookup = lookUp(batch, cache, counters.miss);
    return lookup instanceof Promise ? lookup.then((lookup) => reply(lookup, cors)) : reply(lookup, cors);
  }

  function reply({ result, entry, cacheStatus }: Lookup | Hit, cors: Headers): Response {
    requests[result]++;
    if (entry !== undefined) return new Response(entry.value, { headers: found(cacheStatus, entry, cors) });
    if (result === "rejected") return refusal(STATUS_CODE.URITooLong, "414 URI too long\n", cacheStatus, cors);
    return refusal(STATUS_CODE.NotFound, NOT_FOUND, cacheStatus, cors);
  }

  function notServed(why: string): Response {
    requests.rejected++;
    return refusal(STATUS_CODE.NotFound, NOT_FOUND, why);
  }

  function found(cacheStatus: string, { expiresAt }: Entry<string>, cors: Headers): Headers {
    const headers = foundHeaders(cacheStatus, cors);
    if (!cacheControl) return headers;
    const maxAge = Math.max(0, Math.floor((expiresAt - now()) / 1000));
    return { ...headers, "cache-control": `public, max-age=${maxAge}` };
  }
}

function createVariants(corsOrigin: ProxyOptions["corsOrigin"]): (request: Request) => Variant {
  const variant = (cors: Headers): Variant => ({ cors, hit: Object.freeze({ headers: foundHeaders("hit", cors) }) });
  if (typeof corsOrigin !== "object") {
    const everyone = variant(corsOrigin === undefined ? {} : { "access-control-allow-origin": corsOrigin });
    return () => everyone;
  }
  const stranger = variant({ vary: "Origin" });
  const listed = new Map(
    corsOrigin.map((origin) => [origin, variant({ vary: "Origin", "access-control-allow-origin": origin })]),
  );
  return (request) => listed.get(request.headers.get("origin") ?? "") ?? stranger;
}

function foundHeaders(cacheStatus: string, cors: Headers): Headers {
  return { "content-type": "application/json", "cache-status": `httpfastcache; ${cacheStatus}`, ...cors };
}

const NOT_FOUND = "404 page not found\n";

function refusal(status: number, body: string, cacheStatus: string, cors: Headers = {}): Response {
  const headers = {
    "content-type": "text/plain; charset=utf-8",
    "x-content-type-options": "nosniff",
    "cache-status": `httpfastcache; ${cacheStatus}`,
    ...cors,
  };
  return new Response(body, { status, headers });
}
