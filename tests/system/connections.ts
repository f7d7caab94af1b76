/**
 * Bare connections to the program, for what no client would send.
 *
 * @module
 */

import { Buffer } from "node:buffer";

/** Connections to the program, as many as one wants. Disposing of it closes all. */
export interface Connections extends AsyncDisposable {
  /** What was received on each. */
  readonly each: readonly { readonly text: string }[];
  /** How many the program has not closed. */
  readonly open: number;
  /** Sends to all that are open, the same to all or to each its own. Resolves when the system has taken it. */
  send(text: string | ((member: number) => string)): Promise<void>;
}

/** Opens so many connections. Text is Latin-1 on them, so that a test can send any byte. */
export async function connectMany(
  program: { readonly url: string },
  amount: number,
  { reading = true } = {},
): Promise<Connections> {
  const members = await Promise.all(Array.from({ length: amount }, async () => {
    return { connection: await connect(program), text: "", open: true };
  }));
  async function read(member: typeof members[number]): Promise<void> {
    try {
      for await (const bytes of member.connection.readable) member.text += latin1.decode(bytes);
    } catch {
      // A reset is an end, too.
    }
    member.open = false;
  }
  const ends = reading ? members.map(read) : [];
  return {
    each: members,
    get open() {
      return members.filter(({ open }) => open).length;
    },
    async send(text) {
      const all = typeof text === "string" ? encode(text) : text;
      await Promise.all(members.map(async ({ connection, open }, i) => {
        if (open) await writeAll(connection, typeof all === "function" ? encode(all(i)) : all);
      }));
    },
    async [Symbol.asyncDispose]() {
      for (const { connection } of members) close(connection);
      await Promise.all(ends);
    },
  };
}

/** Opens a connection. */
export function connect({ url }: { readonly url: string }): Promise<Deno.TcpConn> {
  const { hostname, port } = new URL(url);
  return Deno.connect({ hostname, port: Number(port) });
}

/** A request for a target as a client writes it. */
export function request(target: string): string {
  return `GET ${target} HTTP/1.1\r\nHost: blog.example.org\r\n\r\n`;
}

async function writeAll(connection: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
  try {
    for (let sent = 0; sent < bytes.length;) sent += await connection.write(bytes.subarray(sent));
  } catch {
    // The other side has closed it, which is seen where one reads.
  }
}

function close(connection: Deno.TcpConn): void {
  try {
    connection.close();
  } catch {
    // It was, with its stream.
  }
}

const latin1 = new TextDecoder("latin1");

function encode(text: string): Uint8Array<ArrayBuffer> {
  return Buffer.from(text, "latin1");
}
