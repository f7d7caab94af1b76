/**
 * All processes that the benchmark starts, so that none outlives it, and the cores that they run on.
 *
 * @module
 */

/** On one core, all that is measured has the second core to itself, and the load the first. On two, all share both. */
export type Cores = "one" | "two";

const HAS_TWO = navigator.hardwareConcurrency > 1;
const LOAD_CORES: Readonly<Record<Cores, string>> = { one: "0", two: HAS_TWO ? "0,1" : "0" };
const PEER_CORES: Readonly<Record<Cores, string>> = { one: HAS_TWO ? "1" : "0", two: LOAD_CORES.two };

const running = new Set<Deno.ChildProcess>();
let cores: Cores = "one";
let closed = false;

/** Says on which cores peers are started and loaded from now on. */
export function useCores(wanted: Cores): void {
  cores = wanted;
}

/** The cores of the load, as taskset wants them. */
export function loadCores(): string {
  return LOAD_CORES[cores];
}

/** How many cores a peer has. */
export function peerCores(): number {
  return PEER_CORES[cores].split(",").length;
}

/**
 * Starts a process that runs until {@linkcode stopAll}, on the peers' cores.
 *
 * @throws after {@linkcode close}.
 */
export function start(command: readonly string[], options: Deno.CommandOptions = {}): Deno.ChildProcess {
  return spawn(["taskset", "-c", PEER_CORES[cores], ...command], { stdout: "null", stderr: "null", ...options });
}

/**
 * Runs a command to its end, and returns what it wrote to stdout and stderr.
 *
 * @throws what it wrote if its status is not 0, and after {@linkcode close}.
 */
export async function run(command: readonly string[], options: Deno.CommandOptions = {}): Promise<string> {
  const { success, code, stdout, stderr } = await spawn(command, { stdout: "piped", stderr: "piped", ...options })
    .output();
  const said = new TextDecoder().decode(new Uint8Array([...stdout, ...stderr])).trim();
  if (!success) throw new Error(`${command.join(" ")} ended with status ${code}: ${said || "without a word"}`);
  return said;
}

/** Ends everything that runs. */
export async function stopAll(): Promise<void> {
  const ends = [...running].map((child) => child.status);
  kill("SIGTERM");
  const late = setTimeout(() => kill("SIGKILL"), 3_000);
  await Promise.all(ends);
  clearTimeout(late);
}

/** Ends everything that runs, and lets nothing more be started. */
export async function close(): Promise<void> {
  closed = true;
  await stopAll();
}

function spawn([program = "", ...args]: readonly string[], options: Deno.CommandOptions): Deno.ChildProcess {
  if (closed) throw new Error(`${program} is not started: the benchmark ends`);
  const child = new Deno.Command(program, { args, stdin: "null", ...options }).spawn();
  running.add(child);
  child.status.then(() => running.delete(child));
  return child;
}

function kill(signal: Deno.Signal): void {
  for (const child of running) {
    try {
      child.kill(signal);
    } catch {
      // It has ended by itself.
    }
  }
}
