import { assertEquals, assertLess } from "@std/assert";
import { listen } from "../service/listen.ts";
import { Shutdown } from "../service/shutdown.ts";
import { until } from "./until.ts";

/** A clock that goes on in pauses alone, in each by so many milliseconds, and what happens in them. */
function startClock(msOf: (ms: number) => number = (ms) => ms, happens: (pause: number) => void = () => {}) {
  const clock = { ms: 0, pauses: 0 };
  const time = {
    now: () => clock.ms,
    async sleep(ms: number) {
      await new Promise((resolve) => setTimeout(resolve));
      clock.ms += msOf(ms);
      happens(++clock.pauses);
    },
  };
  return { clock, time };
}

/** A listener whose first answer comes when a test says so; all others are at once. */
function serve() {
  const first = Promise.withResolvers<Response>();
  let asked = 0;
  const { clock, time } = startClock();
  const shutdown = new Shutdown(() => asked++ === 0 ? first.promise : new Response("at once"), time);
  const listener = listen({ hostname: "127.0.0.1", port: 0 }, { reusePort: false }, shutdown.handle, () => {});
  return { clock, shutdown, listener, url: listener.urls[0] ?? "", answer: () => first.resolve(new Response("late")) };
}

/** The same without a port. `happens` in each pause; all that comes about is told in `events`. */
function serveNowhere(msOf: (ms: number) => number, happens: (pause: number, ask: () => void) => void) {
  const events: string[] = [];
  const { clock, time } = startClock(msOf, (pause) => happens(pause, ask));
  const shutdown = new Shutdown(() => {
    events.push("answered");
    return new Response();
  }, time);
  const listener = { urls: [], shutdown: () => Promise.resolve(void events.push("closed")) };
  function ask(): void {
    events.push("asked");
    const remoteAddr: Deno.NetAddr = { transport: "tcp", hostname: "127.0.0.1", port: 1 };
    shutdown.handle(new Request("http://h/"), { remoteAddr, completed: Promise.resolve() });
  }
  return { clock, events, end: () => shutdown.end([listener], true) };
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

Deno.test("who is connected and asks for nothing is not waited for", async () => {
  const { clock, shutdown, listener, url, answer } = serve();
  answer();
  const { hostname, port } = new URL(url);
  using _silent = await Deno.connect({ hostname, port: Number(port) });
  using asked = await Deno.connect({ hostname, port: Number(port) });
  await asked.write(new TextEncoder().encode("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
  await asked.read(new Uint8Array(1_000));
  await shutdown.end([listener], false);
  assertLess(clock.ms, 500);
});

Deno.test("a reader who has left is not waited for", async () => {
  const { clock, shutdown, listener, url } = serve();
  const left = new AbortController();
  const late = fetch(url, { signal: left.signal }).catch(() => {});
  await until(() => shutdown.waiting === 1, "the request is under way");
  left.abort();
  await late;
  await until(() => shutdown.waiting === 0, "the reader has left");
  await shutdown.end([listener], false);
  assertLess(clock.ms, 500);
});

Deno.test("requests under way have 5 seconds, also where each pause lasts a tenth of a second longer than it should", async () => {
  const { clock, time } = startClock((ms) => ms + 100);
  const shutdown = new Shutdown(() => new Promise(() => {}), time);
  const listener = listen({ hostname: "127.0.0.1", port: 0 }, { reusePort: false }, shutdown.handle, () => {});
  const left = new AbortController();
  const never = fetch(listener.urls[0] ?? "", { signal: left.signal }).catch(() => {});
  await until(() => shutdown.waiting === 1, "the request is under way");
  await shutdown.end([listener], false);
  assertLess(4_999, clock.ms);
  assertLess(clock.ms, 5_200);
  left.abort();
  await never;
});

Deno.test("a process that is replaced holds requests until none has come for some looks, however long a pause lasts", async () => {
  const { events, end } = serveNowhere((ms) => ms + 30, (pause, ask) => {
    if (pause === 2 || pause === 5 || pause === 9) ask();
  });
  await end();
  assertEquals(events, ["asked", "asked", "asked", "closed", "answered", "answered", "answered"]);
});

Deno.test("a process that is replaced closes after a short pause, since what came in a long one is still to be read", async () => {
  let long = 3;
  const { events, end } = serveNowhere((ms) => ms > 0 || long-- === 0 ? ms : 30, (_, ask) => long === 1 && ask());
  await end();
  assertEquals(events, ["asked", "closed", "answered"]);
});

Deno.test("under a load without a quiet moment, a process that is replaced closes after a second", async () => {
  const { clock, events, end } = serveNowhere((ms) => ms, (_, ask) => events.includes("closed") || ask());
  await end();
  const asked = events.indexOf("closed");
  assertEquals(events.slice(asked + 1), Array.from({ length: asked }, () => "answered"));
  assertLess(999, clock.ms);
  assertLess(clock.ms, 1_500);
});
