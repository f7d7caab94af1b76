/**
 * What the tests of the self-extracting file have in common. A small script stands in for the Deno runtime; the real
 * one is in `executable_test.ts`.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { writeSelfExtracting } from "../../compile/self_extracting.ts";
import { FOR_THE_EXECUTABLE, type Need, testWith } from "./needs.ts";

/** Tells how it was started, then does what the program's first argument says. */
export const RUNTIME = `#!/bin/sh
[ "$1" = --version ] && exit
runtime=$(readlink -f "$0")
until [ "$1" = --the-last-option ]; do shift; done
echo "process $$, $runtime runs a program of $(wc -c <"$2") bytes"
shift 2
for argument; do printf '<%s>\\n' "$argument"; done
case \${1-} in
  fail) exit 7 ;;
  read) cat ;;
  name) cat /proc/$$/comm ;;
  wait) exec sleep 60 ;;
esac
`;

/** A test of the executable, and what more it needs. */
export function test(name: string, fn: () => Promise<void>, ...more: Need[]): void {
  testWith([...FOR_THE_EXECUTABLE, ...more], name, fn);
}

/** A folder, with a blank and an accent in its name, in which the executable is, and another where it can unpack. */
export interface Place {
  readonly folder: string;
  readonly file: string;
  /** For `XDG_CACHE_HOME`. */
  readonly cache: string;
  /** For `TMPDIR`: as `/tmp` is, all may write there, and it has the sticky bit. */
  readonly temporary: string;
  /** A `PATH` with a `sleep` that only writes down how long it was to take. */
  readonly path: string;
}

export async function inPlace(
  test: (place: Place) => Promise<void>,
  parts: { machine?: string; runtime?: string } = {},
): Promise<void> {
  const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "à part " }));
  try {
    const [cache, temporary] = [`${folder}/cache`, `${folder}/temporary`];
    const path = `${folder}/quick:/usr/sbin:/usr/bin:/sbin:/bin`;
    const place = { folder, file: `${folder}/httpfastcache`, cache, temporary, path };
    await Deno.mkdir(cache, { mode: 0o700 });
    await Deno.mkdir(`${folder}/quick`);
    await Deno.writeTextFile(`${folder}/quick/sleep`, '#!/bin/sh\necho "$1" >>"${0%/*}/slept"\n', { mode: 0o755 });
    await Deno.mkdir(temporary);
    await Deno.chmod(temporary, 0o1777);
    await writeExecutable(place.file, parts);
    await test(place);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

export async function writeExecutable(
  file: string,
  { machine = Deno.build.arch as string, runtime = RUNTIME } = {},
): Promise<void> {
  const parts = { runtime: `${file}.runtime`, program: `${file}.program`, machine, options: ["--the-last-option"] };
  await Deno.writeTextFile(parts.runtime, runtime);
  await Deno.writeTextFile(parts.program, "the program");
  await writeSelfExtracting(parts, file);
}

export interface Ended {
  readonly code: number;
  /** The file that ran as runtime. */
  readonly runtime: string | undefined;
  readonly lines: string[];
  readonly warnings: string[];
}

/**
 * Starts `command` in an environment of nothing but `env`, and waits for its end. Nobody unpacks into the real `/tmp`.
 */
export async function ends(command: string[], env: Record<string, string> = {}, input?: string): Promise<Ended> {
  const child = spawn(command, env, input === undefined ? "null" : "piped");
  if (input !== undefined) await new Blob([input]).stream().pipeTo(child.stdin);
  const { code, stdout, stderr } = await child.output();
  const [first, ...lines] = textLines(stdout);
  const start = /^process (\d+), (.*) runs a program of 11 bytes$/.exec(first ?? "");
  if (start !== null) assertEquals(Number(start[1]), child.pid, "the program has the process id of the start");
  return { code, runtime: start?.[2], lines, warnings: textLines(stderr) };
}

export function spawn(
  [command = "", ...args]: string[],
  env: Record<string, string>,
  stdin: "null" | "piped",
): Deno.ChildProcess {
  return new Deno.Command(command, {
    args,
    env: { TMPDIR: "/nowhere", ...env },
    clearEnv: true,
    stdin,
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

function textLines(bytes: Uint8Array): string[] {
  return new TextDecoder().decode(bytes).split("\n").slice(0, -1);
}

export function names(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name);
}

/** The folder that the executable unpacked into under `cache`. */
export function unpackedIn(cache: string): string {
  const [name, ...others] = names(`${cache}/httpfastcache`);
  assertEquals(others, []);
  assertMatch(name ?? "", /^unpacked-[0-9a-f]{16}$/);
  return `${cache}/httpfastcache/${name}`;
}

/** The runtime in the private folder under `temporary`, of which there is nothing else. */
export function runtimeIn(temporary: string): string {
  const [name, ...others] = names(temporary);
  assertEquals([name, others], [`httpfastcache-${Deno.uid()}`, []]);
  const root = `${temporary}/${name}`;
  assertEquals((Deno.statSync(root).mode ?? 0) & 0o7777, 0o700);
  return `${root}/${names(root).join()}/httpfastcache`;
}
