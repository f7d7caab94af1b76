/**
 * What its owner wants to know first at night: is something wrong, since when, for whom, and is it the cache or Stacosys?
 *
 * @module
 */

import { duration, number, percent } from "./format.ts";
import type { Health } from "./health.ts";
import { countsOf, type Totals } from "./recent.ts";

/** How one of them is. */
export interface Verdict {
  readonly about: "Stacosys" | "Readers" | "Cache";
  readonly kind: "good" | "bad" | "unknown";
  /** It has no figures, since screen readers read each change of it. */
  readonly headline: string;
  readonly details: readonly string[];
}

/** What no request has tested for so long is said with its age. */
const OLD_SECONDS = 60;

/** How Stacosys is, how readers fare, and how the cache is, if `recent` was counted in the last five minutes. */
export function verdictsOf(health: Health, recent: Totals): Verdict[] {
  return [stacosysVerdict(health), readersVerdict(health, recent), cacheVerdict(health, recent)];
}

function stacosysVerdict(health: Health): Verdict {
  const { lastGoodSeconds, lastError, lastErrorUrl, lastErrorSeconds } = health;
  const { kind, headline, since } = stacosysNow(health);
  return {
    about: "Stacosys",
    kind,
    headline,
    details: [
      since,
      lastGoodSeconds === null ? "no good answer yet" : `last good answer ${duration(lastGoodSeconds)} ago`,
      lastErrorSeconds === null
        ? "no error yet"
        : `last error: ${lastError} for ${lastErrorUrl}, ${duration(lastErrorSeconds)} ago`,
    ],
  };
}

function stacosysNow(health: Health): Pick<Verdict, "kind" | "headline"> & { readonly since: string } {
  const { stacosys, sinceSeconds, testedSeconds } = health;
  const age = duration(sinceSeconds);
  const old = testedSeconds !== null && testedSeconds >= OLD_SECONDS;
  const asked = `when last asked, ${duration(testedSeconds ?? 0)} ago`;
  switch (stacosys) {
    case "up":
      return old
        ? { kind: "unknown", headline: "was up", since: asked }
        : { kind: "good", headline: "up", since: `for ${age}` };
    case "down":
      return { kind: "bad", headline: old ? "was down" : "down", since: old ? asked : `for ${age}` };
    case "slow":
      return { kind: "bad", headline: "slow or hung", since: `a request has been waiting for ${age}` };
    case "error":
      return { kind: "bad", headline: "gave an error", since: asked };
    case "unknown":
      return { kind: "unknown", headline: "not asked yet", since: `since the start, ${age} ago` };
  }
}

function readersVerdict({ servedStale, servedNone, waiting }: Health, recent: Totals): Verdict {
  const all = countsOf(recent);
  const { error, staleInNeed } = recent;
  return {
    about: "Readers",
    ...readersNow(recent),
    details: [
      `${number(all)} counts in 5 minutes: ${percent(staleInNeed / all)} old, ${percent(error / all)} missing`,
      `since Stacosys’ last good answer: ${number(servedStale)} old, ${number(servedNone)} missing`,
      `waiting now: ${number(waiting)}`,
    ],
  };
}

function readersNow(recent: Totals): Pick<Verdict, "kind" | "headline"> {
  if (recent.error > 0) return { kind: "bad", headline: "some got no count" };
  if (recent.staleInNeed > 0) return { kind: "bad", headline: "some got an old count" };
  if (countsOf(recent) > 0) return { kind: "good", headline: "all got their count" };
  return { kind: "unknown", headline: "nobody asked" };
}

function cacheVerdict({ entries, maxEntries, evictions, watch, snapshot }: Health, recent: Totals): Verdict {
  const full = recent.evictions > 0;
  const blind = watch !== null && watch.fault !== null;
  const unsaved = snapshot?.fault ?? null;
  return {
    about: "Cache",
    kind: full || blind || unsaved !== null ? "bad" : "good",
    headline: full
      ? "too small"
      : blind
      ? "does not see its watched file"
      : unsaved === null
      ? "well"
      : "does not save its counts",
    details: [
      `entries: ${number(entries)} of at most ${number(maxEntries)}`,
      `evicted in 5 minutes: ${number(recent.evictions)}, since the start: ${number(evictions)}`,
      ...full ? ["if these are counts of your articles, raise MaxEntries"] : [],
      ...watch === null ? [] : [watchDetail(watch)],
      ...snapshot === null || unsaved === null ? [] : [`cannot save ${snapshot.file}: ${unsaved}`],
    ],
  };
}

function watchDetail({ file, changedSeconds, fault }: NonNullable<Health["watch"]>): string {
  if (fault !== null) return `${fault}; counts live by TtlSeconds`;
  return `${file} last changed ${changedSeconds === null ? "before the start" : `${duration(changedSeconds)} ago`}`;
}
