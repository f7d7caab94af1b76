/**
 * A blog page whose counters come through the cache, with a panel that shows how. It has an origin of its own, so that
 * the browser asks the cache as it would on a real blog.
 *
 * @module
 */

import { type Article, ARTICLES } from "./articles.ts";
import style from "./blog.css" with { type: "text" };
import page from "./blog.html" with { type: "text" };
import panel from "./blog.js" with { type: "text" };
import oldWay from "./old_way.js" with { type: "text" };
import { type DemoStacosys, type Health, SLOW_MS, TOKEN } from "./stacosys.ts";

/** What the page needs to know. */
export interface BlogOptions {
  readonly hostname: string;
  readonly port: number;
  /** The URL of the counters, as browsers reach them. */
  readonly cache: string;
  /** How long a counter is fresh, in milliseconds. */
  readonly ttlMs: number;
  /** The URL of Stacosys, without a slash at the end. New comments go there directly. */
  readonly stacosys: string;
  /** The demo Stacosys; nothing if it is another one. */
  readonly demo?: DemoStacosys | undefined;
  /** The URL of the owner's status page, if there is one. */
  readonly statusPage?: string | undefined;
}

/** Serves the page at `/`, and at `/old-way/` the same with a request for each counter. Throws if it cannot listen. */
export function serveBlog(options: BlogOptions): Deno.HttpServer<Deno.NetAddr> {
  const { hostname, port, stacosys, demo, ttlMs } = options;
  const files = new Map([
    ["/", ["text/html", render(options, false)]],
    ["/old-way/", ["text/html", render(options, true)]],
    ["/blog.css", ["text/css", style]],
    ["/blog.js", ["text/javascript", panel]],
    ["/old_way.js", ["text/javascript", oldWay]],
  ]);

  return Deno.serve({ hostname, port, onListen: () => {} }, (request) => {
    const { pathname } = new URL(request.url);
    if (request.method === "POST" && pathname === "/newcomment") return add(request);
    if (request.method === "POST" && pathname === "/stacosys") return change(request);
    if (pathname === "/state") return Response.json(state());
    const [type, text] = files.get(pathname) ?? [];
    if (type === undefined) return new Response("404 page not found\n", { status: 404 });
    return new Response(text, { headers: { "content-type": `${type}; charset=utf-8`, "cache-control": "no-store" } });
  });

  /** What the panel follows. For each count: how long it is fresh yet, and whether the file has changed since. */
  function state() {
    const now = Date.now();
    const lives = [...demo?.asked ?? []].map(([url, { last }]) => {
      const changed = demo?.file !== undefined && demo.changedAt >= last;
      return [url, { leftMs: Math.max(0, last + ttlMs - now), changed }];
    });
    return {
      ttlSeconds: ttlMs / 1000,
      health: demo?.health,
      slowSeconds: SLOW_MS / 1000,
      lives: Object.fromEntries(lives),
    };
  }

  async function change(request: Request): Promise<Response> {
    const wanted = new URLSearchParams(await request.text()).get("health");
    const health = HEALTHS.find((health) => health === wanted);
    if (demo === undefined || health === undefined) return new Response("400 bad request\n", { status: 400 });
    try {
      await demo.be(health);
      return new Response(null, { status: 303, headers: { location: "/" } });
    } catch (error) {
      return new Response(`Stacosys cannot start: ${error instanceof Error ? error.message : error}\n`, {
        status: 500,
      });
    }
  }

  /** Passes a comment on to Stacosys, as NginX does with every call that is no counter. */
  async function add(request: Request): Promise<Response> {
    try {
      const { status, body } = await fetch(`${stacosys}/newcomment`, {
        method: "POST",
        body: new URLSearchParams(await request.text()),
        redirect: "manual",
      });
      if (status === 302) return new Response(null, { status: 303, headers: { location: "/" } });
      return new Response(body, { status });
    } catch {
      return new Response(`Stacosys at ${stacosys} does not answer.\n`, { status: 502 });
    }
  }
}

const HEALTHS: readonly Health[] = ["running", "slow", "stopped"];

function render({ cache, demo, statusPage }: BlogOptions, old: boolean): string {
  const articles = ARTICLES.slice(0, 10);
  const values: Readonly<Record<string, string>> = {
    cache: escape(cache),
    token: TOKEN,
    watched: demo?.file === undefined ? "" : "data-watched",
    counts: old
      ? `<script src="/old_way.js" defer></script>`
      : `<script src="${escape(cache)}s.js" data-token="${TOKEN}" data-none="No comments yet" async></script>`,
    otherUrl: old ? "/" : "/old-way/",
    otherName: old ? "Now in one request" : "The same, the old way",
    statusPage: statusPage === undefined ? "" : `<a href="${escape(statusPage)}">The owner’s status page</a>`,
    health: demo === undefined ? "" : `<span>Stacosys</span><p>${HEALTHS.map(renderHealth).join("")}</p>`,
    articles: articles.map(renderArticle).join("\n"),
    choices: articles.map(({ url, title }) => `<option value="${escape(url)}">${escape(title)}</option>`).join(""),
    note: demo?.file === undefined
      ? "Straight to Stacosys. Readers see it when the count has expired."
      : `Straight into the file of Stacosys, <code>${escape(demo.file)}</code>. Readers see it seconds later.`,
  };
  return page.replaceAll(/\{\{ ?(\w+) ?\}\}/g, (_, name) => values[name] ?? "");
}

function renderHealth(health: Health): string {
  return `<button name="health" value="${health}" aria-pressed="false" aria-label="Stacosys ${health}">${health}</button>`;
}

function renderArticle({ url, title, date, summary }: Article): string {
  const day = new Date(date).toLocaleDateString("en-GB", { dateStyle: "medium", timeZone: "UTC" });
  return `
        <article>
          <h2>${escape(title)}</h2>
          <p class="meta">
            <time datetime="${date}">${day}</time>
            <a href="#comment" data-stacosys-url="${escape(url)}">Comments</a>
            <span class="life" data-life="${escape(url)}"></span>
          </p>
          <p>${escape(summary)}</p>
        </article>`;
}

function escape(text: string): string {
  return text.replaceAll(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}
