/**
 * What the owner is told: how the service is, how Stacosys is, and since when.
 *
 * @module
 */

import type { Cache } from "../cache.ts";
import project from "../deno.json" with { type: "json" };
import type { Shutdown } from "../service/shutdown.ts";
import type { Saved } from "../service/snapshot.ts";
import { type Life, stateOf as certificateStateOf } from "../service/tls.ts";
import type { Watched } from "../service/watch.ts";
import type { Counters } from "../upstream/counters.ts";
import type { Failure, Outage } from "../upstream/outage.ts";
import { areAllZero } from "./counts.ts";

/** Where the facts come from. */
export interface Sources {
  readonly cache: Pick<Cache<string>, "size" | "evictions" | "entries">;
  readonly maxEntries: number;
  readonly counters: Pick<Counters, "oldestRequestMs">;
  readonly outage: Pick<
    Outage,
    "stacosys" | "since" | "lastGoodAt" | "lastFailure" | "cause" | "failingSince" | "served" | "lastServedAt"
  >;
  readonly shutdown: Pick<Shutdown, "waiting">;
  /** The database of Stacosys, if it is watched. */
  readonly watch?: Watched | undefined;
  /** Where counts are kept over a restart, if they are. */
  readonly snapshot?: Saved | undefined;
  /** The life of the certificate that readers are shown, if it is the service's own. */
  readonly certificate?: { readonly life: Life } | undefined;
}

/** What `/healthz` answers, there in whole seconds. All ages are by a clock that nobody sets. */
export interface Health {
  readonly status: "ok";
  readonly version: string;
  readonly host: string;
  readonly pid: number;
  readonly uptimeSeconds: number;
  /**
   * `up` and `down` are what its answers tell, `error` is that only the last of them was bad, `slow` that a request has
   * no answer yet after a second, and `unknown` that it was not asked yet.
   */
  readonly stacosys: "up" | "down" | "error" | "slow" | "unknown";
  /** For how long it has been that. */
  readonly sinceSeconds: number;
  /** How old its last answer is, good or bad. */
  readonly testedSeconds: number | null;
  readonly lastGoodSeconds: number | null;
  readonly lastError: string | null;
  /** What it was asked for when it gave the last error. */
  readonly lastErrorUrl: string | null;
  readonly lastErrorSeconds: number | null;
  /** What is wrong with it since its last good answer; if two alternate, it stays with one. */
  readonly cause: Pick<Failure, "outcome" | "status" | "reason"> | null;
  /** For how many urls its last answer was bad, and came within the last minute. */
  readonly failingUrls: number;
  /** How old the oldest request without an answer is; 0 if there is none. */
  readonly oldestRequestSeconds: number;
  /** How many requests of readers wait for Stacosys. */
  readonly waiting: number;
  /** How many counts were served stale since its last good answer, as it failed or was slow. */
  readonly servedStale: number;
  /** For how many counts there was none to give: a 404, or null among others. */
  readonly servedNone: number;
  /** How long ago the last of either was. */
  readonly lastServedSeconds: number | null;
  readonly entries: number;
  readonly maxEntries: number;
  readonly evictions: number;
  /** Whether there are counts, and each is 0. */
  readonly allZero: boolean;
  /** `due` is that it should have been renewed; null without HTTPS of its own. */
  readonly certificate: "good" | "due" | "ended" | null;
  /** How long the certificate in use is still valid. */
  readonly certificateEndsSeconds: number | null;
  /** The watched file, if there is one. */
  readonly watch: {
    readonly file: string;
    readonly changes: number;
    readonly changedSeconds: number | null;
    /** Why it cannot be looked at, if it cannot. */
    readonly fault: string | null;
  } | null;
  /** The snapshot, if there is one, and why counts are not being saved, if they are not. */
  readonly snapshot: { readonly file: string; readonly fault: string | null } | null;
}

/** A request that waits longer than this shows that Stacosys hangs, before its time limit does. */
const SLOW_MS = 1_000;

/** A url that failed longer ago than this may be well again. */
const FAILING_MS = 60_000;

/**
 * How things are `now`.
 *
 * @param startedAt when the service started, and now, both by the monotonic clock.
 * @param time now, in milliseconds since 1970.
 */
export function healthOf(sources: Sources, startedAt: number, now: number, time: number): Health {
  const { cache, maxEntries, counters, outage, shutdown, watch, snapshot, certificate } = sources;
  const { lastGoodAt = -Infinity, lastFailure, lastServedAt = -Infinity, cause, served } = outage;
  const failedAt = lastFailure?.at ?? -Infinity;
  const { stacosys, since } = stateOf(sources, now);
  const age = (at: number) => at === -Infinity ? null : (now - at) / 1000;
  return {
    status: "ok",
    version: project.version,
    host: Deno.hostname(),
    pid: Deno.pid,
    uptimeSeconds: (now - startedAt) / 1000,
    stacosys,
    sinceSeconds: (now - since) / 1000,
    testedSeconds: age(Math.max(lastGoodAt, failedAt)),
    lastGoodSeconds: age(lastGoodAt),
    lastError: lastFailure?.reason ?? null,
    lastErrorUrl: lastFailure?.target ?? null,
    lastErrorSeconds: age(failedAt),
    cause: cause === undefined ? null : { outcome: cause.outcome, status: cause.status, reason: cause.reason },
    failingUrls: outage.failingSince(now - FAILING_MS),
    oldestRequestSeconds: counters.oldestRequestMs / 1000,
    waiting: shutdown.waiting,
    servedStale: served.stale,
    servedNone: served.error,
    lastServedSeconds: age(lastServedAt),
    entries: cache.size,
    maxEntries,
    evictions: cache.evictions,
    allZero: areAllZero(sources),
    certificate: certificate === undefined ? null : certificateStateOf(certificate.life, time),
    certificateEndsSeconds: certificate === undefined ? null : (certificate.life.endsAt - time) / 1000,
    watch: watch === undefined ? null : {
      file: watch.file,
      changes: watch.changes,
      changedSeconds: age(watch.changedAt ?? -Infinity),
      fault: watch.fault ?? null,
    },
    snapshot: snapshot === undefined ? null : { file: snapshot.file, fault: snapshot.fault ?? null },
  };
}

/**
 * Whether a monitor should wake somebody: Stacosys is down, or has given no count since the start. A single bad answer,
 * a slow one, or that nobody has asked yet is no alarm.
 */
export function isAlarming({ stacosys, lastGoodSeconds }: Health): boolean {
  return stacosys === "down" || stacosys === "error" && lastGoodSeconds === null;
}

function stateOf({ counters, outage }: Sources, now: number): Pick<Outage, "since"> & Pick<Health, "stacosys"> {
  const { stacosys, since, lastGoodAt = -Infinity, lastFailure } = outage;
  const { oldestRequestMs } = counters;
  if (stacosys === "down") return { stacosys, since };
  if (oldestRequestMs >= SLOW_MS) return { stacosys: "slow", since: now - oldestRequestMs };
  if (lastFailure !== undefined && lastFailure.at > lastGoodAt) return { stacosys: "error", since: lastFailure.at };
  return { stacosys, since };
}
