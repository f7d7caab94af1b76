/**
 * The command line, as Go's flag package takes it.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";

/** What is to be done. */
export type Command =
  | { readonly does: "serve" | "check"; readonly file: string }
  | { readonly does: "help" }
  | { readonly does: "version" }
  /** No file was given. */
  | { readonly does: "usage" };

/**
 * Reads a command line. `-config` means `--config`.
 *
 * ```ts
 * import { parseCommandLine } from "./command_line.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(parseCommandLine(["-config=c.json", "--check"]), { does: "check", file: "c.json" });
 * ```
 *
 * @throws on an unknown argument.
 */
export function parseCommandLine(args: readonly string[]): Command {
  const unknown: string[] = [];
  const { _, config, check, help, version } = parseArgs(
    args.map((arg) => arg.replace(/^-(?=[a-z]{2})/, "--")),
    {
      string: ["config", "_"],
      boolean: ["check", "help", "version"],
      alias: { help: "h" },
      unknown: (arg, key) => key === undefined || unknown.push(arg),
    },
  );
  unknown.push(..._.map(String));
  if (help === true) return { does: "help" };
  if (version === true) return { does: "version" };
  if (unknown.length > 0) {
    throw new Error(`expected --config FILE, got ${unknown.map((arg) => arg || '""').join(" ")}; try --help`);
  }
  if (typeof config !== "string" || config === "") return { does: "usage" };
  return { does: check === true ? "check" : "serve", file: config };
}
