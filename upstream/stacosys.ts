/**
 * The one place that talks to Stacosys: what is asked, how long and how much it may take, and what a good answer is.
 *
 * @module
 */

import { STATUS_CODE } from "@std/http/status";
import { resendLost } from "./lost.ts";
import { createTurns } from "./semaphore.ts";

/** What Stacosys said: a body that is JSON, or why there is none. */
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

/** Asks Stacosys for a target. Never rejects. */
export type Ask = (target: string) => Promise<Answer>;

/** How Stacosys is asked. */
export interface StacosysOptions {
  /** Its URL, without a slash at the end. */
  readonly url: string;
  /** How long an answer may take, its body and the wait for a turn included, in milliseconds. */
  readonly timeoutMs: number;
}

/** A counter has some 12 bytes; anything longer than this is none. */
const MAX_BODY_BYTES = 64 * 1024;

/** What all but strange answers fit into. */
const FIRST_BODY_BYTES = 256;

/** Flask's own server answers one request at a time; more at once would only queue there, out of our sight. */
const MAX_AT_ONCE = 64;

/** As Go's client has it: the tenth is not followed. */
const MAX_REDIRECTS = 10;

/** Timers count in 32 bits; a longer one would fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/**
 * Returns a function that asks the Stacosys at `url`.
 *
 * Each request has a connection of its own: Flask closes it after each answer, and servers that keep it open may close
 * it at the very moment at which it would be used again.
 */
export function createStacosys({ url, timeoutMs }: StacosysOptions): Ask {
  const client = Deno.createHttpClient({ poolMaxIdlePerHost: 0 });
  const { host } = new URL(url);
  const turns = createTurns(MAX_AT_ONCE);
  const send = resendLost(exchange, ({ outcome }) => outcome === "ok", turns);
  const inTime = `within ${timeoutMs / 1000} s`;

  return async function ask(target) {
    const limit = createLimit(timeoutMs);
    try {
      if (!await turns.take(limit.signal)) {
        return { outcome: "timeout", reason: `no turn among ${MAX_AT_ONCE} ${inTime}` };
      }
      try {
        return await send(target, limit);
      } finally {
        turns.pass();
      }
    } catch (error) {
      if (limit.over) return { outcome: "timeout", reason: `no answer ${inTime}` };
      return { outcome: "network", reason: innermost(error) };
    } finally {
      limit.lift();
    }
  };

  async function exchange(target: string, signal: AbortSignal): Promise<Answer> {
    let location = url + target;
    for (let redirects = 0; redirects < MAX_REDIRECTS; redirects++) {
      const response = await fetch(location, {
        client,
        signal,
        redirect: "manual",
        headers: { accept: "application/json", "user-agent": "httpfastcache" },
      });
      const { status } = response;
      if (status === STATUS_CODE.OK) return await readBody(response);
      await response.body?.cancel();
      const to = response.headers.get("location");
      if (status < 300 || status > 399 || to === null) {
        return { outcome: "status", reason: `status ${status}`, status };
      }
      const next = URL.parse(to, location);
      if (next?.host !== host) return { outcome: "redirect", reason: `a redirect to ${next?.host || to}`, status };
      location = next.href;
    }
    return { outcome: "redirect", reason: `${MAX_REDIRECTS} redirects` };
  }
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
    JSON.parse(body);
    return { outcome: "ok", body };
  } catch {
    return { outcome: "body", reason: "a body that is not JSON", status };
  }
}

/** Starts a time limit. */
function createLimit(ms: number) {
  let controller = new AbortController();
  let over = false;
  const timer = setTimeout(() => {
    over = true;
    controller.abort();
  }, Math.min(ms, LONGEST_TIMER_MS));
  return {
    get signal() {
      return controller.signal;
    },
    get over() {
      return over;
    },
    renew() {
      controller.abort();
      controller = new AbortController();
      if (over) controller.abort();
    },
    lift() {
      clearTimeout(timer);
    },
  };
}

/** The cause at the bottom says what happened; what wraps it says only that something did. */
function innermost(error: unknown): string {
  while (error instanceof Error && error.cause !== undefined) error = error.cause;
  const message = error instanceof Error ? error.message : String(error);
  return message.replace(/^.*: /s, "");
}
