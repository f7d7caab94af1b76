import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { AddressBusy, keepListening, listen, type Listener, whenFree } from "../service/listen.ts";
import { testWith } from "./system/needs.ts";
import { until } from "./until.ts";

const HANDLER = () => new Response("7");

function start(hostname: string | undefined, port: number): Listener {
  return listen({ hostname, port }, { reusePort: false }, HANDLER, () => {});
}

Deno.test("localhost is 127.0.0.1, whatever the hosts file says", async () => {
  const listener = start("localhost", 0);
  assertMatch(listener.urls.join(), /^http:\/\/127\.0\.0\.1:\d+$/);
  await listener.shutdown();
});

Deno.test("a listener tells where it really listens", async () => {
  const listener = start(undefined, 0);
  const [url = ""] = listener.urls;
  assertMatch(url, /^http:\/\/(\[::\]|0\.0\.0\.0):\d+$/);
  assertEquals(await (await fetch(`http://127.0.0.1:${new URL(url).port}/`)).text(), "7");
  await listener.shutdown();
});

Deno.test("an address that somebody else has is waited for, told of once, and taken when it is free", async () => {
  const other = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = other.addr;
  const told: string[] = [];
  const waiting = whenFree(() => start("127.0.0.1", port), 60_000, ({ message }) => {
    told.push(message);
    other.close();
  });
  await (await waiting).shutdown();
  assertEquals(told, [`cannot listen on 127.0.0.1:${port}: Address already in use (os error 98)`]);
});

Deno.test("an address that stays busy is given up", async () => {
  using other = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const told: string[] = [];
  const busy = () => whenFree(() => start("127.0.0.1", other.addr.port), 0, ({ message }) => told.push(message));
  const error = await assertRejects(busy);
  assertEquals([error instanceof AddressBusy, told], [true, []]);
});

Deno.test("an address that can never be listened on is not waited for", async () => {
  const fail = () => {
    throw new Error("cannot");
  };
  const error = await assertRejects(() => whenFree(fail, 60_000, fail));
  assertEquals(error instanceof AddressBusy, false);
});

testWith(
  ["::1"],
  "all addresses are busy as long as one over IPv6 is, and are not listened on over IPv4 alone",
  async () => {
    using other = Deno.listen({ hostname: "::1", port: 0 });
    const { port } = other.addr;
    const told: string[] = [];
    const busy = () => whenFree(() => start(undefined, port), 1, ({ message }) => told.push(message));
    const error = await assertRejects(busy);
    assertEquals(error instanceof AddressBusy, true);
    assertEquals(told, [`cannot listen on :${port}: Address already in use (os error 98)`]);
  },
);

Deno.test("a listener that gave up listens again, but not once it is shut down", async () => {
  for (const isShutDown of [false, true]) {
    let started = 0;
    const told: string[] = [];
    const addr: Deno.NetAddr = { transport: "tcp", hostname: "127.0.0.1", port: 1 };
    const never = new Promise<void>(() => {});
    const shutdown = () => Promise.resolve();
    const { promise: pause, resolve: endPause } = Promise.withResolvers<void>();
    const listener = keepListening(
      () => ({ addr, finished: started++ === 0 ? Promise.reject(new Error("too many files")) : never, shutdown }),
      false,
      (_, text) => told.push(text),
      () => pause,
    );
    await until(() => told.length > 0, "it gave up");
    if (isShutDown) await listener.shutdown();
    endPause();
    await new Promise((resolve) => setTimeout(resolve));
    assertEquals([started, told], [isShutDown ? 1 : 2, [
      "a connection could not be accepted, all are closed: too many files",
    ]]);
  }
});
