/**
 * The owner's own listener, on a loopback address: health, metrics, the counts that are kept, purge and a status page.
 *
 * @module
 */

import { isLoopback } from "../service/checks.ts";
import { escapeInvisible } from "../service/invisible.ts";
import type { Snapshot } from "../service/snapshot.ts";
import type { Counters } from "../upstream/counters.ts";
import { countsAsJson, type CountsSource } from "./counts.ts";
import { healthOf, isAlarming, type Sources } from "./health.ts";
import type { Metrics } from "./metrics.ts";
import { pageOf } from "./page.ts";
import type { Recent } from "./recent.ts";

/** What the owner may see and do. */
export interface AdminOptions extends Sources, CountsSource {
  readonly cache: Sources["cache"] & CountsSource["cache"];
  readonly counters: Sources["counters"] & Pick<Counters, "purge">;
  readonly snapshot?: (Sources["snapshot"] & Pick<Snapshot, "save">) | undefined;
  readonly metrics: Pick<Metrics, "text">;
  readonly recent: Recent;
  /** The cache's clock; `Date.now` by default. */
  readonly now?: () => number;
  /** A clock that nobody sets; `performance.now` by default. */
  readonly monotonic?: () => number;
}

type HeaderMap = Readonly<Record<string, string>>;

interface Route {
  readonly method: string;
  readonly answer: (url: URL, request: Request) => Response | Promise<Response>;
}

/** Returns the handler of the owner's listener. */
export function createAdmin(options: AdminOptions): (request: Request) => Response | Promise<Response> {
  const { metrics, recent, now = Date.now, monotonic = () => performance.now() } = options;
  const startedAt = monotonic();
  const health = () => healthOf(options, startedAt, monotonic(), now());
  const routes: Readonly<Record<string, Route>> = {
    "/": { method: "GET", answer: page },
    "/healthz": { method: "GET", answer: healthz },
    "/metrics": { method: "GET", answer: () => reply(metrics.text(health(), now()), "text/plain; version=0.0.4") },
    "/counts": { method: "GET", answer: counts },
    "/purge": { method: "POST", answer: (url, request) => purge(url, request, options) },
  };

  return function handle(request: Request): Response | Promise<Response> {
    if (!request.headers.has("host")) return refuse(400, "400 expected the header Host, got none");
    if (!isOwner(request)) return refuse(403, "403 forbidden");
    const url = URL.parse(request.url);
    if (url === null) return refuse(400, "400 expected a URL, got something else");
    const route = Object.hasOwn(routes, url.pathname) ? routes[url.pathname] : undefined;
    if (route === undefined) return refuse(404, "404 page not found");
    // Deno sends no body with an answer to HEAD.
    const allowed = route.method === "GET" ? ["GET", "HEAD"] : [route.method];
    if (!allowed.includes(request.method)) {
      return refuse(405, "405 method not allowed", { allow: allowed.join(", ") });
    }
    return route.answer(url, request);
  };

  function healthz({ searchParams }: URL): Response {
    const found = health();
    const alarm = searchParams.has("stacosys") && isAlarming(found);
    const wholeSeconds = (_: string, value: unknown) => typeof value === "number" ? Math.floor(value) : value;
    return json(JSON.stringify(found, wholeSeconds), alarm ? 503 : 200);
  }

  function counts({ searchParams }: URL): Response {
    const unknown = [...searchParams.keys()].find((name) => name !== "search" && name !== "limit");
    if (unknown !== undefined) return refuse(400, `400 expected search or limit, got ${unknown}`);
    const limit = searchParams.get("limit") ?? "Infinity";
    if (!/^(\d+|Infinity)$/.test(limit)) {
      return refuse(400, `400 expected a whole number as limit, got ${limit}`);
    }
    const text = countsAsJson(options, {
      search: searchParams.get("search") ?? "",
      limit: Number(limit),
      now: now(),
      uptimeMs: monotonic() - startedAt,
    });
    return reply(ReadableStream.from(text).pipeThrough(new TextEncoderStream()), "application/json");
  }

  function page(): Response {
    const nonce = crypto.randomUUID();
    return reply(pageOf(health(), recent, now(), nonce), "text/html", {
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

/** Answers when the purge is on the disk: the process may end any moment, and the next one must know of it. */
async function purge(
  { searchParams }: URL,
  { headers }: Request,
  { counters, snapshot }: Pick<AdminOptions, "counters" | "snapshot">,
): Promise<Response> {
  // A slip in the name, or a url where a form has it, must not purge everything.
  if (headers.has("transfer-encoding") || Number(headers.get("content-length")) > 0) {
    return refuse(400, "400 expected url in the query, got a body");
  }
  const unknown = [...searchParams.keys()].find((name) => name !== "url");
  if (unknown !== undefined) return refuse(400, `400 expected url, got ${unknown}`);
  const urls = searchParams.getAll("url");
  if (urls.length > 1) return refuse(400, `400 expected one url, got ${urls.length}`);
  const purged = await counters.purge(urls[0]);
  const fault = await snapshot?.save();
  if (fault === undefined) return json(JSON.stringify({ purged }));
  return refuse(
    500,
    `500 purged ${purged} here and now, but a restart may bring the old counts back: cannot save ${snapshot?.file}: ${fault}`,
  );
}

/** Readers wrote parts of it. Escaped it is the same JSON, and no terminal obeys it. */
function json(text: string, status = 200): Response {
  return reply(`${escapeInvisible(text)}\n`, "application/json", {}, status);
}

function refuse(status: number, text: string, headers: HeaderMap = {}): Response {
  return reply(`${escapeInvisible(text)}\n`, "text/plain", headers, status);
}

function reply(body: BodyInit, type: string, headers: HeaderMap = {}, status = 200): Response {
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
