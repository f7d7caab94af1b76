/**
 * What `deno task start` runs: the service with config.json, and what it needs to be tried: a Stacosys behind it.
 *
 * @module
 */

import { type Config, parseConfig } from "../config.ts";
import { main } from "../main.ts";
import { ARTICLES } from "./articles.ts";
import { serveStacosys, TOKEN } from "./stacosys.ts";

const FILE = "config.json";

// With --watch, Deno.exit throws this on its way out, and nobody need read of it.
addEventListener("unhandledrejection", (event) => {
  if (!(event.reason instanceof Error && event.reason.message === "Code not reachable")) return;
  event.preventDefault();
  event.stopImmediatePropagation();
});

// What is wrong with the file, main says, and ends; a change of the file then starts all of this again.
const config = await readConfig();
if (config !== undefined) await standIn(config.stacosys);
await main(["--config", FILE]);
if (config !== undefined) sayWhatToTry(config);

async function readConfig(): Promise<Config | undefined> {
  try {
    return parseConfig(await Deno.readTextFile(FILE), FILE).config;
  } catch {
    return undefined;
  }
}

/** Serves the demo Stacosys at `url`, unless there is a Stacosys already. */
async function standIn(url: string): Promise<void> {
  if (await answers(url)) {
    console.log(`demo: something answers at ${url} already, so the demo Stacosys stays away`);
    return;
  }
  const { protocol, hostname, port } = new URL(url);
  try {
    if (protocol !== "http:") throw new Error("it has no HTTPS");
    serveStacosys({ hostname: hostname.replace(/^\[|\]$/g, ""), port: Number(port || 80) });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    console.warn(`demo: nothing answers at ${url}, and the demo Stacosys cannot stand in for it: ${reason}`);
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

function sayWhatToTry({ listen, tls, paths }: Config): void {
  const { hostname = "127.0.0.1", port } = listen;
  const host = hostname.includes(":") ? `[${hostname}]` : hostname;
  const cache = `${tls === undefined ? "http" : "https"}://${host}:${port}`;
  console.log(`
Try, from another shell:
  curl '${cache}${paths[0]}?token=${TOKEN}&url=${ARTICLES[0]?.url}'
Change ${FILE} and the service starts again with it. Ctrl-C ends everything.`);
}
