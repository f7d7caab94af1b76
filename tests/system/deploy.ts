/**
 * What the tests of `deploy/` have in common: its files, the programs of Debian that they are for, and the executable.
 *
 * @module
 */

import { compileSelfExtracting } from "../../compile/compile.ts";

/** The programs that tests need, and the packages of Debian that have them. */
const PACKAGES = {
  "systemd-analyze": "systemd",
  crontab: "cron",
  flock: "util-linux",
  logrotate: "logrotate",
  nginx: "nginx-light",
  openssl: "openssl",
} as const;

/** On Debian /usr/sbin is only in the path of root. */
export const PATH = `${Deno.env.get("PATH")}:/usr/sbin`;

const absent = new Set<string>();
for (const program of Object.keys(PACKAGES)) {
  if (!(await run("sh", "-c", `command -v ${program}`)).success) absent.add(program);
}

/** A test that is ignored, and says so in its name, where a program is missing. */
export function test(name: string, needs: readonly (keyof typeof PACKAGES)[], fn: () => Promise<void>): void {
  const missing = needs.filter((need) => absent.has(need)).map((need) => `apt install ${PACKAGES[need]}`);
  const ignore = missing.length > 0;
  Deno.test({ name: ignore ? `${name} (ignored: ${missing.join(", ")})` : name, ignore, fn });
}

/** Where a file of `deploy/` is. */
export function pathOf(file: string): string {
  return `${import.meta.dirname}/../../deploy/${file}`;
}

/** The text of a file of `deploy/`. */
export async function deployed(file: string): Promise<string> {
  return await Deno.readTextFile(pathOf(file));
}

/** Runs a program to its end. What it wrote is its output, wherever it wrote it. */
export async function run(program: string, ...args: string[]): Promise<{ success: boolean; output: string }> {
  const command = new Deno.Command(program, { args, stdin: "null", env: { PATH } });
  const { success, stdout, stderr } = await command.output();
  return { success, output: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
}

/** Ends a process, unless it has ended by itself. */
export async function end(child: Deno.ChildProcess, signal: Deno.Signal): Promise<void> {
  try {
    child.kill(signal);
  } catch {
    // It has.
  }
  await child.status;
}

/** `text` with each `what` replaced, of which there must be one at least: the files in `deploy/` may change. */
export function replaced(text: string, what: string, by: string): string {
  if (!text.includes(what)) throw new Error(`expected ${what} in the file, got none`);
  return text.replaceAll(what, by);
}

let built: Promise<string> | undefined;

/** The executable, made once for all tests of a file. */
export function executable(): Promise<string> {
  return built ??= (async () => {
    const folder = await Deno.makeTempDir({ prefix: "httpfastcache-test-" });
    addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
    await compileSelfExtracting(`${folder}/httpfastcache`);
    return `${folder}/httpfastcache`;
  })();
}
