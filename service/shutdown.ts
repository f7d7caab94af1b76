/**
 * The end of the process: no new requests, those under way answered.
 *
 * When a listener closes, Linux resets the connections that wait in its queue, and `Deno.serve` closes those that have
 * not sent anything yet. Under load there always are some. A process that another one replaces on the same port
 * therefore holds new requests until no more come; later connections go to the new process.
 *
 * No clock tells that: on a busy machine a pause may last ten times as long as it should, and then all that came
 * meanwhile is still to be read. So it looks several times, with a pause before each look.
 *
 * @module
 */

import type { Listener } from "./listen.ts";
import type { Log } from "./log.ts";

/** The pause before each look. */
const LOOK_MS = 5;

/** Whoever was connected has sent his request after so many looks in a row at which none had come. */
const QUIET_LOOKS = 10;

/** A pause of none takes about a millisecond, if the machine is not busy. */
const SHORT_MS = 2;

/** Under a load without a quiet moment, the listener closes after this time. */
const LONGEST_HOLD_MS = 1_000;

/** How long requests under way may take once the process is told to end. */
const DRAIN_MS = 5_000;

/** After so many looks in a row with no open request, the last answer has got to the system, which sends it. */
const WRITE_LOOKS = 20;

/** How the end knows the time, and lets it pass. */
export interface Time {
  /** A monotonic clock, in milliseconds. */
  readonly now: () => number;
  readonly sleep: (ms: number) => Promise<void>;
}

const TIME: Time = {
  now: () => performance.now(),
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
};

/** Follows the requests that are under way, so that the process can end when the last of them is answered. */
export class Shutdown {
  readonly #handler: Deno.ServeHandler;
  readonly #time: Time;
  readonly #underWay = new Set<Request>();
  /** Requests wait for it, once the process is told to end. */
  #held: PromiseWithResolvers<void> | undefined;
  /** How many do. */
  #came = 0;

  constructor(handler: Deno.ServeHandler, time: Time = TIME) {
    this.#handler = handler;
    this.#time = time;
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
   * Closes `listeners`, and resolves when no request is under way, after about 5 s at most. Idle connections are not
   * waited for.
   *
   * @param replaced whether another process takes over the port.
   */
  async end(listeners: readonly Listener[], replaced: boolean): Promise<void> {
    this.#held = Promise.withResolvers();
    if (replaced) await this.#quiet();
    const closed = Promise.all(listeners.map((listener) => listener.shutdown()));
    this.#held.resolve();
    await Promise.race([closed, this.#drained()]);
  }

  async #hold(released: Promise<void>, request: Request, info: Deno.ServeHandlerInfo): Promise<Response> {
    this.#came++;
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

  async #quiet(): Promise<void> {
    const { now, sleep } = this.#time;
    const end = now() + LONGEST_HOLD_MS;
    for (let quiet = 0; quiet < QUIET_LOOKS && now() < end;) {
      const before = this.#came;
      await sleep(LOOK_MS);
      quiet = this.#came > before ? 0 : quiet + 1;
    }
    // What comes in a pause is read in the next one. So the last is as short as the machine has them.
    for (let tries = 0, ms = Infinity; tries < QUIET_LOOKS && ms > SHORT_MS; tries++) {
      const start = now();
      await sleep(0);
      ms = now() - start;
    }
  }

  async #drained(): Promise<void> {
    const { now, sleep } = this.#time;
    const end = now() + DRAIN_MS;
    for (let quiet = 0; quiet < WRITE_LOOKS && now() < end;) {
      await sleep(LOOK_MS);
      quiet = this.#underWay.size > 0 ? 0 : quiet + 1;
    }
  }
}

/** Tells the reader that this connection closes, before a next request is sent into it. */
function asLast(response: Response): Response {
  response.headers.set("connection", "close");
  return response;
}

/** What a service heeds: two signals that end it, and one that does not. */
export const SIGNALS: readonly Deno.Signal[] = ["SIGINT", "SIGTERM", "SIGHUP"];

/** The status of a process that was told to end twice. */
const KILLED = 143;

/** Calls `stop` at the first signal that ends a service; a second one ends the process. Windows has SIGINT alone. */
export function onSignals(signals: readonly Deno.Signal[], log: Log, stop: () => Promise<void>): void {
  let stopping = false;
  function onSignal(): void {
    if (stopping) Deno.exit(KILLED);
    stopping = true;
    stop();
  }
  function ignore(): void {
    log("info", "SIGHUP is ignored; restart to read the configuration again");
  }
  for (const signal of Deno.build.os === "windows" ? signals.slice(0, 1) : signals) {
    Deno.addSignalListener(signal, signal === "SIGHUP" ? ignore : onSignal);
  }
}
