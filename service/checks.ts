/**
 * What a value of the configuration file must be, and what people are told if it is something else.
 *
 * @module
 */

import { escapeInvisible } from "./invisible.ts";

/** An address to listen on. */
export interface Address {
  readonly hostname: string | undefined;
  readonly port: number;
}

/** One value of the file, and whom to tell about it. */
export interface Setting {
  readonly given: unknown;
  /** Reports what the value should have been, and what came, in words; without them the value is shown. */
  fault(expected: string, got?: string): undefined;
  warn(text: string): void;
}

/** Makes of a value what the program works with, or reports a fault. */
export type Check<T> = (setting: Setting) => T | undefined;

export function address({ given, fault }: Setting): Address | undefined {
  const expected = '"host:port" or ":port" with a port from 1 to 65535';
  if (typeof given !== "string") return fault(expected);
  const [, v6, name = "", digits] = /^(?:\[([\da-f:.]+)\]|([\w.-]*)):(\d{1,5})$/i.exec(given) ?? [];
  const port = Number(digits);
  const url = URL.parse(`http://${v6 === undefined ? name || "localhost" : `[${v6}]`}`);
  if (!(port >= 1 && port <= 65535) || url === null) return fault(expected);
  return { hostname: given.startsWith(":") ? undefined : hostOf(url), port };
}

/** The host of a URL in one spelling: names in lower case, addresses short, IPv4 within IPv6 as plain IPv4. */
function hostOf({ hostname }: URL): string {
  const host = hostname.replace(/^\[|\]$/g, "");
  const [, high, low] = /^::ffff:([\da-f]+):([\da-f]+)$/.exec(host) ?? [];
  if (high === undefined || low === undefined) return host;
  return new URL(`http://${parseInt(high, 16) * 0x10000 + parseInt(low, 16)}`).hostname;
}

export function loopbackAddress(setting: Setting): Address | undefined {
  const fault = () => setting.fault('"127.0.0.1:port" or another loopback address');
  const found = address({ ...setting, fault });
  if (found === undefined || isLoopback(found.hostname ?? "")) return found;
  return fault();
}

/** Whether a host is this machine, and reached from nowhere else. */
export function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "::1" || /^127(\.\d{1,3}){3}$/.test(hostname);
}

/** Stacosys, and what it is to be sent so that it answers. */
export interface Stacosys {
  /** Its URL, without a slash at the end, and without user and password: this may be shown. */
  readonly url: string;
  /** The header of that name, if the URL had a user or a password. */
  readonly authorization: string | undefined;
}

/** An invalid value is not shown, since nobody knows where in it a password is. */
export function stacosys({ given, fault }: Setting): Stacosys | undefined {
  const expected = 'a URL such as "http://127.0.0.1:8100", without query or fragment';
  if (typeof given !== "string") return fault(expected, kindOf(given));
  const url = URL.parse(given);
  if (url === null || !/^https?:$/.test(url.protocol) || /[?#]/.test(given)) {
    return fault(expected, "another string, not shown as it may hold a password");
  }
  const { username, password } = url;
  const isKnown = username !== "" || password !== "";
  const authorization = isKnown ? `Basic ${btoa(`${bytesOf(username)}:${bytesOf(password)}`)}` : undefined;
  url.username = url.password = "";
  return { url: url.href.replace(/\/+$/, ""), authorization };
}

/** The bytes that a URL spells `%C3%A9`, each as a character. */
function bytesOf(text: string): string {
  return text.replace(/%([\da-f]{2})/gi, (_, byte) => String.fromCharCode(parseInt(byte, 16)));
}

/** Whether a URL leads to a listener at `address`, as far as one can tell without asking the system for names. */
export function isAt(url: string, { hostname = "::", port }: Address): boolean {
  const there = new URL(url);
  if (Number(there.port || (there.protocol === "https:" ? 443 : 80)) !== port) return false;
  const listening = hostname === "localhost" ? "127.0.0.1" : hostname;
  return connectedBy(hostOf(there)).some((host) => {
    const isAny = listening === "::" || listening === "0.0.0.0" && !host.includes(":");
    return host === listening || isAny && (isLoopback(host) || isOwn(host));
  });
}

/** Whether an address is one of this machine. */
function isOwn(host: string): boolean {
  return Deno.networkInterfaces().some(({ address }) => address === host);
}

/** What `fetch` connects to. Of `localhost` it tries all that the system names, so that either may be reached. */
function connectedBy(host: string): readonly string[] {
  if (host === "localhost") return ["127.0.0.1", "::1"];
  return [host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host];
}

export function corsOrigin({ given, fault, warn }: Setting): string | string[] | undefined {
  // The Go program took an empty name and sent an empty header, which to a browser is none.
  if (given === "" || given === null) return undefined;
  if (given === "*") return given;
  if (typeof given === "string") return origin(given, '"*" or an origin');
  if (!Array.isArray(given) || given.length === 0) return fault('"*", an origin or a list of origins');
  return given.map((item) => origin(item, "an origin")).filter((item) => item !== undefined);

  function origin(value: unknown, expected: string): string | undefined {
    const shown = inWords(value);
    const none = () => fault(`${expected} such as "https://blog.example.org"`, shown);
    if (typeof value !== "string") return none();
    const url = URL.parse(value.replace(/^(?!https?:\/\/)([^/]*:\/\/)?/i, "https://"));
    if (url === null || value === "*" || !/^[!-+\--~\u00a1-\uffff]+$/.test(value)) return none();
    // Browsers send punycode, and a header cannot hold anything but ASCII.
    if (!/^[!-~]+$/.test(value)) return fault(`"${url.origin}", as browsers write it`, shown);
    const isPattern = value.includes("*");
    if (isPattern || value !== url.origin && value !== "null") {
      const better = isPattern ? 'each origin, or "*" alone' : inWords(url.origin);
      warn(`no browser sends ${shown} as its origin, so counters will not show; write ${better}`);
    }
    return value;
  }
}

export function paths({ given, fault }: Setting): string[] | undefined {
  const expected = 'a list of paths such as ["/comments/count"]';
  if (!Array.isArray(given) || given.length === 0) return fault(expected);
  return given.map(path).filter((item) => item !== undefined);

  function path(value: unknown): string | undefined {
    if (typeof value === "string" && /^\/[!-~]*$/.test(value) && !/[?#]/.test(value)) return value;
    return fault(expected, inWords(value));
  }
}

/** Thirty years; anything longer is a slip, and no clock need be able to count it. */
const LONGEST_SECONDS = 1e9;

/** The longest that a timer can be set to, some 24 days. With more it would fire at once. */
const LONGEST_TIMER_SECONDS = 2_147_483;

/** With more, readers would have to wait while the cache's `Map` grows: 10 ms at this size. */
const MOST_ENTRIES = 100_000;

export function duration({ given, fault }: Setting): number | undefined {
  if (typeof given === "number" && given > 0 && given <= LONGEST_SECONDS) return given * 1000;
  return fault(`a number of seconds greater than 0, up to ${LONGEST_SECONDS}`);
}

export function durationOrNone(setting: Setting): number | undefined {
  if (setting.given === 0) return 0;
  return duration({ ...setting, fault: () => setting.fault(`a number of seconds from 0 to ${LONGEST_SECONDS}`) });
}

/** A duration that a timer counts. */
export function timer(setting: Setting): number | undefined {
  const ms = duration(setting);
  if (ms === undefined || ms <= LONGEST_TIMER_SECONDS * 1000) return ms;
  setting.warn(`${setting.given} is reduced to ${LONGEST_TIMER_SECONDS}, the maximum`);
  return LONGEST_TIMER_SECONDS * 1000;
}

export function entries({ given, fault, warn }: Setting): number | undefined {
  if (typeof given !== "number" || !Number.isSafeInteger(given) || given < 1) {
    return fault(`a whole number from 1 to ${MOST_ENTRIES}`);
  }
  if (given > MOST_ENTRIES) warn(`${given} is reduced to ${MOST_ENTRIES}, the maximum`);
  return Math.min(given, MOST_ENTRIES);
}

export function fileName({ given, fault }: Setting): string | undefined {
  return typeof given === "string" && given !== "" && !given.includes("\0") ? given : fault("a file name");
}

export function flag({ given, fault }: Setting): boolean | undefined {
  return typeof given === "boolean" ? given : fault("true or false");
}

/** What a value is, where it is not to be shown. */
export function kindOf(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

/** For `JSON.stringify`: a value as it is, but a URL without the user and the password that it may have. */
export function withoutPassword(_key: string, value: unknown): unknown {
  const url = typeof value === "string" ? URL.parse(value) : null;
  if (url === null || url.username === "" && url.password === "") return value;
  url.username = url.password = "";
  return url.href;
}

/** A value as a fault shows it. */
export function inWords(value: unknown): string {
  if (value === undefined) return "nothing";
  const text = escapeInvisible(JSON.stringify(value, withoutPassword));
  return text.length <= 80 ? text : `${text.slice(0, 79)}…`;
}
