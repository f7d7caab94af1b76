/**
 * The last moments of a process that another one replaces on the same port.
 *
 * When a listener closes, Linux resets the connections that wait in its queue, and `Deno.serve` closes those that it has
 * not read from yet. Under load there always are some. So the leaving process lets readers wait before it closes its
 * listener: soon all who came to it are inside, and those who come after them find the new process.
 *
 * @module
 */

/** A handler whose readers can be made to wait. */
export interface Handoff {
  readonly handle: Deno.ServeHandler;
  /** Makes readers wait until nobody has come for {@linkcode QUIET_MS}, or for {@linkcode LONGEST_MS} in all. */
  readonly calm: () => Promise<void>;
  /** Answers them, and whoever still comes. */
  readonly release: () => void;
}

/** Longer than a reader on the same machine takes from one answer to his next request. */
const QUIET_MS = 20;

/** Where readers come too often for a quiet moment, one in the middle of them has to do. */
const LONGEST_MS = 500;

/** Returns `handler` as one that can hand over to another process. */
export function createHandoff(handler: Deno.ServeHandler): Handoff {
  let held: PromiseWithResolvers<void> | undefined;
  let lastCame = 0;
  return {
    handle(request, info) {
      if (held === undefined) return handler(request, info);
      lastCame = performance.now();
      return held.promise.then(() => handler(request, info)).then(asLast);
    },
    async calm() {
      held = Promise.withResolvers();
      const start = lastCame = performance.now();
      for (let now = start; now - lastCame < QUIET_MS && now - start < LONGEST_MS; now = performance.now()) {
        await new Promise((resolve) => setTimeout(resolve, QUIET_MS / 4));
      }
    },
    release() {
      held?.resolve();
    },
  };
}

/** Tells the reader that his next request needs another connection, before he sends it into this one, which closes. */
function asLast(response: Response): Response {
  response.headers.set("connection", "close");
  return response;
}
