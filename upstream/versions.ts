/**
 * What versions of Stacosys differ in: 2 has a token, and 3 has another path and none. A new path also belongs into
 * deploy/nginx.conf, in (3), and into the table of keys in README.md.
 *
 * @module
 */

/** The paths that are counters: that of Stacosys 2, and that of 3. */
export const PATHS: readonly string[] = ["/comments/count", "/api/comments/count"];

/**
 * A target with no more of its token than tells two of them apart.
 *
 * ```ts
 * import { withoutToken } from "./versions.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(withoutToken("/comments/count?token=9fb3e29c&url=/a/"), "/comments/count?token=9f…&url=/a/");
 * ```
 */
export function withoutToken(target: string): string {
  return target.replace(/([?&])([^=&]*)=([^&]*)/g, (parameter, before, name, value) => {
    const isToken = name === "token" || name.includes("%") && new URLSearchParams(name).has("token");
    if (!isToken) return parameter;
    return `${before}token=${value.slice(0, Math.min(4, value.length / 4))}…`;
  });
}
