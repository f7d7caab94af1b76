/**
 * A cached answer: what it costs each peer, asked without HTTPS and with nothing in front.
 *
 * @module
 */

import { measure, type Measured, runWrk } from "./measure.ts";
import { number, type Options, type PeerName, type Report, TARGETS, WARM_UP_SECONDS, withSpread } from "./part.ts";
import * as peers from "./peers.ts";
import { stopAll } from "./processes.ts";
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
    [
      "nginx",
      "NginX proxy_cache with open_file_cache",
      (name) => peers.nginxCache(name, setting, undefined, peers.TUNED),
    ],
    ["varnish", "Varnish", (name) => peers.varnish(name, setting)],
    ["bare", "bare Deno.serve", peers.bare],
    ["nginx", "NginX return 200", (name) => peers.nginxReturn(name, setting)],
  ];
  const starts = new Map(candidates.filter(([word]) => wants(word)).map(([, name, start]) => [name, start]));

  // Each round starts them anew: where in memory a process comes to lie makes a tenth of what it costs.
  const results = await alternate("hit", [...starts.keys()], rounds, async (name): Promise<Measured> => {
    try {
      const { url, pids } = await peers.named(starts, name)(name);
      const load = { url, targets: TARGETS, clients };
      await runWrk({ ...load, seconds: WARM_UP_SECONDS });
      return await measure(pids, { ...load, seconds });
    } finally {
      await stopAll();
    }
  });

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
