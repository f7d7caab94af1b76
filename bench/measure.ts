/**
 * What a load does to a peer: requests by wrk, processor time and memory by the kernel's account.
 *
 * @module
 */

/** The load runs on the first core, what is measured on the second; on one core they share it. */
export const LOAD_CORE = "0";
export const PEER_CORE = navigator.hardwareConcurrency > 1 ? "1" : "0";

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
  const script = await Deno.makeTempFile({ suffix: ".lua" });
  await Deno.writeTextFile(script, luaFor(targets));
  try {
    const { code, stdout, stderr } = await new Deno.Command("taskset", {
      args: [
        ...["-c", LOAD_CORE, "wrk", "--threads", "1", "--connections", `${clients}`, "--duration", `${seconds}s`],
        ...["--timeout", "10s", "--script", script, url],
      ],
    }).output();
    const [, result] = /RESULT (\{.*\})/.exec(new TextDecoder().decode(stdout)) ?? [];
    if (result === undefined) throw new Error(`wrk ended with status ${code}: ${new TextDecoder().decode(stderr)}`);
    const load: Load = JSON.parse(result);
    if (load.requests === 0) throw new Error(`no answer from ${url}${targets[0]}`);
    return load;
  } finally {
    await Deno.remove(script);
  }
}

function luaFor(targets: readonly string[]): string {
  return `
local requests, next = {}, 0
function init()
  for i, target in ipairs({${targets.map((target) => JSON.stringify(target)).join(",")}}) do
    requests[i] = wrk.format("GET", target)
  end
end
function request()
  next = next % #requests + 1
  return requests[next]
end
function done(summary, latency)
  local errors = summary.errors
  local ms = function(value) return string.format("%.3f", value / 1000) end
  print(string.format(
    'RESULT {"requests":%d,"perSecond":%.1f,"min":%s,"mean":%s,"max":%s,"p50":%s,"p99":%s,"errors":%d}',
    summary.requests, summary.requests / summary.duration * 1e6, ms(latency.min), ms(latency.mean), ms(latency.max),
    ms(latency:percentile(50)), ms(latency:percentile(99)),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
`;
}

/** What processes and their descendants took, and what commands of ours took that have ended: those of the load. */
interface Usage {
  readonly cpuSeconds: number;
  /** Memory, in MB. */
  readonly rss: number;
  readonly loadSeconds: number;
}

/** Processor time and memory of processes and all their descendants, by what /proc says. */
export async function usage(pids: readonly number[]): Promise<Usage> {
  // Deno itself may read /proc only with all permissions.
  const { stdout } = await new Deno.Command("sh", { args: ["-c", "cat /proc/[0-9]*/stat 2>/dev/null"] }).output();
  const processes = new TextDecoder().decode(stdout).trimEnd().split("\n").map((line) => {
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
