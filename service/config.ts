/**
 * The configuration file: names, defaults, checks, and a line for people for each fault.
 *
 * @module
 */

import { levenshteinDistance } from "@std/text/levenshtein-distance";
import * as checks from "./checks.ts";
import { type Address, type Check, inWords, kindOf, type Stacosys, withoutPassword } from "./checks.ts";
import { escapeInvisible, invisibleIn, isUtf16 } from "./invisible.ts";
import { reason } from "./log.ts";

/** A configuration that was checked. */
export interface Config {
  /** Where the service listens; no hostname means all addresses. */
  readonly listen: Address;
  /** Where Stacosys is, and the password to send. */
  readonly stacosys: Stacosys;
  /** `*`, an origin, a list of origins, or none. */
  readonly corsOrigin: string | readonly string[] | undefined;
  /** The paths that are counters, if they are others than those of Stacosys. */
  readonly paths: readonly string[] | undefined;
  /** How long a counter is fresh, in milliseconds. */
  readonly ttlMs: number;
  /** How long an expired counter is kept in case Stacosys fails, in milliseconds. */
  readonly staleIfErrorMs: number;
  /** How long an expired counter is served while it is fetched anew, in milliseconds. */
  readonly staleWhileRevalidateMs: number;
  /** How much time lies between two sweeps, in milliseconds. */
  readonly sweepMs: number;
  /** How long a request to Stacosys may take, its body included, in milliseconds. */
  readonly timeoutMs: number;
  /** How many counters are kept at most. */
  readonly maxEntries: number;
  /** Where the cache is kept over a restart, if anywhere. */
  readonly snapshotFile: string | undefined;
  /** The SQLite file of Stacosys, whose changes expire all counts, if it is to be watched. */
  readonly watchFile: string | undefined;
  /** Whether another process may listen on the same port. */
  readonly reusePort: boolean;
  /** The PEM files of a certificate and its key, if the service is to speak HTTPS itself. */
  readonly tls: { readonly cert: string; readonly key: string } | undefined;
  /** Where the owner's own listener is, if there is to be one. */
  readonly admin: Address | undefined;
  /** Whether browsers and CDNs may keep a count for what is left of its life. */
  readonly cacheControl: boolean;
}

/** What came of reading a configuration file. Faults and warnings are lines for people. */
export interface Reading {
  /** None if there is any fault. */
  readonly config: Config | undefined;
  /** The text of the file, but for the user and the password of Stacosys. */
  readonly text: string;
  readonly faults: string[];
  readonly warnings: string[];
}

/**
 * Reads the text of a configuration file.
 *
 * ```ts
 * import { parseConfig } from "./config.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const text = '{ "HostPort": "nonsense", "Stacosys": "http://127.0.0.1:8100" }';
 * assertEquals(parseConfig(text, "config.json").faults, [
 *   'config.json: HostPort: expected "host:port" or ":port" with a port from 1 to 65535, got "nonsense"',
 * ]);
 * ```
 *
 * @param file what the faults call the file.
 */
export function parseConfig(text: string, file: string): Reading {
  const faults: string[] = [];
  const warnings: string[] = [];
  const values = parseObject(text, (fault) => faults.push(`${file}: ${fault}`));
  if (values === undefined) return { config: undefined, text: "", faults, warnings };

  const twice = givenTwice(text);
  for (const key of twice) warnings.push(`${file}: ${key}: given more than once, the last one counts`);
  const given = new Map<string, unknown>();
  const unread = new Map<string, string>();
  for (const [key, value] of values) {
    given.set(key.toLowerCase(), value);
    unread.set(key.toLowerCase(), key);
  }

  const known: string[] = [];
  function read<T>(key: string, check: Check<T>): T | undefined {
    known.push(key);
    unread.delete(key.toLowerCase());
    const value = given.get(key.toLowerCase());
    return check({
      given: value,
      fault(expected, got = inWords(value)) {
        faults.push(`${file}: ${key}: expected ${expected}, got ${got}`);
        return undefined;
      },
      warn: (text) => warnings.push(`${file}: ${key}: ${text}`),
    });
  }
  function readOr<T>(key: string, check: Check<T>, fallback: T): T {
    if (given.has(key.toLowerCase())) return read(key, check) ?? fallback;
    known.push(key);
    return fallback;
  }

  const listen = read("HostPort", checks.address);
  const stacosys = read("Stacosys", checks.stacosys);
  const cert = readOr("TlsCertFile", checks.fileName, undefined);
  const key = readOr("TlsKeyFile", checks.fileName, undefined);
  if ((cert === undefined) !== (key === undefined)) {
    const [one, other] = cert === undefined ? ["TlsCertFile", "TlsKeyFile"] : ["TlsKeyFile", "TlsCertFile"];
    faults.push(`${file}: ${one}: expected a file name, as ${other} has one, got nothing`);
  }
  const rest = {
    tls: cert === undefined || key === undefined ? undefined : { cert, key },
    corsOrigin: readOr("CorsOrigin", checks.corsOrigin, undefined),
    paths: readOr("Paths", checks.paths, undefined),
    ttlMs: readOr("TtlSeconds", checks.duration, 300_000),
    staleIfErrorMs: readOr("StaleIfErrorSeconds", checks.durationOrNone, 86_400_000),
    staleWhileRevalidateMs: readOr("StaleWhileRevalidateSeconds", checks.durationOrNone, 0),
    sweepMs: readOr("SweepSeconds", checks.timer, 600_000),
    timeoutMs: readOr("TimeoutSeconds", checks.timer, 10_000),
    maxEntries: readOr("MaxEntries", checks.entries, 10_000),
    snapshotFile: readOr("SnapshotFile", checks.fileName, undefined),
    watchFile: readOr("WatchFile", checks.fileName, undefined),
    reusePort: readOr("ReusePort", checks.flag, false),
    admin: readOr("AdminHostPort", checks.loopbackAddress, undefined),
    cacheControl: readOr("CacheControl", checks.flag, false),
  };

  if (rest.watchFile !== undefined && rest.cacheControl) {
    warnings.push(`${file}: CacheControl: browsers and CDNs keep old counts even when WatchFile changes`);
  }
  // With ReusePort both could listen there, and readers might reach the listener of the owner.
  if (listen !== undefined && rest.admin?.port === listen.port) {
    const got = inWords(given.get("adminhostport"));
    faults.push(`${file}: AdminHostPort: expected another port than that of HostPort, got ${got}`);
  }
  if (listen !== undefined && stacosys !== undefined && checks.isAt(stacosys.url, listen)) {
    faults.push(`${file}: Stacosys: expected the URL of Stacosys, got this service's own HostPort`);
  }
  for (const key of unread.values()) {
    warnings.push(`${file}: ${inWords(key).slice(1, -1)}: unknown, ignored${suggestion(key, known)}`);
  }
  if (listen === undefined || stacosys === undefined || faults.length > 0) {
    return { config: undefined, text: "", faults, warnings };
  }
  const all = Object.fromEntries(values);
  const shown = JSON.stringify(all, withoutPassword, 2);
  // What is given twice may be a password the first time.
  const isAsGiven = twice.size === 0 && shown === JSON.stringify(all, null, 2);
  return {
    config: { listen, stacosys, ...rest },
    text: isAsGiven ? text : shown,
    faults,
    warnings,
  };
}

function parseObject(text: string, fault: (text: string) => void): [string, unknown][] | undefined {
  if (isUtf16(text)) return void fault("expected JSON in UTF-8, got UTF-16; save the file as UTF-8");
  const json = text.replace(/^\uFEFF/, "");
  try {
    const value: unknown = JSON.parse(json);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return Object.entries(value);
    fault(`expected a JSON object, got ${kindOf(value)}`);
  } catch (error) {
    const invisible = invisibleIn(json);
    const hint = invisible === undefined ? "" : `; ${invisible} is no blank in JSON`;
    fault(`expected JSON, got something else: ${escapeInvisible(withoutExcerpt(reason(error), json))}${hint}`);
  }
}

/** How many characters before the wrong one V8 shows. */
const EXCERPT_BEFORE = 10;

/** The message of a syntax error. V8 may show the text around it, where a password may be: the line says as much. */
function withoutExcerpt(message: string, text: string): string {
  const [, what, excerpt] = /^(.*?), (?:\.{3})?"(.*)"(?:\.{3})? is not valid JSON$/s.exec(message) ?? [];
  if (what === undefined || excerpt === undefined) return message;
  const before = text.slice(0, text.indexOf(excerpt) + EXCERPT_BEFORE);
  return `${what} in line ${before.split("\n").length}`;
}

/** The names that a JSON object gives more than once, in whatever case. `JSON.parse` keeps the last one in silence. */
function givenTwice(text: string): Set<string> {
  const seen = new Set<string>();
  const twice = new Set<string>();
  let depth = 0;
  for (const [token, name] of text.matchAll(/("(?:[^"\\]|\\.)*")\s*:|"(?:[^"\\]|\\.)*"|[{}[\]]/g)) {
    if (name === undefined) depth += "{[".includes(token) ? 1 : "}]".includes(token) ? -1 : 0;
    if (name === undefined || depth !== 1) continue;
    const key = String(JSON.parse(name));
    if (seen.has(key.toLowerCase())) twice.add(inWords(key).slice(1, -1));
    seen.add(key.toLowerCase());
  }
  return twice;
}

function suggestion(key: string, known: readonly string[]): string {
  const given = key.toLowerCase();
  const begun = given.length < 3 ? undefined : known.find((name) => name.toLowerCase().startsWith(given));
  const distance = (name: string) => levenshteinDistance(name.toLowerCase(), given);
  const [nearest = ""] = known.toSorted((a, b) => distance(a) - distance(b));
  const meant = begun ?? (distance(nearest) <= 2 ? nearest : undefined);
  return meant === undefined ? "" : `; did you mean ${meant}?`;
}

/**
 * The text of a configuration file. `/dev/stdin` is standard input.
 *
 * @throws if it cannot be read.
 */
export function readConfigFile(file: string): string {
  try {
    return file === "/dev/stdin" ? readStandardInput() : Deno.readTextFileSync(file);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotCapable)) throw error;
    throw new Error(`${file}: Deno reads nothing below /dev, /proc and /sys; use --config /dev/stdin <${file}`);
  }
}

function readStandardInput(): string {
  const decoder = new TextDecoder();
  const bytes = new Uint8Array(64 * 1024);
  let text = "";
  for (let length; (length = Deno.stdin.readSync(bytes)) !== null;) {
    text += decoder.decode(bytes.subarray(0, length), { stream: true });
  }
  return text;
}
