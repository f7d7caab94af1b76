/**
 * Counters whose time a test sets, before a Stacosys that answers when the test says so.
 *
 * @module
 */

import { Counters, type Lookup } from "../upstream/counters.ts";
import { Outage } from "../upstream/outage.ts";
import type { Answer } from "../upstream/stacosys.ts";

/** A target. */
export const A = "/comments/count?token=T&url=/a/";
export const GOOD: Answer = { outcome: "ok", body: "7" };
export const BAD: Answer = { outcome: "status", reason: "status 500", status: 500 };

/** Counters whose clocks stand at 0, and a Stacosys that answers when a test says so. */
export function startCounters({ staleIfErrorMs = 60_000, staleWhileRevalidateMs = 0, maxEntries = 100 } = {}) {
  const clock = { now: 0, monotonic: 0 };
  const now = () => clock.now;
  const asked: { target: string; urgent: boolean; answer: (answer: Answer) => void }[] = [];
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
    /** Lets time pass on both clocks. */
    pass(ms: number): void {
      clock.now += ms;
      clock.monotonic += ms;
      for (const { until, wake } of sleepers) if (until <= clock.monotonic) wake(undefined);
    },
    setClock(to: number): void {
      clock.now = to;
    },
    /** What a reader gets, if Stacosys answers so should it be asked for him. */
    async read(answer: Answer, target = A): Promise<string> {
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
