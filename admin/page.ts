/**
 * The status page. It answers first what its owner wants to know at night: is something wrong, since when, for whom, and
 * is it the cache or Stacosys?
 *
 * @module
 */

import type { Health } from "./health.ts";
import { DAY_MS, FIVE_MINUTES_MS, type Period, type Recent, type Span, type Totals } from "./recent.ts";
import template from "./status.html" with { type: "text" };

/** How requests end. */
const READERS = {
  hit: "from memory",
  miss: "fetched from Stacosys",
  stale: "the last known one",
  error: "none to be had: 404",
  rejected: "no request for a count",
} as const;
const STACOSYS = {
  ok: "a count",
  status: "another status than 200",
  body: "no count in it",
  redirect: "a redirect elsewhere",
  timeout: "none in time",
  network: "no connection",
} as const;

/** The page as HTML. Only scripts and styles with this `nonce` count in it. */
export function pageOf(health: Health, recent: Recent, nonce: string): string {
  const minutes = recent.fiveMinutes();
  const day = recent.day();
  const { version, host, pid, uptimeSeconds } = health;
  const verdicts = [
    stacosysVerdict(health),
    readersVerdict(health, minutes.whole),
    cacheVerdict(health, minutes.whole),
  ];
  const worst = verdicts.find(({ mark }) => mark === BAD) ?? verdicts[0];
  const table = (caption: string, rows: Readonly<Partial<Record<keyof Totals, string>>>) =>
    tableOf(caption, rows, [minutes.whole.counted, day.whole.counted, recent.sinceStart()]);
  const parts: Readonly<Record<string, string>> = {
    nonce,
    title: `${worst?.mark} ${worst?.about}: ${worst?.headline} - ${escape(host)}`,
    host: escape(host),
    process: `version ${version}, process ${pid}, running for ${duration(uptimeSeconds)}`,
    verdicts: verdicts.map(verdictHtml).join(""),
    cards: CARDS.map((card) => cardHtml(card, minutes, day)).join(""),
    tables: table("Counts for readers", READERS) + table("Answers of Stacosys", STACOSYS),
  };
  return template.replace(/\{\{ ?(\w+) ?\}\}/g, (_, name) => parts[name] ?? "");
}

const GOOD = "●";
const BAD = "▲";
const UNKNOWN = "○";

interface Verdict {
  readonly about: string;
  readonly mark: typeof GOOD | typeof BAD | typeof UNKNOWN;
  /** It stays the same as long as it is so, since screen readers read each change. */
  readonly headline: string;
  readonly details: readonly string[];
}

/** What no request has tested for so long is said with its age. */
const OLD_SECONDS = 60;

function stacosysVerdict(health: Health): Verdict {
  const { stacosys, sinceSeconds, testedSeconds, lastGoodSeconds, lastError, lastErrorUrl, lastErrorSeconds } = health;
  const old = stacosys !== "slow" && testedSeconds !== null && testedSeconds >= OLD_SECONDS;
  const since = duration(sinceSeconds);
  const [headline, detail] = {
    up: old ? ["was up", `when last asked, ${duration(testedSeconds)} ago`] : ["up", `for ${since}`],
    down: old ? ["was down", `when last asked, ${duration(testedSeconds)} ago`] : ["down", `for ${since}`],
    slow: ["does not answer", `a request has been waiting for ${since}`],
    error: ["gave an error", "as its last answer"],
    unknown: ["not asked yet", ""],
  }[stacosys];
  const error = lastError === null ? "none" : `${lastError} for ${lastErrorUrl}, ${duration(lastErrorSeconds)} ago`;
  return {
    about: "Stacosys",
    mark: stacosys === "unknown" || stacosys === "up" && old ? UNKNOWN : stacosys === "up" ? GOOD : BAD,
    headline: headline ?? "",
    details: [
      detail ?? "",
      lastGoodSeconds === null ? "no good answer yet" : `last good answer ${duration(lastGoodSeconds)} ago`,
      `last error: ${error}`,
    ],
  };
}

function readersVerdict({ servedStale, servedNone, waiting }: Health, { counted }: Span): Verdict {
  const { error, staleInNeed } = counted;
  const all = countsOf(counted);
  return {
    about: "Readers",
    mark: error + staleInNeed > 0 ? BAD : all === 0 ? UNKNOWN : GOOD,
    headline: readersHeadline(counted),
    details: [
      `of ${number(all)} counts in 5 minutes ${percent(staleInNeed, all)} were old, ${percent(error, all)} missing`,
      `since Stacosys’ last good answer ${number(servedStale)} old, ${number(servedNone)} missing`,
      `waiting now: ${number(waiting)}`,
    ],
  };
}

function readersHeadline(counted: Totals): string {
  if (counted.error > 0) return "some got no count";
  if (counted.staleInNeed > 0) return "some got an old count";
  return countsOf(counted) > 0 ? "all got their count" : "nobody asked";
}

function cacheVerdict({ entries, maxEntries, evictions }: Health, { counted }: Span): Verdict {
  const full = counted.evictions > 0;
  return {
    about: "Cache",
    mark: full ? BAD : GOOD,
    headline: full ? "too small" : "well",
    details: [
      `entries: ${number(entries)} of at most ${number(maxEntries)}`,
      `evicted in 5 minutes ${number(counted.evictions)}, since the start ${number(evictions)}`,
      ...full ? ["if these are counts of your articles, raise MaxEntries"] : [],
    ],
  };
}

function verdictHtml({ about, mark, headline, details }: Verdict): string {
  const kind = { [GOOD]: "good", [BAD]: "bad", [UNKNOWN]: "" }[mark];
  const lines = details.filter((line) => line !== "").map((line) => `<li>${escape(line)}</li>`).join("");
  return `<div><h2>${about}</h2><p role="status" data-live><b class="${kind}">${mark} ${headline}</b></p>
    <ul data-live>${lines}</ul></div>`;
}

interface Card {
  readonly name: string;
  /** NaN if there is nothing to say. */
  readonly value: (span: Span) => number;
  readonly format: (value: number) => string;
  /** What the upper edge of its curve stands for; the largest value by default. */
  readonly top?: number;
}

const CARDS: readonly Card[] = [
  {
    name: "Counts a minute",
    // A single request in the first second of the service is no sixty a minute.
    value: ({ counted, ms }) => 60_000 * countsOf(counted) / Math.max(ms, 10_000),
    format: number,
  },
  { name: "Hit ratio", value: ({ counted }) => counted.hit / countsOf(counted), format: percentOf, top: 1 },
  {
    name: "Old or missing counts",
    value: ({ counted }) => (counted.staleInNeed + counted.error) / countsOf(counted),
    format: percentOf,
    top: 1,
  },
  { name: "Stacosys’ time a count", value: ({ counted }) => counted.seconds / counted.ok, format: time },
];

function cardHtml(card: Card, minutes: Period, day: Period): string {
  return `<div><h3>${card.name}</h3><div class="card"><div class="now">${
    periodHtml(card, "5 min", minutes, FIVE_MINUTES_MS)
  }</div>
    <div>${periodHtml(card, "24 h", day, DAY_MS)}</div></div></div>`;
}

/** A figure, its curve and its range; `ms` is how much time the curve has room for. */
function periodHtml({ value, format, top }: Card, name: string, { whole, steps }: Period, ms: number): string {
  const points = steps.map((step) => ({ x: 100 - 100 * step.endedMs / ms, y: value(step) }));
  const values = points.map(({ y }) => y).filter(Number.isFinite);
  const highest = Math.max(...values);
  const height = top ?? (highest || 1);
  const path = points.map(({ x, y }, i) => {
    if (!Number.isFinite(y)) return "";
    const at = `${x.toFixed(1)} ${(30 - 30 * y / height).toFixed(1)}`;
    return Number.isFinite(points[i - 1]?.y) ? `L${at}` : `M${at}h0`;
  });
  const range = values.length === 0 ? "" : `: ${escape(`${format(Math.min(...values))} to ${format(highest)}`)}`;
  return `<p>${unless(value(whole), format)}</p>
    <svg viewBox="0 0 100 30" preserveAspectRatio="none" aria-hidden="true"><path d="${path.join("")}" /></svg>
    <small>${name}${range}</small>`;
}

function tableOf(
  caption: string,
  rows: Readonly<Partial<Record<keyof Totals, string>>>,
  periods: readonly Totals[],
): string {
  const names = Object.keys(rows) as (keyof Totals)[];
  const cell = (totals: Totals, name: keyof Totals) => {
    const all = names.reduce((sum, name) => sum + totals[name], 0);
    return `<td>${number(totals[name])}<small>${percent(totals[name], all)}</small></td>`;
  };
  const row = (name: keyof Totals) =>
    `<tr><th scope="row">${name} <small>${rows[name]}</small></th>${
      periods.map((totals) => cell(totals, name)).join("")
    }</tr>`;
  return `<table><caption>${caption}</caption><thead><tr><td></td><th scope="col">5 min</th><th scope="col">24 h</th>
    <th scope="col">since start</th></tr></thead><tbody>${names.map(row).join("")}</tbody></table>`;
}

function countsOf({ hit, miss, stale, error }: Totals): number {
  return hit + miss + stale + error;
}

/** Not by `Intl`, which would take memory for a page that is rarely looked at. */
function number(n: number): string {
  const digits = n < 10 ? 10 : 1;
  return String(Math.round(n * digits) / digits).replace(/\B(?=(\d{3})+$)/g, ",");
}

function percent(part: number, whole: number): string {
  return unless(part / whole, percentOf);
}

/** 0% only of none, 100% only of all. */
function percentOf(ratio: number): string {
  if (ratio > 0 && ratio < 0.001) return "<0.1%";
  if (ratio > 0.999 && ratio < 1) return ">99.9%";
  return `${ratio > 0.99 ? Math.round(ratio * 1000) / 10 : number(ratio * 100)}%`;
}

function time(seconds: number): string {
  return seconds < 1 ? `${number(seconds * 1000)} ms` : `${number(seconds)} s`;
}

/** What was divided by nothing is not said. */
function unless(value: number, format: (value: number) => string): string {
  return Number.isFinite(value) ? escape(format(value)) : "–";
}

const UNITS = [["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]] as const;

function duration(seconds: number | null): string {
  const first = UNITS.findIndex(([, size]) => (seconds ?? 0) >= size);
  if (seconds === null || first === -1) return "0 s";
  let rest = seconds;
  return UNITS.slice(first, first + 2).map(([unit, size]) => {
    const amount = Math.floor(rest / size);
    rest %= size;
    return `${amount} ${unit}`;
  }).join(" ");
}

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
