/**
 * The benchmark as whoever runs it sees it end: whatever happens, nothing that it started stays, and what it found can
 * be read.
 *
 * @module
 */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { NEEDS } from "../../bench/peers.ts";
import { writeReport } from "../../bench/report.ts";
import project from "../../deno.json" with { type: "json" };
import { makeFolder } from "../folder.ts";
import { until } from "../until.ts";

const [, ...TASK] = project.tasks.bench.command.split(" ");

const PATH = `${Deno.env.get("PATH")}:/usr/sbin`;
const missing = NEEDS.filter(({ peer }) => peer === undefined || peer === "nginx").filter(({ test }) => {
  return !new Deno.Command("sh", { args: ["-c", test], env: { PATH } }).outputSync().success;
});
const install = missing.map(({ packages }) => `apt install ${packages}`).join(", ");

Deno.test({
  name: `an interrupted benchmark leaves no process and no file${install && ` (ignored: ${install})`}`,
  ignore: missing.length > 0,
  async fn() {
    await using folder = await makeFolder();
    const out = `${folder.path}/out`;
    await using bench = startBench(folder.path, "--only", "article", "--peers", "nginx", "--rounds", "1", "--out", out);
    let ended = false;
    bench.process.status.then(() => ended = true);
    // Before that it compiles the program.
    await until(async () => ended || (await runningIn(folder.path)).includes("wrk"), "wrk runs", 600_000);
    bench.process.kill("SIGINT");
    assertEquals((await bench.process.status).code, 130);
    assertEquals(await runningIn(folder.path), []);
    assertEquals(Array.from(Deno.readDirSync(folder.path), ({ name }) => name), ["out"]);
  },
});

Deno.test("a benchmark that is called wrongly says so in a line", async () => {
  await using folder = await makeFolder();
  for (const args of [["--only", "hits"], ["--peers", "apache"], ["--seconds", "0"], ["--fast"], ["fast"]]) {
    await using bench = startBench(folder.path, ...args);
    const { code, stderr } = await bench.process.output();
    assertEquals(code, 1);
    assertMatch(new TextDecoder().decode(stderr), /^bench: (--\w+: )?expected [^\n]+, got [^\n]+\n$/);
  }
});

Deno.test("the results say of each promise whether it was kept", async () => {
  await using folder = await makeFolder();
  const measured = { median: 1.5, low: 1.4, high: 1.7 };
  const bounds = [
    { what: "CPU", is: "at most", limit: 1.5, measured },
    { what: "requests", is: "at least", limit: 1.6, measured },
  ] as const;
  await writeReport(folder.path, new Map([["hit", { title: "A hit", text: "", head: [], rows: [], bounds }]]), "bench");
  const results = await Deno.readTextFile(`${folder.path}/RESULTS.md`);
  assertStringIncludes(results, "| CPU | at most 1.5 | 1.50 (1.40–1.70) | yes |");
  assertStringIncludes(results, "| requests | at least 1.6 | 1.50 (1.40–1.70) | **no** |");
});

Deno.test("a chart has the order of its bars, and says which are better, and where and when it was measured", async () => {
  await using folder = await makeFolder();
  const bars = [{ name: "second & last", value: 7, ours: true }, { name: "first", value: 8, ours: false }];
  const chart = { title: "Hits", unit: "µs", better: "less", bars } as const;
  const results = await writeReport(
    folder.path,
    new Map([["hit", { title: "A hit", text: "", head: [], rows: [], chart }]]),
    "bench",
  );
  assertStringIncludes(results, "![Hits](hit.svg)");
  const drawn = await Deno.readTextFile(`${folder.path}/hit.svg`);
  const texts = Array.from(drawn.matchAll(/<text [^>]*>([^<]*)</g), ([, text]) => text);
  assertEquals(texts[1], "µs; less is better");
  assertMatch(texts[2] ?? "", /, \d+ cores$/);
  assertMatch(texts[3] ?? "", /^Deno \d+\.\d+\.\d+, \d{4}-\d\d-\d\d$/);
  assertEquals(texts.slice(4), ["second &amp; last", "7", "first", "8"]);
});

/** Starts a benchmark whose temporary files are in `folder`. */
function startBench(folder: string, ...args: string[]): AsyncDisposable & { readonly process: Deno.ChildProcess } {
  const process = new Deno.Command(Deno.execPath(), {
    args: [...TASK, ...args],
    cwd: `${import.meta.dirname}/../..`,
    env: { TMPDIR: folder, NO_COLOR: "1" },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  return {
    process,
    async [Symbol.asyncDispose]() {
      try {
        process.kill("SIGTERM");
      } catch {
        // It has ended.
      }
      if (!process.stderr.locked) await process.stderr.cancel();
      await process.status;
    },
  };
}

/** The names of the processes that descend from a benchmark with its temporary files in `folder`, but for its own. */
async function runningIn(folder: string): Promise<string[]> {
  const script = `grep -lzx "TMPDIR=${folder}" /proc/[0-9]*/environ 2>/dev/null | while read file; do
    cat "\${file%/environ}/comm"
  done 2>/dev/null; true`;
  const { stdout } = await new Deno.Command("sh", { args: ["-c", script] }).output();
  return new TextDecoder().decode(stdout).split("\n").filter((name) => name !== "" && name !== "deno");
}
