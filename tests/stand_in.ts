/**
 * A Stacosys for tests: it answers as Flask's own server does, or misbehaves on the wire as a test wants it to.
 *
 * It speaks HTTP/1.1 over plain TCP, since no HTTP library lets one send half a header. The sockets are Node's, since
 * Deno's own cannot be reset.
 *
 * @module
 */

import net from "node:net";
import { setTimeout as pause } from "node:timers/promises";

/** A request as the stand-in saw it. */
export interface Seen {
  readonly method: string;
  /** Path and query, byte for byte. */
  readonly target: string;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  /** Which connection it came on; the first is 1. */
  readonly connection: number;
}

/** A request, and the wire to answer it on. What is awaited here rejects once the other side has gone. */
export interface Exchange extends Seen {
  /** Sends bytes as they are, a string as UTF-8. Resolves when the system has taken them. */
  send(bytes: string | Uint8Array): Promise<void>;
  /** Closes the connection with a reset, as a process that is killed does. */
  reset(): void;
  /** Waits, in milliseconds. */
  pause(ms: number): Promise<void>;
}

/** Answers a request. Once it is done the connection is closed; it is so at once if another request comes on it. */
export type Behaviour = (exchange: Exchange) => Promise<void>;

/** A Stacosys that does as it is told. Disposing of it closes everything. */
export interface StandIn extends AsyncDisposable {
  /** Where it listens, without a slash at the end. It stays the same however often it is stopped and started. */
  readonly url: string;
  /** All requests so far, the oldest first. */
  readonly requests: readonly Seen[];
  /** How many requests are being answered. */
  readonly open: number;
  /** How many were at most. */
  readonly mostOpen: number;
  /** How many connections there are. */
  readonly connections: number;
  /** From now on answers with `behaviour`: for all articles alike, or only for the one with this `url`. */
  answer(behaviour: Behaviour, url?: string): void;
  /** Refuses connections, and resets those that are open. */
  stop(): Promise<void>;
  /** Listens again after a stop. */
  start(): Promise<void>;
}

/**
 * Starts a stand-in on a port that the system chooses. It answers every request with a count of 7.
 *
 * ```ts
 * import { cutShort, startStandIn } from "./stand_in.ts";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * await using stacosys = await startStandIn();
 * stacosys.answer(cutShort, "/a/");
 *
 * const response = await fetch(`${stacosys.url}/comments/count?url=/b/`);
 * assertEquals(await response.json(), { count: 7 });
 * await assertRejects(async () => (await fetch(`${stacosys.url}/comments/count?url=/a/`)).text());
 * assertEquals(stacosys.requests.map(({ target }) => target), ["/comments/count?url=/b/", "/comments/count?url=/a/"]);
 * ```
 */
export async function startStandIn(): Promise<StandIn> {
  const requests: Seen[] = [];
  const sockets = new Set<net.Socket>();
  const behaviours = new Map<string, Behaviour>();
  let behaviour: Behaviour = count(7);
  let connections = 0;
  let open = 0;
  let mostOpen = 0;

  const server = net.createServer({ noDelay: true }, (socket) => {
    const connection = ++connections;
    const gone = new AbortController();
    let text = "";
    let asked = false;
    sockets.add(socket);
    socket.on("close", () => {
      sockets.delete(socket);
      gone.abort();
    });
    // A close follows, and tells all that is to be known.
    socket.on("error", () => {});
    socket.setEncoding("latin1");
    socket.on("data", (part) => {
      // Of a second request on the same connection nobody takes note, least of all one that is about to close it.
      if (asked) return socket.destroy();
      text += part;
      if (!text.endsWith("\r\n\r\n")) return;
      asked = true;
      const seen = { ...parse(text), connection };
      requests.push(seen);
      serve(socket, gone.signal, seen);
    });
  });

  async function serve(socket: net.Socket, gone: AbortSignal, seen: Seen): Promise<void> {
    const url = new URLSearchParams(seen.target.replace(/^[^?]*/, "")).get("url") ?? "";
    mostOpen = Math.max(mostOpen, ++open);
    try {
      await (behaviours.get(url) ?? behaviour)({
        ...seen,
        send: (bytes) => send(socket, bytes),
        reset: () => socket.resetAndDestroy(),
        pause: (ms) => pause(ms, undefined, { signal: gone }),
      });
      socket.end();
    } catch (error) {
      if (!socket.destroyed) throw error;
    } finally {
      open--;
    }
  }

  async function start(port: number): Promise<void> {
    for (const end = Date.now() + 60_000;;) {
      try {
        return await listen(server, port);
      } catch (error) {
        // While nobody listens there, the system may lend the port to some connection.
        if (Date.now() > end) throw error;
        await pause(20);
      }
    }
  }

  async function stop(): Promise<void> {
    if (!server.listening) return;
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of sockets) socket.resetAndDestroy();
    await closed;
  }

  await listen(server, 0);
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the stand-in has no port");
  const { port } = address;
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    get open() {
      return open;
    },
    get mostOpen() {
      return mostOpen;
    },
    get connections() {
      return sockets.size;
    },
    answer(next, url) {
      if (url !== undefined) {
        behaviours.set(url, next);
        return;
      }
      behaviours.clear();
      behaviour = next;
    },
    stop,
    start: () => start(port),
    [Symbol.asyncDispose]: stop,
  };
}

function parse(text: string): { method: string; target: string; headers: Map<string, string> } {
  const [first = "", ...lines] = text.trimEnd().split("\r\n");
  const [method = "", target = ""] = first.split(" ");
  const headers = new Map(lines.map((line): [string, string] => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
  }));
  return { method, target, headers };
}

function listen(server: net.Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function send(socket: net.Socket, bytes: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => socket.write(bytes, (error) => error ? reject(error) : resolve()));
}

// What a well-behaved Stacosys does.

/** A good count. */
export function count(count: number): Behaviour {
  return body(`{"count":${count}}\n`);
}

/** Any body of ASCII, as JSON with status 200. */
export function body(text: string): Behaviour {
  return ({ send }) => send(ok(text));
}

/** A good count, but late. */
export function slowly(ms: number, n: number): Behaviour {
  return async (exchange) => {
    await exchange.pause(ms);
    await count(n)(exchange);
  };
}

/** A good count, but only after it is released. */
export function held(n: number): { readonly behaviour: Behaviour; readonly release: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  const behaviour = async (exchange: Exchange) => {
    await promise;
    await count(n)(exchange);
  };
  return { behaviour, release: resolve };
}

/** A good count in gzip. */
export function gzip(count: number): Behaviour {
  return async ({ send }) => {
    const body = await compress([new TextEncoder().encode(`{"count":${count}}\n`)]);
    await send(header("200 OK", ["Content-Encoding: gzip", `Content-Length: ${body.length}`]));
    await send(body);
  };
}

/** A good count in two chunks. */
export function chunked(count: number): Behaviour {
  return async ({ send, pause }) => {
    await send(header("200 OK", ["Transfer-Encoding: chunked"]) + chunk('{"count":'));
    await pause(10);
    await send(chunk(`${count}}\n`) + chunk(""));
  };
}

/** A good count behind 60 kB of white space, all in chunks of a byte. */
export function byteChunks(count: number): Behaviour {
  return async ({ send }) => {
    await send(header("200 OK", ["Transfer-Encoding: chunked"]));
    const body = " ".repeat(60_000) + `{"count":${count}}\n`;
    await send(Array.from(body, chunk).join("") + chunk(""));
  };
}

/** A good count, after a redirect to another target of the same host. */
export function redirectOnce(n: number): Behaviour {
  return (exchange) => {
    if (exchange.target.endsWith("&moved")) return count(n)(exchange);
    return redirectTo(`${exchange.target}&moved`)(exchange);
  };
}

/** A good count on a connection that stays open until another request comes on it: the worst moment to close it. */
export function keptOpen(count: number): Behaviour {
  return async ({ send, pause }) => {
    await send(ok(`{"count":${count}}\n`).replace("Connection: close\r\n", ""));
    await pause(FOREVER_MS);
  };
}

// What is wrong, but in good HTTP.

/** A status with no body, and whatever headers. */
export function status(status: string, ...headers: string[]): Behaviour {
  return ({ send }) => send(header(status, [...headers, "Content-Length: 0"]));
}

/** A redirect. */
export function redirectTo(location: string): Behaviour {
  return status("302 FOUND", `Location: ${location}`);
}

/** A redirect to where one is. */
export function redirectLoop(exchange: Exchange): Promise<void> {
  return redirectTo(exchange.target)(exchange);
}

/** A page for people, with status 200. */
export function html({ send }: Exchange): Promise<void> {
  return send(ok("<!doctype html><title>Maintenance</title>", "text/html"));
}

/** No body at all, with status 200. */
export function empty({ send }: Exchange): Promise<void> {
  return send(ok(""));
}

/** JSON that is Latin-1, with status 200. */
export async function notUtf8({ send }: Exchange): Promise<void> {
  await send(header("200 OK", ["Content-Length: 3"]));
  await send(new Uint8Array([0x22, 0xe9, 0x22]));
}

/** The first half of a JSON text, with the right length and status 200. */
export function halfJson({ send }: Exchange): Promise<void> {
  return send(ok('{"count":'));
}

/** 50 MB of good JSON. */
export async function fiftyMegabytes({ send }: Exchange): Promise<void> {
  await send(header("200 OK", [`Content-Length: ${50 * MEGABYTE.length + 1}`]));
  for (let i = 0; i < 50; i++) await send(MEGABYTE);
  await send("7");
}

/** Chunk upon chunk of what might yet be JSON, without end. */
export async function endlessChunks({ send }: Exchange): Promise<void> {
  await send(header("200 OK", ["Transfer-Encoding: chunked"]));
  while (true) await send(chunk(" ".repeat(1000)));
}

/** 100 kB that unpack to 100 MB. */
export async function gzipBomb({ send }: Exchange): Promise<void> {
  bomb ??= compress(Array.from({ length: 100 }, () => MEGABYTE));
  const body = await bomb;
  await send(header("200 OK", ["Content-Encoding: gzip", `Content-Length: ${body.length}`]));
  await send(body);
}

/** A good count behind so many headers. */
export function headers(amount: number): Behaviour {
  return async ({ send }) => {
    const body = '{"count":7}\n';
    const flood = Array.from({ length: amount }, (_, i) => `X-Header-${i}: ${i}`);
    await send(header("200 OK", [...flood, `Content-Length: ${body.length}`]) + body);
  };
}

// What is wrong on the wire.

/** The header breaks off with a reset. */
export async function resetInHeader({ send, reset }: Exchange): Promise<void> {
  await send("HTTP/1.1 200 OK\r\nContent-Ty");
  reset();
}

/** The body breaks off with a reset. */
export async function resetInBody({ send, reset }: Exchange): Promise<void> {
  await send(`${header("200 OK", ["Content-Length: 12"])}{"count"`);
  reset();
}

/** The body ends before its `Content-Length` does. What there is of it is good JSON. */
export function cutShort({ send }: Exchange): Promise<void> {
  return send(`${header("200 OK", ["Content-Length: 100"])}{"count":7}\n`);
}

/** The body goes on after its `Content-Length`. */
export function lengthTooShort({ send }: Exchange): Promise<void> {
  return send(`${header("200 OK", ["Content-Length: 5"])}{"count":7}\n`);
}

/** A good answer, at a byte a second. */
export async function byteASecond({ send, pause }: Exchange): Promise<void> {
  for (const byte of ok('{"count":7}\n')) {
    await send(byte);
    await pause(1_000);
  }
}

/** No answer, ever. */
export function hang({ pause }: Exchange): Promise<void> {
  return pause(FOREVER_MS);
}

/** Headers without end. */
export async function endlessHeaders({ send }: Exchange): Promise<void> {
  await send("HTTP/1.1 200 OK\r\n");
  for (let i = 0;; i++) await send(`X-Header-${i}: ${"x".repeat(1000)}\r\n`);
}

const FOREVER_MS = 2 ** 31 - 1;

const MEGABYTE = new Uint8Array(1024 * 1024).fill(0x20);

let bomb: Promise<Uint8Array<ArrayBuffer>> | undefined;

async function compress(parts: Uint8Array<ArrayBuffer>[]): Promise<Uint8Array<ArrayBuffer>> {
  const packed = ReadableStream.from(parts).pipeThrough(new CompressionStream("gzip"));
  return await new Response(packed).bytes();
}

function ok(body: string, type = "application/json"): string {
  return header("200 OK", [`Content-Length: ${body.length}`], type) + body;
}

function header(status: string, lines: readonly string[], type = "application/json"): string {
  const first = [`HTTP/1.1 ${status}`, "Server: Werkzeug/2.2.2 Python/3.11.2", `Content-Type: ${type}`];
  return [...first, ...lines, "Connection: close", "", ""].join("\r\n");
}

function chunk(text: string): string {
  return `${text.length.toString(16)}\r\n${text}\r\n`;
}
