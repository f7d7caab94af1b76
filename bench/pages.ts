/**
 * Pages per second: the ten counters of a page in ten requests, and in one.
 *
 * @module
 */

import { measure, type Measured, runWrk } from "./measure.ts";
import { number, type Options, type Report, TARGETS, WARM_UP_SECONDS, withSpread } from "./part.ts";
import * as peers from "./peers.ts";
import { stopAll } from "./processes.ts";
import { alternate, quantile, ratio, spread } from "./rounds.ts";

const WAYS: Readonly<Record<string, { readonly targets: readonly string[]; readonly requestsPerPage: number }>> = {
  "one request for all ten": { targets: [batchOf(TARGETS)], requestsPerPage: 1 },
  "ten requests": { targets: TARGETS, requestsPerPage: 10 },
};

/** Measures it. */
export async function pages({ folder, clients, rounds, seconds }: Options): Promise<Report> {
  await using stacosys = peers.upstream();
  const setting = { folder, stacosys: stacosys.url, ttlSeconds: 3_600 };
  const results = await alternate("pages", Object.keys(WAYS), rounds, async (name): Promise<Measured> => {
    try {
      const { url, pids } = await peers.executable("httpfastcache", setting);
      const load = { url, targets: WAYS[name]?.targets ?? [], clients };
      await runWrk({ ...load, seconds: WARM_UP_SECONDS });
      return await measure(pids, { ...load, seconds });
    } finally {
      await stopAll();
    }
  });

  const perPage = (name: string) => WAYS[name]?.requestsPerPage ?? NaN;
  const perSecond = (name: string) => results.get(name)?.map((of) => of.perSecond / perPage(name)) ?? [];
  const cpu = (name: string) => results.get(name)?.map((of) => of.cpuMicros * perPage(name)) ?? [];
  return {
    title: "Pages per second",
    text: `${clients} connections ask for the ten cached counters of a page, in ten requests or in one ` +
      "(`/comments/counts`).",
    head: ["", "pages/s", "times ten requests", "CPU per page, µs", "CPU ÷ one of the ten"],
    rows: Object.keys(WAYS).map((name) => [
      name,
      withSpread(spread(perSecond(name))),
      number(ratio(perSecond(name), perSecond("ten requests")).median),
      number(quantile(cpu(name), 0.5)),
      number(ratio(cpu(name), cpu("ten requests").map((ten) => ten / 10)).median),
    ]),
  };
}

function batchOf(targets: readonly string[]): string {
  const urls = targets.map((target) => target.slice(target.indexOf("&url=")));
  return `/comments/counts?token=bench${urls.join("")}`;
}
