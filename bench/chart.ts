/**
 * A chart of what a part has found, as an SVG file that can be read on a phone.
 *
 * @module
 */

import type { Chart } from "./part.ts";

/** As wide as a phone is: so text has its own size there, and no bar has to share its line with a name. */
const WIDTH = 360;
const HEAD = 82;
const ROW = 44;

/** Horizontal bars below their names and values, right in light and dark; `where` is the machine and the date. */
export function draw({ title, unit, better, bars }: Chart, where: readonly string[]): string {
  const said = (value: number) => value.toLocaleString("en", { maximumSignificantDigits: 3 });
  const longest = Math.max(...bars.map(({ value }) => value));
  const height = HEAD + bars.length * ROW + 4;
  const notes = [`${unit}; ${better} is better`, ...where];
  const rows = bars.map(({ name, value, ours }, i) => {
    const y = HEAD + i * ROW;
    const width = Math.max(1, value / longest * WIDTH);
    return `  <text x="0" y="${y + 14}">${escape(name)}</text>
  <text class="value" x="${WIDTH}" y="${y + 14}">${said(value)}</text>
  <rect class="${ours ? "ours" : "other"}" x="0" y="${y + 20}" width="${width.toFixed(1)}" height="14" rx="2"/>`;
  });
  const described = bars.map(({ name, value }) => `${name}: ${said(value)} ${unit}`).join(", ");
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="-8 0 ${
    WIDTH + 16
  } ${height}" width="560" role="img" aria-labelledby="title desc">
  <title id="title">${escape(title)}</title>
  <desc id="desc">${escape(`${notes.join(", ")}. ${described}`)}</desc>
  <style>
    text { font: 14px system-ui, sans-serif; fill: #1f2328; }
    .title { font-size: 16px; font-weight: 600; }
    .note { font-size: 12px; fill: #59636e; }
    .value { text-anchor: end; }
    rect.ours { fill: #0a7d5a; }
    rect.other { fill: #9aa4af; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3; }
      .note { fill: #9198a1; }
      rect.ours { fill: #3fb98a; }
      rect.other { fill: #6b7682; }
    }
  </style>
  <text class="title" x="0" y="20">${escape(title)}</text>
${notes.map((note, i) => `  <text class="note" x="0" y="${38 + i * 16}">${escape(note)}</text>`).join("\n")}
${rows.join("\n")}
</svg>
`;
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
