/**
 * A cached answer: what it costs each peer, asked without HTTPS and with nothing in front.
 *
 * @module
 */

import { measure, type Measured } from "./measure.ts";
import { number, type Options, type PeerName, type Report, TARGETS, withSpread } from "./part.ts";
import * as peers from "./peers.ts";
import { alternate, quantile, ratio, spread } from "./rounds.ts";

/** Measures it. */
export async function hit({ folder, wants, clients, rounds, seconds }: Options): Promise<Report> {
  await using stacosys = peers.upstream();
  const setting = { folder, stacosys: stacosys.url, ttlSeconds: 3_600 };
  const candidates: [PeerName, string, (name: string) => Promise<peers.Peer>][] = [
    ["ours", "httpfastcache, executable", (name) => peers.executable(name, setting)],
    ["ours", "httpfastcache, deno task start", (name) => peers.task(name, setting)],
    ["go", "Go program", (name) => peers.go(name, setting)],
    ["nginx", "NginX proxy_cache", (name) => peers.nginxCache(name, setting)],
    ["varnish", "Varnish", (name) => peers.varnish(name, setting)],
    ["bare", "bare Deno.serve", peers.bare],
    ["nginx", "NginX return 200", (name) => peers.nginxReturn(name, setting)],
  ];
  const running = new Map<string, peers.Peer>();
  for (const [word, name, start] of candidates) if (wants(word)) running.set(name, await start(name));

  const results = await alternate("hit", [...running.keys()], rounds, async (name): Promise<Measured> => {
    const { url, pids } = peers.named(running, name);
    return await measure(pids, { url, targets: TARGETS, clients, seconds });
  });
  await peers.stopAll();

  const [ours, ...others] = results.keys();
  const cpu = (name: string) => results.get(name)?.map((of) => of.cpuMicros) ?? [];
  const rows = [...results].map(([name, measured]) => [
    name,
    withSpread(spread(cpu(name))),
    name === ours ? "1" : withSpread(ratio(cpu(ours ?? ""), cpu(name))),
    number(middle(measured, "perSecond")),
    number(middle(measured, "p50")),
    number(middle(measured, "p99")),
    number(middle(measured, "rss")),
    `${measured.reduce((errors, of) => errors + of.errors, 0)}`,
  ]);
  return {
    title: "A cached answer",
    text: `${clients} connections that stay open ask for ten cached counters. CPU is what the kernel accounts to all ` +
      `processes of the peer, user and system, divided by the answers. In brackets: the middle half of ${rounds} rounds.`,
    head: [
      "",
      "CPU per answer, µs",
      `${ours ?? "ours"} ÷ it`,
      "answers/s on one core",
      "p50, ms",
      "p99, ms",
      "memory, MB",
      "errors",
    ],
    rows,
    chart: {
      title: "CPU per cached answer",
      unit: "µs",
      bars: [ours ?? "", ...others].map((name) => ({
        name,
        value: spread(cpu(name)).median,
        ours: name.startsWith("httpfastcache"),
      })),
    },
  };
}

function middle(measured: readonly Measured[], field: keyof Measured): number {
  return quantile(measured.map((of) => of[field]), 0.5);
}
