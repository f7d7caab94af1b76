/**
 * The owner's own listener, on a loopback address: health, metrics, purge and a status page.
 *
 * @module
 */

import { isLoopback } from "../service/checks.ts";
import type { Counters } from "../upstream/counters.ts";
import { healthOf, type Sources } from "./health.ts";
import type { Metrics } from "./metrics.ts";
import { pageOf } from "./page.ts";
import type { Recent } from "./recent.ts";

/** What the owner may see and do. */
export interface AdminOptions extends Sources {
  readonly counters: Sources["counters"] & Pick<Counters, "purge">;
  readonly metrics: Pick<Metrics, "text">;
  readonly recent: Recent;
  /** A clock that nobody sets; `performance.now` by default. */
  readonly monotonic?: () => number;
}

type Headers = Readonly<Record<string, string>>;

interface Route {
  readonly method: string;
  readonly answer: (url: URL, request: Request) => Response;
}

/** Returns the handler of the owner's listener. */
export function createAdmin(options: AdminOptions): (request: Request) => Response {
  const { counters, metrics, recent, monotonic = () => performance.now() } = options;
  const startedAt = monotonic();
  const health = () => healthOf(options, startedAt, monotonic());
  const routes: Readonly<Record<string, Route>> = {
    "/": { method: "GET", answer: page },
    "/healthz": { method: "GET", answer: () => json(health()) },
    "/metrics": { method: "GET", answer: () => reply(metrics.text(health()), "text/plain; version=0.0.4") },
    "/purge": { method: "POST", answer: (url, request) => purge(url, request, counters) },
  };

  return function handle(request: Request): Response {
    if (!isOwner(request)) return refuse(403, "403 forbidden");
    const url = new URL(request.url);
    const route = Object.hasOwn(routes, url.pathname) ? routes[url.pathname] : undefined;
    if (route === undefined) return refuse(404, "404 page not found");
    if (route.method !== request.method) {
      return refuse(405, "405 method not allowed", { allow: route.method });
    }
    return route.answer(url, request);
  };

  function page(): Response {
    const nonce = crypto.randomUUID();
    return reply(pageOf(health(), recent, nonce), "text/html", {
      // The page is all in one file, asks nobody but this listener, and is shown in no other page, whose owner might
      // move the button for a purge under the mouse.
      "content-security-policy":
        `default-src 'none'; style-src 'nonce-${nonce}'; script-src 'nonce-${nonce}'; connect-src 'self'; ` +
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    });
  }
}

/** A page in the owner's browser may reach this port, too: by its own script, or under a name that points here. */
function isOwner({ headers }: Request): boolean {
  const host = headers.get("host") ?? "";
  const hostname = URL.parse(`http://${host}`)?.hostname.replace(/^\[|\]$/g, "") ?? "";
  const origin = headers.get("origin");
  return isLoopback(hostname) && (origin === null || origin === `http://${host}`);
}

function purge({ searchParams }: URL, { headers }: Request, counters: Pick<Counters, "purge">): Response {
  // A slip in the name, or a url where a form has it, must not purge everything.
  if (headers.has("transfer-encoding") || Number(headers.get("content-length")) > 0) {
    return refuse(400, "400 expected url in the query, got a body");
  }
  const unknown = [...searchParams.keys()].find((name) => name !== "url");
  if (unknown !== undefined) return refuse(400, `400 expected url, got ${unknown}`);
  const urls = searchParams.getAll("url");
  if (urls.length > 1) return refuse(400, `400 expected one url, got ${urls.length}`);
  return json({ purged: counters.purge(urls[0]) });
}

function json(value: unknown): Response {
  return reply(`${JSON.stringify(value)}\n`, "application/json");
}

function refuse(status: number, text: string, headers: Headers = {}): Response {
  return reply(`${text}\n`, "text/plain", headers, status);
}

function reply(body: string, type: string, headers: Headers = {}, status = 200): Response {
  return new Response(body, {
    status,
    headers: {
      "content-type": type === "application/json" ? type : `${type}; charset=utf-8`,
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      ...headers,
    },
  });
}
