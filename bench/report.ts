/**
 * What the benchmark has found, as tables and as charts.
 *
 * @module
 */

import type { Chart, Report } from "./part.ts";

/** Writes RESULTS.md into a folder, and beside it an SVG file for each part that has a chart, named by its title. */
export async function writeReport(folder: string, reports: readonly Report[], command: string): Promise<void> {
  const date = new Date().toISOString().slice(0, 10);
  const sections = [
    "# What the benchmark measured",
    `\`${command}\` on ${date}, on a machine with ${await machine()}.`,
    await versions(),
  ];
  for (const report of reports) {
    sections.push(`## ${report.title}`, report.text);
    if (report.chart !== undefined) {
      const name = `${report.title.toLowerCase().replaceAll(/[^a-z]+/g, "-")}.svg`;
      await Deno.writeTextFile(`${folder}/${name}`, svg(report.chart));
      sections.push(`![${report.chart.title}](${name})`);
    }
    sections.push(table(report));
  }
  await Deno.writeTextFile(`${folder}/RESULTS.md`, `${sections.join("\n\n")}\n`);
  console.log(sections.join("\n\n"));
  console.log(`\nwritten into ${folder}/RESULTS.md`);
}

function table({ head, rows }: Report): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map((_, i) => i === 0 ? "---" : "--:")), ...rows.map(line)].join("\n");
}

async function machine(): Promise<string> {
  const model = await firstLine("sh", "-c", "sed -n 's/^model name[^:]*: //p' /proc/cpuinfo");
  const memory = Math.round(Deno.systemMemoryInfo().total / 1e9);
  return `${navigator.hardwareConcurrency} cores (${model}), ${memory} GB and Linux ${Deno.osRelease()}`;
}

async function versions(): Promise<string> {
  const found = [
    `Deno ${Deno.version.deno}`,
    await firstLine("go", "version"),
    await firstLine("nginx", "-v"),
    await firstLine("varnishd", "-V"),
    await firstLine("wrk", "-v"),
    `Flask ${await firstLine("/usr/bin/python3", "-c", "import importlib.metadata as m; print(m.version('flask'))")}`,
  ];
  return found.filter((version) => /\d/.test(version)).join(", ");
}

async function firstLine(command: string, ...args: string[]): Promise<string> {
  try {
    const { stdout, stderr } = await new Deno.Command(command, { args }).output();
    const [line = ""] = new TextDecoder().decode(new Uint8Array([...stdout, ...stderr])).split("\n");
    return line.replace(/ Copyright.*| revision.*|^go version |^nginx version: |\)$/g, "").replace(
      "(varnish-",
      "varnish ",
    );
  } catch {
    return "";
  }
}

const BAR = { height: 22, gap: 12, left: 450, width: 310 } as const;

/** Horizontal bars with their values, right in light and dark. */
function svg({ title, unit, bars }: Chart): string {
  const said = (value: number) => value.toLocaleString("en", { maximumSignificantDigits: 3 });
  const longest = Math.max(...bars.map(({ value }) => value));
  const height = 50 + bars.length * (BAR.height + BAR.gap);
  const rows = bars.map(({ name, value, ours }, i) => {
    const y = 44 + i * (BAR.height + BAR.gap);
    const width = Math.max(1, value / longest * BAR.width);
    return `  <text class="name" x="${BAR.left - 10}" y="${y + 16}">${name}</text>
  <rect class="${ours ? "ours" : "other"}" x="${BAR.left}" y="${y}" width="${
      width.toFixed(1)
    }" height="${BAR.height}" rx="3"/>
  <text x="${(BAR.left + width + 8).toFixed(1)}" y="${y + 16}">${said(value)} ${unit}</text>`;
  });
  const described = bars.map(({ name, value }) => `${name}: ${said(value)} ${unit}`).join(", ");
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 920 ${height}" role="img" aria-labelledby="title desc">
  <title id="title">${title}</title>
  <desc id="desc">${described}</desc>
  <style>
    text { font: 15px system-ui, sans-serif; fill: #1f2328; }
    .title { font-weight: 600; }
    .name { text-anchor: end; }
    .ours { fill: #0a7d5a; }
    .other { fill: #9aa4af; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3; }
      .ours { fill: #3fb98a; }
      .other { fill: #6b7682; }
    }
  </style>
  <text class="title" x="10" y="24">${title}</text>
${rows.join("\n")}
</svg>
`;
}
