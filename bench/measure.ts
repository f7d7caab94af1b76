/**
 * What a load does to a peer: requests by wrk, processor time and memory by the kernel's account.
 *
 * @module
 */

import { LOAD_CORE, run } from "./processes.ts";

/** What wrk saw. Times are in milliseconds. */
export interface Load {
  readonly requests: number;
  readonly perSecond: number;
  readonly min: number;
  readonly mean: number;
  readonly max: number;
  readonly p50: number;
  readonly p99: number;
  /** Answers other than 200, none at all, and those that took longer than 10 s. */
  readonly errors: number;
}

/** A {@linkcode Load}, and what it cost. */
export interface Measured extends Load {
  /** Processor time per request, user and system, in microseconds. */
  readonly cpuMicros: number;
  /** Share of one core that the load took: near 1, it was the load that could do no more. */
  readonly loadShare: number;
  /** Memory at the end, in MB. */
  readonly rss: number;
}

/** How wrk is to load. */
export interface LoadOptions {
  readonly url: string;
  /** Paths and queries, asked for in turn. */
  readonly targets: readonly string[];
  readonly clients: number;
  readonly seconds: number;
}

/** Loads a peer whose processes descend from `pids`, and measures them meanwhile. */
export async function measure(pids: readonly number[], options: LoadOptions): Promise<Measured> {
  const before = await usage(pids);
  const start = performance.now();
  const load = await runWrk(options);
  const seconds = (performance.now() - start) / 1000;
  const after = await usage(pids);
  const cpu = after.cpuSeconds - before.cpuSeconds;
  const loadShare = (after.loadSeconds - before.loadSeconds) / seconds;
  return { ...load, cpuMicros: cpu / load.requests * 1e6, loadShare, rss: after.rss };
}

/** Runs wrk. */
export async function runWrk({ url, targets, clients, seconds }: LoadOptions): Promise<Load> {
  const said = await run([
    ...[
      "taskset",
      "-c",
      LOAD_CORE,
      "wrk",
      "--threads",
      "1",
      "--connections",
      `${clients}`,
      "--duration",
      `${seconds}s`,
    ],
    ...["--timeout", "10s", "--script", `${import.meta.dirname}/load.lua`, url, "--", ...targets],
  ]);
  const [, result] = /RESULT (\{.*\})/.exec(said) ?? [];
  if (result === undefined) throw new Error(`expected a result of wrk, got ${said}`);
  const load: Load = JSON.parse(result);
  if (load.requests === 0) throw new Error(`no answer from ${url}${targets[0]}`);
  return load;
}

/** What processes and their descendants took, and what commands of ours took that have ended: those of the load. */
interface Usage {
  readonly cpuSeconds: number;
  /** Memory, in MB. */
  readonly rss: number;
  readonly loadSeconds: number;
}

/**
 * Processor time and memory of processes and all their descendants, by what /proc says.
 *
 * @throws if one of `pids` has ended.
 */
export async function usage(pids: readonly number[]): Promise<Usage> {
  // Deno itself may read /proc only with all permissions.
  const stats = await run(["sh", "-c", "cat /proc/[0-9]*/stat 2>/dev/null; true"]);
  const processes = stats.split("\n").map((line) => {
    // By proc(5), with the fields counted from the third on: a name may have spaces.
    const fields = line.slice(line.lastIndexOf(")") + 2).split(" ").map(Number);
    const [, parent = 0] = fields;
    const [user = 0, system = 0, endedUser = 0, endedSystem = 0] = fields.slice(11);
    const [pages = 0] = fields.slice(21);
    return {
      pid: Number.parseInt(line),
      parent,
      cpuSeconds: (user + system) / 100,
      endedSeconds: (endedUser + endedSystem) / 100,
      rss: pages * 4096 / 1e6,
    };
  });
  const ended = pids.find((pid) => !processes.some((of) => of.pid === pid));
  if (ended !== undefined) throw new Error(`process ${ended} ended while it was measured`);
  const family = new Set(pids);
  for (let size = 0; size < family.size;) {
    size = family.size;
    for (const { pid, parent } of processes) if (family.has(parent)) family.add(pid);
  }
  const members = processes.filter(({ pid }) => family.has(pid));
  return {
    cpuSeconds: sum(members.map((of) => of.cpuSeconds)),
    rss: sum(members.map((of) => of.rss)),
    loadSeconds: processes.find(({ pid }) => pid === Deno.pid)?.endedSeconds ?? 0,
  };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0);
}
