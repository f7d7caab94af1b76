/**
 * What the page says. First what its owner wants to know at night: is something wrong, since when, for whom, and is it
 * the cache or Stacosys? Then what the figures are called. Headings and forms are in status.html, and what only the
 * script of the page says is in status.js.
 *
 * @module
 */

import { duration, number, percent, utc } from "./format.ts";
import type { Health } from "./health.ts";
import { askedFor, type Totals } from "./recent.ts";
import { withoutToken } from "../upstream/versions.ts";

/** How one of them is. */
export interface Verdict {
  readonly about: "Stacosys" | "Readers" | "Cache" | "Certificate";
  readonly kind: "good" | "bad" | "unknown";
  /** It has neither ages nor amounts, since screen readers read each change of it. */
  readonly headline: string;
  /** What was bad within the last five minutes, and is over. */
  readonly over?: string | undefined;
  readonly details: readonly string[];
}

/** State older than this is shown with its age. */
const OLD_SECONDS = 60;

/** Trouble that no reader met for so long is over. */
const OVER_SECONDS = 10;

/** How all of them are, if `recent` was counted in the five minutes before `now`, in milliseconds since 1970. */
export function verdictsOf(health: Health, recent: Totals, now: number): Verdict[] {
  /** So long ago, and when that was. */
  const ago = (seconds: number) => `${duration(seconds)} ago, ${utc(now - seconds * 1000, now)}`;
  const stacosys = stacosysVerdict(health, now, ago);
  return [
    stacosys,
    readersVerdict(health, recent, stacosys.kind === "bad", ago),
    cacheVerdict(health, recent, ago),
    ...certificateVerdict(health, now),
  ];
}

type Ago = (seconds: number) => string;

function stacosysVerdict(health: Health, now: number, ago: Ago): Verdict {
  const { lastGoodSeconds, lastError, lastErrorUrl, lastErrorSeconds } = health;
  const { kind, headline, since } = stacosysNow(health, now, ago);
  const hint = kind === "bad" ? hintOf(health.cause) : undefined;
  return {
    about: "Stacosys",
    kind,
    headline,
    details: [
      since,
      ...hint === undefined ? [] : [hint],
      lastGoodSeconds === null ? "no good answer yet" : `last good answer ${ago(lastGoodSeconds)}`,
      lastErrorSeconds === null
        ? "no error yet"
        : `last error: ${lastError} for ${withoutToken(lastErrorUrl ?? "")}, ${ago(lastErrorSeconds)}`,
    ],
  };
}

function stacosysNow(
  health: Health,
  now: number,
  ago: Ago,
): Pick<Verdict, "kind" | "headline"> & { readonly since: string } {
  const { sinceSeconds, testedSeconds } = health;
  const since = `${duration(sinceSeconds)}, since ${utc(now - sinceSeconds * 1000, now)}`;
  const old = testedSeconds !== null && testedSeconds >= OLD_SECONDS;
  const asked = `when last asked, ${ago(testedSeconds ?? 0)}`;
  switch (failsInPart(health) ? "in part" : health.stacosys) {
    case "in part":
      return { kind: "good", headline: "up", since: `but not for ${number(health.failingUrls)} of the urls` };
    case "up":
      return old
        ? { kind: "unknown", headline: "was up", since: asked }
        : { kind: "good", headline: "up", since: `for ${since}` };
    case "down":
      return { kind: "bad", headline: causeInWords(health.cause), since: old ? asked : `for ${since}` };
    case "slow":
      return { kind: "bad", headline: "slow or hung", since: `a request has been waiting for ${since}` };
    case "error":
      return { kind: "bad", headline: causeInWords(health.cause), since: asked };
    case "unknown":
      return { kind: "unknown", headline: "not asked yet", since: `since the start, ${ago(sinceSeconds)}` };
  }
}

/** Some urls fail among good ones: a detail, since the headline would change with every answer. */
function failsInPart({ stacosys, failingUrls, lastGoodSeconds }: Health): boolean {
  return stacosys !== "down" && failingUrls > 0 && lastGoodSeconds !== null && lastGoodSeconds < OLD_SECONDS;
}

/** What is wrong with Stacosys. */
function causeInWords(cause: Health["cause"]): string {
  switch (cause?.outcome) {
    case "status":
      return `answers ${cause.status}`;
    case "body":
      return "answers without a count";
    case "redirect":
      return cause.status === undefined ? "redirects without end" : "redirects elsewhere";
    case "timeout":
      return "does not answer";
    case "network":
      if (/refused/.test(cause.reason)) return "refuses connections";
      if (/^dns error/.test(cause.reason)) return "cannot be found";
      return /certificate/.test(cause.reason) ? "shows no good certificate" : "the connection fails";
    default:
      return "gives no count";
  }
}

/** Whoever answers is not mended by a restart. */
function hintOf(cause: Health["cause"]): string | undefined {
  const { outcome, status = 0 } = cause ?? {};
  if (causeInWords(cause) === "cannot be found") return "look at Stacosys in the configuration";
  const refuses = outcome === "status" && status < 500;
  if (!refuses && outcome !== "body" && outcome !== "redirect") return undefined;
  return "it runs, or another program answers there: look at Stacosys and Paths in the configuration, and at the token";
}

function readersVerdict(health: Health, recent: Totals, stacosysIsBad: boolean, ago: Ago): Verdict {
  const { servedStale, servedNone, lastServedSeconds, waiting, failingUrls } = health;
  const all = askedFor(recent);
  const { error, staleInNeed } = recent;
  const trouble = error > 0 ? "some got no count" : staleInNeed > 0 ? "some got an old count" : undefined;
  const goesOn = stacosysIsBad || failingUrls > 0 || (lastServedSeconds ?? Infinity) < OVER_SECONDS;
  const over = trouble !== undefined && !goesOn ? `${trouble} until ${ago(lastServedSeconds ?? 0)}` : undefined;
  return {
    about: "Readers",
    ...trouble !== undefined && goesOn
      ? { kind: "bad", headline: trouble }
      : all > 0
      ? { kind: "good", headline: over === undefined ? "all got their count" : "all get their count" }
      : { kind: "unknown", headline: "nobody asked" },
    over,
    details: [
      ...over === undefined ? [] : [over],
      `${number(all)} counts in 5 minutes: ${percent(staleInNeed / all)} old, ${percent(error / all)} missing`,
      `since Stacosys’ last good answer: ${number(servedStale)} old, ${number(servedNone)} missing`,
      `waiting now: ${number(waiting)}`,
    ],
  };
}

function cacheVerdict(health: Health, recent: Totals, ago: Ago): Verdict {
  const { entries, maxEntries, evictions, allZero, watch, snapshot } = health;
  const full = recent.evictions > 0;
  const blind = watch !== null && watch.fault !== null;
  const unsaved = snapshot?.fault ?? null;
  const trouble = full
    ? "too small"
    : blind
    ? "does not see its watched file"
    : unsaved === null
    ? undefined
    : "does not save its counts";
  return {
    about: "Cache",
    ...trouble !== undefined
      ? { kind: "bad", headline: trouble }
      : allZero
      ? { kind: "unknown", headline: "each count is 0" }
      : { kind: "good", headline: "well" },
    details: [
      ...allZero ? ["usually the token or the urls of the blog are not those that Stacosys knows"] : [],
      `entries: ${number(entries)} of at most ${number(maxEntries)}`,
      `evicted in 5 minutes: ${number(recent.evictions)}, since the start: ${number(evictions)}`,
      ...full ? ["if these are counts of your articles, raise MaxEntries"] : [],
      ...watch === null ? [] : [watchDetail(watch, ago)],
      ...snapshot === null || unsaved === null ? [] : [`cannot save ${snapshot.file}: ${unsaved}`],
    ],
  };
}

function watchDetail({ file, changedSeconds, fault }: NonNullable<Health["watch"]>, ago: Ago): string {
  if (fault !== null) return `${fault}; counts live by TtlSeconds`;
  return `${file} last changed ${changedSeconds === null ? "before the start" : ago(changedSeconds)}`;
}

/** None without HTTPS of its own. */
function certificateVerdict({ certificate, certificateEndsSeconds }: Health, now: number): Verdict[] {
  if (certificate === null || certificateEndsSeconds === null) return [];
  const end = utc(now + certificateEndsSeconds * 1000, now);
  const advice = "renew it; if that is done, restart: what is in use was read at the start";
  const ended = certificate === "ended";
  return [{
    about: "Certificate",
    kind: certificate === "good" ? "good" : "bad",
    headline: { good: "good", due: "should have been renewed", ended: "has ended, browsers refuse it" }[certificate],
    details: [
      ended
        ? `ended ${duration(-certificateEndsSeconds)} ago, ${end}`
        : `ends in ${duration(certificateEndsSeconds)}, ${end}`,
      ...certificate === "good" ? [] : [advice],
    ],
  }];
}

/** What runs here. */
export function processInWords({ version, pid, uptimeSeconds }: Health, now: number): string {
  const [since, time] = [now - uptimeSeconds * 1000, now].map((at) => utc(at, now));
  return `version ${version}, process ${pid}, running for ${duration(uptimeSeconds)}, since ${since}; now ${time}`;
}

/** The times that figures are about. */
export const PERIODS = { fiveMinutes: "5 min", day: "24 h", sinceStart: "since start" };

/** The figures with a curve, and what is said if there is none. */
export const FIGURES = {
  rate: "Counts a minute",
  hits: "Hit ratio",
  oldOrMissing: "Old or missing counts",
  answerTime: "Stacosys answers in",
  noCurve: "no curve yet",
};

/** How requests end, and what that means. */
export interface Table {
  readonly caption: string;
  readonly rows: readonly (readonly [name: keyof Totals, meaning: string])[];
}

export const TABLES: readonly Table[] = [
  {
    caption: "Counts for readers",
    rows: [
      ["hit", "from memory"],
      ["miss", "fetched from Stacosys"],
      ["stale", "the last known one"],
      ["error", "none to be had: 404, or null among others"],
      ["rejected", "no valid request for a count"],
    ],
  },
  {
    caption: "Answers of Stacosys",
    rows: [
      ["ok", "a count"],
      ["status", "another status than 200"],
      ["body", "no count in it"],
      ["redirect", "a redirect elsewhere"],
      ["timeout", "none in time"],
      ["network", "no connection"],
    ],
  },
];
