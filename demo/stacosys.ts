/**
 * A small Stacosys to try the cache with: its calls for counts and new comments, over a SQLite file. It knows one site,
 * and publishes a comment at once where the real one asks the blog's author first.
 *
 * @module
 */

import { DatabaseSync } from "node:sqlite";
import { ARTICLES } from "./articles.ts";

/** The token of the demo's one site. */
export const TOKEN = "demo";

/** How long a slow Stacosys takes for a count. */
export const SLOW_MS = 5_000;

/** How a Stacosys can be. */
export type Health = "running" | "slow" | "stopped";

/** A Stacosys that is being served. */
export interface DemoStacosys {
  readonly port: number;
  readonly health: Health;
  /** For each article, how often its count was given, and when last, in milliseconds since 1970. */
  readonly asked: ReadonlyMap<string, { readonly times: number; readonly last: number }>;
  /** When the last comment came in, in milliseconds since 1970; 0 if there was none. */
  readonly changedAt: number;
  /** The file that its comments are in; nothing if they are in memory. */
  readonly file: string | undefined;
  /** Stops it, starts it again or makes it slow. Throws if it cannot listen again. */
  be(health: Health): Promise<void>;
  /** Ends it. */
  shutdown(): Promise<void>;
}

/** The comments of the demo's articles. */
export interface Comments {
  /** The file that they are in; nothing if they are in memory. */
  readonly file: string | undefined;
  add(url: string, author: string, message: string): void;
  count(url: string): number;
  close(): void;
}

/**
 * Serves a Stacosys with the demo's articles and comments. Throws if it cannot listen there.
 *
 * ```ts
 * import { serveStacosys } from "./stacosys.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const stacosys = serveStacosys({ hostname: "127.0.0.1", port: 0 });
 * const target = "/comments/count?token=demo&url=/2017/feeds-are-alive/";
 * const response = await fetch(`http://127.0.0.1:${stacosys.port}${target}`);
 * assertEquals(await response.text(), '{"count":12}\n');
 * await stacosys.shutdown();
 * ```
 */
export function serveStacosys(
  { hostname, port }: { readonly hostname: string; readonly port: number },
  comments: Comments = openComments(),
): DemoStacosys {
  const asked = new Map<string, { times: number; last: number }>();
  let health: Health = "running";
  let changedAt = 0;
  let other = Promise.withResolvers<void>();

  async function count(article: string, token: string | null): Promise<Response> {
    if (health === "slow") await Promise.race([other.promise, new Promise((resolve) => setTimeout(resolve, SLOW_MS))]);
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
    changedAt = Date.now();
    return new Response(null, { status: 302, headers: { location: "/redirect/" } });
  }

  function answer(request: Request): Response | Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    const route = `${request.method} ${pathname}`;
    const article = searchParams.get("url") ?? "";
    // A Stacosys may be served under a prefix, so what counts is how the path ends. From 3.x on there is no token.
    if (/^GET .*\/api\/comments\/count$/.test(route)) return count(article, TOKEN);
    if (/^GET .*\/comments\/count$/.test(route)) return count(article, searchParams.get("token"));
    if (/^POST .*\/newcomment$/.test(route)) return add(request);
    return new Response("404 not found\n", { status: 404 });
  }

  function listen(port: number) {
    const controller = new AbortController();
    const server = Deno.serve({ hostname, port, signal: controller.signal, onListen: () => {} }, answer);
    async function stop(): Promise<void> {
      controller.abort();
      await server.finished;
    }
    return { port: server.addr.port, stop };
  }

  const first = listen(port);
  let listening: typeof first | undefined = first;

  async function be(wanted: Health): Promise<void> {
    const ended = wanted === "stopped" ? listening : undefined;
    if (wanted === "stopped") listening = undefined;
    else listening ??= listen(first.port);
    health = wanted;
    other.resolve();
    other = Promise.withResolvers();
    await ended?.stop();
  }

  return {
    port: first.port,
    asked,
    file: comments.file,
    get health() {
      return health;
    },
    get changedAt() {
      return changedAt;
    },
    be,
    async shutdown() {
      await be("stopped");
      comments.close();
    },
  };
}

/**
 * Opens the comments in a file, or in memory. Throws if the file cannot be written.
 *
 * Those of an earlier process go. A service that starts again with a changed config.json is still the same process.
 */
export function openComments(file?: string): Comments {
  // One connection for all requests: once the service listens, it gives up the right to open files.
  const database = new DatabaseSync(file ?? ":memory:");
  if (database.prepare("PRAGMA user_version").get()?.["user_version"] !== Deno.pid) {
    database.exec(`
      BEGIN IMMEDIATE;
      DROP TABLE IF EXISTS comment;
      CREATE TABLE comment (url TEXT NOT NULL, author TEXT NOT NULL, message TEXT NOT NULL);
      CREATE INDEX comment_url ON comment (url);
      PRAGMA user_version = ${Deno.pid}`);
    const { add } = statements(database);
    for (const { url, comments } of ARTICLES) {
      for (let i = 1; i <= comments; i++) add(url, `Reader ${i}`, "Thank you for this article.");
    }
    database.exec("COMMIT");
  }
  return { file, ...statements(database), close: () => database.close() };
}

function statements(database: DatabaseSync): Pick<Comments, "add" | "count"> {
  const select = database.prepare("SELECT count(*) AS count FROM comment WHERE url = ?");
  const insert = database.prepare("INSERT INTO comment (url, author, message) VALUES (?, ?, ?)");
  return {
    add: (url, author, message) => void insert.run(url, author, message),
    count: (url) => Number(select.get(url)?.["count"]),
  };
}

function json(value: unknown): Response {
  return new Response(`${JSON.stringify(value)}\n`, { headers: { "content-type": "application/json" } });
}
