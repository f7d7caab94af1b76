/**
 * `deno task compile`: the program as one file. `deno compile` makes it where its base runtime can be had; otherwise it
 * becomes a file that unpacks itself, made from npm's Deno.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import project from "../deno.json" with { type: "json" };
import { reason } from "../service/log.ts";
import { writeSelfExtracting } from "./self_extracting.ts";

/** Flags of V8 that keep the program small, in either kind of file; docs/performance.md says why they were chosen. */
const V8_FLAGS = "--max-semi-space-size=1,--heap-growing-percent=40,--no-incremental-marking-task";

/** What the program may do, and what it needs of the runtime; `--quiet`, or Deno would log what readers do wrong. */
export const OPTIONS: readonly string[] = [
  "--quiet",
  "--no-prompt",
  ...[
    "--allow-net",
    "--allow-read",
    "--allow-write",
    "--allow-env=NO_PROXY,no_proxy,ALL_PROXY,all_proxy,SSL_CERT_FILE,DENO_TLS_CA_STORE,DENO_SERVE_ADDRESS",
    "--allow-sys=uid,hostname,networkInterfaces",
  ],
  ...project.unstable.map((feature) => `--unstable-${feature}`),
  `--v8-flags=${V8_FLAGS}`,
];

/** The machines that an executable can be made for, and where npm keeps the runtime for each. */
const NPM_RUNTIMES: Readonly<Record<string, string>> = {
  "x86_64-unknown-linux-gnu": "@deno/linux-x64-glibc",
  "aarch64-unknown-linux-gnu": "@deno/linux-arm64-glibc",
};

/** A configuration with HTTPS on both sides. Its certificate is for nothing else. */
const TRIAL = "compile/trial/config.json";

const ROOT = `${import.meta.dirname}/..`;

/** Makes `dist/httpfastcache` for the machine named by `--target`, this one by default. */
async function compile(args: readonly string[]): Promise<void> {
  const { _, target = Deno.build.target, ...others } = parseArgs(args, { string: ["target"] });
  if (typeof target !== "string" || _.length > 0 || Object.keys(others).length > 0) {
    throw new Error(`expected --target TARGET or nothing, got ${args.join(" ")}`);
  }
  if (!(target in NPM_RUNTIMES)) {
    throw new Error(`expected --target ${Object.keys(NPM_RUNTIMES).join(" or ")}, got ${target}`);
  }
  const output = `${ROOT}/dist/${project.name}`;
  await Deno.mkdir(`${ROOT}/dist`, { recursive: true });
  // Beside it first: the file that is there may be running.
  const temporary = await Deno.makeTempDir({ dir: `${ROOT}/dist` });
  try {
    const file = `${temporary}/${project.name}`;
    const kind = await make(file, target);
    await Deno.rename(file, output);
    const { size } = await Deno.stat(output);
    const tried = target === Deno.build.target ? "" : ", not tried";
    console.log(`dist/${project.name}: ${(size / 1e6).toFixed(1)} MB, ${kind}, for ${target}${tried}`);
  } finally {
    await Deno.remove(temporary, { recursive: true });
  }
}

/** Makes a file that is good, as far as this machine can try it, and returns its kind. */
async function make(file: string, target: string): Promise<string> {
  const why = await compileNatively(file, target) ?? await whyNotGood(file, target);
  if (why === undefined) return "deno compile";
  console.log(`deno compile made no good file, so it will unpack itself: ${why}`);
  await compileSelfExtracting(file, target);
  const fault = await whyNotGood(file, target);
  if (fault !== undefined) throw new Error(`the self-extracting file is not good: ${fault}`);
  return "self-extracting";
}

/** Returns why `deno compile` could not write the file, or `undefined` if it did. */
async function compileNatively(file: string, target: string): Promise<string | undefined> {
  if (!Deno.env.has("DENORT_BIN")) console.log(`deno compile downloads its base runtime for ${target}, if it has none`);
  try {
    await run(Deno.execPath(), denoCompile(file, target));
  } catch (error) {
    const [, causes] = String(error).split("Caused by:");
    // It is the program's fault, then.
    if (causes === undefined) throw error;
    const lines = causes.trim().split("\n").map((line) => line.replace(/^ *(\d+: )?/, "").replace(/\.$/, ""));
    return lines.filter((line, i) => !lines[i - 1]?.includes(line)).join(": ");
  }
}

/** The command line, behind `deno`, by which `deno compile` makes `file`. */
export function denoCompile(file: string, target: string = Deno.build.target): string[] {
  // A code cache would be a file in $TMPDIR by a name that anybody can guess.
  // What else the launcher sees to is not needed: by the sources of Deno 2.9 a compiled program heeds neither
  // DENO_V8_FLAGS, NODE_OPTIONS nor DENO_PERMISSION_BROKER_PATH.
  const options = ["--no-code-cache", "--exclude-unused-npm", "--target", target, "--output", file];
  return ["compile", ...OPTIONS, ...options, "main.ts"];
}

/** Tries a file if it was made for this machine: is it the program, and is all there that HTTPS needs? */
export async function whyNotGood(file: string, target: string = Deno.build.target): Promise<string | undefined> {
  if (target !== Deno.build.target) return undefined;
  const CACHE_DIRECTORY = await Deno.makeTempDir();
  async function fails(expected: string, ...args: string[]): Promise<string | undefined> {
    const command = new Deno.Command(file, { args, cwd: ROOT, env: { CACHE_DIRECTORY }, stdin: "null" });
    const { success, stdout, stderr } = await command.output();
    const said = text(stdout) + text(stderr);
    if (success && said.startsWith(expected)) return undefined;
    return `expected "${expected.trim()}" of ${args.at(-1)}, got "${
      said.trim().replaceAll(/\s+/g, " ").slice(0, 100)
    }"`;
  }
  try {
    return await fails(`${project.name} ${project.version}\n`, "--version") ??
      await fails(`${TRIAL}: good`, "--config", TRIAL, "--check");
  } catch (error) {
    return reason(error);
  } finally {
    await Deno.remove(CACHE_DIRECTORY, { recursive: true });
  }
}

/**
 * Writes a self-extracting file to `output`.
 *
 * @throws if there is no Deno runtime for `target`, or the program cannot be bundled.
 */
export async function compileSelfExtracting(output: string, target: string = Deno.build.target): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const program = `${folder}/program.js`;
    await run(Deno.execPath(), ["bundle", "--quiet", "--output", program, "main.ts"]);
    const runtime = target === Deno.build.target ? Deno.execPath() : await runtimeFromNpm(target, folder);
    const machine = target.replace(/-.*/, "");
    await writeSelfExtracting({ runtime, machine, options: OPTIONS, program }, output);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Brings the runtime for `target`, of the version of this one, into `folder`. */
async function runtimeFromNpm(target: string, folder: string): Promise<string> {
  const name = NPM_RUNTIMES[target] ?? "";
  const version = Deno.version.deno;
  console.log(`downloading ${name}@${version} from npm`);
  try {
    await run("npm", ["pack", "--pack-destination", folder, `${name}@${version}`]);
  } catch (error) {
    const why = /npm error (?!code)(.*)/.exec(String(error))?.[1] ?? String(error);
    throw new Error(`cannot get the runtime for ${target} from npm: ${why}`);
  }
  const archive = `${folder}/${name.slice(1).replace("/", "-")}-${version}.tgz`;
  await run("tar", ["--extract", "--gzip", "--directory", folder, "--file", archive]);
  return `${folder}/package/deno`;
}

/** Runs a command in the project. Throws what it wrote to stderr if it fails. */
async function run(command: string, args: string[]): Promise<void> {
  const child = new Deno.Command(command, { args, cwd: ROOT, stdin: "null", env: { NO_COLOR: "1" } });
  const { success, stderr } = await child.output();
  const why = text(stderr).replace(/\s+Stack backtrace:[^]*/, "");
  if (!success) throw new Error(`${command.replace(/.*\//, "")} ${args[0]} failed: ${why.trim()}`);
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

if (import.meta.main) {
  try {
    await compile(Deno.args);
  } catch (error) {
    console.error(`compile: ${reason(error)}`);
    Deno.exit(1);
  }
}
