/**
 * The one place that talks to Stacosys: what is asked, how long and how much it may take, and which redirects it
 * follows.
 *
 * @module
 */

import { parseCount } from "./parse_count.ts";
import { MAX_AT_ONCE, Semaphore } from "./semaphore.ts";

/** What Stacosys said: a body that holds a count, or why there is none. */
export type Answer = Good | Bad;

/** An answer that may be kept and passed on. */
export interface Good {
  readonly outcome: "ok";
  readonly body: string;
}

/** An answer that may not, or none at all. */
export interface Bad {
  readonly outcome: "status" | "body" | "redirect" | "timeout" | "network";
  /** What went wrong, in a few words for the log. */
  readonly reason: string;
  /** The status, if there was one. */
  readonly status?: number;
}

/** How a request to Stacosys ended. */
export type Outcome = Answer["outcome"];

/** Asks Stacosys for a target, an urgent one before others that wait for a slot. Never rejects. */
export type Ask = (target: string, urgent?: boolean) => Promise<Answer>;

/** How Stacosys is asked. */
export interface StacosysOptions {
  /** Its URL, without a slash at the end. */
  readonly url: string;
  /** The header of that name, if it asks for a password. */
  readonly authorization?: string | undefined;
  /** How long an answer may take, its body and the wait for the semaphore included, in milliseconds. */
  readonly timeoutMs: number;
  /** A monotonic clock; `performance.now` by default. */
  readonly monotonic?: () => number;
  /** Authorities, in PEM, that are trusted besides those that Mozilla knows. */
  readonly caCerts?: string[];
}

/** A count has about 12 bytes; a body longer than this is not read. */
const MAX_BODY_BYTES = 64 * 1024;

/** Every count fits into this. */
const FIRST_BODY_BYTES = 256;

/**
 * A request whose turn comes when this share of its time is over is not sent: Stacosys would work for an answer that
 * comes too late, beside the 64 others.
 */
const LATEST_TURN = 0.9;

/** As Go's client has it: the tenth is not followed. */
const MAX_REDIRECTS = 10;

/**
 * Returns a function that asks the Stacosys at `url`.
 *
 * Each request has a connection of its own: Flask closes it after each answer, and servers that keep it open may close
 * it at the very moment at which it would be used again.
 */
export function createStacosys(
  { url, authorization, timeoutMs, caCerts = [], monotonic = () => performance.now() }: StacosysOptions,
): Ask {
  const client = Deno.createHttpClient({ poolMaxIdlePerHost: 0, caCerts });
  const semaphore = new Semaphore(MAX_AT_ONCE);
  const inTime = `within ${timeoutMs / 1000} s`;
  const headers = authorization === undefined ? HEADERS : { ...HEADERS, authorization };

  return async function ask(target, urgent = false) {
    const start = monotonic();
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(), timeoutMs);
    try {
      if (!await semaphore.acquire(limit.signal, urgent)) {
        return { outcome: "timeout", reason: `none of ${MAX_AT_ONCE} slots was free ${inTime}` };
      }
      try {
        if (monotonic() - start > LATEST_TURN * timeoutMs) {
          return { outcome: "timeout", reason: `none of ${MAX_AT_ONCE} slots was free soon enough` };
        }
        return await exchange(url, target, { client, headers, signal: limit.signal, redirect: "manual" });
      } finally {
        semaphore.release();
      }
    } catch (error) {
      if (limit.signal.aborted) return { outcome: "timeout", reason: `no answer ${inTime}` };
      return { outcome: "network", reason: innermost(error) };
    } finally {
      clearTimeout(timer);
    }
  };
}

/** What each request says of itself. */
const HEADERS = { accept: "application/json", "user-agent": "httpfastcache" };

type FetchOptions = RequestInit & { readonly client: Deno.HttpClient };

/**
 * Sends a request and follows redirects to the same host. Rejects when the network fails, and when the signal aborts.
 */
async function exchange(url: string, target: string, options: FetchOptions): Promise<Answer> {
  const { host, protocol } = new URL(url);
  let location = url + target;
  for (let redirects = 0; redirects < MAX_REDIRECTS; redirects++) {
    const response = await fetch(location, options);
    const { status } = response;
    if (status === 200) return await readBody(response);
    await response.body?.cancel();
    const to = response.headers.get("location");
    if (status < 300 || status > 399 || to === null) {
      return { outcome: "status", reason: `status ${status}`, status };
    }
    const next = URL.parse(to, location);
    if (next?.host !== host) {
      return {
        outcome: "redirect",
        reason: `a redirect to ${next === null ? "what is no URL" : next.host || next.protocol}`,
        status,
      };
    }
    // The password is for this scheme: https may lead to http, where others read it.
    if (next.protocol !== protocol) options = { ...options, headers: HEADERS };
    location = next.href;
  }
  return { outcome: "redirect", reason: `${MAX_REDIRECTS} redirects` };
}

/** Reads into one buffer that grows: Deno takes 64 KiB for each chunk, and there may be 60,000 chunks of a byte. */
async function readBody(response: Response): Promise<Answer> {
  const { status } = response;
  const reader = response.body?.getReader({ mode: "byob" });
  let bytes = new Uint8Array(FIRST_BODY_BYTES);
  let size = 0;
  while (reader !== undefined) {
    if (size === bytes.length) bytes = new Uint8Array(bytes.buffer.transfer(2 * size));
    const { value, done } = await reader.read(bytes.subarray(size));
    if (value !== undefined) bytes = new Uint8Array(value.buffer);
    if (done) break;
    size += value.length;
    if (size > MAX_BODY_BYTES) {
      await reader.cancel();
      return { outcome: "body", reason: "a body longer than 64 KiB", status };
    }
  }
  try {
    const body = new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, size));
    if (parseCount(body) !== undefined) return { outcome: "ok", body };
  } catch {
    // It is not UTF-8, and so no count.
  }
  return { outcome: "body", reason: "a body without a count", status };
}

/** The cause at the bottom says what happened; what wraps it says only that something did. */
function innermost(error: unknown): string {
  while (error instanceof Error && error.cause !== undefined) error = error.cause;
  const message = error instanceof Error ? error.message : String(error);
  // Of these two, the last part alone says nothing.
  return /(dns error|invalid peer certificate): .*/s.exec(message)?.[0] ?? message.replace(/^.*: /s, "");
}
