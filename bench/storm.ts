/**
 * What reaches Stacosys, when all readers come at once: at a cold start, and when counts expire.
 *
 * @module
 */

import { nginxCache } from "./nginx.ts";
import { number, type Options, type PeerName, type Report, TARGETS } from "./part.ts";
import * as peers from "./peers.ts";
import { stopAll } from "./processes.ts";
import { progress } from "./rounds.ts";

/** About what SQLite and Flask take on a small VPS. */
const STACOSYS_MS = 20;

const TTL_SECONDS = 1;

/** Measures it. */
export async function storm({ folder, wants, clients }: Options): Promise<Report> {
  const candidates: [PeerName, string, (name: string, setting: peers.Setting) => Promise<peers.Peer>][] = [
    ["ours", "httpfastcache", peers.executable],
    ["go", "Go program", (name, setting) => peers.go(name, setting, "go-peer-1s")],
    ["python", "Python cache", peers.python],
    ["nginx", "NginX's cache", nginxCache],
    ["nginx", "NginX's cache with proxy_cache_lock", (name, setting) => {
      return nginxCache(name, setting, undefined, "proxy_cache_lock on;");
    }],
    ["varnish", "Varnish", peers.varnish],
  ];
  const rows: string[][] = [];
  for (const [word, name, start] of candidates) {
    if (!wants(word)) continue;
    progress(`storm: ${name}`);
    await using stacosys = peers.upstream(STACOSYS_MS);
    const peer = await start(name, { folder, stacosys: stacosys.url, ttlSeconds: TTL_SECONDS });
    const cold = await rush(peer, clients, stacosys);
    // Each peer removes or renews at its own time what has expired; NginX counts in whole seconds.
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    const expired = await rush(peer, clients, stacosys);
    await stopAll();
    rows.push([name, `${cold.asked}`, number(cold.slowestMs), `${expired.asked}`, number(expired.slowestMs)]);
  }
  return {
    title: "Cold start and expiry",
    text: `${clients} clients at once ask for ${TARGETS.length} counters, each for one, of a Stacosys that takes ` +
      `${STACOSYS_MS} ms; first all are cold, then all have expired. The Go program is built with a time to live of 1 s.`,
    head: [
      "",
      "cold: requests to Stacosys",
      "slowest answer, ms",
      "expired: requests to Stacosys",
      "slowest answer, ms",
    ],
    rows,
  };
}

/** Sends all clients at once, on connections that are open already. */
async function rush({ url }: peers.Peer, clients: number, stacosys: peers.Upstream) {
  const { hostname, port } = new URL(url);
  const connections = await Promise.all(
    Array.from({ length: clients }, () => Deno.connect({ hostname, port: Number(port) })),
  );
  const before = stacosys.asked;
  const start = performance.now();
  let slowestMs = 0;
  await Promise.all(connections.map(async (connection, i) => {
    const request = `GET ${TARGETS[i % TARGETS.length]} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n`;
    await connection.write(new TextEncoder().encode(request));
    const answer = await new Response(connection.readable).text();
    if (!/^HTTP\/1.1 200 /.test(answer)) throw new Error(`expected 200 from ${url}, got ${answer.slice(0, 100)}`);
    slowestMs = Math.max(slowestMs, performance.now() - start);
  }));
  return { asked: stacosys.asked - before, slowestMs };
}
