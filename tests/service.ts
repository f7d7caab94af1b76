/**
 * The service in the process of the test, without ports: what readers and what its owner ask, with a clock and a
 * Stacosys that a test sets.
 *
 * @module
 */

import { assert } from "@std/assert";
import { createAdmin } from "../admin/admin.ts";
import { Metrics } from "../admin/metrics.ts";
import { Recent } from "../admin/recent.ts";
import { createScript } from "../blog/script.ts";
import type { Cache } from "../cache.ts";
import { createProxy } from "../proxy.ts";
import type { Snapshot } from "../service/snapshot.ts";
import type { Life } from "../service/tls.ts";
import type { Watched } from "../service/watch.ts";
import { Counters } from "../upstream/counters.ts";
import { Outage } from "../upstream/outage.ts";
import type { Answer, Bad } from "../upstream/stacosys.ts";
import { type Answer as Read, received } from "./system/reader.ts";

/** An answer of Stacosys that is a count. */
export const GOOD: Answer = { outcome: "ok", body: '{"count":7}\n' };

/** One that is none. */
export const BAD: Bad = { outcome: "status", reason: "status 500", status: 500 };

/** The service. */
export interface Service {
  readonly cache: Cache<string>;
  readonly metrics: Metrics;
  readonly recent: Recent;
  /** How many readers wait, as the owner is told. */
  readonly readers: { waiting: number };
  /** The time that all of it has. */
  readonly clock: { now: number };
  /** What Stacosys answers, and how long it takes for that. */
  readonly stacosys: { answer: Answer | Promise<Answer>; seconds: number };
  /** The owner's listener. */
  readonly admin: (request: Request) => Response | Promise<Response>;
  /** A request to it. */
  own(method: string, path: string, headers?: Readonly<Record<string, string>>): Promise<Read>;
  /** A request of a reader. */
  read(path: string): Promise<Read>;
  /** A reader's request for the count of an article. */
  count(article: string): Promise<Read>;
  health(): Promise<Record<string, unknown>>;
  samples(): Promise<Map<string, number>>;
  /** Lets time pass, and the counters be read every ten seconds of it. */
  pass(seconds: number): void;
}

/** Starts it, just now. Counts are fresh for a minute, and kept for ten more. */
export async function startService(
  { maxEntries = 100, staleWhileRevalidateMs = 0, watch, snapshot, certificate }: {
    readonly maxEntries?: number;
    readonly staleWhileRevalidateMs?: number;
    readonly watch?: Watched;
    readonly snapshot?: Pick<Snapshot, "file" | "fault" | "save">;
    readonly certificate?: { readonly life: Life };
  } = {},
): Promise<Service> {
  const stacosys: Service["stacosys"] = { answer: GOOD, seconds: 0 };
  const clock = { now: Date.UTC(2026, 0, 1) };
  const now = () => clock.now;
  const metrics = new Metrics();
  const outage = new Outage(() => {}, now);
  async function ask(target: string, isKnown = false): Promise<Answer> {
    const answer = await stacosys.answer;
    metrics.addAnswer(answer, stacosys.seconds);
    outage.follow(target, answer, stacosys.seconds * 1000, isKnown);
    return answer;
  }
  const counters = new Counters({
    ask,
    outage,
    ttlMs: 60_000,
    staleIfErrorMs: 600_000,
    staleWhileRevalidateMs,
    maxEntries,
    now,
    monotonic: now,
  });
  const { cache } = counters;
  const { results } = metrics;
  const proxy = createProxy({ counters, results, paths: ["/comments/count"], script: await createScript() });
  const recent = new Recent({ cache, metrics, outage }, now);
  const readers = { waiting: 0 };
  const sources = {
    cache,
    maxEntries,
    counters,
    metrics,
    outage,
    recent,
    shutdown: readers,
    watch,
    snapshot,
    certificate,
  };
  const admin = createAdmin({ ...sources, ttlMs: 60_000, now, monotonic: now });
  const read = async (path: string) => await received(await proxy(new Request(`http://127.0.0.1${path}`)));
  const own = async (method: string, path: string, headers = {}) => {
    const host = "127.0.0.1:8109";
    return await received(await admin(new Request(`http://${host}${path}`, { method, headers: { host, ...headers } })));
  };
  return {
    cache,
    metrics,
    recent,
    readers,
    clock,
    stacosys,
    admin,
    own,
    read,
    count: (article) => read(`/comments/count?token=T&url=${article}`),
    health: async () => JSON.parse((await own("GET", "/healthz")).text),
    samples: async () => samplesOf((await own("GET", "/metrics")).text),
    pass(seconds) {
      for (const end = clock.now + seconds * 1000; clock.now < end;) {
        clock.now = Math.min(clock.now + 10_000, end);
        recent.sample();
      }
    },
  };
}

/** The samples of Prometheus' text format, by name and labels. */
export function samplesOf(text: string): Map<string, number> {
  return new Map([...text.matchAll(/^([^#\s]\S*) (\S+)$/gm)].map(([, name = "", number]) => [name, Number(number)]));
}

/** The sample of that name, which there must be. */
export function sample(samples: ReadonlyMap<string, number>, name: string): number {
  const found = samples.get(name);
  assert(found !== undefined, `expected ${name} among the metrics`);
  return found;
}
