/**
 * What does not show in a text, and may keep a file from being read or forge a line of a log.
 *
 * @module
 */

const INVISIBLE = /[\p{Cc}\p{Cf}\p{DI}\p{Zl}\p{Zp}\u2800]|[^\P{Zs} ]/gu;

/** The text with what does not show, turns the line around, or looks like a space, written as in JSON: `\u202e`. */
export function escapeInvisible(text: string): string {
  return text.replace(INVISIBLE, (found) => found.split("").map(escapeUnit).join(""));
}

/** A character beyond U+FFFF is two units, each written by itself, as in JSON. */
function escapeUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/**
 * The first character outside of quotes that looks like a blank or like nothing and is not allowed in JSON: `U+00A0`.
 */
export function invisibleIn(json: string): string | undefined {
  const outside = json.replaceAll(/"(?:[^"\\]|\\.)*("|$)/g, "");
  const code = /[^\P{C}\t\n\r]|[^\P{Z} ]/u.exec(outside)?.[0].codePointAt(0);
  return code === undefined ? undefined : `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
}

/** Whether a text that was read as UTF-8 is UTF-16: its byte order mark is none, or each second byte of ASCII is 0. */
export function isUtf16(text: string): boolean {
  return /^(\ufffd\ufffd|\0[^\0]|[^\0]\0)/.test(text);
}
