/**
 * The status page: verdicts first, then figures and curves. All of it is rendered here, so that it can be read without
 * JavaScript; the script of the page only fetches it anew.
 *
 * @module
 */

import { escapeInvisible } from "../service/invisible.ts";
import { number, percent, time } from "./format.ts";
import type { Health } from "./health.ts";
import { askedFor, DAY_MS, FIVE_MINUTES_MS, type Period, type Recent, type Span, type Totals } from "./recent.ts";
import style from "./status.css" with { type: "text" };
import template from "./status.html" with { type: "text" };
import script from "./status.js" with { type: "text" };
import { FIGURES, PERIODS, processInWords, type Table, TABLES, type Verdict, verdictsOf } from "./words.ts";

/** The page as HTML, `now` in milliseconds since 1970. Only scripts and styles with this `nonce` count in it. */
export function pageOf(health: Health, recent: Recent, now: number, nonce: string): string {
  const minutes = recent.fiveMinutes();
  const day = recent.day();
  const { host } = health;
  const verdicts = verdictsOf(health, minutes.whole.counted, now);
  const counted = [minutes.whole.counted, day.whole.counted, recent.sinceStart()];
  const parts: Readonly<Record<string, Html>> = {
    style: html`<style nonce="${nonce}">${new Html(style)}</style>`,
    script: html`<script type="module" nonce="${nonce}">${new Html(script)}</script>`,
    title: html`${titleOf(verdicts)} - ${host}`,
    host: html`${host}`,
    process: html`${processInWords(health, now)}`,
    verdicts: html`${verdicts.map(verdictHtml)}`,
    cards: html`${CARDS.map((card) => cardHtml(card, minutes, day))}`,
    tables: html`${TABLES.map((table) => tableHtml(table, counted))}`,
  };
  return template.replace(/\{\{ ?(\w+) ?\}\}/g, (_, name) => parts[name]?.text ?? "");
}

const MARKS = { good: "●", bad: "▲", unknown: "○" } as const;

/** What is bad comes first, then what was, then Stacosys. */
function titleOf(verdicts: readonly Verdict[]): string {
  const first = verdicts.find(({ kind }) => kind === "bad") ?? verdicts.find(({ over }) => over !== undefined) ??
    verdicts[0];
  return first === undefined ? "" : `${MARKS[first.kind]} ${first.about}: ${first.over ?? first.headline}`;
}

function verdictHtml({ about, kind, headline, details }: Verdict): Html {
  return html`
    <div>
      <h2>${about}</h2>
      <p role="status" data-live><b class="${kind}">${MARKS[kind]} ${headline}</b></p>
      <ul data-live>${details.map((line) => html`<li>${line}</li>`)}</ul>
    </div>
  `;
}

/** A figure with its curve. */
interface Card {
  readonly name: string;
  /** Not a number if there is nothing to say. */
  readonly value: (span: Span) => number;
  readonly format: (value: number) => string;
  /** What the upper edge of its curve stands for; the largest value by default. */
  readonly top?: number;
}

const CARDS: readonly Card[] = [
  {
    name: FIGURES.rate,
    // A single request in the first second of the service is no sixty a minute.
    value: ({ counted, ms }) => 60_000 * askedFor(counted) / Math.max(ms, 10_000),
    format: number,
  },
  { name: FIGURES.hits, value: ({ counted }) => counted.hit / askedFor(counted), format: percent, top: 1 },
  {
    name: FIGURES.oldOrMissing,
    value: ({ counted }) => (counted.staleInNeed + counted.error) / askedFor(counted),
    format: percent,
    top: 1,
  },
  { name: FIGURES.answerTime, value: ({ counted }) => counted.seconds / counted.ok, format: time },
];

function cardHtml(card: Card, minutes: Period, day: Period): Html {
  return html`
    <div>
      <h3>${card.name}</h3>
      <div class="card">
        <div class="now">${periodHtml(card, PERIODS.fiveMinutes, minutes, FIVE_MINUTES_MS)}</div>
        <div>${periodHtml(card, PERIODS.day, day, DAY_MS)}</div>
      </div>
    </div>
  `;
}

/** A figure, its curve and its range; `ms` is how much time the curve has room for. */
function periodHtml({ value, format, top }: Card, name: string, { whole, steps }: Period, ms: number): Html {
  const points = steps.map((step) => ({ x: 100 - 100 * step.endedMs / ms, y: value(step) }));
  const known = points.map(({ y }) => y).filter(Number.isFinite);
  const highest = Math.max(...known);
  const height = top ?? (highest || 1);
  const path = points.map(({ x, y }, i) => {
    if (!Number.isFinite(y)) return "";
    const at = `${x.toFixed(1)} ${(30 - 30 * y / height).toFixed(1)}`;
    return Number.isFinite(points[i - 1]?.y) ? `L${at}` : `M${at}h0`;
  });
  return html`
    <p><span>${format(value(whole))}</span> <small>${name}</small></p>
    <svg viewBox="0 0 100 30" preserveAspectRatio="none" aria-hidden="true">
      <path d="${path.join("")}" />
    </svg>
    <small>${known.length === 0 ? FIGURES.noCurve : `${format(Math.min(...known))}–${format(highest)}`}</small>
  `;
}

function tableHtml({ caption, rows }: Table, periods: readonly Totals[]): Html {
  const sumOf = (totals: Totals) => rows.reduce((sum, [name]) => sum + totals[name], 0);
  const row = ([name, meaning]: Table["rows"][number]) =>
    html`<tr><th scope="row">${name} <small>${meaning}</small></th>${
      periods.map((totals) =>
        html`<td>${number(totals[name])}<small>${percent(totals[name] / sumOf(totals))}</small></td>`
      )
    }</tr>`;
  return html`
    <table>
      <caption>${caption}</caption>
      <thead>
        <tr>
          <td></td>
          <th scope="col">${PERIODS.fiveMinutes}</th>
          <th scope="col">${PERIODS.day}</th>
          <th scope="col">${PERIODS.sinceStart}</th>
        </tr>
      </thead>
      <tbody>${rows.map(row)}</tbody>
    </table>
  `;
}

/** Text with markup in it. */
class Html {
  constructor(readonly text: string) {}
}

/** Makes HTML of a template: what is put into it is text that shows all its characters, unless it is HTML already. */
function html(parts: TemplateStringsArray, ...values: readonly (string | number | Html | readonly Html[])[]): Html {
  return new Html(String.raw({ raw: parts }, ...values.map(textOf)));
}

function textOf(value: string | number | Html | readonly Html[]): string {
  if (value instanceof Html) return value.text;
  if (typeof value === "object") return value.map(({ text }) => text).join("");
  return escapeInvisible(String(value)).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
