/**
 * What `deno task start` runs: the service with config.json, and what is needed to try it: a Stacosys
 * behind it and a blog in front.
 *
 * @module
 */

import project from "../deno.json" with { type: "json" };
import { type Config, parseConfig } from "../service/config.ts";
import { AddressBusy } from "../service/listen.ts";
import { reason } from "../service/log.ts";
import { main } from "../main.ts";
import { parseCount } from "../upstream/parse_count.ts";
import { PATHS } from "../upstream/versions.ts";
import { proxyAsGo } from "../upstream/no_proxy.ts";
import { ARTICLES } from "./articles.ts";
import { serveBlog } from "./blog.ts";
import { type Comments, type DemoStacosys, openComments, serveStacosys, TOKEN } from "./stacosys.ts";

const FILE = "config.json";
const WAITS = `this starts again when ${FILE} has changed`;

// With --watch, Deno.exit throws this on its way out, and nobody need read of it.
addEventListener("unhandledrejection", (event) => {
  if (!(event.reason instanceof Error && event.reason.message === "Code not reachable")) return;
  event.preventDefault();
  event.stopImmediatePropagation();
});

// Only SIGINT ends --watch, too. At a change it says SIGTERM itself, and half a second later all of this is gone.
const WATCH_ENDS_MS = 1_500;
if (Deno.build.os !== "windows") {
  Deno.addSignalListener("SIGTERM", () => setTimeout(endAll, WATCH_ENDS_MS));
  Deno.addSignalListener("SIGHUP", endAll);
}

// `main` says what is wrong with the file, and ends. A change of the file then starts all of this again.
const config = await readConfig();
if (config !== undefined) proxyAsGo(config.stacosys.url);
if (config !== undefined && await isRunning(config)) {
  endAll();
  await new Promise(() => {});
}
const found = config && await findStacosys(config);
try {
  await main(["--config", FILE], ["SIGINT"]);
} catch (error) {
  // `main` has said which address it is when it began to wait.
  console.error(`demo: ${error instanceof AddressBusy ? `change that address in ${FILE}` : reason(error)}; ${WAITS}`);
  Deno.exit(error instanceof AddressBusy ? 75 : 1);
}
if (config !== undefined && found !== undefined) {
  const counter = counterUrl(config, found.path);
  sayWhatToTry(counter, openBlog(config, counter, found.demo));
}
console.log(`Change ${FILE} and the service starts again with it. Ctrl-C ends everything.`);

/** Ends this process as Ctrl-C does. */
function endAll(): void {
  Deno.kill(Deno.pid, "SIGINT");
}

/** Whether there is one already where this one would listen. If so, it is said. */
async function isRunning(config: Config): Promise<boolean> {
  const url = counterUrl(config, "/");
  const signal = AbortSignal.timeout(2_000);
  const found = await fetch(url, { method: "HEAD", signal }).catch(() => undefined);
  if (found?.headers.get("cache-status")?.startsWith(project.name) !== true) return false;
  const health = await fetch(`${ownerUrl(config)}healthz`, { signal }).then((answer) => answer.text()).catch(() => "");
  const pid = /"pid":(\d+)/.exec(health)?.[1];
  const end = pid === undefined ? "end it" : `end it with "kill ${pid}"`;
  console.error(`demo: one seems to be running at ${url}; ${end}, or change the addresses in ${FILE}`);
  return true;
}

async function readConfig(): Promise<Config | undefined> {
  try {
    return parseConfig(await Deno.readTextFile(FILE), FILE).config;
  } catch {
    return undefined;
  }
}

/** Which path gives counts, and the demo Stacosys, if it is that one. */
interface Found {
  readonly path: string | undefined;
  readonly demo?: DemoStacosys;
}

/** Serves the demo Stacosys where config.json has one, unless there is one already. */
async function findStacosys({ stacosys, paths = PATHS, watchFile }: Config): Promise<Found | undefined> {
  const { url } = stacosys;
  const { protocol, hostname, port } = new URL(url);
  const answers = await Promise.all(paths.map((path) => ask(stacosys, path)));
  const path = paths.find((_, i) => parseCount(answers[i] ?? "") !== undefined);
  if (path !== undefined) {
    console.log(`demo: a Stacosys answers at ${url} already, so the demo Stacosys stays away`);
    return { path };
  }
  if (answers.some((answer) => answer !== undefined)) {
    console.warn(`demo: what answers at ${url} is no Stacosys, as it gives no count; change Stacosys in ${FILE}`);
    return undefined;
  }
  try {
    if (protocol !== "http:") throw new Error("it has no HTTPS");
    const address = { hostname: hostname.replace(/^\[|\]$/g, ""), port: Number(port || 80) };
    return { path: paths[0], demo: serveStacosys(address, commentsIn(watchFile)) };
  } catch (error) {
    console.warn(
      `demo: nothing answers at ${url}, and the demo Stacosys cannot stand in for it: ${reason(error)}; ` +
        `start a Stacosys there, or change Stacosys in ${FILE}`,
    );
    return undefined;
  }
}

/** The body that comes; nothing if nobody answers. */
async function ask({ url, authorization }: Config["stacosys"], path: string): Promise<string | undefined> {
  const signal = AbortSignal.timeout(2_000);
  const headers = authorization === undefined ? {} : { authorization };
  try {
    const response = await fetch(`${url}${path}?token=${TOKEN}&url=${ARTICLES[0]?.url}`, {
      redirect: "manual",
      signal,
      headers,
    });
    const body = await response.text();
    return response.ok ? body : "";
  } catch {
    return undefined;
  }
}

/** The comments in the file that is watched. Deno lets this process write no other than that of the demo. */
function commentsIn(file: string | undefined): Comments {
  try {
    return openComments(file);
  } catch (error) {
    console.warn(`demo: the comments are in memory, and not in ${file}, which is WatchFile: ${reason(error)}`);
    return openComments();
  }
}

/** The URL of the counters, as this machine reaches them. */
function counterUrl({ listen: { hostname = "::", port }, tls }: Config, path: string | undefined): string {
  const host = /^(::|0\.0\.0\.0)$/.test(hostname) ? "127.0.0.1" : hostname.includes(":") ? `[${hostname}]` : hostname;
  return `${tls === undefined ? "http" : "https"}://${host}:${port}${path}`;
}

/** The URL of the owner's status page, if there is one. */
function ownerUrl({ admin }: Config): string | undefined {
  return admin && `http://${admin.hostname?.replace(/^.*:.*$/, "[$&]")}:${admin.port}/`;
}

/** Serves the demo blog where CorsOrigin says that a blog is, if that is on this machine, and returns its URL. */
function openBlog(config: Config, cache: string, demo: DemoStacosys | undefined): string | undefined {
  const { corsOrigin, ttlMs, stacosys: { url: stacosys } } = config;
  const origin = [corsOrigin ?? []].flat().find((origin) => /^http:\/\/(127\.0\.0\.1|localhost):\d+$/.test(origin));
  if (origin === undefined) {
    console.log("demo: no blog, as CorsOrigin names none on this machine, such as http://127.0.0.1:8102");
    return undefined;
  }
  const { hostname, port } = new URL(origin);
  try {
    serveBlog({ hostname, port: Number(port), cache, ttlMs, stacosys, demo, statusPage: ownerUrl(config) });
    return origin;
  } catch (error) {
    console.warn(`demo: no blog at ${origin}: ${reason(error)}`);
    return undefined;
  }
}

function sayWhatToTry(counter: string, blog: string | undefined): void {
  console.log("\nTry, from another shell:");
  console.log(`  curl '${counter}?token=${TOKEN}&url=${ARTICLES[0]?.url}'`);
  if (blog !== undefined) console.log(`or in a browser, on a blog of ten articles:\n  ${blog}`);
}
