/**
 * What the tests of `deploy/` have in common: its files, and how the programs of Debian that they are for are run.
 *
 * @module
 */

export { replaced } from "../../bench/site.ts";
import { type Need, testWith } from "./needs.ts";

/** On Debian /usr/sbin is only in the path of root. */
export const PATH = `${Deno.env.get("PATH")}:/usr/sbin`;

/** A test that is ignored, and says so in its name, where something is missing. */
export function test(name: string, needs: readonly Need[], fn: () => Promise<void>): void {
  testWith(needs, name, fn);
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
