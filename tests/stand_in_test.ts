import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import * as does from "./stand_in.ts";

Deno.test("the stand-in answers as Flask does, and tells what it was asked", async () => {
  await using stacosys = await does.startStandIn();
  stacosys.answer(does.count(3), "/a/");
  const answer = await exchange(stacosys.url, "GET /comments/count?url=/a/ HTTP/1.1\r\nHost: x\r\nX-Y: z\r\n\r\n");
  assertMatch(answer, /^HTTP\/1\.1 200 OK\r\n(.+\r\n)*Connection: close\r\n\r\n{"count":3}\n$/);
  const [seen] = stacosys.requests;
  assertEquals([seen?.method, seen?.target], ["GET", "/comments/count?url=/a/"]);
  assertEquals(seen?.headers, new Map([["host", "x"], ["x-y", "z"]]));
  assertEquals([stacosys.requests.length, stacosys.mostOpen], [1, 1]);
});

for (
  const [name, behaviour] of Object.entries({
    gzip: does.gzip(7),
    chunked: does.chunked(7),
    byteChunks: does.byteChunks(7),
    redirectOnce: does.redirectOnce(7),
    slowly: does.slowly(20, 7),
    "50 headers": does.headers(50),
  })
) {
  Deno.test(`the stand-in's ${name} is a good count to a fetch`, async () => {
    await using stacosys = await does.startStandIn();
    stacosys.answer(behaviour);
    const response = await fetch(`${stacosys.url}/comments/count?url=/a/`);
    assertEquals(await response.json(), { count: 7 });
  });
}

Deno.test("the stand-in's hanging requests are open, and end when it stops", async () => {
  await using stacosys = await does.startStandIn();
  stacosys.answer(does.hang);
  const answers = [1, 2, 3].map((i) => assertRejects(() => fetch(`${stacosys.url}/?url=${i}`)));
  while (stacosys.open < 3) await turn();
  await stacosys.stop();
  await Promise.all(answers);
  while (stacosys.open > 0) await turn();
  assertEquals([stacosys.mostOpen, stacosys.connections], [3, 0]);
});

Deno.test("the stand-in refuses while it is stopped, and is back on the same port", async () => {
  await using stacosys = await does.startStandIn();
  await stacosys.stop();
  await assertRejects(() => fetch(stacosys.url));
  await stacosys.start();
  assertEquals(await (await fetch(stacosys.url)).text(), '{"count":7}\n');
});

Deno.test("the stand-in's resets are resets", async () => {
  await using stacosys = await does.startStandIn();
  for (const behaviour of [does.resetInHeader, does.resetInBody]) {
    stacosys.answer(behaviour);
    const error = await assertRejects(() => exchange(stacosys.url, "GET / HTTP/1.1\r\n\r\n"));
    assert(error instanceof Deno.errors.ConnectionReset);
  }
});

Deno.test("the stand-in closes a connection that it kept open when another request comes on it", async () => {
  await using stacosys = await does.startStandIn();
  stacosys.answer(does.keptOpen(7));
  using connection = await connect(stacosys.url);
  const request = new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n");
  await connection.write(request);
  await connection.read(new Uint8Array(1000));
  await connection.write(request);
  assertEquals(await connection.read(new Uint8Array(1000)), null);
  assertEquals(stacosys.requests.length, 1);
});

/** Sends a request, and reads to the end of the connection. */
async function exchange(url: string, request: string): Promise<string> {
  const connection = await connect(url);
  await connection.write(new TextEncoder().encode(request));
  return await new Response(connection.readable).text();
}

function connect(url: string): Promise<Deno.TcpConn> {
  return Deno.connect({ hostname: "127.0.0.1", port: Number(new URL(url).port) });
}

/** Lets everything else have its turn. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}
