/**
 * The article's test: readers over HTTPS ask for the ten counters of a page, with Flask behind all of it.
 *
 * @module
 */

import { measure, type Measured } from "./measure.ts";
import { number, type Options, type PeerName, type Report, TARGETS, withSpread } from "./part.ts";
import * as peers from "./peers.ts";
import { stopAll } from "./processes.ts";
import { alternate, quantile, ratio } from "./rounds.ts";

/** As long as the article's cache kept a count. */
const TTL_SECONDS = 300;

const OWN_HTTPS = "httpfastcache, its own HTTPS";

/** Measures it. */
export async function article({ folder, wants, clients, rounds, seconds }: Options): Promise<Report> {
  const tls = await peers.certificate(folder);
  type Start = (name: string, setting: peers.Setting, flask: peers.Peer) => Promise<peers.Peer>;
  const candidates: [PeerName, string, Start][] = [
    ["ours", OWN_HTTPS, (name, setting) => peers.executable(name, setting, tls)],
    [
      "ours",
      "httpfastcache behind NginX with its micro-cache",
      async (name, setting) => peers.nginxBefore(name, setting, await peers.executable(name, setting), "micro-cache"),
    ],
    [
      "ours",
      "httpfastcache behind NginX",
      async (name, setting) => peers.nginxBefore(name, setting, await peers.executable(name, setting), "keep-alive"),
    ],
    ["nginx", "NginX's own cache", (name, setting) => peers.nginxCache(name, setting, tls)],
    [
      "nginx",
      "NginX's own cache, with a lock and open_file_cache",
      (name, setting) => peers.nginxCache(name, setting, tls, peers.TUNED),
    ],
    [
      "varnish",
      "Varnish behind NginX",
      async (name, setting) => peers.nginxBefore(name, setting, await peers.varnish(name, setting), "keep-alive"),
    ],
    [
      "go",
      "Go program behind NginX",
      async (name, setting) => peers.nginxBefore(name, setting, await peers.go(name, setting), "keep-alive"),
    ],
    [
      "go",
      "Go program behind NginX, a connection for each request",
      async (name, setting) => peers.nginxBefore(name, setting, await peers.go(name, setting), "a connection each"),
    ],
    [
      "flask",
      "Flask behind NginX",
      (name, setting, flask) => peers.nginxBefore(name, setting, flask, "a connection each"),
    ],
  ];
  const starts = new Map(candidates.filter(([word]) => wants(word)).map(([, name, start]) => [name, start]));

  // Each round starts them anew, as in hit.ts, but cold: that is part of the test.
  const results = await alternate("article", [...starts.keys()], rounds, async (name): Promise<Measured> => {
    try {
      const flask = await peers.flask();
      const setting = { folder, stacosys: flask.url, ttlSeconds: TTL_SECONDS };
      const { url, pids } = await peers.named(starts, name)(name, setting, flask);
      return await measure(pids, { url, targets: TARGETS, clients, seconds });
    } finally {
      await stopAll();
    }
  });

  const requests = (name: string) => results.get(name)?.map((of) => of.perSecond) ?? [];
  const all = (of: readonly Measured[], field: keyof Measured) => of.map((round) => round[field]);
  const total = (of: readonly Measured[], field: keyof Measured) => all(of, field).reduce((sum, more) => sum + more, 0);
  const middle = (of: readonly Measured[], field: keyof Measured) => quantile(all(of, field), 0.5);
  return {
    title: "The article's test",
    text:
      `${clients} clients ask for the ten counters of a page over HTTPS, for ${
        rounds * seconds
      } s a row, in ${rounds} ` +
      `rounds that each start cold; counts are fresh for ${TTL_SECONDS} s, and Flask over SQLite stands behind. Over 10 s ` +
      "is an error. CPU and memory are those of the cache and of NginX in front of it; where the core of the load is full, " +
      "it is the load that could do no more.",
    head: [
      "",
      "response time, ms: minimum > mean > maximum",
      "requests",
      "requests/s",
      "own HTTPS ÷ it",
      "errors",
      "CPU, µs a request",
      "core of the load, %",
      "memory, MB",
    ],
    rows: [...results].map(([name, of]) => [
      name,
      `${number(Math.min(...all(of, "min")))} > ${number(middle(of, "mean"))} > ${number(Math.max(...all(of, "max")))}`,
      total(of, "requests").toLocaleString("en"),
      number(middle(of, "perSecond")),
      name === OWN_HTTPS ? "1" : withSpread(ratio(requests(OWN_HTTPS), requests(name))),
      `${total(of, "errors")}`,
      number(middle(of, "cpuMicros")),
      number(100 * middle(of, "loadShare")),
      number(Math.max(...all(of, "rss"))),
    ]),
    chart: {
      title: "The article's test, over HTTPS",
      unit: "requests/s",
      bars: [...results].map(([name, of]) => ({
        name,
        value: middle(of, "perSecond"),
        ours: name.startsWith("httpfastcache"),
      })),
    },
  };
}
