/**
 * `deno task stress`: what depends on the machine. How long readers waited and how much memory it took, while other
 * readers mean harm or Stacosys does as it likes, stands in a table beside its bound. A figure beyond its bound is a
 * fault, and status 1.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { canTellMemory } from "../system/memory.ts";
import { bodies, headers, nonsense } from "./floods.ts";
import { bytesInChunks, hugeAnswers } from "./huge_answers.ts";
import { knownBesideMadeUp, knownInAFlood, knownInAHang, knownInAnOutage } from "./known_counts.ts";
import { batchesInAHang, longAddresses, madeUpUrls } from "./made_up_urls.ts";
import type { Figure } from "./measure.ts";
import { model } from "./model.ts";
import { restart } from "./restart.ts";
import { byteASecond, idleConnections, neverReading } from "./slow_readers.ts";
import { soak } from "./soak.ts";

/** Each part is a few tries of one kind. */
const PARTS = {
  urls: [madeUpUrls, batchesInAHang, longAddresses],
  known: [knownInAFlood, knownBesideMadeUp, knownInAHang, knownInAnOutage],
  readers: [idleConnections, byteASecond, neverReading],
  floods: [headers, bodies, nonsense],
  answers: [hugeAnswers, bytesInChunks],
  restart: [restart],
  soak: [() => soak(options.seconds, options.seed)],
  model: [() => model(options.seed)],
} as const;

/** The model is tried until somebody stops it. */
const BY_DEFAULT = Object.keys(PARTS).filter((part) => part !== "model");

const USAGE = `Usage: deno task stress [options]

  --only LIST   parts to run, of ${Object.keys(PARTS).join(", ")};
                all by default but model, which runs until Ctrl-C
  --seconds N   how long the soak takes; 30 by default
  --seed N      which outages the soak has, and which orders of events the model; others each time by default`;

const options = parseCommandLine(Deno.args);
if (!canTellMemory) fail("memory can be told only on Linux");

const figures: Figure[] = [];
for (const [name, tries] of Object.entries(PARTS)) {
  if (!options.only.has(name)) continue;
  for (const attempt of tries) {
    const found = await attempt();
    for (const figure of found) console.log(row(figure));
    figures.push(...found);
  }
}
const beyond = figures.filter((figure) => !isGood(figure)).length;
console.log(beyond === 0 ? "\nall is within its bound" : `\n${beyond} beyond its bound`);
Deno.exit(beyond === 0 ? 0 : 1);

function isGood({ seen, atMost = Infinity }: Figure): boolean {
  return seen <= atMost;
}

/** What, what was seen, and the bound if there is one. */
function row(figure: Figure): string {
  const { what, seen, unit, atMost } = figure;
  const number = Math.round(seen).toLocaleString("en");
  const bound = atMost === undefined ? "" : `at most ${atMost.toLocaleString("en")}${isGood(figure) ? "" : "  BEYOND"}`;
  return `${what.padEnd(70)} ${number.padStart(9)} ${unit.padEnd(7)}  ${bound}`.trimEnd();
}

function parseCommandLine(args: string[]): { only: ReadonlySet<string>; seconds: number; seed: number } {
  const unknownOptions: string[] = [];
  const given = parseArgs(args, {
    string: ["only", "seconds", "seed"],
    boolean: ["help"],
    unknown: (arg) => unknownOptions.push(arg),
  });
  if (given.help === true) {
    console.log(USAGE);
    Deno.exit(0);
  }
  if (unknownOptions.length > 0) fail(`expected options of its own, got ${unknownOptions.join(" ")}; try --help`);
  const all = Object.keys(PARTS);
  const only = given.only?.toString().split(",") ?? BY_DEFAULT;
  const unknown = only.filter((part) => !all.includes(part));
  if (unknown.length > 0) fail(`--only: expected some of ${all.join(",")}, got ${unknown.join(",")}`);
  function number(name: "seconds" | "seed", least: number, fallback: number): number {
    const text = given[name]?.toString() ?? `${fallback}`;
    if (!/^\d{1,9}$/.test(text) || Number(text) < least) {
      fail(`--${name}: expected a whole number from ${least} up, got ${JSON.stringify(text)}`);
    }
    return Number(text);
  }
  return { only: new Set(only), seconds: number("seconds", 1, 30), seed: number("seed", 0, Date.now() % 1_000_000) };
}

function fail(fault: string): never {
  console.error(`stress: ${fault}`);
  Deno.exit(1);
}
