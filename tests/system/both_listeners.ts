/**
 * The service with its two listeners, in the process of the test: a clock and a Stacosys that a test sets.
 *
 * @module
 */

import { assert } from "@std/assert";
import { createAdmin } from "../../admin/admin.ts";
import { Cache } from "../../cache.ts";
import { Counters } from "../../upstream/counters.ts";
import { createMetrics } from "../../admin/metrics.ts";
import { Outage } from "../../upstream/outage.ts";
import { createProxy } from "../../proxy.ts";
import { createScript } from "../../blog/script.ts";
import type { Answer } from "../../upstream/stacosys.ts";
import { type Answer as Read, received } from "./reader.ts";

/** An answer of Stacosys that is a count. */
export const GOOD: Answer = { outcome: "ok", body: '{"count":7}\n' };

/** One that is none. */
export const BAD: Answer = { outcome: "status", reason: "status 500", status: 500 };

/** The two listeners on ports that the system chose. Disposing of it closes both. */
export interface BothListeners extends AsyncDisposable {
  /** The owner's port. */
  readonly port: number;
  readonly cache: Cache<string>;
  /** The time that all of it has. */
  readonly clock: { now: number };
  /** What Stacosys answers, and how long it takes for that. */
  readonly stacosys: { answer: Answer; seconds: number };
  /** A request to the owner's listener. */
  own(method: string, path: string, headers?: Readonly<Record<string, string>>): Promise<Read>;
  /** A request of a reader. */
  read(path: string): Promise<Read>;
  /** A reader's request for the count of an article. */
  count(article: string): Promise<Read>;
  health(): Promise<Record<string, unknown>>;
  metrics(): Promise<Map<string, number>>;
}

/** Starts both. */
export async function serve({ maxEntries = 100 } = {}): Promise<BothListeners> {
  const stacosys: { answer: Answer; seconds: number } = { answer: GOOD, seconds: 0 };
  const clock = { now: Date.UTC(2026, 0, 1) };
  const now = () => clock.now;
  const cache = new Cache<string>({ ttlMs: 60_000, staleMs: 600_000, maxEntries, now });
  const metrics = createMetrics();
  const outage = new Outage(() => {}, now);
  function ask(target: string): Promise<Answer> {
    metrics.answered(stacosys.answer, stacosys.seconds);
    outage.answered(target, stacosys.answer, stacosys.seconds * 1000);
    return Promise.resolve(stacosys.answer);
  }
  const counters = new Counters({ cache, ask, outage, staleWhileRevalidateMs: 0, now, monotonic: now });
  const { requests } = metrics;
  const proxy = createProxy({ cache, counters, requests, paths: ["/comments/count"], script: await createScript() });
  const options = { hostname: "127.0.0.1", port: 0, onListen: () => {} };
  const readers = Deno.serve(options, proxy);
  const owner = Deno.serve(options, createAdmin({ cache, counters, metrics, outage, monotonic: now }));
  const { port } = owner.addr;
  const read = async (path: string) => await received(await fetch(`http://127.0.0.1:${readers.addr.port}${path}`));
  const own = async (method: string, path: string, headers = {}) =>
    await received(await fetch(`http://127.0.0.1:${port}${path}`, { method, headers }));
  return {
    port,
    cache,
    clock,
    stacosys,
    own,
    read,
    count: (article: string) => read(`/comments/count?token=T&url=${article}`),
    health: async () => JSON.parse((await own("GET", "/healthz")).text),
    metrics: async () => values((await own("GET", "/metrics")).text),
    [Symbol.asyncDispose]: async () => {
      await Promise.all([readers.shutdown(), owner.shutdown()]);
    },
  };
}

/** The samples of Prometheus' text format, by name and labels. */
export function values(text: string): Map<string, number> {
  return new Map([...text.matchAll(/^([^#\s]\S*) (\S+)$/gm)].map(([, name = "", number]) => [name, Number(number)]));
}

/** The sample of that name, which there must be. */
export function value(metrics: ReadonlyMap<string, number>, name: string): number {
  const found = metrics.get(name);
  assert(found !== undefined, `expected ${name} among the metrics`);
  return found;
}
