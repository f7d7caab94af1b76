/**
 * Peers measured in turn, round after round, so that what disturbs the machine disturbs them alike, and what the rounds
 * say in the end.
 *
 * @module
 */

/** The middle of what the rounds gave, and between which values the middle half of them lies. */
export interface Spread {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

/**
 * Measures each of `names` once a round. Every other round goes backwards, so that nobody always comes after the same
 * one.
 *
 * @returns what each round gave, by name.
 */
export async function alternate<T>(
  part: string,
  names: readonly string[],
  rounds: number,
  measureOne: (name: string) => Promise<T>,
): Promise<Map<string, T[]>> {
  const results = new Map(names.map((name): [string, T[]] => [name, []]));
  for (let round = 1; round <= rounds; round++) {
    for (const name of round % 2 === 1 ? names : names.toReversed()) {
      progress(`${part}: round ${round} of ${rounds}, ${name}`);
      results.get(name)?.push(await measureOne(name));
    }
  }
  return results;
}

/** What some numbers say in the end. */
export function spread(numbers: readonly number[]): Spread {
  return { median: quantile(numbers, 0.5), low: quantile(numbers, 0.25), high: quantile(numbers, 0.75) };
}

/** The middle of one of the things that each round gave. */
export function middle<Field extends string>(rounds: readonly Readonly<Record<Field, number>>[], field: Field): number {
  return quantile(rounds.map((round) => round[field]), 0.5);
}

/** How `ours` compares with `theirs`, round by round. */
export function ratio(ours: readonly number[], theirs: readonly number[]): Spread {
  return spread(ours.map((value, round) => value / (theirs[round] ?? NaN)));
}

/** The value below which a share of some numbers lies. */
export function quantile(numbers: readonly number[], share: number): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * share;
  const below = sorted[Math.floor(at)] ?? NaN;
  return below + ((sorted[Math.ceil(at)] ?? NaN) - below) * (at % 1);
}

/** Says what is being done: in place on a terminal, a line each elsewhere. */
export function progress(text: string): void {
  const line = Deno.stderr.isTerminal() ? `\r\x1b[K${text}` : `${text}\n`;
  Deno.stderr.writeSync(new TextEncoder().encode(line));
}
