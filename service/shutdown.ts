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

/** Longer than a reader on the same machine takes from one answer to his next request. */
const QUIET_MS = 20;

/** Where readers come too often for a quiet moment, one in the middle of them has to do. */
const LONGEST_HOLD_MS = 500;

/** How long requests under way may take once the process is told to end. */
const DRAIN_MS = 5_000;

/** Longer than an answer takes from the handler to the system, which sends it also when the process has ended. */
const WRITE_MS = 100;

/** Follows the requests that are under way, so that the process can end when the last of them is answered. */
export class Shutdown {
  readonly #handler: Deno.ServeHandler;
  #underWay = 0;
  /** Requests wait for it, once the process is told to end. */
  #held: PromiseWithResolvers<void> | undefined;
  #lastCame = 0;

  /** @param handler answers the requests. */
  constructor(handler: Deno.ServeHandler) {
    this.#handler = handler;
  }

  /** How many requests wait for Stacosys. */
  get waiting(): number {
    return this.#underWay;
  }

  /** Answers as the handler does. */
  readonly handle: Deno.ServeHandler = (request, info) => {
    if (this.#held !== undefined) return this.#hold(this.#held.promise, request, info);
    const response = this.#handler(request, info);
    // What is answered at once needs no following.
    if (response instanceof Promise) this.#follow(info);
    return response;
  };

  /**
   * Closes `listeners`, and resolves when no request is under way, after 5 s at most. Connections on which nothing happens
   * are not waited for.
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
    this.#lastCame = performance.now();
    this.#follow(info);
    await released;
    const response = await this.#handler(request, info);
    // The reader learns that his connection closes before he sends his next request into it.
    response.headers.set("connection", "close");
    return response;
  }

  #follow({ completed }: Deno.ServeHandlerInfo): void {
    this.#underWay++;
    const done = () => void this.#underWay--;
    completed.then(done, done);
  }

  async #quiet(): Promise<void> {
    const start = this.#lastCame = performance.now();
    for (let now = start; now - this.#lastCame < QUIET_MS && now - start < LONGEST_HOLD_MS; now = performance.now()) {
      await pause(QUIET_MS / 4);
    }
  }

  async #answered(): Promise<void> {
    const start = performance.now();
    let answeredAt = start;
    for (let now = start; now - answeredAt < WRITE_MS && now - start < DRAIN_MS; now = performance.now()) {
      if (this.#underWay > 0) answeredAt = now;
      await pause(WRITE_MS / 10);
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
