/**
 * The owner's own listener, on a loopback address: health, metrics, purge and a status page.
 *
 * @module
 */

import { STATUS_CODE } from "@std/http/status";
import type { Cache } from "../cache.ts";
import { isLoopback } from "../service/checks.ts";
import type { Counters } from "../upstream/counters.ts";
import type { Metrics } from "./metrics.ts";
import type { Outage } from "../upstream/outage.ts";
import page from "./status.html" with { type: "text" };

/** What the owner may see and do. */
export interface AdminOptions {
  readonly cache: Pick<Cache<string>, "size" | "evictions">;
  readonly counters: Pick<Counters, "purge">;
  readonly metrics: Metrics;
  readonly outage: Outage;
  /** A clock that nobody sets; `performance.now` by default. */
  readonly monotonic?: () => number;
}

interface Route {
  readonly method: string;
  readonly answer: (url: URL, request: Request) => Response;
}

/** The page is all in one file, and asks nobody but this listener. */
const PAGE_HEADERS = {
  "content-security-policy":
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'",
};

/** Returns the handler of the owner's listener. */
export function createAdmin(
  { cache, counters, metrics, outage, monotonic = () => performance.now() }: AdminOptions,
): Deno.ServeHandler {
  const startedAt = monotonic();
  const routes: Readonly<Record<string, Route>> = {
    "/": { method: "GET", answer: () => reply(page, "text/html; charset=utf-8", PAGE_HEADERS) },
    "/healthz": { method: "GET", answer: health },
    "/metrics": { method: "GET", answer: () => reply(metrics.text(cache), "text/plain; version=0.0.4; charset=utf-8") },
    "/purge": { method: "POST", answer: purge },
  };

  return function handle(request: Request): Response {
    // A page in the owner's browser may reach this port, too: by its own script, or under a name that points here.
    const host = request.headers.get("host") ?? "";
    const hostname = URL.parse(`http://${host}`)?.hostname.replace(/^\[|\]$/g, "") ?? "";
    if (!isLoopback(hostname) || request.headers.has("origin")) return refuse(STATUS_CODE.Forbidden, "403 forbidden");
    const url = new URL(request.url);
    const route = Object.hasOwn(routes, url.pathname) ? routes[url.pathname] : undefined;
    if (route === undefined) return refuse(STATUS_CODE.NotFound, "404 page not found");
    if (route.method !== request.method) {
      return refuse(STATUS_CODE.MethodNotAllowed, "405 method not allowed", route.method);
    }
    return route.answer(url, request);
  };

  function health(): Response {
    return json({
      status: "ok",
      uptimeSeconds: Math.floor((monotonic() - startedAt) / 1000),
      entries: cache.size,
      stacosys: outage.stacosys,
      lastError: outage.lastFailure?.reason ?? null,
      lastErrorSeconds: outage.lastFailure === undefined
        ? null
        : Math.floor((monotonic() - outage.lastFailure.at) / 1000),
    });
  }

  function purge({ searchParams }: URL, { headers }: Request): Response {
    // A slip in the name, or a url where a form has it, must not empty the cache.
    if (headers.has("transfer-encoding") || Number(headers.get("content-length")) > 0) {
      return refuse(STATUS_CODE.BadRequest, "400 expected url in the query, got a body");
    }
    const strange = [...searchParams.keys()].find((name) => name !== "url");
    if (strange !== undefined) return refuse(STATUS_CODE.BadRequest, `400 expected url, got ${strange}`);
    const urls = searchParams.getAll("url");
    if (urls.length > 1) return refuse(STATUS_CODE.BadRequest, `400 expected one url, got ${urls.length}`);
    return json({ purged: counters.purge(urls[0]) });
  }
}

function json(value: unknown): Response {
  return reply(`${JSON.stringify(value)}\n`, "application/json");
}

function reply(body: string, type: string, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(body, {
    headers: { "content-type": type, "cache-control": "no-store", "x-content-type-options": "nosniff", ...headers },
  });
}

function refuse(status: number, text: string, allow?: string): Response {
  return new Response(`${text}\n`, {
    status,
    headers: { "content-type": "text/plain; charset=utf-8", ...(allow === undefined ? {} : { allow }) },
  });
}
