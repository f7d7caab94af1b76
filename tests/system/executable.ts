/**
 * The self-extracting executable, made once for all tests of a run, since that takes some seconds.
 *
 * @module
 */

import { compileSelfExtracting } from "../../compile/compile.ts";

/** Of one run of the tests, all files run in one process. */
const FOLDER = `${Deno.env.get("TMPDIR") ?? "/tmp"}/httpfastcache-test-${Deno.pid}`;

const FILE = `${FOLDER}/httpfastcache`;

let made: Promise<string> | undefined;

/** Returns where the executable is. It is removed when the run of the tests has ended. */
export function executable(): Promise<string> {
  return made ??= make();
}

async function make(): Promise<string> {
  try {
    await Deno.mkdir(FOLDER);
  } catch (error) {
    // Another file with tests has made it.
    if (error instanceof Deno.errors.AlreadyExists) return FILE;
    throw error;
  }
  removeAtTheEnd();
  await compileSelfExtracting(FILE);
  return FILE;
}

/** No test knows whether it is the last one, so a shell waits for the end of the process. */
function removeAtTheEnd(): void {
  const script = 'trap "" INT TERM; while kill -0 "$0" 2>/dev/null; do sleep 1; done; rm -rf "$1"';
  const options = { stdin: "null", stdout: "null", stderr: "null" } as const;
  new Deno.Command("sh", { args: ["-c", script, `${Deno.pid}`, FOLDER], ...options }).spawn().unref();
}
