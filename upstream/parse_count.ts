/**
 * What a good answer of Stacosys is.
 *
 * @module
 */

/**
 * The number in the body of an answer of Stacosys: a JSON object whose `count` is a whole number from 0 up.
 * Otherwise undefined.
 *
 * ```ts
 * import { parseCount } from "./parse_count.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(parseCount('{"count":7}\n'), 7);
 * assertEquals(parseCount('{"count":-5}'), undefined);
 * assertEquals(parseCount("1"), undefined);
 * ```
 */
export function parseCount(body: string): number | undefined {
  try {
    const { count }: { count?: unknown } = Object(JSON.parse(body));
    return typeof count === "number" && Number.isSafeInteger(count) && count >= 0 ? count : undefined;
  } catch {
    return undefined;
  }
}
