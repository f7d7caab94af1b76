/**
 * Listens on an address, and again after a failure.
 *
 * @module
 */

import type { Address } from "./checks.ts";
import { inFull, type Log, reason } from "./log.ts";
import type { Certificate } from "./tls.ts";

/** Something that listens until it is shut down. */
export interface Listener {
  /** Where it really listens, as URLs: `http://127.0.0.1:8101`. */
  readonly urls: readonly string[];
  /** Takes no further connections. Resolves when the last one has ended. */
  shutdown(): Promise<void>;
}

/** How to listen. */
export interface ListenOptions {
  /** Whether another process may listen on the same port. */
  readonly reusePort: boolean;
  /** The certificate, for HTTPS. */
  readonly certificate?: Certificate | undefined;
}

/** The address is in use or not there yet; a later try may succeed. */
export class AddressBusy extends Error {}

/** The delay before a broken listener is replaced, or a busy address tried again. */
const AGAIN_MS = 500;

/**
 * Listens on an address: `localhost` is 127.0.0.1, and no hostname is all addresses, over IPv4 and IPv6.
 *
 * @throws {AddressBusy} if it may be free in a moment.
 * @throws {Error} if it cannot be listened on. Either has a message for people.
 */
export function listen(
  { hostname, port }: Address,
  { reusePort, certificate }: ListenOptions,
  handler: Deno.ServeHandler,
  log: Log,
): Listener {
  function onError(error: unknown): Response {
    log("error", `a request could not be answered: ${inFull(error)}`);
    return new Response("500 internal server error\n", { status: 500 });
  }
  // An address that was meant for another program on this runtime would be listened on instead.
  Deno.env.delete("DENO_SERVE_ADDRESS");
  const pair = certificate && { cert: certificate.cert, key: certificate.key };
  const options = { reusePort, ...pair, port, onListen: () => {}, onError };
  const on = (hostname: string) =>
    keepListening((signal) => Deno.serve({ ...options, signal, hostname }, handler), certificate !== undefined, log);
  try {
    if (hostname === undefined) return onAllAddresses(on);
    // As with Go, whatever the hosts file says of it.
    return on(hostname === "localhost" ? "127.0.0.1" : hostname);
  } catch (error) {
    const text = `cannot listen on ${inUrl(hostname ?? "")}:${port}: ${reason(error)}`;
    throw mayPass(error) ? new AddressBusy(text) : new Error(text);
  }
}

/**
 * Calls `start` until its address is free, for `forMs` milliseconds at most.
 *
 * @param tell is called with the first error, once.
 * @throws {AddressBusy} if it is still busy then.
 */
export async function whenFree<T>(start: () => T, forMs: number, tell: (error: AddressBusy) => void): Promise<T> {
  for (let tries = 0;; tries++) {
    try {
      return start();
    } catch (error) {
      if (!(error instanceof AddressBusy) || tries * AGAIN_MS >= forMs) throw error;
      if (tries === 0) tell(error);
      await pauseByTimer();
    }
  }
}

/**
 * Most systems take "::" for IPv4 too. Where they do not, or have no IPv6, "0.0.0.0" is listened on as well, or alone.
 */
function onAllAddresses(on: (hostname: string) => Listener): Listener {
  let six: Listener;
  try {
    six = on("::");
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) throw error;
    return on("0.0.0.0");
  }
  try {
    const four = on("0.0.0.0");
    const both = [six, four];
    return {
      urls: both.flatMap(({ urls }) => urls),
      shutdown: async () => void await Promise.all(both.map((listener) => listener.shutdown())),
    };
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) return six;
    throw error;
  }
}

/**
 * Listens again whenever a server has given up, until it is shut down. `Deno.serve` gives up at the first connection
 * that it cannot accept, for example because too many files are open. Its connections are closed then, which makes room.
 */
export function keepListening(
  serve: (signal: AbortSignal) => Pick<Deno.HttpServer<Deno.NetAddr>, "addr" | "finished" | "shutdown">,
  secure: boolean,
  log: Log,
  pause = pauseByTimer,
): Listener {
  let connections = new AbortController();
  let server = serve(connections.signal);
  let stopping = false;
  async function relisten(): Promise<void> {
    for (let broken = false; !stopping; broken = true) {
      try {
        if (broken) server = serve(connections.signal);
        return await server.finished;
      } catch (error) {
        log("error", `a connection could not be accepted, all are closed: ${reason(error)}`);
        // Unlike `shutdown`, it closes also those over HTTP/2 on which nothing happens.
        connections.abort();
        connections = new AbortController();
        await pause();
      }
    }
  }
  relisten();
  const { hostname, port } = server.addr;
  return {
    urls: [`${secure ? "https" : "http"}://${inUrl(hostname)}:${port}`],
    shutdown() {
      stopping = true;
      return server.shutdown();
    },
  };
}

function pauseByTimer(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
}

function mayPass(error: unknown): boolean {
  return error instanceof Deno.errors.AddrInUse || error instanceof Deno.errors.AddrNotAvailable ||
    reason(error).includes("failed to lookup address");
}

function inUrl(hostname: string): string {
  return hostname.includes(":") ? `[${hostname}]` : hostname;
}
