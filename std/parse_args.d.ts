/** What this project uses of `@std/cli/parse-args`; the npm copy brings no declarations. */
export interface ParseOptions {
  readonly string?: readonly string[];
  readonly boolean?: readonly string[];
  readonly alias?: Readonly<Record<string, string>>;
  /** Called for each argument that is no known option; `false` leaves it out. */
  readonly unknown?: (argument: string, key?: string, value?: unknown) => unknown;
}

export function parseArgs(
  args: readonly string[],
  options?: ParseOptions,
): Record<string, unknown> & { _: (string | number)[] };
