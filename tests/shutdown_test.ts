import { assertEquals } from "@std/assert";
import { listen } from "../service/listen.ts";
import { Shutdown } from "../service/shutdown.ts";
import { until } from "./until.ts";

/** A listener whose first answer comes when a test says so; all others are at once. */
function serve() {
  const first = Promise.withResolvers<Response>();
  let asked = 0;
  const shutdown = new Shutdown(() => asked++ === 0 ? first.promise : new Response("at once"));
  const listener = listen({ hostname: "127.0.0.1", port: 0 }, { reusePort: false }, shutdown.handle, () => {});
  return { shutdown, listener, url: listener.urls[0] ?? "", answer: () => first.resolve(new Response("late")) };
}

async function ended(promise: Promise<void>): Promise<boolean> {
  return await Promise.race([
    promise.then(() => true),
    new Promise<boolean>((resolve) => setTimeout(resolve, 0, false)),
  ]);
}

Deno.test("a request that is under way is answered before the end", async () => {
  const { shutdown, listener, url, answer } = serve();
  const late = fetch(url);
  await until(() => shutdown.waiting === 1, "the request is under way");
  const end = shutdown.end([listener], false);
  assertEquals(await ended(end), false);
  answer();
  const answered = await late;
  assertEquals([answered.headers.get("connection"), await answered.text()], ["close", "late"]);
  await end;
  assertEquals(shutdown.waiting, 0);
});

Deno.test("a request that is under way is answered before the end, also if the machine held up the process meanwhile", async () => {
  const { shutdown, listener, url, answer } = serve();
  const late = fetch(url);
  await until(() => shutdown.waiting === 1, "the request is under way");
  const end = shutdown.end([listener], false);
  for (let times = 0; times < 3; times++) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
    await new Promise((resolve) => setTimeout(resolve));
  }
  assertEquals(await ended(end), false);
  answer();
  assertEquals(await (await late).text(), "late");
  await end;
});

Deno.test("who is connected and asks for nothing is not waited for", async () => {
  const { shutdown, listener, url, answer } = serve();
  answer();
  const { hostname, port } = new URL(url);
  using _silent = await Deno.connect({ hostname, port: Number(port) });
  using asked = await Deno.connect({ hostname, port: Number(port) });
  await asked.write(new TextEncoder().encode("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
  await asked.read(new Uint8Array(1_000));
  await shutdown.end([listener], false);
});

Deno.test("a reader who has left is not waited for", async () => {
  const { shutdown, listener, url } = serve();
  const left = new AbortController();
  const late = fetch(url, { signal: left.signal }).catch(() => {});
  await until(() => shutdown.waiting === 1, "the request is under way");
  left.abort();
  await late;
  await until(() => shutdown.waiting === 0, "the reader has left");
  await shutdown.end([listener], false);
});
