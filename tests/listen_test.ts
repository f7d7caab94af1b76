import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { AddressBusy, listen, type Listener, whenFree } from "../service/listen.ts";

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
