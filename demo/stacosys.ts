/**
 * A small Stacosys to try the cache with: its calls for counts and new comments, over SQLite in memory. It knows one
 * site, and publishes a comment at once where the real one asks the blog's author first.
 *
 * @module
 */

import { DatabaseSync } from "node:sqlite";
import { ARTICLES } from "./articles.ts";

/** The token of the demo's one site. */
export const TOKEN = "demo";

/** A Stacosys that is being served. */
export interface DemoStacosys {
  readonly port: number;
  /** For each article, how often its count was asked for, and when last, in milliseconds since 1970. */
  readonly asked: ReadonlyMap<string, { readonly times: number; readonly last: number }>;
  /** Ends it. */
  shutdown(): Promise<void>;
}

/**
 * Serves a Stacosys with the demo's articles and comments. Throws if it cannot listen there.
 *
 * ```ts
 * import { serveStacosys } from "./stacosys.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const stacosys = serveStacosys({ hostname: "127.0.0.1", port: 0 });
 * const response = await fetch(`http://127.0.0.1:${stacosys.port}/comments/count?token=demo&url=/2017/feeds-are-alive/`);
 * assertEquals(await response.text(), '{"count":12}\n');
 * await stacosys.shutdown();
 * ```
 */
export function serveStacosys(address: { readonly hostname: string; readonly port: number }): DemoStacosys {
  const comments = openComments();
  const asked = new Map<string, { times: number; last: number }>();

  function count(article: string, token: string | null): Response {
    asked.set(article, { times: (asked.get(article)?.times ?? 0) + 1, last: Date.now() });
    return json({ count: token === TOKEN ? comments.count(article) : 0 });
  }

  async function add(request: Request): Promise<Response> {
    const form = new URLSearchParams(await request.text());
    const [token, url, author, message] = ["token", "url", "author", "message"].map((name) => form.get(name)?.trim());
    // The captcha is a field that no person sees, so whoever fills it in is none.
    if (token !== TOKEN || !url || !message || form.get("captcha")) {
      return new Response("expected a comment with token, url and message\n", { status: 400 });
    }
    comments.add(url, author || "Anonymous", message);
    return new Response(null, { status: 302, headers: { location: "/redirect/" } });
  }

  const server = Deno.serve({ ...address, onListen: () => {} }, (request) => {
    const { pathname, searchParams } = new URL(request.url);
    const route = `${request.method} ${pathname}`;
    const article = searchParams.get("url") ?? "";
    // A Stacosys may be served under a prefix, so what counts is how the path ends. From 3.x on there is no token.
    if (/^GET .*\/api\/comments\/count$/.test(route)) return count(article, TOKEN);
    if (/^GET .*\/comments\/count$/.test(route)) return count(article, searchParams.get("token"));
    if (/^POST .*\/newcomment$/.test(route)) return add(request);
    return new Response("404 not found\n", { status: 404 });
  });

  return {
    port: server.addr.port,
    asked,
    async shutdown() {
      await server.shutdown();
      comments.close();
    },
  };
}

function openComments() {
  const database = new DatabaseSync(":memory:");
  database.exec("CREATE TABLE comment (url TEXT NOT NULL, author TEXT NOT NULL, message TEXT NOT NULL)");
  database.exec("CREATE INDEX comment_url ON comment (url)");
  const select = database.prepare("SELECT count(*) AS count FROM comment WHERE url = ?");
  const insert = database.prepare("INSERT INTO comment (url, author, message) VALUES (?, ?, ?)");

  function add(url: string, author: string, message: string): void {
    insert.run(url, author, message);
  }
  for (const { url, comments } of ARTICLES) {
    for (let i = 1; i <= comments; i++) add(url, `Reader ${i}`, "Thank you for this article.");
  }
  return { add, count: (url: string) => select.get(url)?.count ?? 0, close: () => database.close() };
}

function json(value: unknown): Response {
  return new Response(`${JSON.stringify(value)}\n`, { headers: { "content-type": "application/json" } });
}
