/**
 * The article's test: readers over HTTPS ask for the ten counters of a page, with Flask behind all of it.
 *
 * @module
 */

import { measure, type Measured, runWrk } from "./measure.ts";
import { certificate, nginxBefore, nginxCache, TUNED } from "./nginx.ts";
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
import { type Cores, stopAll, useCores } from "./processes.ts";
import { alternate, middle, spread } from "./rounds.ts";

/** As long as the article's cache kept a count. */
const TTL_SECONDS = 300;

const OWN_HTTPS = "httpfastcache, its own HTTPS";
const BEHIND = "httpfastcache behind NginX";
/** As deploy/nginx.conf has it. */
const SHIPPED = `${BEHIND}, micro-cache`;
const GO = "Go program behind NginX";
const NGINX = "NginX's cache, set up well";

/** Opening a connection over HTTPS costs as much as many requests on it: so it weighs less. */
const TIMES_AS_LONG = 2;

/** What each round gave of a peer. */
type Round = Readonly<Record<Cores, Measured>>;

/** Measures it. */
export async function article({ folder, wants, clients, rounds, seconds: share }: Options): Promise<Report> {
  const seconds = share * TIMES_AS_LONG;
  const tls = await certificate(folder);
  type Start = (name: string, setting: peers.Setting, flask: peers.Peer) => Promise<peers.Peer>;
  const candidates: [PeerName, string, Start][] = [
    ["ours", OWN_HTTPS, (name, setting) => peers.executable(name, setting, tls)],
    [
      "ours",
      SHIPPED,
      async (name, setting) => nginxBefore(setting, await peers.executable(name, setting), "with micro-cache"),
    ],
    ["ours", BEHIND, async (name, setting) => nginxBefore(setting, await peers.executable(name, setting))],
    ["go", GO, async (name, setting) => nginxBefore(setting, await peers.go(name, setting))],
    [
      "python",
      "Python cache behind NginX",
      async (name, setting) => nginxBefore(setting, await peers.python(name, setting)),
    ],
    ["nginx", NGINX, (name, setting) => nginxCache(name, setting, tls, TUNED)],
    ["nginx", "NginX's cache", (name, setting) => nginxCache(name, setting, tls)],
    [
      "varnish",
      "Varnish behind NginX",
      async (name, setting) => nginxBefore(setting, await peers.varnish(name, setting)),
    ],
    ["flask", "Flask behind NginX", (_, setting, flask) => nginxBefore(setting, flask)],
  ];
  const starts = new Map(candidates.filter(([word]) => wants(word)).map(([, name, start]) => [name, start]));

  const results = await alternate("article", [...starts.keys()], rounds, async (name): Promise<Round> => {
    const measuredOn = async (cores: Cores): Promise<Measured> => {
      try {
        useCores(cores);
        const flask = await peers.flask();
        const setting = { folder, stacosys: flask.url, ttlSeconds: TTL_SECONDS };
        const peer = await peers.named(starts, name)(name, setting, flask);
        const load = { targets: TARGETS, headers: "browser", clients } as const;
        await runWrk(peer, { ...load, seconds: WARM_UP_SECONDS });
        return await measure(peer, { ...load, seconds });
      } finally {
        await stopAll();
        useCores("one");
      }
    };
    return { one: await measuredOn("one"), two: await measuredOn("two") };
  });

  const of = (name: string, cores: Cores = "one") => results.get(name)?.map((round) => round[cores]) ?? [];
  const requests = (name: string) => of(name).map(({ perSecond }) => perSecond);
  const cpu = (name: string) => of(name).map(({ cpuMicros }) => cpuMicros);
  const ownCpu = (name: string) => of(name).map(({ cpuMicros, frontMicros }) => cpuMicros - frontMicros);
  const p99 = (name: string) => of(name).map(({ p99 }) => p99);
  const fastestFirst = [...results.keys()].toSorted((a, b) => {
    return middle(of(b), "perSecond") - middle(of(a), "perSecond");
  });
  // What one has after an upgrade, beside what one had. Its own HTTPS is not for everybody.
  const drawn = [...new Set([SHIPPED, GO, ...fastestFirst])].filter((name) => name !== OWN_HTTPS && results.has(name));
  const times = (name: string) => {
    const all = of(name);
    const min = Math.min(...all.map(({ min }) => min));
    const max = Math.max(...all.map(({ max }) => max));
    return `${number(min)} > ${number(middle(all, "mean"))} > ${number(max)}`;
  };
  return {
    title: "The article's test",
    text:
      `${clients} clients ask for the ten counters of a page over HTTPS, with the headers that a browser sends; counts ` +
      `are fresh for ${TTL_SECONDS} s, and Flask over SQLite stands behind. Over 10 s is an error. Each row is measured ` +
      `for ${seconds} s in each of ${rounds} rounds; the longest answers are those of its first moment, when ` +
      "all connections are opened at once. NginX stands before each peer by the same file, deploy/nginx.conf. CPU and memory are those of the cache and of " +
      "the NginX in front of it. Where the core of the load is full, it is the load that could do no more, and only the " +
      "CPU tells them apart. On two cores the load, the cache and NginX share both.",
    head: [
      "",
      "requests/s on one core",
      "on two, with the load",
      "CPU, µs a request",
      "of it NginX in front",
      "core of the load, %",
      "response time, ms: minimum > mean > maximum",
      "p99, ms",
      "memory, MB",
      "its own, MB",
      "errors",
    ],
    rows: fastestFirst.map((name) => [
      name,
      number(middle(of(name), "perSecond")),
      number(middle(of(name, "two"), "perSecond")),
      withSpread(spread(cpu(name))),
      number(middle(of(name), "frontMicros")),
      number(100 * middle(of(name), "loadShare")),
      times(name),
      number(middle(of(name), "p99")),
      number(middle(of(name), "rss")),
      number(middle(of(name), "own")),
      `${[...of(name), ...of(name, "two")].reduce((errors, { errors: more }) => errors + more, 0)}`,
    ]),
    chart: {
      title: "The article's test, over HTTPS",
      unit: "requests/s on one core",
      better: "more",
      bars: drawn.map((name) => ({ name, value: middle(of(name), "perSecond"), ours: isOurs(name) })),
    },
    bounds: [
      ...bound(
        "as shipped, with the micro-cache: requests ÷ the Go program's",
        "at least",
        2,
        requests(SHIPPED),
        requests(GO),
      ),
      ...bound("behind NginX: requests ÷ the Go program's", "at least", 1.1, requests(BEHIND), requests(GO)),
      ...bound("behind NginX: CPU without NginX's ÷ the Go program's", "at most", 0.8, ownCpu(BEHIND), ownCpu(GO)),
      ...bound("own HTTPS: CPU ÷ that of NginX's cache, set up well", "at most", 1.05, cpu(OWN_HTTPS), cpu(NGINX)),
      ...bound("behind NginX: p99 ÷ the Go program's", "at most", 1, p99(BEHIND), p99(GO)),
      ...noErrors(
        "the article's test",
        [SHIPPED, BEHIND, OWN_HTTPS].flatMap((name) => [...of(name), ...of(name, "two")]),
      ),
    ],
  };
}
