/**
 * Single-flight: the requests to Stacosys that readers share.
 *
 * @module
 */

/** What a request came to; `ok` is good. */
interface Ended {
  readonly outcome: string;
}

/** A request that readers wait for. */
export interface Shared<A> {
  /** When it was sent, by the monotonic clock, in milliseconds. */
  readonly sentAt: number;
  /** Its answer, or the good one of a later request for the same key, whichever comes first. */
  readonly answer: Promise<A>;
  /** Whether others may join it. `overtaken`: a later request for the same key got a good answer first. */
  readonly state: "joinable" | "forgotten" | "overtaken";
}

interface Open<A> extends Shared<A> {
  state: Shared<A>["state"];
  resolve(answer: A): void;
}

/** The open requests. One that is forgotten stays open until it ends. */
export class InFlight<A extends Ended> {
  readonly #monotonic: () => number;
  /** The oldest first. */
  readonly #open = new Set<Open<A>>();
  /** The same by key. Only the last of a key may be joinable. */
  readonly #byKey = new Map<string, Open<A>[]>();

  constructor(monotonic: () => number) {
    this.#monotonic = monotonic;
  }

  /** How many are open. */
  get size(): number {
    return this.#open.size;
  }

  /** How old the oldest is, in milliseconds; 0 if there is none. */
  get oldestMs(): number {
    const [oldest] = this.#open;
    return oldest === undefined ? 0 : this.#monotonic() - oldest.sentAt;
  }

  /** The request that a reader of `key` may share; undefined if there is none. */
  join(key: string): Shared<A> | undefined {
    const last = this.#byKey.get(key)?.at(-1);
    return last?.state === "joinable" ? last : undefined;
  }

  /** Sends a request that others can join. A good answer also reaches those who wait for earlier requests of `key`. */
  start(key: string, send: (request: Shared<A>) => Promise<A>): Shared<A> {
    const { promise, resolve } = Promise.withResolvers<A>();
    const request: Open<A> = { sentAt: this.#monotonic(), answer: promise, state: "joinable", resolve };
    const sameKey = this.#byKey.getOrInsertComputed(key, () => []);
    sameKey.push(request);
    this.#open.add(request);
    send(request).then((answer) => {
      this.#open.delete(request);
      const earlier = sameKey.slice(0, sameKey.indexOf(request));
      sameKey.splice(earlier.length, 1);
      if (sameKey.length === 0) this.#byKey.delete(key);
      resolve(answer);
      if (answer.outcome !== "ok") return;
      for (const one of earlier) {
        one.state = "overtaken";
        one.resolve(answer);
      }
    });
    return request;
  }

  /** The keys that have a request now. */
  keys(): string[] {
    return [...this.#byKey.keys()];
  }

  /** Lets nobody join the request for `key` any longer. It is open until it ends. */
  forget(key: string): void {
    const last = this.#byKey.get(key)?.at(-1);
    if (last?.state === "joinable") last.state = "forgotten";
  }
}
