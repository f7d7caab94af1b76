/**
 * A cached answer: what it costs each peer, asked without HTTPS and with nothing in front.
 *
 * @module
 */

import { type HeaderSet, measure, type Measured, runWrk } from "./measure.ts";
import { nginxCache, TUNED } from "./nginx.ts";
import {
  bound,
  isOurs,
  noErrors,
  number,
  type Options,
  type PeerName,
  type Report,
  TARGETS,
  WARM_UP_SECONDS,
  withSpread,
} from "./part.ts";
import * as peers from "./peers.ts";
import { stopAll } from "./processes.ts";
import { alternate, middle, spread } from "./rounds.ts";

const OURS = "httpfastcache";
const GO = "Go program";
const NGINX = "NginX's cache with open_file_cache";
const BARE = "bare Deno.serve";

const SETS: Readonly<Record<HeaderSet, string>> = { plain: "none", browser: "a browser's" };

/** What each round gave of a peer. */
type Round = Readonly<Record<HeaderSet, Measured>>;

/** Measures it. */
export async function hit({ folder, wants, clients, rounds, seconds }: Options): Promise<Report> {
  await using stacosys = peers.upstream();
  const setting = { folder, stacosys: stacosys.url, ttlSeconds: 3_600 };
  const candidates: [PeerName, string, (name: string) => Promise<peers.Peer>][] = [
    ["ours", OURS, (name) => peers.executable(name, setting)],
    ["go", GO, (name) => peers.go(name, setting)],
    ["python", "Python cache", (name) => peers.python(name, setting)],
    ["nginx", "NginX's cache", (name) => nginxCache(name, setting)],
    ["nginx", NGINX, (name) => nginxCache(name, setting, undefined, TUNED)],
    ["varnish", "Varnish", (name) => peers.varnish(name, setting)],
    ["bare", BARE, peers.bare],
  ];
  const starts = new Map(candidates.filter(([word]) => wants(word)).map(([, name, start]) => [name, start]));

  // Each round starts them anew: where in memory a process comes to lie makes a tenth of what it costs.
  const results = await alternate("hit", [...starts.keys()], rounds, async (name): Promise<Round> => {
    try {
      const peer = await peers.named(starts, name)(name);
      const load = (headers: HeaderSet) => ({ targets: TARGETS, headers, clients, seconds });
      await runWrk(peer, { ...load("browser"), seconds: WARM_UP_SECONDS });
      return { browser: await measure(peer, load("browser")), plain: await measure(peer, load("plain")) };
    } finally {
      await stopAll();
    }
  });

  const of = (name: string, headers: HeaderSet) => results.get(name)?.map((round) => round[headers]) ?? [];
  const cpu = (name: string, headers: HeaderSet) => of(name, headers).map((measured) => measured.cpuMicros);
  const p999 = (name: string, headers: HeaderSet) => of(name, headers).map((measured) => measured.p999);
  const cheapestFirst = (headers: HeaderSet) => {
    return [...results.keys()].toSorted((a, b) =>
      middle(of(a, headers), "cpuMicros") - middle(of(b, headers), "cpuMicros")
    );
  };
  const rowsWith = (headers: HeaderSet) =>
    cheapestFirst(headers).map((name) => {
      const measured = of(name, headers);
      return [
        name,
        SETS[headers],
        withSpread(spread(cpu(name, headers))),
        number(middle(measured, "perSecond")),
        number(100 * middle(measured, "loadShare")),
        number(middle(measured, "p50")),
        number(middle(measured, "p99")),
        number(middle(measured, "p999")),
        number(middle(measured, "rss")),
        number(middle(measured, "own")),
        `${measured.reduce((errors, { errors: more }) => errors + more, 0)}`,
      ];
    });
  const compare = (what: string, limit: number, headers: HeaderSet, other: string) => {
    return bound(`a hit, headers ${SETS[headers]}: ${what}`, "at most", limit, cpu(OURS, headers), cpu(other, headers));
  };
  return {
    title: "A cached answer",
    text:
      `${clients} connections that stay open ask for ten cached counters, without headers of their own and with the ` +
      "13 that a browser sends (600 bytes). CPU is what the kernel accounts to all processes of the peer, user and " +
      `system, divided by the answers. In brackets: the middle half of ${rounds} rounds. Where the core of the load is ` +
      "full, it is the load that could do no more, and only the CPU tells them apart.",
    head: [
      "",
      "headers",
      "CPU per answer, µs",
      "answers/s on one core",
      "core of the load, %",
      "p50, ms",
      "p99, ms",
      "p99.9, ms",
      "memory, MB",
      "its own, MB",
      "errors",
    ],
    rows: [...rowsWith("browser"), ...rowsWith("plain")],
    chart: {
      title: "CPU per cached answer",
      unit: "µs, with a browser's headers",
      better: "less",
      bars: cheapestFirst("browser").map((name) => ({
        name,
        value: spread(cpu(name, "browser")).median,
        ours: isOurs(name),
      })),
    },
    bounds: [
      ...compare("CPU ÷ the Go program's", 0.55, "browser", GO),
      ...compare("CPU ÷ the Go program's", 0.68, "plain", GO),
      ...compare("CPU ÷ that of NginX's cache with open_file_cache", 1.05, "browser", NGINX),
      ...compare("CPU ÷ that of NginX's cache with open_file_cache", 1.05, "plain", NGINX),
      ...compare("CPU ÷ a bare Deno.serve's", 1.1, "browser", BARE),
      ...compare("CPU ÷ a bare Deno.serve's", 1.1, "plain", BARE),
      ...bound("a hit: p99.9 ÷ the Go program's", "at most", 1, p999(OURS, "browser"), p999(GO, "browser")),
      ...noErrors("a hit", [...of(OURS, "plain"), ...of(OURS, "browser")]),
    ],
  };
}
