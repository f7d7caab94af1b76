/**
 * What the benchmark has found: RESULTS.md, and a chart beside it for each part that has one.
 *
 * @module
 */

import { draw } from "./chart.ts";
import { type Bound, type Report, withSpread } from "./part.ts";

/** Writes RESULTS.md and the charts, named by their parts, into a folder, and returns what RESULTS.md says. */
export async function writeReport(
  folder: string,
  reports: ReadonlyMap<string, Report>,
  command: string,
): Promise<string> {
  const date = new Date().toISOString().slice(0, 10);
  const cores = `${navigator.hardwareConcurrency} cores`;
  const processor = await cpu();
  const memory = `${Math.round(Deno.systemMemoryInfo().total / 1e9)} GB`;
  const sections = [
    "# What the benchmark measured",
    `\`${command}\` on ${date}, on a machine with ${cores} (${processor}), ${memory} and Linux ${Deno.osRelease()}.`,
    (await versions()).join(", "),
    "The load runs on one core, and all that is measured on the other. The peers are measured in turn, round after round, " +
    "each started anew; a figure is the median of the rounds, and behind it in brackets is the middle half of them.",
  ];
  const bounds = [...reports.values()].flatMap(({ bounds = [] }) => bounds);
  if (bounds.length > 0) sections.push("## What is promised", table(promised(bounds)));
  for (const [name, report] of reports) {
    sections.push(`## ${report.title}`, report.text);
    if (report.chart !== undefined) {
      const where = [`${processor}, ${cores}`, `Deno ${Deno.version.deno}, ${date}`];
      await Deno.writeTextFile(`${folder}/${name}.svg`, draw(report.chart, where));
      sections.push(`![${report.chart.title}](${name}.svg)`);
    }
    sections.push(table(report));
  }
  const text = sections.join("\n\n");
  await Deno.writeTextFile(`${folder}/RESULTS.md`, `${text}\n`);
  return text;
}

function promised(bounds: readonly Bound[]): Pick<Report, "head" | "rows"> {
  return {
    head: ["", "bound", "measured", "kept"],
    rows: bounds.map(({ what, is, limit, measured }) => {
      const kept = is === "at most" ? measured.median <= limit : measured.median >= limit;
      return [what, `${is} ${limit}`, withSpread(measured), kept ? "yes" : "**no**"];
    }),
  };
}

function table({ head, rows }: Pick<Report, "head" | "rows">): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map((_, i) => i === 0 ? "---" : "--:")), ...rows.map(line)].join("\n");
}

/** The kind of processor: clouds hide its name, but not its family and model. */
async function cpu(): Promise<string> {
  const file = await firstLine("sh", "-c", "tr '\\n' ';' < /proc/cpuinfo");
  const value = (key: string) => new RegExp(`(?:^|;)${key}\\s*: ([^;]*)`).exec(file)?.[1];
  const name = value("model name")?.replaceAll(/\(R\)|\(TM\)/g, "") ?? Deno.build.arch;
  const model = value("model");
  return model === undefined ? name : `${name}, family ${value("cpu family")}, model ${model}`;
}

async function versions(): Promise<string[]> {
  const python = "import importlib.metadata as m; print(m.version";
  const found = [
    `Deno ${Deno.version.deno}`,
    await firstLine("go", "version"),
    await firstLine("nginx", "-v"),
    await firstLine("varnishd", "-V"),
    await firstLine("wrk", "-v"),
    `Flask ${await firstLine("/usr/bin/python3", "-c", `${python}('flask'))`)}`,
    `aiohttp ${await firstLine("/usr/bin/python3", "-c", `${python}('aiohttp'))`)}`,
    `uvloop ${await firstLine("/usr/bin/python3", "-c", `${python}('uvloop'))`)}`,
  ];
  return found.filter((version) => /\d/.test(version));
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
