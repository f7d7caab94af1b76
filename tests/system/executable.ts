/**
 * The self-extracting executable, made once for all tests of a run, since that takes some seconds.
 *
 * @module
 */

import { compileSelfExtracting } from "../../compile/compile.ts";

/** All files with tests run in one process, so what one has made the others find in its environment. */
const VARIABLE = "HTTPFASTCACHE_TEST_EXECUTABLE";

let made: Promise<string> | undefined;

/** Returns where the executable is. It is removed when the run of the tests has ended. */
export function executable(): Promise<string> {
  return made ??= make();
}

/**
 * The command that starts it, and has it unpack into a folder that is removed with it, not of whoever runs the tests.
 */
export async function executableCommand(): Promise<string[]> {
  const file = await executable();
  return ["env", `CACHE_DIRECTORY=${file}.unpacked`, file];
}

async function make(): Promise<string> {
  const there = Deno.env.get(VARIABLE);
  if (there !== undefined) return there;
  const folder = await Deno.makeTempDir({ prefix: "httpfastcache-test-" });
  removeAtTheEnd(folder);
  const file = `${folder}/httpfastcache`;
  await compileSelfExtracting(file);
  Deno.env.set(VARIABLE, file);
  return file;
}

/** No test knows whether it is the last one, so a shell waits for the end of the process. */
function removeAtTheEnd(folder: string): void {
  const script = 'trap "" INT TERM; while kill -0 "$0" 2>/dev/null; do sleep 1; done; rm -rf "$1"';
  const options = { stdin: "null", stdout: "null", stderr: "null" } as const;
  new Deno.Command("sh", { args: ["-c", script, `${Deno.pid}`, folder], ...options }).spawn().unref();
}
