/**
 * Pages per second: the ten counters of a page in ten requests, and in one.
 *
 * @module
 */

import { measure, type Measured, runWrk } from "./measure.ts";
import { bound, number, type Options, type Report, TARGETS, WARM_UP_SECONDS, withSpread } from "./part.ts";
import * as peers from "./peers.ts";
import { stopAll } from "./processes.ts";
import { alternate, middle, spread } from "./rounds.ts";

const BATCH = "one request for all ten";
const SINGLE = "ten requests";

const WAYS: Readonly<Record<string, { readonly targets: readonly string[]; readonly requestsPerPage: number }>> = {
  [BATCH]: { targets: [batchOf(TARGETS)], requestsPerPage: 1 },
  [SINGLE]: { targets: TARGETS, requestsPerPage: 10 },
};

/** Measures it. */
export async function pages({ folder, clients, rounds, seconds }: Options): Promise<Report> {
  await using stacosys = peers.upstream();
  const setting = { folder, stacosys: stacosys.url, ttlSeconds: 3_600 };
  const results = await alternate("pages", Object.keys(WAYS), rounds, async (name): Promise<Measured> => {
    try {
      const peer = await peers.executable("httpfastcache", setting);
      const load = { targets: WAYS[name]?.targets ?? [], headers: "browser", clients } as const;
      await runWrk(peer, { ...load, seconds: WARM_UP_SECONDS });
      return await measure(peer, { ...load, seconds });
    } finally {
      await stopAll();
    }
  });

  const perPage = (name: string) => WAYS[name]?.requestsPerPage ?? NaN;
  const perSecond = (name: string) => results.get(name)?.map((of) => of.perSecond / perPage(name)) ?? [];
  const perRequest = (name: string) => results.get(name)?.map((of) => of.cpuMicros) ?? [];
  return {
    title: "Pages per second",
    text: `${clients} connections ask for the ten cached counters of a page, in ten requests or in one ` +
      "(`/comments/counts`), with the headers that a browser sends.",
    head: ["", "pages/s", "CPU per page, µs"],
    rows: Object.keys(WAYS).map((name) => [
      name,
      withSpread(spread(perSecond(name))),
      number(middle(results.get(name) ?? [], "cpuMicros") * perPage(name)),
    ]),
    bounds: bound(
      "a page of ten in one request: CPU ÷ that of a single hit",
      "at most",
      3,
      perRequest(BATCH),
      perRequest(SINGLE),
    ),
  };
}

function batchOf(targets: readonly string[]): string {
  const urls = targets.map((target) => target.slice(target.indexOf("&url=")));
  return `/comments/counts?token=bench${urls.join("")}`;
}
