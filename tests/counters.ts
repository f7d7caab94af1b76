/**
 * Counters whose time a test sets, before a Stacosys that answers when the test says so.
 *
 * @module
 */

import type { Cache } from "../cache.ts";
import { Counters, type Lookup } from "../upstream/counters.ts";
import { Outage } from "../upstream/outage.ts";
import type { Answer } from "../upstream/stacosys.ts";

/** A target. */
export const A = "/comments/count?token=T&url=/a/";
export const GOOD: Answer = { outcome: "ok", body: "7" };
export const BAD: Answer = { outcome: "status", reason: "status 500", status: 500 };

/** What a test sets, besides the time. */
export interface Settings {
  readonly staleIfErrorMs?: number;
  readonly staleWhileRevalidateMs?: number;
  readonly maxEntries?: number;
}

/** Counters, and all that a test does with them. */
export interface Started {
  readonly counters: Counters;
  readonly cache: Cache<string>;
  readonly outage: Outage;
  /** What Stacosys was asked so far, and how it answers. */
  readonly asked: { readonly target: string; readonly urgent: boolean; readonly answer: (answer: Answer) => void }[];
  /** Who waits for a time. */
  readonly sleepers: ReadonlySet<unknown>;
  /** Lets time pass on both clocks. */
  pass(ms: number): void;
  setClock(to: number): void;
  /** What a reader gets, if Stacosys answers so should it be asked for him. */
  read(answer: Answer, target?: string): Promise<string>;
}

/** Counters whose clocks stand at 0, and a Stacosys that answers when a test says so. */
export function startCounters(
  { staleIfErrorMs = 60_000, staleWhileRevalidateMs = 0, maxEntries = 100 }: Settings = {},
): Started {
  const clock = { now: 0, monotonic: 0 };
  const now = () => clock.now;
  const asked: Started["asked"] = [];
  const outage = new Outage(() => {}, () => clock.monotonic);
  const sleepers = new Set<{ until: number; wake: (value: undefined) => void }>();
  const counters = new Counters({
    ttlMs: 10_000,
    maxEntries,
    ask: (target, urgent = false) => new Promise((answer) => asked.push({ target, urgent, answer })),
    outage,
    staleIfErrorMs,
    staleWhileRevalidateMs,
    now,
    monotonic: () => clock.monotonic,
    sleep: (ms) => new Promise((wake) => sleepers.add({ until: clock.monotonic + ms, wake })),
  });
  return {
    asked,
    cache: counters.cache,
    counters,
    outage,
    sleepers,
    pass(ms) {
      clock.now += ms;
      clock.monotonic += ms;
      for (const { until, wake } of sleepers) if (until <= clock.monotonic) wake(undefined);
    },
    setClock(to) {
      clock.now = to;
    },
    async read(answer, target = A) {
      const before = asked.length;
      const lookup = counters.miss(target);
      if (asked.length > before) asked.at(-1)?.answer(answer);
      return brief(await lookup);
    },
  };
}

/** A lookup in a few words. */
export function brief({ result, entry, forward, detail }: Lookup): string {
  const { why, status, collapsed } = forward ?? {};
  const words = [result, entry?.value, why, status, collapsed === true ? "collapsed" : undefined, detail];
  return words.filter((word) => word !== undefined).join(" ");
}
