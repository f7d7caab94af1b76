/**
 * Readers who mean harm: whatever they send, they get what they should, and another reader still gets his count. How
 * long he waits and how much memory it takes depends on the machine; that is measured by `deno task stress`.
 *
 * @module
 */

import { assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { makeFolder } from "../folder.ts";
import { connect, type Connections, connectMany, request } from "./connections.ts";
import { freePort, FROM_SOURCE, type Program, startProgram } from "./program.ts";
import { ask, brief, received } from "./reader.ts";
import { hang, slowly, startStandIn, status } from "../stand_in.ts";
import { until } from "../until.ts";

/** The count of the home page. */
const HOME = "/comments/count?token=t&url=/";

// Made-up addresses.

Deno.test("made-up URLs never push out a count that readers keep asking for, nor fill more than MaxEntries", async () => {
  await using stacosys = await startStandIn();
  const admin = freePort();
  const config = { Stacosys: stacosys.url, MaxEntries: 200, AdminHostPort: `127.0.0.1:${admin}` };
  await using program = await startProgram(config);
  await ask(program, "/");
  for (let i = 0; i < 2_000; i += 100) {
    const urls = Array.from({ length: 100 }, (_, j) => `&url=/made-up/${i + j}/`).join("");
    assertEquals((await received(await fetch(`${program.url}/comments/counts?token=t${urls}`))).status, 200);
    assertEquals(await isHit(program), true);
  }
  assertEquals(await entriesOf(admin), 200);
  assertEquals(stacosys.requests.length, 2_001);
});

Deno.test("batches of more made-up URLs than may be waited for, while Stacosys hangs, are a 404, and a known count a hit", async () => {
  await using stacosys = await startStandIn();
  await using program = await startProgram({ Stacosys: stacosys.url, TimeoutSeconds: 2 });
  await ask(program, "/");
  stacosys.answer(hang);
  await using crowd = await connectMany(program, 60);
  const urls = Array.from({ length: 100 }, (_, i) => `&url=/made-up/${i}/`).join("");
  await crowd.send((member) => request(`/comments/counts?token=${member}${urls}`));
  assertEquals(await isHit(program), true);
  await until(() => crowd.each.every(({ text }) => text.startsWith("HTTP/1.1 404 ")), "all are answered");
});

Deno.test("an address longer than 8 KiB is refused with 414, and not kept", async () => {
  await using stacosys = await startStandIn();
  const admin = freePort();
  await using program = await startProgram({ Stacosys: stacosys.url, AdminHostPort: `127.0.0.1:${admin}` });
  async function askFor(length: number): Promise<number> {
    const target = "/comments/count?token=t&url=/".padEnd(length, "x");
    return (await received(await fetch(program.url + target))).status;
  }
  assertEquals([await askFor(8_192), await entriesOf(admin)], [200, 1]);
  for (const length of [8_193, 20_000, 60_000]) {
    assertEquals([await askFor(length), await entriesOf(admin)], [414, 1]);
  }
  assertEquals(stacosys.requests.length, 1);
});

// Connections.

Deno.test("readers who send nothing, send little by little, or never read what they get keep nobody from his count", async () => {
  await using stacosys = await startStandIn();
  await using program = await startProgram({ Stacosys: stacosys.url });
  await ask(program, "/");
  await using idle = await connectMany(program, 100);
  await using slow = await connectMany(program, 100);
  await using deaf = await connectMany(program, 20, { reading: false });
  for (const byte of "GET") {
    await slow.send(byte);
    deaf.send(request(HOME).repeat(1_000));
    assertEquals(await isHit(program), true);
  }
  assertEquals([idle.open, slow.open], [100, 100]);
  await slow.send(` ${HOME} HTTP/1.1\r\nHost: h\r\n\r\n`);
  await until(() => slow.each.every(({ text }) => text.endsWith('{"count":7}\n')), "who was slow is answered, too");
});

/** With this a connection speaks HTTP/2, and then waits. */
const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

for (const [protocol, start] of [["HTTP/1.1", ""], ["HTTP/2", PREFACE]] as const) {
  Deno.test(`more connections than files may be open, over ${protocol}, are closed, which ends neither the service nor its counts`, async () => {
    await using stacosys = await startStandIn();
    const command = ["sh", "-c", `ulimit -n 100; exec "$0" "$@"`, ...FROM_SOURCE];
    await using program = await startProgram({ Stacosys: stacosys.url }, command);
    const read = () => ask(program, "/a/").then(brief, () => "nothing");
    assertEquals(await read(), '200 {"count":7}');
    const crowd: Deno.Conn[] = [];
    await until(async () => {
      await assertRejects(async () => {
        while (true) {
          const connection = await connect(program);
          crowd.push(connection);
          await connection.write(new TextEncoder().encode(start));
        }
      });
      return await keptFromListening(program);
    }, "it cannot listen again at first");
    await until(async () => await read() === '200 {"count":7}', "the service listens again");
    for (const { readable } of crowd) await readable.pipeTo(new WritableStream()).catch(() => {});
    assertEquals(stacosys.requests.length, 1);
    assertMatch(program.stderr(), /^(\S+ error a connection could not be accepted, all are closed: .*\n)+$/);
  });
}

Deno.test("floods of headers are cut off", async () => {
  await using stacosys = await startStandIn();
  await using program = await startProgram({ Stacosys: stacosys.url });
  await ask(program, "/");
  const header = `X-Header: ${"x".repeat(1_000)}\r\n`;
  await using crowd = await connectMany(program, 20);
  await crowd.send("GET / HTTP/1.1\r\n");
  await until(async () => {
    await crowd.send(header.repeat(10));
    return crowd.open === 0;
  }, "all are cut off");
  for (const { text } of crowd.each) assertMatch(text, /^(HTTP\/1\.1 400 |$)/);
  assertEquals(await isHit(program), true);
});

Deno.test("whoever shuts his sending side after a request is answered from memory alone, and the count is kept", async () => {
  await using stacosys = await startStandIn();
  await using program = await startProgram({ Stacosys: stacosys.url });
  await ask(program, "/");
  for (const [target, answer] of [[HOME, /^HTTP\/1\.1 200 /], [`${HOME}a/`, /^$/]] as const) {
    using connection = await connect(program);
    await connection.write(new TextEncoder().encode(request(target)));
    await connection.closeWrite();
    assertMatch(await new Response(connection.readable).text(), answer);
  }
  const status = async () => (await ask(program, "/a/")).headers.get("cache-status");
  await until(async () => await status() === "httpfastcache; hit", "it is kept");
  assertEquals(stacosys.requests.length, 2);
});

// Requests.

Deno.test("a thousand requests in one go are answered in order", async () => {
  await using stacosys = await startStandIn();
  for (let i = 0; i < 10; i++) stacosys.answer(slowly(10 * (10 - i), i), `/${i}/`);
  await using program = await startProgram({ Stacosys: stacosys.url });
  await using crowd = await connectMany(program, 1);
  const order = Array.from({ length: 1_000 }, (_, i) => i % 10);
  await crowd.send(order.map((article) => request(`/comments/count?url=/${article}/`)).join(""));
  const counts = () => [...textOf(crowd).matchAll(/{"count":(\d+)}/g)].map(([, count]) => Number(count));
  await until(() => counts().length === order.length, "all are answered");
  assertEquals(counts(), order);
});

const BROKEN: Readonly<Record<string, string>> = {
  "HTTP/0.9": `GET ${HOME}\r\n\r\n`,
  "HTTP/3.0": `GET ${HOME} HTTP/3.0\r\n\r\n`,
  "no target": "GET  HTTP/1.1\r\n\r\n",
  "a target without a slash": "GET comments/count HTTP/1.1\r\n\r\n",
  "two spaces": `GET  ${HOME}  HTTP/1.1\r\n\r\n`,
  "a NUL in the target": `GET ${HOME}\0 HTTP/1.1\r\n\r\n`,
  "a NUL in a header": `GET ${HOME} HTTP/1.1\r\nHost: h\0\r\n\r\n`,
  "a target that is not UTF-8": `GET ${HOME}\xff\xfe HTTP/1.1\r\n\r\n`,
  "a target of 100 kB": `GET ${HOME}${"x".repeat(100_000)} HTTP/1.1\r\n\r\n`,
  "a method of 100 kB": `${"A".repeat(100_000)} ${HOME} HTTP/1.1\r\n\r\n`,
  "a header of 500 kB": `GET ${HOME} HTTP/1.1\r\nX: ${"x".repeat(500_000)}\r\n\r\n`,
  "200 headers": `GET ${HOME} HTTP/1.1\r\n${"X: x\r\n".repeat(200)}\r\n`,
  "100 kB of empty lines": "\r\n".repeat(50_000),
  "a header over two lines": `GET ${HOME} HTTP/1.1\r\nX: a\r\n b\r\n\r\n`,
  "two lengths": `GET ${HOME} HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab`,
  "a length and chunks": `GET ${HOME} HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  "a length below zero": `GET ${HOME} HTTP/1.1\r\nContent-Length: -1\r\n\r\n`,
  "TLS": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
  "no HTTP at all": "hello\r\n\r\n",
};

Deno.test("what is not HTTP is a 400 and the end of the connection, and nobody else notices", async () => {
  await using stacosys = await startStandIn();
  await using program = await startProgram({ Stacosys: stacosys.url });
  await ask(program, "/");
  await Promise.all(
    Object.entries(BROKEN).map(async ([name, bytes]) => {
      await using crowd = await connectMany(program, 1);
      await crowd.send(bytes);
      await until(() => crowd.open === 0, `${name} ends the connection`);
      assertMatch(textOf(crowd), /^HTTP\/1\.1 400 Bad Request\r\n/, name);
      assertEquals(await isHit(program), true);
    }),
  );
  assertEquals(stacosys.requests.length, 1);
  assertEquals(program.stderr(), "");
});

Deno.test("a whole URL in the request line asks Stacosys for nothing if its host is malformed", async () => {
  await using stacosys = await startStandIn();
  await using program = await startProgram({ Stacosys: stacosys.url });
  for (const host of ["[::1", "127.0.0.1:99999", "a%zz", "me:secret@h", "a?x", "h"]) {
    for (const path of ["/comments/count?url=/a/", "/comments/counts?url=/b/"]) {
      await using crowd = await connectMany(program, 1);
      await crowd.send(request(`http://${host}${path}`));
      await until(() => textOf(crowd).includes("\r\n\r\n"), "it is answered");
      assertMatch(textOf(crowd), host === "h" ? /^HTTP\/1\.1 200 / : /^HTTP\/1\.1 400 /, host + path);
    }
  }
  assertEquals(stacosys.requests.map(({ target }) => target), ["/comments/count?url=/a/", "/comments/count?url=/b/"]);
  assertEquals(program.stderr(), "");
});

Deno.test("requests of HTTP/2 that are taken back at once end the connection, and leave no line in the log", async () => {
  await using stacosys = await startStandIn();
  await using program = await startProgram({ Stacosys: stacosys.url });
  const frame = (type: string, flags: string, stream: number, payload: string) =>
    `\0\0${String.fromCharCode(payload.length)}${type}${flags}\0\0\0${String.fromCharCode(stream)}${payload}`;
  const settings = frame("\x04", "\0", 0, "");
  const taken = Array.from({ length: 100 }, (_, i) => {
    return frame("\x01", "\x05", 2 * i + 1, "\x82\x86\x84\x01\x01h") + frame("\x03", "\0", 2 * i + 1, "\0\0\0\x08");
  });
  await using crowd = await connectMany(program, 20);
  await crowd.send(`PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${settings}${taken.join("")}`);
  await until(() => crowd.open === 0, "the connections are ended");
  assertEquals(program.stderr(), "");
});

Deno.test("an address that turns a line around is written out in the log, and wherever the owner reads it", async () => {
  await using stacosys = await startStandIn();
  const admin = freePort();
  await using program = await startProgram({ Stacosys: stacosys.url, AdminHostPort: `127.0.0.1:${admin}` });
  await using crowd = await connectMany(program, 1);
  // U+202E as UTF-8.
  await crowd.send(request(`${HOME}kept-\xe2\x80\xae`));
  await until(() => textOf(crowd).includes('{"count":7}'), "it is kept");
  stacosys.answer(status("500 INTERNAL SERVER ERROR"));
  await crowd.send(request(`${HOME}bad-\xe2\x80\xae`));
  await until(() => program.stderr().includes("gave no count"), "it is told of");
  const own = async (path: string) => (await received(await fetch(`http://127.0.0.1:${admin}${path}`))).text;
  for (const said of [program.stderr(), await own("/"), await own("/healthz")]) {
    assertStringIncludes(said, "/bad-\\u202e");
    assertEquals(said.includes("\u202e"), false);
  }
  assertEquals((await own("/counts")).includes("\u202e"), false);
  assertStringIncludes(await own("/counts"), '"url":"/kept-\\u202e"');
});

Deno.test("whoever owes the owner's listener the rest of a request does not keep the process from its end", async () => {
  await using stacosys = await startStandIn();
  const port = freePort();
  await using program = await startProgram({ Stacosys: stacosys.url, AdminHostPort: `127.0.0.1:${port}` });
  await using crowd = await connectMany({ url: `http://127.0.0.1:${port}` }, 1);
  await crowd.send(`GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Length: 10\r\n\r\n`);
  await until(() => textOf(crowd).startsWith("HTTP/1.1 200 "), "it is answered");
  program.process.kill("SIGTERM");
  assertEquals(await program.ended, 0);
});

const BODIES: Readonly<Record<string, string>> = {
  "with a length": `Content-Length: ${request("/elsewhere").length}\r\n\r\n${request("/elsewhere")}`,
  "in chunks": `Transfer-Encoding: chunked\r\n\r\n${request("/elsewhere").length.toString(16)}\r\n${
    request("/elsewhere")
  }\r\n0\r\n\r\n`,
};

for (const [name, body] of Object.entries(BODIES)) {
  Deno.test(`the body of a GET ${name} is ignored, even if it looks like a request`, async () => {
    await using stacosys = await startStandIn();
    await using program = await startProgram({ Stacosys: stacosys.url });
    await using crowd = await connectMany(program, 1);
    await crowd.send(`GET ${HOME} HTTP/1.1\r\nHost: h\r\n${body}${request("/last")}`);
    const statuses = () => textOf(crowd).match(/HTTP\/1\.1 \d+/g) ?? [];
    await until(() => statuses().length === 2, "both requests are answered");
    assertEquals(statuses(), ["HTTP/1.1 200", "HTTP/1.1 404"]);
    assertEquals(stacosys.requests.map(({ target }) => target), [HOME]);
  });
}

Deno.test("a GET with a body of 10 MB is answered", async () => {
  await using stacosys = await startStandIn();
  await using program = await startProgram({ Stacosys: stacosys.url });
  await using crowd = await connectMany(program, 1);
  await crowd.send(`GET ${HOME} HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000\r\n\r\n`);
  for (let i = 0; i < 10; i++) await crowd.send("x".repeat(1_000_000));
  await until(() => textOf(crowd).startsWith("HTTP/1.1 200 "), "it is answered");
});

// Faults of the program's own.

Deno.test("a throw in the handler is a 500 and a line in the log, and the process lives", async () => {
  await using stacosys = await startStandIn();
  await using broken = await makeBroken(
    `globalThis.URLSearchParams = class { constructor() { throw new Error("gone\\nwrong"); } };`,
  );
  await using program = await startProgram({ Stacosys: stacosys.url }, broken.command);
  const response = await fetch(`${program.url}/comments/counts?url=%2Fa%2F`);
  assertEquals([response.status, await response.text()], [500, "500 internal server error\n"]);
  await until(() => program.stderr().endsWith("\n"), "it is logged");
  assertMatch(program.stderr(), /^\S+ error a request could not be answered: Error: gone wrong at [^\n]+\n$/);
  assertEquals(brief(await ask(program, "/a/")), '200 {"count":7}');
});

Deno.test("a promise that nobody awaits and a throw in a timer are a line each in the log, and the process lives", async () => {
  await using stacosys = await startStandIn();
  await using broken = await makeBroken(`
    Promise.reject(new Error("forgotten"));
    setTimeout(() => { throw new Error("too late"); });`);
  await using program = await startProgram({ Stacosys: stacosys.url }, broken.command);
  await until(() => program.stderr().split("\n").length > 2, "both are logged");
  assertMatch(program.stderr(), /^\S+ error a promise was rejected: Error: forgotten at .*$/m);
  assertMatch(program.stderr(), /^\S+ error an error was thrown: Error: too late at .*$/m);
  assertEquals(brief(await ask(program, "/a/")), '200 {"count":7}');
});

/** Breaks the running program with a line of code, as no reader can. */
async function makeBroken(code: string): Promise<AsyncDisposable & { readonly command: readonly string[] }> {
  const folder = await makeFolder();
  const script = `${folder.path}/broken.ts`;
  const main = import.meta.resolve("../../main.ts");
  await Deno.writeTextFile(script, `import { main } from "${main}";\nawait main(Deno.args);\n${code}\n`);
  const config = `${import.meta.dirname}/../../deno.json`;
  const command = [...FROM_SOURCE.slice(0, -1), "--no-check", "--config", config, script];
  return { command, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}

/** Takes its port from a program that listens nowhere, until it notices. False if it was quicker and listens again. */
async function keptFromListening(program: Program): Promise<boolean> {
  try {
    using _ = Deno.listen({ hostname: "127.0.0.1", port: Number(new URL(program.url).port) });
    await until(() => program.stderr().includes("already in use"), "it tries to listen again");
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) return false;
    throw error;
  }
}

/** Whether the count of the home page is answered out of the cache. */
async function isHit(program: Program): Promise<boolean> {
  const answer = await ask(program, "/");
  assertEquals(brief(answer), '200 {"count":7}');
  return answer.headers.get("cache-status") === "httpfastcache; hit";
}

/** How many entries the cache has, as the owner is told. */
async function entriesOf(admin: number): Promise<number> {
  const health: { entries: number } = await (await fetch(`http://127.0.0.1:${admin}/healthz`)).json();
  return health.entries;
}

/** What was received on the first connection. */
function textOf({ each: [first] }: Connections): string {
  return first?.text ?? "";
}
