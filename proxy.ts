/**
 * Request to response: which requests are counters, what a hit costs, and which headers an answer has.
 *
 * @module
 */

// @ts-types="./types/std_status.d.ts"
import { STATUS_CODE } from "@std/http/status";
import type { Cache } from "./cache.ts";
import type { Counters } from "./counters.ts";
import type { Result } from "./metrics.ts";

/** What the proxy works with. */
export interface ProxyOptions {
  /** Keeps the bodies of good answers, by path and query exactly as a reader sent them. */
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
  /** The cache's clock; `Date.now` by default. */
  readonly now?: () => number;
}

/** Answers a request, at once if it can. */
export type Handler = (request: Request) => Response | Promise<Response>;

/** No article has a longer address. It is counted in UTF-16 units, as JavaScript does. */
const MAX_TARGET_LENGTH = 8 * 1024;

type Headers = Readonly<Record<string, string>>;

/** What of an answer depends on who asks. */
interface Variant {
  readonly cors: Headers;
  /** The same object for each hit: making one would cost more than the lookup. */
  readonly hit: ResponseInit;
}

/** Returns the handler of the public port. */
export function createProxy(options: ProxyOptions): Handler {
  const { cache, counters, requests, paths, corsOrigin, cacheControl = false, now = Date.now } = options;
  const variantFor = createVariants(corsOrigin);

  return function handle(request) {
    if (request.method !== "GET") return notServed("detail=not-a-get");
    const target = targetOf(request.url);
    // Only counters are ever kept, so a hit need not look at the path.
    const entry = cache.get(target);
    if (entry !== undefined) {
      requests.hit++;
      const variant = variantFor(request);
      return new Response(entry.value, cacheControl ? { headers: found("hit", entry, variant.cors) } : variant.hit);
    }
    if (!isCounter(target, paths)) return notServed("detail=not-a-counter");
    const { cors } = variantFor(request);
    if (target.length > MAX_TARGET_LENGTH) {
      requests.rejected++;
      return refusal(STATUS_CODE.URITooLong, "414 URI too long\n", "detail=too-long", cors);
    }
    return miss(target, cors);
  };

  async function miss(target: string, cors: Headers): Promise<Response> {
    const { result, entry, cacheStatus } = await counters.miss(target);
    requests[result]++;
    if (entry === undefined) return refusal(STATUS_CODE.NotFound, NOT_FOUND, cacheStatus, cors);
    return new Response(entry.value, { headers: found(cacheStatus, entry, cors) });
  }

  function notServed(why: string): Response {
    requests.rejected++;
    return refusal(STATUS_CODE.NotFound, NOT_FOUND, why);
  }

  function found(cacheStatus: string, { expiresAt }: { readonly expiresAt: number }, cors: Headers): Headers {
    const headers = foundHeaders(cacheStatus, cors);
    if (!cacheControl) return headers;
    const maxAge = Math.max(0, Math.floor((expiresAt - now()) / 1000));
    return { ...headers, "cache-control": `public, max-age=${maxAge}` };
  }
}

/** Whether a path and query asks for a count. */
export function isCounter(target: string, paths: readonly string[]): boolean {
  const query = target.indexOf("?");
  return paths.includes(query === -1 ? target : target.slice(0, query));
}

/** The path and query of a URL, as the reader sent them. Slicing costs a tenth of what a `URL` object does. */
function targetOf(url: string): string {
  return url.slice(url.indexOf("/", "http://".length));
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
