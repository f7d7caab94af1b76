/**
 * `deno task bench`: starts all that is measured, measures it, and writes what came out into bench/RESULTS.md.
 *
 * @module
 */

// @ts-types="../types/std_parse_args.d.ts"
import { parseArgs } from "@std/cli/parse-args";
import { article } from "./article.ts";
import { growth } from "./growth.ts";
import { hit } from "./hit.ts";
import { LOAD_CORE } from "./measure.ts";
import { pages } from "./pages.ts";
import { type Options, PEER_NAMES, type Report } from "./part.ts";
import { buildGo, PROGRAMS, stopAll } from "./peers.ts";
import { writeReport } from "./report.ts";
import { progress } from "./rounds.ts";
import { start } from "./start.ts";
import { storm } from "./storm.ts";

const PARTS: Readonly<Record<string, (options: Options) => Promise<Report>>> = {
  hit,
  article,
  storm,
  growth,
  start,
  pages,
};

const USAGE = `Usage: deno task bench [options]

  --only LIST     parts to run, of ${Object.keys(PARTS).join(", ")}; all by default
  --peers LIST    peers to measure, of ${PEER_NAMES.join(", ")}; all by default
  --seconds N     how long each row of the article's test is measured, others half as long; 60 by default
  --clients N     connections at once; 250 by default
  --rounds N      into how many rounds that time is divided; 6 by default
  --out FOLDER    where RESULTS.md and its charts go; bench by default`;

const LISTS = ["only", "peers"] as const;
const NUMBERS = ["seconds", "clients", "rounds"] as const;

const { only, peers, seconds, clients, rounds, out } = parseCommandLine(Deno.args);
await requirePrograms();
await Deno.mkdir(out, { recursive: true });
const folder = await Deno.makeTempDir({ prefix: "httpfastcache-bench-" });
// NginX and Varnish give up what root may do, and want to read there, too.
await Deno.chmod(folder, 0o755);
Deno.addSignalListener("SIGINT", () => stop(130));
Deno.addSignalListener("SIGTERM", () => stop(143));
try {
  // What runs in this process is part of the load.
  await run("taskset", "--all-tasks", "--cpu-list", "--pid", LOAD_CORE, `${Deno.pid}`);
  progress("compiling httpfastcache");
  await run(Deno.execPath(), "task", "--quiet", "compile");
  if (peers.has("go")) {
    progress("building the Go program");
    await buildGo(folder);
  }
  const reports: Report[] = [];
  for (const [name, part] of Object.entries(PARTS)) {
    if (!only.has(name)) continue;
    // wrk counts in whole seconds.
    const share = Math.max(1, Math.round(seconds / rounds / (name === "article" ? 1 : 2)));
    reports.push(await part({ folder, wants: (peer) => peers.has(peer), clients, rounds, seconds: share }));
  }
  progress("");
  await writeReport(out, reports, `deno task bench ${Deno.args.join(" ")}`.trimEnd());
} catch (error) {
  progress("");
  console.error(`bench: ${error instanceof Error ? error.message : error}`);
  await stop(1);
}
await stop(0);

async function stop(code: number): Promise<never> {
  await stopAll();
  await Deno.remove(folder, { recursive: true });
  Deno.exit(code);
}

function parseCommandLine(args: string[]) {
  const strange: string[] = [];
  const given = parseArgs(args, {
    string: [...LISTS, ...NUMBERS, "out"],
    boolean: ["help"],
    unknown: (arg) => strange.push(arg),
  });
  if (given.help === true) {
    console.log(USAGE);
    Deno.exit(0);
  }
  if (strange.length > 0) fail(`expected options of its own, got ${strange.join(" ")}; try --help`);

  const list = (name: typeof LISTS[number], all: readonly string[]) => {
    const chosen = given[name]?.toString().split(",") ?? all;
    const unknown = chosen.filter((one) => !all.includes(one));
    if (unknown.length > 0) fail(`--${name}: expected some of ${all.join(",")}, got ${unknown.join(",")}`);
    return new Set(chosen);
  };
  const count = (name: typeof NUMBERS[number], fallback: number) => {
    const text = given[name]?.toString() ?? `${fallback}`;
    if (!/^[1-9]\d{0,4}$/.test(text)) fail(`--${name}: expected an integer from 1 to 99999, got ${text}`);
    return Number(text);
  };
  return {
    only: list("only", Object.keys(PARTS)),
    peers: list("peers", PEER_NAMES),
    seconds: count("seconds", 60),
    clients: count("clients", 250),
    rounds: count("rounds", 6),
    out: given["out"]?.toString() ?? "bench",
  };
}

/** Ends the benchmark if something is missing that it is going to need. */
async function requirePrograms(): Promise<void> {
  const missing = [];
  for (const { program, packages, peer } of PROGRAMS) {
    if (peer !== undefined && !peers.has(peer)) continue;
    const { success } = await new Deno.Command("sh", { args: ["-c", `PATH=$PATH:/usr/sbin; command -v ${program}`] })
      .output();
    if (!success) missing.push({ program, packages });
  }
  if (missing.length === 0) return;
  fail(
    `expected ${missing.map(({ program }) => program).join(", ")}; ` +
      `install with \`apt-get install ${missing.map(({ packages }) => packages).join(" ")}\`, or choose with --peers`,
  );
}

async function run(command: string, ...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(command, { args }).output();
  if (!success) throw new Error(`${command} ${args.join(" ")}: ${new TextDecoder().decode(stderr).trim()}`);
}

function fail(message: string): never {
  console.error(`bench: ${message}`);
  Deno.exit(1);
}
