/**
 * What is counted, and how Prometheus reads it.
 *
 * @module
 */

import type { Result } from "../upstream/counters.ts";
import type { Answer, Outcome } from "../upstream/stacosys.ts";

/** Counts what happens. */
export interface Metrics {
  /** How requests of readers ended. Whoever answers one adds to it; on a hit, an increment is all there is time for. */
  readonly requests: Record<Result, number>;
  /** Takes note of an answer of Stacosys that took `seconds`. */
  answered(answer: Answer, seconds: number): void;
  /** All of it as Prometheus' text format, with the size of the cache and the process besides. */
  text(cache: { readonly size: number; readonly evictions: number }): string;
}

/** Upper bounds of the histogram, in seconds: from a Stacosys on the same machine to one that is about to give up. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Returns {@linkcode Metrics} that stand at zero. */
export function createMetrics(): Metrics {
  const requests: Record<Result, number> = { hit: 0, miss: 0, stale: 0, error: 0, rejected: 0 };
  const outcomes: Record<Outcome, number> = { ok: 0, status: 0, body: 0, redirect: 0, timeout: 0, network: 0 };
  const buckets = BUCKETS.map((bound) => ({ bound, count: 0 }));
  let seconds = 0;
  let answers = 0;

  return {
    requests,
    answered(answer, took) {
      outcomes[answer.outcome]++;
      answers++;
      seconds += took;
      for (const bucket of buckets) if (took <= bucket.bound) bucket.count++;
    },
    text(cache) {
      const { user, system } = process.cpuUsage();
      return [
        family("httpfastcache_requests_total", "counter", "Requests of readers, by how they ended.", [
          ...Object.entries(requests).map(([result, count]) => [`{result="${result}"}`, count] as const),
        ]),
        family("httpfastcache_stacosys_requests_total", "counter", "Requests to Stacosys, by how they ended.", [
          ...Object.entries(outcomes).map(([outcome, count]) => [`{outcome="${outcome}"}`, count] as const),
        ]),
        family("httpfastcache_stacosys_response_seconds", "histogram", "How long Stacosys took to answer.", [
          ...buckets.map(({ bound, count }) => [`_bucket{le="${bound}"}`, count] as const),
          ['_bucket{le="+Inf"}', answers],
          ["_sum", seconds],
          ["_count", answers],
        ]),
        family("httpfastcache_entries", "gauge", "Counters in the cache.", [["", cache.size]]),
        family("httpfastcache_evictions_total", "counter", "Counters that had to go because there were too many.", [
          ["", cache.evictions],
        ]),
        family("process_cpu_seconds_total", "counter", "Processor time, user and system.", [
          ["", (user + system) / 1e6],
        ]),
        family("process_resident_memory_bytes", "gauge", "Memory that the process holds.", [
          ["", Deno.memoryUsage().rss],
        ]),
        family("process_start_time_seconds", "gauge", "When the process started, in seconds since 1970.", [
          ["", performance.timeOrigin / 1000],
        ]),
      ].join("");
    },
  };
}

function family(name: string, type: string, help: string, samples: readonly (readonly [string, number])[]): string {
  const lines = samples.map(([suffix, value]) => `${name}${suffix} ${value}\n`).join("");
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines}`;
}
