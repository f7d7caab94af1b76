/** What this project uses of `@std/text/levenshtein-distance`; the npm copy brings no declarations. */
export function levenshteinDistance(a: string, b: string): number;
