/**
 * What was counted within the last five minutes and within the last day. The counters are read by a timer, so that
 * whoever counts does no more than add to a number.
 *
 * @module
 */

import type { Cache } from "../cache.ts";
import type { Outage } from "../upstream/outage.ts";
import type { Metrics } from "./metrics.ts";

/** Where the totals since the start come from. */
export interface TotalsSource {
  readonly metrics: Pick<Metrics, "results" | "answers">;
  readonly outage: Pick<Outage, "servedInAll">;
  readonly cache: Pick<Cache<string>, "evictions">;
}

/** Totals, or what was counted between two moments. */
export type Totals = ReturnType<typeof totalsOf>;

/** What was counted within a time. */
export interface Span {
  readonly ms: number;
  /** How long ago it ended. */
  readonly endedMs: number;
  readonly counted: Totals;
}

/** A time up to now. */
export interface Period {
  /** All of it, or what there is of it since the start. */
  readonly whole: Span;
  /** The same in steps, the oldest first. */
  readonly steps: readonly Span[];
}

interface Sample {
  readonly at: number;
  readonly totals: Totals;
}

/** How often the counters are read. */
const SAMPLE_MS = 10_000;

export const FIVE_MINUTES_MS = 300_000;
export const DAY_MS = 86_400_000;

/** Each step of the last five minutes is a minute long, so that a request every seven seconds is a steady rate. */
const SMOOTH_MS = 60_000;

/** Reads the counters and remembers them, some 330 times at most. */
export class Recent {
  readonly #source: TotalsSource;
  readonly #monotonic: () => number;
  /** The oldest first. */
  readonly #minutes: Sample[] = [];
  readonly #day: Sample[] = [];

  constructor(source: TotalsSource, monotonic: () => number = () => performance.now()) {
    this.#source = source;
    this.#monotonic = monotonic;
    this.sample();
  }

  /** Reads the counters every ten seconds. It never keeps the process alive. */
  start(): void {
    Deno.unrefTimer(setInterval(() => this.sample(), SAMPLE_MS));
  }

  /** Reads the counters. */
  sample(): void {
    const now = this.#read();
    remember(this.#minutes, now, FIVE_MINUTES_MS + SMOOTH_MS);
    // Timers come a little early or late.
    const due = (this.#day.at(-1)?.at ?? -Infinity) + FIVE_MINUTES_MS - SAMPLE_MS / 2;
    if (now.at >= due) remember(this.#day, now, DAY_MS);
  }

  /** The last five minutes. */
  fiveMinutes(): Period {
    return periodOf(this.#minutes, this.#read(), FIVE_MINUTES_MS, SMOOTH_MS / SAMPLE_MS);
  }

  /** The last day. */
  day(): Period {
    return periodOf(this.#day, this.#read(), DAY_MS, 1);
  }

  /** The totals since the start. */
  sinceStart(): Totals {
    return totalsOf(this.#source);
  }

  #read(): Sample {
    return { at: this.#monotonic(), totals: totalsOf(this.#source) };
  }
}

/** Adds `sample`, and drops what is not needed for a period of so many milliseconds. */
function remember(samples: Sample[], sample: Sample, ms: number): void {
  samples.push(sample);
  while (samples.length > 1 && (samples[1]?.at ?? Infinity) <= sample.at - ms) samples.shift();
}

/** @param length how many samples there are in a step. */
function periodOf(samples: readonly Sample[], now: Sample, ms: number, length: number): Period {
  const start = samples.findLast(({ at }) => at <= now.at - ms) ?? samples[0] ?? now;
  const steps = samples.slice(1).map((end, i) => spanOf(samples[Math.max(0, i + 1 - length)] ?? end, end, now));
  return { whole: spanOf(start, now, now), steps: steps.filter(({ endedMs }) => endedMs < ms) };
}

function spanOf(from: Sample, to: Sample, now: Sample): Span {
  return { ms: to.at - from.at, endedMs: now.at - to.at, counted: difference(to.totals, from.totals) };
}

function totalsOf({ metrics, outage, cache }: TotalsSource) {
  const { results, answers } = metrics;
  const { ok, status, body, redirect, timeout, network } = answers;
  return {
    ...results,
    ok: ok.count,
    status: status.count,
    body: body.count,
    redirect: redirect.count,
    timeout: timeout.count,
    network: network.count,
    /** How long the good answers took. */
    seconds: ok.seconds,
    /** How many counts were stale as Stacosys failed or was slow. */
    staleInNeed: outage.servedInAll.stale,
    evictions: cache.evictions,
  };
}

/** How many counts readers asked for. */
export function askedFor({ hit, miss, stale, error }: Totals): number {
  return hit + miss + stale + error;
}

function difference(after: Totals, before: Totals): Totals {
  const gained = { ...after };
  for (const name of Object.keys(gained) as (keyof Totals)[]) gained[name] -= before[name];
  return gained;
}
