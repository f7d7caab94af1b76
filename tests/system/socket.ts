/**
 * The WebSocket that a browser opens for whoever started it: DevTools protocol and WebDriver BiDi number their messages
 * alike.
 *
 * @module
 */

/** What a browser answers. */
export type Result = Record<string, unknown>;

/** A way to a browser. */
export interface Socket {
  /** Sends a command. Rejects with what the browser says if it cannot do it. */
  send(method: string, params?: Result, sessionId?: unknown): Promise<Result>;
  /** Resolves when the browser has closed its stderr. */
  close(): Promise<void>;
}

/** Connects to a browser, which says on stderr where it can be reached, and there at `path`. */
export async function connect(
  name: string,
  stderr: ReadableStream<Uint8Array<ArrayBuffer>>,
  path = "",
): Promise<Socket> {
  let url = "";
  const said = stderr.pipeThrough(new TextDecoderStream());
  const { promise: found, resolve: find } = Promise.withResolvers<void>();
  const ended = (async () => {
    for await (const text of said) {
      url ||= /ws:\/\/\S+/.exec(text)?.[0] ?? "";
      if (url !== "") find();
    }
  })();
  await Promise.race([found, ended]);
  if (url === "") throw new Error(`${name} did not start`);

  const socket = new WebSocket(url + path);
  await new Promise((resolve) => socket.onopen = resolve);
  const waiting = new Map<number, { resolve: (result: Result) => void; reject: (error: Error) => void }>();
  socket.onmessage = ({ data }) => {
    const { id, result, error, message } = JSON.parse(data);
    const { resolve, reject } = waiting.get(id) ?? {};
    waiting.delete(id);
    if (error === undefined) resolve?.(result);
    else reject?.(new Error(message ?? error.message));
  };
  let last = 0;
  return {
    send(method, params = {}, sessionId) {
      const id = ++last;
      socket.send(JSON.stringify({ id, method, params, sessionId }));
      return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
    },
    async close() {
      socket.close();
      await ended;
    },
  };
}
