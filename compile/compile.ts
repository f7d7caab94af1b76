/**
 * `deno task compile`: the program as one file. `deno compile` makes it where its base runtime can be had; otherwise it
 * becomes a file that unpacks itself, of what npm brought.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import project from "../deno.json" with { type: "json" };
import { writeSelfExtracting } from "./self_extracting.ts";

/** Flags of V8 that keep the program small, whichever kind of file it is in; docs/performance.md says why they were chosen. */
const V8_FLAGS = "--max-semi-space-size=1,--heap-growing-percent=40,--no-incremental-marking-task";

/** What the program may do, and what it needs of the runtime; `--quiet`, or Deno would log what readers do wrong. */
export const OPTIONS: readonly string[] = [
  "--quiet",
  "--no-prompt",
  ...[
    "--allow-net",
    "--allow-read",
    "--allow-write",
    "--allow-env=NO_PROXY,no_proxy,ALL_PROXY,all_proxy",
    "--allow-sys=uid,hostname",
  ],
  ...project.unstable.map((feature) => `--unstable-${feature}`),
  `--v8-flags=${V8_FLAGS}`,
];

/** Where npm keeps the runtime for other machines. */
const NPM_RUNTIMES: Readonly<Record<string, string>> = {
  "x86_64-unknown-linux-gnu": "@deno/linux-x64-glibc",
  "aarch64-unknown-linux-gnu": "@deno/linux-arm64-glibc",
};

const ROOT = `${import.meta.dirname}/..`;

/** Makes `dist/httpfastcache` for the machine named by `--target`, this one by default. */
async function compile(args: readonly string[]): Promise<void> {
  const { _, target = Deno.build.target, ...strange } = parseArgs(args, { string: ["target"] });
  if (typeof target !== "string" || _.length > 0 || Object.keys(strange).length > 0) {
    throw new Error(`expected --target TARGET or nothing, got ${args.join(" ")}`);
  }
  const output = `${ROOT}/dist/${project.name}`;
  await Deno.mkdir(`${ROOT}/dist`, { recursive: true });
  // Beside it first: the file that is there may be running.
  const beside = await Deno.makeTempDir({ dir: `${ROOT}/dist` });
  try {
    const missing = await compileNatively(`${beside}/${project.name}`, target);
    if (missing !== undefined) {
      console.log(
        `no base runtime for deno compile, so the file will unpack itself (${missing}); DENORT_BIN can name one`,
      );
      await compileSelfExtracting(`${beside}/${project.name}`, target);
    }
    await Deno.rename(`${beside}/${project.name}`, output);
    const { size } = await Deno.stat(output);
    const kind = missing === undefined ? "deno compile" : "self-extracting";
    console.log(`dist/${project.name}: ${(size / 1e6).toFixed(1)} MB, ${kind}, for ${target}`);
  } finally {
    await Deno.remove(beside, { recursive: true });
  }
}

/** Returns why the base runtime cannot be had, or `undefined` if `deno compile` did its work. */
async function compileNatively(output: string, target: string): Promise<string | undefined> {
  try {
    await run(Deno.execPath(), denoCompile(output, target));
  } catch (error) {
    const why = /Setting up base binary\.\s+1: (.*)/.exec(String(error))?.[1];
    if (why === undefined || Deno.env.has("DENORT_BIN")) throw error;
    return why;
  }
}

/** The command line, behind `deno`, by which `deno compile` makes `output`. */
export function denoCompile(output: string, target: string = Deno.build.target): string[] {
  return ["compile", ...OPTIONS, "--exclude-unused-npm", "--target", target, "--output", output, "main.ts"];
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
  const name = NPM_RUNTIMES[target];
  if (name === undefined) {
    throw new Error(`expected --target ${Object.keys(NPM_RUNTIMES).join(" or ")} without DENORT_BIN, got ${target}`);
  }
  const version = Deno.version.deno;
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
  const why = new TextDecoder().decode(stderr).replace(/\s+Stack backtrace:[^]*/, "");
  if (!success) throw new Error(`${command.replace(/.*\//, "")} ${args[0]} failed: ${why.trim()}`);
}

if (import.meta.main) {
  try {
    await compile(Deno.args);
  } catch (error) {
    console.error(`compile: ${error instanceof Error ? error.message : error}`);
    Deno.exit(1);
  }
}
