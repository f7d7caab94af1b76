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
 * import { countOf } from "./count.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(countOf('{"count":7}\n'), 7);
 * assertEquals(countOf('{"count":-5}'), undefined);
 * assertEquals(countOf("1"), undefined);
 * ```
 */
export function countOf(body: string): number | undefined {
  try {
    const { count }: { count?: unknown } = Object(JSON.parse(body));
    return typeof count === "number" && Number.isSafeInteger(count) && count >= 0 ? count : undefined;
  } catch {
    return undefined;
  }
}
