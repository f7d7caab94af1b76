/**
 * What a load does to a peer: requests by wrk, processor time and memory by the kernel's account.
 *
 * @module
 */

import type { Peer } from "./peers.ts";
import { loadCores, run } from "./processes.ts";

/** What wrk saw. Times are in milliseconds. */
export interface Load {
  readonly requests: number;
  readonly perSecond: number;
  readonly min: number;
  readonly mean: number;
  readonly max: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  /** Answers other than 200, none at all, and those that took longer than 10 s. */
  readonly errors: number;
}

/** A {@linkcode Load}, and what it cost. */
export interface Measured extends Load, Memory {
  /** Processor time per request, user and system, in microseconds. */
  readonly cpuMicros: number;
  /** What of it the NginX in front took. */
  readonly frontMicros: number;
  /** Share of one core that the load took: near 1, it was the load that could do no more. */
  readonly loadShare: number;
}

/** Memory in MB. */
export interface Memory {
  /** All that is resident (RSS), with the pages of files that the kernel can take back. */
  readonly rss: number;
  /** What of it is the process's own (RssAnon). */
  readonly own: number;
}

/** How wrk is to load. */
export interface LoadOptions {
  /** Paths and queries, asked for in turn. */
  readonly targets: readonly string[];
  /** Whether requests have the headers that a browser sends, or none but `Host`. */
  readonly headers: HeaderSet;
  readonly clients: number;
  readonly seconds: number;
}

/** The headers of requests. */
export type HeaderSet = "plain" | "browser";

/** Loads a peer, and measures it meanwhile. */
export async function measure(peer: Peer, options: LoadOptions): Promise<Measured> {
  const { front = [] } = peer;
  const before = await processes();
  const start = performance.now();
  const load = await runWrk(peer, options);
  const seconds = (performance.now() - start) / 1000;
  const after = await processes();
  const micros = (pids: readonly number[]) => {
    return (usage(after, pids).cpuSeconds - usage(before, pids).cpuSeconds) / load.requests * 1e6;
  };
  const { rss, own } = usage(after, peer.pids);
  const loadShare = (endedSeconds(after) - endedSeconds(before)) / seconds;
  return { ...load, cpuMicros: micros(peer.pids), frontMicros: micros(front), loadShare, rss, own };
}

/** Runs wrk. */
export async function runWrk({ url }: Peer, { targets, headers, clients, seconds }: LoadOptions): Promise<Load> {
  const said = await run([
    ...["taskset", "-c", loadCores(), "wrk", "--threads", "1", "--connections", `${clients}`],
    ...["--duration", `${seconds}s`, "--timeout", "10s", "--script", `${import.meta.dirname}/load.lua`],
    ...[url, "--", headers, ...targets],
  ]);
  const [, result] = /RESULT (\{.*\})/.exec(said) ?? [];
  if (result === undefined) throw new Error(`expected a result of wrk, got ${said}`);
  const load: Load = JSON.parse(result);
  if (load.requests === 0) throw new Error(`no answer from ${url}${targets[0]}`);
  return load;
}

/** What one process has taken. */
interface Process extends Memory {
  readonly pid: number;
  readonly parent: number;
  readonly cpuSeconds: number;
  /** What those of its children took that have ended. */
  readonly endedSeconds: number;
}

/** All processes of the machine, by what /proc says. */
async function processes(): Promise<Process[]> {
  // Deno itself may read /proc only with all permissions.
  const said = await run([
    "sh",
    "-c",
    "cat /proc/[0-9]*/stat 2>/dev/null; grep -s ^RssAnon: /proc/[0-9]*/status; true",
  ]);
  const own = new Map(
    [...said.matchAll(/^\/proc\/(\d+)\/status:RssAnon:\s*(\d+) kB$/gm)].map(([, pid, kB]) => [Number(pid), Number(kB)]),
  );
  return said.split("\n").filter((line) => /^\d/.test(line)).map((line) => {
    // By proc(5), with the fields counted from the third on: a name may have spaces.
    const fields = line.slice(line.lastIndexOf(")") + 2).split(" ").map(Number);
    const [, parent = 0] = fields;
    const [user = 0, system = 0, endedUser = 0, endedSystem = 0] = fields.slice(11);
    const [pages = 0] = fields.slice(21);
    const pid = Number.parseInt(line);
    return {
      pid,
      parent,
      cpuSeconds: (user + system) / 100,
      endedSeconds: (endedUser + endedSystem) / 100,
      rss: pages * 4096 / 1e6,
      own: (own.get(pid) ?? 0) * 1024 / 1e6,
    };
  });
}

/**
 * What processes took, together with all their descendants.
 *
 * @throws if one of `pids` has ended.
 */
function usage(all: readonly Process[], pids: readonly number[]): Memory & { readonly cpuSeconds: number } {
  const ended = pids.find((pid) => !all.some((of) => of.pid === pid));
  if (ended !== undefined) throw new Error(`process ${ended} ended while it was measured`);
  const family = new Set(pids);
  for (let size = 0; size < family.size;) {
    size = family.size;
    for (const { pid, parent } of all) if (family.has(parent)) family.add(pid);
  }
  const members = all.filter(({ pid }) => family.has(pid));
  return {
    cpuSeconds: sum(members.map((of) => of.cpuSeconds)),
    rss: sum(members.map((of) => of.rss)),
    own: sum(members.map((of) => of.own)),
  };
}

/** What the commands of ours took that have ended: those of the load. */
function endedSeconds(all: readonly Process[]): number {
  return all.find(({ pid }) => pid === Deno.pid)?.endedSeconds ?? 0;
}

/** The memory of a process and its descendants. */
export async function memory(pid: number): Promise<Memory> {
  const { rss, own } = usage(await processes(), [pid]);
  return { rss, own };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0);
}
