/**
 * A part of the benchmark: what it is given, and what it has to report.
 *
 * @module
 */

import { ratio, type Spread } from "./rounds.ts";

/** What a part is given. */
export interface Options {
  /** A folder for what it needs; it is removed at the end. */
  readonly folder: string;
  /** Whether a peer is wanted, of those that have a word of their own on the command line. */
  readonly wants: (peer: PeerName) => boolean;
  readonly clients: number;
  readonly rounds: number;
  /** How long a row is measured in each round. */
  readonly seconds: number;
}

/** The words by which peers are chosen. */
export const PEER_NAMES = ["ours", "go", "python", "nginx", "varnish", "flask", "bare"] as const;
export type PeerName = typeof PEER_NAMES[number];

/** What a part has found. */
export interface Report {
  readonly title: string;
  /** How it was measured, in Markdown. */
  readonly text: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly chart?: Chart;
  /** What is promised of it. */
  readonly bounds?: readonly Bound[];
}

/** What is drawn of a part: a bar for each row, in their order. */
export interface Chart {
  readonly title: string;
  readonly unit: string;
  readonly better: "more" | "less";
  readonly bars: readonly Bar[];
}

/** A bar of a {@linkcode Chart}. */
export interface Bar {
  readonly name: string;
  readonly value: number;
  readonly ours: boolean;
}

/** A figure that is promised, and what it was. */
export interface Bound {
  readonly what: string;
  readonly limit: number;
  readonly is: "at most" | "at least";
  readonly measured: Spread;
}

/** The ten counters of a page. */
export const TARGETS: readonly string[] = Array.from({ length: 10 }, (_, i) => targetOf(`/2017/article-${i + 1}/`));

/** By then all code that a hit needs is compiled. */
export const WARM_UP_SECONDS = 2;

/** The target of an article's counter. */
export function targetOf(article: string): string {
  return `/comments/count?token=bench&url=${article}`;
}

/** Whether a row, or a bar, is this program's. */
export function isOurs(name: string): boolean {
  return name.startsWith("httpfastcache");
}

/** The promise that `ours` is `is` `limit` times `theirs`, round by round; none if one of them was not measured. */
export function bound(
  what: string,
  is: Bound["is"],
  limit: number,
  ours: readonly number[],
  theirs: readonly number[],
): Bound[] {
  if (ours.length === 0 || theirs.length === 0) return [];
  return [{ what, is, limit, measured: ratio(ours, theirs) }];
}

/** The promise that readers of ours met no error; none if they were not measured. */
export function noErrors(where: string, ours: readonly { readonly errors: number }[]): Bound[] {
  if (ours.length === 0) return [];
  const errors = ours.reduce((sum, more) => sum + more.errors, 0);
  return [{
    what: `${where}: errors`,
    is: "at most",
    limit: 0,
    measured: { median: errors, low: errors, high: errors },
  }];
}

/** A number with three digits that count. */
export function number(value: number): string {
  if (!Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** A median, and its spread if there is any. */
export function withSpread({ median, low, high }: Spread): string {
  if (low === high) return number(median);
  return `${number(median)} (${number(low)}–${number(high)})`;
}
