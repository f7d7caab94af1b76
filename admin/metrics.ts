/**
 * What is counted, and how Prometheus reads it.
 *
 * @module
 */

import type { Result } from "../upstream/counters.ts";
import type { Answer, Outcome } from "../upstream/stacosys.ts";
import type { Health } from "./health.ts";

/** Upper bounds of the histograms, in seconds: from a Stacosys on the same machine to one that is about to give up. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** How long answers took. */
class Histogram {
  readonly buckets = BUCKETS.map((bound) => ({ bound, count: 0 }));
  seconds = 0;
  count = 0;

  add(seconds: number): void {
    this.count++;
    this.seconds += seconds;
    for (const bucket of this.buckets) if (seconds <= bucket.bound) bucket.count++;
  }
}

/** A number, and what stands between it and the name of its family. */
type Sample = readonly [suffix: string, value: number];

/** Counts what happens. */
export class Metrics {
  /** How counts for readers ended. Whoever answers adds to it; on a hit, an increment is all there is time for. */
  readonly results: Record<Result, number> = { hit: 0, miss: 0, stale: 0, error: 0, rejected: 0 };
  /** How long Stacosys took, by outcome: a refused connection is quick, and must not make it look so. */
  readonly answers: Readonly<Record<Outcome, Histogram>> = {
    ok: new Histogram(),
    status: new Histogram(),
    body: new Histogram(),
    redirect: new Histogram(),
    timeout: new Histogram(),
    network: new Histogram(),
  };

  /** Takes note of an answer of Stacosys that took `seconds`. */
  addAnswer({ outcome }: Answer, seconds: number): void {
    this.answers[outcome].add(seconds);
  }

  /** All of it as Prometheus' text format, with how the service is besides; `now` in milliseconds since 1970. */
  text(health: Health, now: number): string {
    const answers = Object.entries(this.answers);
    const counts = Object.entries(this.results).map(([result, n]): Sample => [`{result="${result}"}`, n]);
    const { user, system } = process.cpuUsage();
    return [
      family("httpfastcache_build_info", "gauge", "The version.", [[`{version="${health.version}"}`, 1]]),
      family("httpfastcache_counts_total", "counter", "Counts for readers, by how they ended.", counts),
      family("httpfastcache_requests_total", "counter", "The old name of httpfastcache_counts_total.", counts),
      family("httpfastcache_waiting_requests", "gauge", "Requests of readers that wait for Stacosys.", [
        ["", health.waiting],
      ]),
      family(
        "httpfastcache_stacosys_up",
        "gauge",
        "0 while Stacosys is known to fail, NaN before it was asked, otherwise 1.",
        [["", { down: 0, unknown: NaN, up: 1, slow: 1, error: 1 }[health.stacosys]]],
      ),
      family(
        "httpfastcache_stacosys_oldest_request_seconds",
        "gauge",
        "Age of the oldest request that Stacosys has not answered.",
        [["", health.oldestRequestSeconds]],
      ),
      family("httpfastcache_stacosys_requests_total", "counter", "Requests to Stacosys, by how they ended.", [
        ...answers.map(([outcome, { count }]): Sample => [`{outcome="${outcome}"}`, count]),
      ]),
      family(
        "httpfastcache_stacosys_response_seconds",
        "histogram",
        "How long requests to Stacosys took, by how they ended.",
        answers.flatMap(([outcome, histogram]) => histogramSamples(`outcome="${outcome}"`, histogram)),
      ),
      family("httpfastcache_entries", "gauge", "Counters in the cache.", [["", health.entries]]),
      family("httpfastcache_entries_limit", "gauge", "Counters that there may be in the cache.", [
        ["", health.maxEntries],
      ]),
      family("httpfastcache_evictions_total", "counter", "Counters that had to go because there were too many.", [
        ["", health.evictions],
      ]),
      ...health.watch === null
        ? []
        : [family("httpfastcache_watch_changes_total", "counter", "Changes of the watched file.", [
          ["", health.watch.changes],
        ])],
      ...health.certificateEndsSeconds === null ? [] : [
        family(
          "httpfastcache_certificate_end_time_seconds",
          "gauge",
          "When the certificate in use ends, in seconds since 1970.",
          [
            ["", Math.round(now / 1000 + health.certificateEndsSeconds)],
          ],
        ),
      ],
      family("process_cpu_seconds_total", "counter", "Processor time, user and system.", [["", (user + system) / 1e6]]),
      family("process_resident_memory_bytes", "gauge", "Memory that the process holds.", [
        ["", Deno.memoryUsage().rss],
      ]),
      family("process_start_time_seconds", "gauge", "When the process started, in seconds since 1970.", [
        ["", performance.timeOrigin / 1000],
      ]),
    ].join("");
  }
}

function histogramSamples(label: string, { buckets, seconds, count }: Histogram): Sample[] {
  return [
    ...buckets.map(({ bound, count }): Sample => [`_bucket{${label},le="${bound}"}`, count]),
    [`_bucket{${label},le="+Inf"}`, count],
    [`_sum{${label}}`, seconds],
    [`_count{${label}}`, count],
  ];
}

function family(name: string, type: string, help: string, samples: readonly Sample[]): string {
  const lines = samples.map(([suffix, value]) => `${name}${suffix} ${value}\n`).join("");
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines}`;
}
