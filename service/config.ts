/**
 * The configuration file: names, defaults, checks, and a line for people for each fault.
 *
 * @module
 */

import { levenshteinDistance } from "@std/text/levenshtein-distance";

/** A configuration that was checked. */
export interface Config {
  /** Where the service listens; no hostname means all addresses. */
  readonly listen: Address;
  /** The URL of Stacosys, without a slash at the end. */
  readonly stacosys: string;
  /** `*`, an origin, a list of origins, or none. */
  readonly corsOrigin: string | readonly string[] | undefined;
  /** The paths that are counters. */
  readonly paths: readonly string[];
  /** How long a counter is fresh, in milliseconds. */
  readonly ttlMs: number;
  /** How long an expired counter is kept in case Stacosys fails, in milliseconds. */
  readonly staleMs: number;
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
  /** Whether another process may listen on the same port. */
  readonly reusePort: boolean;
  /** The PEM files of a certificate and its key, if the service is to speak HTTPS itself. */
  readonly tls: { readonly cert: string; readonly key: string } | undefined;
  /** Where the owner's own listener is, if there is to be one. */
  readonly admin: Address | undefined;
  /** Whether browsers and CDNs may keep a count for what is left of its life. */
  readonly cacheControl: boolean;
}

/** An address to listen on. */
export interface Address {
  readonly hostname: string | undefined;
  readonly port: number;
}

/** What came of reading a configuration file. Faults and warnings are lines for people. */
export interface Reading {
  /** None if there is any fault. */
  readonly config: Config | undefined;
  readonly faults: string[];
  readonly warnings: string[];
}

/** One value of the file, and whom to tell about it. */
interface Setting {
  readonly given: unknown;
  /** Reports what the value, or `got` as a part of it, should have been. */
  fault(expected: string, got?: unknown): undefined;
  warn(text: string): void;
}

/** Makes of a value what the program works with, or reports a fault. */
type Check<T> = (setting: Setting) => T | undefined;

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
  if (values === undefined) return { config: undefined, faults, warnings };

  const given = new Map<string, unknown>();
  const unread = new Map<string, string>();
  for (const [key, value] of values) {
    if (given.has(key.toLowerCase())) warnings.push(`${file}: ${key}: given more than once, the last one counts`);
    given.set(key.toLowerCase(), value);
    unread.set(key.toLowerCase(), key);
  }

  const known: string[] = [];
  function required<T>(key: string, check: Check<T>): T | undefined {
    known.push(key);
    unread.delete(key.toLowerCase());
    const value = given.get(key.toLowerCase());
    return check({
      given: value,
      fault(expected, got = value) {
        faults.push(`${file}: ${key}: expected ${expected}, got ${inWords(got)}`);
        return undefined;
      },
      warn: (text) => warnings.push(`${file}: ${key}: ${text}`),
    });
  }
  function optional<T>(key: string, check: Check<T>, fallback: T): T {
    if (given.has(key.toLowerCase())) return required(key, check) ?? fallback;
    known.push(key);
    return fallback;
  }

  const listen = required("HostPort", address);
  const stacosys = required("Stacosys", stacosysUrl);
  const cert = optional("TlsCertFile", fileName, undefined);
  const key = optional("TlsKeyFile", fileName, undefined);
  if ((cert === undefined) !== (key === undefined)) {
    const [one, other] = cert === undefined ? ["TlsCertFile", "TlsKeyFile"] : ["TlsKeyFile", "TlsCertFile"];
    faults.push(`${file}: ${one}: expected a file name, as ${other} has one, got nothing`);
  }
  const rest = {
    tls: cert === undefined || key === undefined ? undefined : { cert, key },
    corsOrigin: optional("CorsOrigin", corsOrigin, undefined),
    paths: optional("Paths", paths, ["/comments/count"]),
    ttlMs: optional("TtlSeconds", duration, 300_000),
    staleMs: optional("StaleIfErrorSeconds", durationOrNone, 86_400_000),
    staleWhileRevalidateMs: optional("StaleWhileRevalidateSeconds", durationOrNone, 0),
    sweepMs: optional("SweepSeconds", duration, 600_000),
    timeoutMs: optional("TimeoutSeconds", duration, 10_000),
    maxEntries: optional("MaxEntries", amount, 10_000),
    snapshotFile: optional("SnapshotFile", fileName, undefined),
    reusePort: optional("ReusePort", flag, false),
    admin: optional("AdminHostPort", loopbackAddress, undefined),
    cacheControl: optional("CacheControl", flag, false),
  };

  // With ReusePort both could listen there, and readers would come to either.
  if (listen !== undefined && rest.admin?.port === listen.port) {
    const got = inWords(given.get("adminhostport"));
    faults.push(`${file}: AdminHostPort: expected another port than that of HostPort, got ${got}`);
  }
  for (const key of unread.values()) {
    warnings.push(`${file}: ${inWords(key).slice(1, -1)}: unknown, ignored${suggestion(key, known)}`);
  }
  if (listen === undefined || stacosys === undefined || faults.length > 0) {
    return { config: undefined, faults, warnings };
  }
  return { config: { listen, stacosys, ...rest }, faults, warnings };
}

function parseObject(text: string, fault: (text: string) => void): [string, unknown][] | undefined {
  try {
    const value: unknown = JSON.parse(text.replace(/^\uFEFF/, ""));
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return Object.entries(value);
    fault(`expected a JSON object, got ${inWords(value)}`);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    fault(`expected JSON, got something else: ${why.replaceAll(/\s+/g, " ")}`);
  }
}

function address({ given, fault }: Setting): Address | undefined {
  const expected = '"host:port" or ":port" with a port from 1 to 65535';
  if (typeof given !== "string") return fault(expected);
  const [, v6, name = "", digits] = /^(?:\[([\da-f:.]+)\]|([\w.-]*)):(\d{1,5})$/i.exec(given) ?? [];
  const port = Number(digits);
  const host = v6 === undefined ? name : `[${v6}]`;
  if (!(port >= 1 && port <= 65535) || !URL.canParse(`http://${host || "localhost"}`)) return fault(expected);
  return { hostname: (v6 ?? name) || undefined, port };
}

function loopbackAddress(setting: Setting): Address | undefined {
  const fault = () => setting.fault('"127.0.0.1:port" or another loopback address');
  const found = address({ ...setting, fault });
  if (found === undefined || isLoopback(found.hostname ?? "")) return found;
  return fault();
}

/** Whether a host is this machine, and reached from nowhere else. */
export function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "::1" || /^127(\.\d{1,3}){3}$/.test(hostname);
}

function stacosysUrl({ given, fault }: Setting): string | undefined {
  const expected = 'a URL such as "http://127.0.0.1:8100", without query or fragment';
  if (typeof given !== "string") return fault(expected);
  const url = URL.parse(given);
  if (url === null || !/^https?:$/.test(url.protocol) || /[?#]/.test(given)) return fault(expected);
  return url.href.replace(/\/+$/, "");
}

function corsOrigin({ given, fault, warn }: Setting): string | string[] | undefined {
  // The Go program took an empty name and sent an empty header, which to a browser is none.
  if (given === "" || given === null) return undefined;
  if (given === "*") return given;
  if (typeof given === "string") return origin(given, '"*" or an origin');
  if (!Array.isArray(given) || given.length === 0) return fault('"*", an origin or a list of origins');
  return given.map((item) => origin(item, "an origin")).filter((item) => item !== undefined);

  function origin(value: unknown, expected: string): string | undefined {
    const withScheme = String(value).replace(/^(?!https?:\/\/)([^/]*:\/\/)?/i, "https://");
    const url = URL.parse(withScheme);
    if (typeof value !== "string" || url === null || !/^[!-+\--~]+$/.test(value) || value === "*") {
      return fault(`${expected} such as "https://blog.example.org"`, value);
    }
    if (value !== url.origin && value !== "null") {
      warn(`no browser calls itself ${inWords(value)}, so none will show the counters; write ${inWords(url.origin)}`);
    }
    return value;
  }
}

function paths({ given, fault }: Setting): string[] | undefined {
  const expected = 'a list of paths such as ["/comments/count"]';
  if (!Array.isArray(given) || given.length === 0) return fault(expected);
  return given.map(path).filter((item) => item !== undefined);

  function path(value: unknown): string | undefined {
    if (typeof value === "string" && /^\/[!-~]*$/.test(value) && !/[?#]/.test(value)) return value;
    return fault(expected, value);
  }
}

/** Thirty years; anything longer is a slip, and no clock need be able to count it. */
const LONGEST_SECONDS = 1e9;

/** More than any machine holds; the cache has a map for each 16,384 of them from the start. */
const MOST_ENTRIES = 1e9;

function duration({ given, fault }: Setting): number | undefined {
  if (typeof given === "number" && given > 0 && given <= LONGEST_SECONDS) return given * 1000;
  return fault(`a number of seconds greater than 0, up to ${LONGEST_SECONDS}`);
}

function durationOrNone(setting: Setting): number | undefined {
  if (setting.given === 0) return 0;
  return duration({ ...setting, fault: () => setting.fault(`a number of seconds from 0 to ${LONGEST_SECONDS}`) });
}

function amount({ given, fault }: Setting): number | undefined {
  if (typeof given === "number" && Number.isInteger(given) && given >= 1 && given <= MOST_ENTRIES) return given;
  return fault(`a whole number from 1 to ${MOST_ENTRIES}`);
}

function fileName({ given, fault }: Setting): string | undefined {
  return typeof given === "string" && given !== "" && !given.includes("\0") ? given : fault("a file name");
}

function flag({ given, fault }: Setting): boolean | undefined {
  return typeof given === "boolean" ? given : fault("true or false");
}

function suggestion(key: string, known: readonly string[]): string {
  const distance = (name: string) => levenshteinDistance(name.toLowerCase(), key.toLowerCase());
  const [nearest = ""] = known.toSorted((a, b) => distance(a) - distance(b));
  return distance(nearest) <= 2 ? `; did you mean ${nearest}?` : "";
}

function inWords(value: unknown): string {
  if (value === undefined) return "nothing";
  const text = JSON.stringify(value);
  return text.length <= 80 ? text : `${text.slice(0, 79)}…`;
}
