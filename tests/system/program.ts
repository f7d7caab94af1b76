/**
 * The program as its user starts it: a process, a configuration file, a port.
 *
 * @module
 */

import { OPTIONS } from "../../compile/compile.ts";

/** A process of the program. Disposing of it ends it and removes its folder. */
export interface Program extends AsyncDisposable {
  /** Where it serves readers, without a slash at the end. */
  readonly url: string;
  /** The folder of its configuration file. */
  readonly folder: string;
  readonly process: Deno.ChildProcess;
  /** Resolves to its status when it has ended, and all that it said has been read. */
  readonly ended: Promise<number>;
  /** What it has said so far. */
  stdout(): string;
  stderr(): string;
}

/** How a run of the program ended. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The command that runs the program from its sources, as the executable does. */
export const FROM_SOURCE: readonly string[] = [
  Deno.execPath(),
  "run",
  ...OPTIONS,
  `${import.meta.dirname}/../../main.ts`,
];

/** Runs the program to its end. */
export async function runProgram(args: readonly string[], command: readonly string[] = FROM_SOURCE): Promise<Ended> {
  const [file = "", ...rest] = command;
  const output = await new Deno.Command(file, { args: [...rest, ...args], env: { NO_COLOR: "1" } }).output();
  const decoder = new TextDecoder();
  return { code: output.code, stdout: decoder.decode(output.stdout), stderr: decoder.decode(output.stderr) };
}

/** The first line that the program says on stderr. It is killed then. */
export async function firstFault(args: readonly string[], command: readonly string[] = FROM_SOURCE): Promise<string> {
  const [file = "", ...rest] = command;
  const child = new Deno.Command(file, {
    args: [...rest, ...args],
    env: { NO_COLOR: "1" },
    stdout: "null",
    stderr: "piped",
  }).spawn();
  let text = "";
  for await (const part of child.stderr.pipeThrough(new TextDecoderStream())) {
    text += part;
    if (text.endsWith("\n")) break;
  }
  child.kill("SIGKILL");
  await child.status;
  return text;
}

/**
 * Starts the program with a configuration, on a port that was free if it names none, and waits until it listens.
 *
 * @param write makes the text of the file.
 * @throws if it ends instead.
 */
export async function startProgram(
  config: Readonly<Record<string, unknown>>,
  command: readonly string[] = FROM_SOURCE,
  write: (config: Readonly<Record<string, unknown>>) => string = (config) => JSON.stringify(config),
): Promise<Program> {
  const folder = await Deno.makeTempDir({ prefix: "httpfastcache-test-" });
  const file = `${folder}/config.json`;
  const { HostPort = `127.0.0.1:${freePort()}`, ...rest } = config;
  await Deno.writeTextFile(file, write({ HostPort, ...rest }));

  const [path = "", ...args] = command;
  const process = new Deno.Command(path, {
    args: [...args, "--config", file],
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const stdout = collect(process.stdout);
  const stderr = collect(process.stderr);
  const ended = Promise.all([process.status, stdout.end, stderr.end]).then(([{ code }]) => code);

  async function dispose(): Promise<void> {
    try {
      process.kill("SIGKILL");
    } catch {
      // It has ended by itself.
    }
    await ended;
    await Deno.remove(folder, { recursive: true });
  }

  const code = await Promise.race([ended, stdout.has("listening on")]);
  if (code !== undefined) {
    await dispose();
    throw new Error(`the program ended with status ${code}: ${stderr.text()}`);
  }
  const url = `${config["TlsCertFile"] === undefined ? "http" : "https"}://${HostPort}`;
  return { url, folder, process, ended, stdout: stdout.text, stderr: stderr.text, [Symbol.asyncDispose]: dispose };
}

/** A port that nobody listens on just now, of those that the system does not lend to connections. */
export function freePort(): number {
  while (true) {
    const port = 20_000 + Math.floor(Math.random() * 10_000);
    try {
      using _ = Deno.listen({ hostname: "127.0.0.1", port });
      return port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}

/** Whether nobody listens at a URL. */
export async function refuses(url: string): Promise<boolean> {
  try {
    const { hostname, port } = new URL(url);
    using _ = await Deno.connect({ hostname, port: Number(port) });
    return false;
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused) return true;
    // The listener was closed while it had this connection in its queue.
    if (error instanceof Deno.errors.ConnectionReset) return false;
    throw error;
  }
}

function collect(stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
  let text = "";
  const waiting: { what: string; resolve: () => void }[] = [];
  async function read(): Promise<void> {
    for await (const part of stream.pipeThrough(new TextDecoderStream())) {
      text += part;
      for (const { what, resolve } of waiting) if (text.includes(what)) resolve();
    }
  }
  return {
    text: () => text,
    end: read(),
    /** Resolves to nothing when `what` was said. */
    has: (what: string) =>
      new Promise<undefined>((resolve) => waiting.push({ what, resolve: () => resolve(undefined) })),
  };
}
