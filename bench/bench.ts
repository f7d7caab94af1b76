/**
 * `deno task bench`: starts all that is measured, measures it, and writes what came out into bench/RESULTS.md.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import project from "../deno.json" with { type: "json" };
import { article } from "./article.ts";
import { freshness } from "./freshness.ts";
import { growth } from "./growth.ts";
import { hit } from "./hit.ts";
import { pages } from "./pages.ts";
import { type Options, PEER_NAMES, type Report } from "./part.ts";
import { buildGo, NEEDS } from "./peers.ts";
import { close, loadCores, run } from "./processes.ts";
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
  freshness,
};

const USAGE = `Usage: deno task bench [options]

  --only LIST     parts to run, of ${Object.keys(PARTS).join(", ")}; all by default
  --peers LIST    peers to measure, of ${PEER_NAMES.join(", ")}; all by default
  --seconds N     how long each row is measured in a round, those of the article twice as long; 2 by default
  --rounds N      how many rounds there are; 5 by default
  --clients N     connections at once; 250 by default
  --out FOLDER    where RESULTS.md and its charts go; bench by default`;

const LISTS = ["only", "peers"] as const;
const NUMBERS = ["seconds", "rounds", "clients"] as const;

/** The parts that no other program takes part in. */
const OURS_ALONE = new Set(["growth", "pages"]);

const { only, peers, seconds, clients, rounds, out } = parseCommandLine(Deno.args);
// Debian has there what only root is to start, and this is not in everybody's PATH.
Deno.env.set("PATH", `${Deno.env.get("PATH")}:/usr/sbin`);
await requireNeeds();
const folder = await Deno.makeTempDir({ prefix: "httpfastcache-bench-" });
// NginX and Varnish give up what root may do, and want to read there, too.
await Deno.chmod(folder, 0o755);
let ending: Promise<never> | undefined;
Deno.addSignalListener("SIGINT", () => stop(130));
Deno.addSignalListener("SIGTERM", () => stop(143));
try {
  await Deno.mkdir(out, { recursive: true });
  // What runs in this process is part of the load.
  await run(["taskset", "--all-tasks", "--cpu-list", "--pid", loadCores(), `${Deno.pid}`]);
  progress("compiling httpfastcache");
  await run([Deno.execPath(), ...project.tasks.compile.command.split(" ").slice(1)], {
    cwd: `${import.meta.dirname}/..`,
  });
  if (peers.has("go")) {
    progress("building the Go program");
    await buildGo(folder);
  }
  const reports = new Map<string, Report>();
  for (const [name, part] of Object.entries(PARTS)) {
    if (!only.has(name) || OURS_ALONE.has(name) && !peers.has("ours")) continue;
    const report = await part({ folder, wants: (peer) => peers.has(peer), clients, rounds, seconds });
    if (report.rows.length > 0) reports.set(name, report);
  }
  if (reports.size === 0) throw new Error("--only and --peers leave nothing to measure");
  progress("");
  const command = `deno task bench ${Deno.args.join(" ")}`.trimEnd();
  console.log(await writeReport(out, reports, command));
  console.log(`\nwritten into ${out}/RESULTS.md`);
} catch (error) {
  // A signal has ended what was waited for, if there was one.
  if (ending === undefined) {
    progress("");
    console.error(`bench: ${error instanceof Error ? error.message : error}`);
  }
  await stop(1);
}
await stop(0);

/** Ends all that was started, then this process, with the status of the first who wanted that. */
function stop(code: number): Promise<never> {
  async function end(): Promise<never> {
    await close();
    // Deno.remove fails if what was ended is just removing files of its own there.
    await new Deno.Command("rm", { args: ["-rf", folder] }).output();
    Deno.exit(code);
  }
  return ending ??= end();
}

function parseCommandLine(args: string[]) {
  const unknown: string[] = [];
  const given = parseArgs(args, {
    string: [...LISTS, ...NUMBERS, "out"],
    boolean: ["help"],
    unknown: (arg) => unknown.push(arg),
  });
  if (given.help === true) {
    console.log(USAGE);
    Deno.exit(0);
  }
  if (unknown.length > 0) fail(`expected options of its own, got ${unknown.join(" ")}; try --help`);

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
    seconds: count("seconds", 2),
    clients: count("clients", 250),
    rounds: count("rounds", 5),
    out: given["out"]?.toString() ?? "bench",
  };
}

/** Ends the benchmark if something is missing that it is going to need. */
async function requireNeeds(): Promise<void> {
  const missing = [];
  for (const need of NEEDS) {
    if (need.peer !== undefined && !peers.has(need.peer)) continue;
    const { success } = await new Deno.Command("sh", { args: ["-c", need.test] }).output();
    if (!success) missing.push(need);
  }
  if (missing.length === 0) return;
  const install = `apt-get install ${missing.map(({ packages }) => packages).join(" ")}`;
  const choice = missing.every(({ peer }) => peer !== undefined) ? ", or choose other --peers" : "";
  fail(`expected ${missing.map(({ name }) => name).join(", ")}; install with \`${install}\`${choice}`);
}

function fail(message: string): never {
  console.error(`bench: ${message}`);
  Deno.exit(1);
}
