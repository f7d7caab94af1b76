/**
 * Request to response: which requests ask for counts, the hit, and the headers of each answer.
 *
 * @module
 */

import { lookUp, MAX_BATCH_LENGTH, MAX_URLS, type Page, parseBatch } from "./blog/batch.ts";
import type { Entry } from "./cache.ts";
import type { Counters, Lookup, Result } from "./upstream/counters.ts";
import { pathOf, targetOf } from "./upstream/target.ts";

/** What the proxy works with. */
export interface ProxyOptions {
  readonly counters: Pick<Counters, "cache" | "miss" | "known">;
  /** How many counts there were of each result. */
  readonly results: Record<Result, number>;
  /** The paths that are counters. */
  readonly paths: readonly string[];
  /** `*`, an origin, a list of origins, or none. */
  readonly corsOrigin?: string | readonly string[] | undefined;
  /** Whether browsers and CDNs may keep a count for what is left of its life. */
  readonly cacheControl?: boolean;
  /** Hands out the script for blogs. */
  readonly script: (request: Request, cors: HeaderMap) => Response;
  /** The cache's clock; `Date.now` by default. */
  readonly now?: () => number;
}

type HeaderMap = Readonly<Record<string, string>>;

/** The part of an answer that depends on the origin of the reader. */
interface Variant {
  readonly cors: HeaderMap;
  /** The answer to a hit. */
  readonly hit: (body: string) => Response;
}

/** Returns the handler of the public port. */
export function createProxy(options: ProxyOptions): (request: Request) => Response | Promise<Response> {
  const { counters: { cache }, results, cacheControl = false } = options;
  const variantFor = createVariants(options.corsOrigin);
  const replies = new Replies(options);

  return function handle(request) {
    if (request.method !== "GET") return replies.notServed("detail=not-a-get");
    const target = targetOf(request.url);
    // Only counts are ever kept, so a hit need not look at the path.
    const entry = cache.get(target);
    if (entry === undefined) return replies.miss(request, target, variantFor(request));
    results.hit++;
    return cacheControl
      ? replies.found("hit", entry, "hit", variantFor(request))
      : variantFor(request).hit(entry.value);
  };
}

/** The characters that Go allows in a Host. With a slash in it Deno would find the path in the wrong place. */
const HOST = /^[\w!$%&'()*+,.:;=~\[\]-]*$/;

/** Whether its host is well-formed. A hit does not look at it, since to read a header costs time. */
function isHostGood({ headers, url }: Request, target: string): boolean {
  const host = headers.get("host") ?? "";
  if (!HOST.test(host)) return false;
  // A whole URL in the request line has a host of its own. So has HTTP/2, where there is no header.
  const inUrl = url.slice(url.indexOf("//") + "//".length, -target.length);
  return inUrl === host || HOST.test(inUrl) && URL.canParse(url);
}

/** Builds the answers, but for the plain hit. */
class Replies {
  readonly #options: ProxyOptions;
  readonly #now: () => number;
  readonly #routes: ReadonlyMap<string, "count" | "batch" | "script">;

  constructor(options: ProxyOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#routes = new Map([
      ...options.paths.flatMap((path) => [[`${path}s`, "batch"], [`${path}s.js`, "script"]] as const),
      // A path of the configuration is a count, even if it is another one with an s.
      ...options.paths.map((path) => [path, "count"] as const),
    ]);
  }

  miss(request: Request, target: string, variant: Variant): Response | Promise<Response> {
    const route = this.#routes.get(pathOf(target));
    if (route === undefined) return this.notServed("detail=not-a-counter");
    if (route === "script") return this.#options.script(request, variant.cors);
    if (!isHostGood(request, target)) return this.#badHost();
    return route === "count" ? this.#count(target, variant) : this.#batch(target, variant);
  }

  found(result: Result, entry: Entry<string>, cacheStatus: string, { cors }: Variant): Response {
    const headers = foundHeaders(cacheStatus, cors);
    if (!this.#options.cacheControl) return new Response(entry.value, { headers });
    const maxAge = result === "stale" ? 0 : Math.max(0, this.#secondsLeft(entry));
    return new Response(entry.value, { headers: { ...headers, "cache-control": `public, max-age=${maxAge}` } });
  }

  notServed(cacheStatus: string): Response {
    this.#options.results.rejected++;
    return refusal(404, NOT_FOUND, cacheStatus);
  }

  #badHost(): Response {
    this.#options.results.rejected++;
    return refusal(400, "400 Bad Request: malformed Host header\n", "detail=bad-host");
  }

  #count(target: string, variant: Variant): Response | Promise<Response> {
    const lookup = this.#options.counters.miss(target);
    return lookup instanceof Promise
      ? lookup.then((found) => this.#reply(found, variant))
      : this.#reply(lookup, variant);
  }

  #reply(lookup: Lookup, variant: Variant): Response {
    const { result, entry } = lookup;
    this.#options.results[result]++;
    const cacheStatus = this.#cacheStatusOf(lookup);
    if (entry !== undefined) return this.found(result, entry, cacheStatus, variant);
    if (result === "rejected") return tooLong(variant);
    return refusal(404, NOT_FOUND, cacheStatus, variant.cors);
  }

  #batch(target: string, variant: Variant): Response | Promise<Response> {
    const { results, counters } = this.#options;
    const batch = parseBatch(target);
    const { urls, targets } = batch;
    if (urls.length === 0 || urls.length > MAX_URLS) {
      results.rejected++;
      const error = `expected 1 to ${MAX_URLS} urls, got ${urls.length > MAX_URLS ? "more" : urls.length}`;
      const headers = { ...foundHeaders("detail=not-a-batch", variant.cors), "cache-control": "no-store" };
      return new Response(`${JSON.stringify({ error })}\n`, { status: 400, headers });
    }
    if (targets.reduce((sum, { length }) => sum + length, 0) > MAX_BATCH_LENGTH) {
      results.rejected++;
      return tooLong(variant);
    }
    const page = lookUp(batch, counters);
    return page instanceof Promise ? page.then((page) => this.#page(page, variant)) : this.#page(page, variant);
  }

  #page({ result, entry, tally }: Page, variant: Variant): Response {
    const { results, cacheControl } = this.#options;
    for (const result of RESULTS) results[result] += tally[result];
    if (result === "hit" && entry !== undefined) {
      return cacheControl ? this.found("hit", entry, "hit", variant) : variant.hit(entry.value);
    }
    const parts = RESULTS.filter((result) => tally[result] > 0).map((result) => `${tally[result]} ${result}`);
    const why = tally.hit > 0 ? "partial" : tally.stale > 0 ? "stale" : "uri-miss";
    const cacheStatus = `fwd=${why}; detail="${parts.join(", ")}"`;
    if (entry !== undefined) return this.found(result, entry, cacheStatus, variant);
    return tally.error === 0 ? tooLong(variant) : refusal(404, NOT_FOUND, cacheStatus, variant.cors);
  }

  /** The parameters of `Cache-Status` (RFC 9211). A ttl of 0 or less means stale. */
  #cacheStatusOf({ result, entry, forward, detail }: Lookup): string {
    const parts: string[] = [];
    if (forward !== undefined) {
      parts.push(`fwd=${forward.why}`);
      if (forward.status !== undefined) parts.push(`fwd-status=${forward.status}`);
      if (result === "miss" && !entry?.purged) parts.push("stored");
      if (forward.collapsed) parts.push("collapsed");
    } else if (entry !== undefined) {
      parts.push("hit");
    }
    if (result === "stale" && entry !== undefined) parts.push(`ttl=${Math.min(0, this.#secondsLeft(entry))}`);
    if (detail !== undefined) parts.push(`detail=${detail}`);
    return parts.join("; ");
  }

  #secondsLeft({ expiresAt }: Entry<string>): number {
    return Math.floor((expiresAt - this.#now()) / 1000);
  }
}

const RESULTS = ["hit", "miss", "stale", "error", "rejected"] as const;

/** Only a blog in development, such as the demo, may read `Cache-Status`: one more header costs a hit 0.6 µs, 4 %. */
const LOOPBACK = /^https?:\/\/(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/;

function createVariants(corsOrigin: ProxyOptions["corsOrigin"]): (request: Request) => Variant {
  const allow = (origin: string): HeaderMap => ({
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

/** How many answers are kept ready, and how long their bodies may be: the counts of a blog, and those of its pages. */
const READY_BODIES = 1_000;
const READY_LENGTH = 1_000;

/**
 * A `Response` can be handed out only once, but its clone costs 0.4 µs where a new one with three headers costs 5.6.
 * Most articles have one of a few counts, so that a few answers serve them all.
 */
function createVariant(cors: HeaderMap): Variant {
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

function foundHeaders(cacheStatus: string, cors: HeaderMap): HeaderMap {
  return { "content-type": "application/json", "cache-status": `httpfastcache; ${cacheStatus}`, ...cors };
}

const NOT_FOUND = "404 page not found\n";

function tooLong({ cors }: Variant): Response {
  return refusal(414, "414 URI too long\n", "detail=too-long", cors);
}

/** No cache in between may keep a refusal: the next answer may be a count. */
function refusal(status: number, body: string, cacheStatus: string, cors: HeaderMap = {}): Response {
  const headers = {
    "content-type": "text/plain; charset=utf-8",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "cache-status": `httpfastcache; ${cacheStatus}`,
    ...cors,
  };
  return new Response(body, { status, headers });
}
