/**
 * A part of the benchmark: what it is given, and what it has to report.
 *
 * @module
 */

import type { Spread } from "./rounds.ts";

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
export const PEER_NAMES = ["ours", "go", "nginx", "varnish", "flask", "bare"] as const;
export type PeerName = typeof PEER_NAMES[number];

/** What a part has found. */
export interface Report {
  readonly title: string;
  /** How it was measured, in Markdown. */
  readonly text: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly chart?: Chart;
}

/** What is drawn of a part: a bar for each row. */
export interface Chart {
  readonly title: string;
  readonly unit: string;
  readonly bars: readonly { readonly name: string; readonly value: number; readonly ours: boolean }[];
}

/** The ten counters of a page. */
export const TARGETS: readonly string[] = Array.from({ length: 10 }, (_, i) => targetOf(`/2017/article-${i + 1}/`));

/** By then all code that a hit needs is compiled. */
export const WARM_UP_SECONDS = 2;

/** The target of an article's counter. */
export function targetOf(article: string): string {
  return `/comments/count?token=bench&url=${article}`;
}

/** A number with three digits that count. */
export function number(value: number): string {
  if (!Number.isFinite(value)) return "–";
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value) || 1)));
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** A median, and its spread. */
export function withSpread({ median, low, high }: Spread): string {
  return `${number(median)} (${number(low)}–${number(high)})`;
}
