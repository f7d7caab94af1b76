/**
 * What `deno task start` runs: the service with config.json, and what is needed to try it: a Stacosys
 * behind it and a blog in front.
 *
 * @module
 */

import { type Config, parseConfig } from "../service/config.ts";
import { main } from "../main.ts";
import { bypassProxy } from "../upstream/stacosys.ts";
import { ARTICLES } from "./articles.ts";
import { serveBlog } from "./blog.ts";
import { type DemoStacosys, serveStacosys, TOKEN } from "./stacosys.ts";

const FILE = "config.json";

// With --watch, Deno.exit throws this on its way out, and nobody need read of it.
addEventListener("unhandledrejection", (event) => {
  if (!(event.reason instanceof Error && event.reason.message === "Code not reachable")) return;
  event.preventDefault();
  event.stopImmediatePropagation();
});

// What is wrong with the file, main says, and ends; a change of the file then starts all of this again.
const config = await readConfig();
bypassProxy();
const stacosys = config && await standIn(config.stacosys);
await main(["--config", FILE]);
if (config !== undefined) {
  const counter = counterUrl(config);
  sayWhatToTry(counter, openBlog(config, counter, stacosys));
}

async function readConfig(): Promise<Config | undefined> {
  try {
    return parseConfig(await Deno.readTextFile(FILE), FILE).config;
  } catch {
    return undefined;
  }
}

/** Serves the demo Stacosys at `url`, unless there is a Stacosys already. */
async function standIn(url: string): Promise<DemoStacosys | undefined> {
  if (await answers(url)) {
    console.log(`demo: something answers at ${url} already, so the demo Stacosys stays away`);
    return undefined;
  }
  const { protocol, hostname, port } = new URL(url);
  try {
    if (protocol !== "http:") throw new Error("it has no HTTPS");
    return serveStacosys({ hostname: hostname.replace(/^\[|\]$/g, ""), port: Number(port || 80) });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    console.warn(`demo: nothing answers at ${url}, and the demo Stacosys cannot stand in for it: ${reason}`);
    return undefined;
  }
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { redirect: "manual", signal: AbortSignal.timeout(2_000) });
    await response.body?.cancel();
    return true;
  } catch {
    return false;
  }
}

/** The URL of the counters, as this machine reaches them. */
function counterUrl({ listen: { hostname = "::", port }, tls, paths }: Config): string {
  const host = /^(::|0\.0\.0\.0)$/.test(hostname) ? "127.0.0.1" : hostname.includes(":") ? `[${hostname}]` : hostname;
  return `${tls === undefined ? "http" : "https"}://${host}:${port}${paths[0]}`;
}

/** Serves the demo blog where CorsOrigin says that a blog is, if that is on this machine, and returns its URL. */
function openBlog({ corsOrigin, ttlMs, stacosys: url }: Config, counter: string, stacosys: DemoStacosys | undefined) {
  const origin = [corsOrigin ?? []].flat().find((origin) => /^http:\/\/(127\.0\.0\.1|localhost):\d+$/.test(origin));
  if (origin === undefined) {
    console.log("demo: no blog, as CorsOrigin names none on this machine, such as http://127.0.0.1:8102");
    return undefined;
  }
  const { hostname, port } = new URL(origin);
  try {
    serveBlog({ hostname, port: Number(port), cache: counter, ttlMs, stacosys: url, asked: stacosys?.asked });
    return origin;
  } catch (error) {
    console.warn(`demo: no blog at ${origin}: ${error instanceof Error ? error.message : error}`);
    return undefined;
  }
}

function sayWhatToTry(counter: string, blog: string | undefined): void {
  console.log("\nTry, from another shell:");
  console.log(`  curl '${counter}?token=${TOKEN}&url=${ARTICLES[0]?.url}'`);
  if (blog !== undefined) console.log(`or in a browser, on a blog of ten articles:\n  ${blog}`);
  console.log(`Change ${FILE} and the service starts again with it. Ctrl-C ends everything.`);
}
