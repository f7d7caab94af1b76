/**
 * The end of the process: no new requests, those under way answered.
 *
 * When a listener closes, Linux resets the connections that wait in its queue, and `Deno.serve` closes those that it has
 * not read from yet. Under load there always are some. A process that another one replaces on the same port therefore
 * holds new requests for some 20 ms until its queue is empty; later connections go to the new process.
 *
 * @module
 */

import type { Listener } from "./listen.ts";

/** Without a new request in so many looks, 5 ms apart, the queue is empty: readers on this machine are quicker. */
const QUIET_LOOKS = 4;
const QUIET_PAUSE_MS = 5;

/** Under a load without a quiet moment, the listener closes after this time. */
const LONGEST_HOLD_MS = 500;

/** How long requests under way may take once the process is told to end. */
const DRAIN_MS = 5_000;

/** So many looks, 10 ms apart, are longer than an answer takes from the handler to the system, which then sends it alone. */
const WRITE_LOOKS = 10;
const WRITE_PAUSE_MS = 10;

/** Follows the requests that are under way, so that the process can end when the last of them is answered. */
export class Shutdown {
  readonly #handler: Deno.ServeHandler;
  readonly #underWay = new Set<Request>();
  /** Requests wait for it, once the process is told to end. */
  #held: PromiseWithResolvers<void> | undefined;
  #cameHeld = 0;

  constructor(handler: Deno.ServeHandler) {
    this.#handler = handler;
  }

  /** How many requests of readers wait for Stacosys, or are being sent their answer. */
  get waiting(): number {
    return this.#underWay.size;
  }

  /** The handler, whose requests are followed. */
  readonly handle: Deno.ServeHandler = (request, info) => {
    if (this.#held !== undefined) return this.#hold(this.#held.promise, request, info);
    const response = this.#handler(request, info);
    // What is answered at once needs no following.
    if (!(response instanceof Promise)) return response;
    this.#follow(request, info);
    return response.then((answer) => this.#held === undefined ? answer : asLast(answer));
  };

  /**
   * Closes `listeners`, and resolves when no request is under way, after about 5 s at most. Idle connections are not waited
   * for.
   *
   * @param replaced whether another process takes over the port.
   */
  async end(listeners: readonly Listener[], replaced: boolean): Promise<void> {
    this.#held = Promise.withResolvers();
    if (replaced) await this.#quiet();
    const closed = Promise.all(listeners.map((listener) => listener.shutdown()));
    this.#held.resolve();
    await Promise.race([closed, this.#answered()]);
  }

  async #hold(released: Promise<void>, request: Request, info: Deno.ServeHandlerInfo): Promise<Response> {
    this.#cameHeld++;
    this.#follow(request, info);
    await released;
    return asLast(await this.#handler(request, info));
  }

  /** Counts a request until it is answered, or its reader has left. */
  #follow(request: Request, { completed }: Deno.ServeHandlerInfo): void {
    this.#underWay.add(request);
    const done = () => void this.#underWay.delete(request);
    completed.then(done, done);
    request.signal.addEventListener("abort", done);
  }

  // Both count looks, not time: a busy machine may hold up the process between two of them.

  async #quiet(): Promise<void> {
    const start = performance.now();
    for (let quiet = 0; quiet < QUIET_LOOKS && performance.now() - start < LONGEST_HOLD_MS;) {
      const before = this.#cameHeld;
      await pause(QUIET_PAUSE_MS);
      quiet = this.#cameHeld === before ? quiet + 1 : 0;
    }
  }

  async #answered(): Promise<void> {
    const start = performance.now();
    for (let answered = 0; answered < WRITE_LOOKS && performance.now() - start < DRAIN_MS;) {
      await pause(WRITE_PAUSE_MS);
      answered = this.#underWay.size === 0 ? answered + 1 : 0;
    }
  }
}

/** Tells the reader that this connection closes, before a next request is sent into it. */
function asLast(response: Response): Response {
  response.headers.set("connection", "close");
  return response;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
