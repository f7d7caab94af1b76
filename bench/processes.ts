/**
 * All processes that the benchmark starts, so that none outlives it.
 *
 * @module
 */

/** What is measured runs on the second core, and the load on the first; on one core they share it. */
export const LOAD_CORE = "0";
export const PEER_CORE = navigator.hardwareConcurrency > 1 ? "1" : "0";

const running = new Set<Deno.ChildProcess>();
let closed = false;

/**
 * Starts a process that runs until {@linkcode stopAll}, on the peers' core.
 *
 * @throws after {@linkcode close}.
 */
export function start(command: readonly string[], options: Deno.CommandOptions = {}): Deno.ChildProcess {
  return spawn(["taskset", "-c", PEER_CORE, ...command], { stdout: "null", stderr: "null", ...options });
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
