import { assert, assertEquals } from "@std/assert";
import { createStacosys } from "../upstream/stacosys.ts";
import * as stand from "./stand_in.ts";
import { until } from "./until.ts";

const A = "/comments/count?token=T&url=/a/";

Deno.test("Stacosys is asked for the target as it is, behind the path of its URL", async () => {
  await using stacosys = await stand.startStandIn();
  const ask = createStacosys({ url: `${stacosys.url}/prefix`, timeoutMs: 60_000 });
  const target = "/comments/count?url=/%2fa/../b%20c&x=1&&y";
  assertEquals(await ask(target), { outcome: "ok", body: '{"count":7}\n' });
  const [seen] = stacosys.requests;
  assertEquals([seen?.method, seen?.target], ["GET", `/prefix${target}`]);
  assertEquals(seen?.headers.get("user-agent"), "httpfastcache");
});

for (
  const [what, behaviour, expected] of [
    ["has status 500", stand.status("500 Internal Server Error"), { outcome: "status", status: 500 }],
    ["has status 204", stand.status("204 No Content"), { outcome: "status", status: 204 }],
    ["is a redirect to nowhere", stand.status("301 Moved"), { outcome: "status", status: 301 }],
    ["is HTML", stand.html, { outcome: "body", status: 200 }],
    ["is empty", stand.empty, { outcome: "body", status: 200 }],
    ["is not UTF-8", stand.notUtf8, { outcome: "body", status: 200 }],
    ["is half an object", stand.halfJson, { outcome: "body", status: 200 }],
    ["is a number", stand.body("1"), { outcome: "body", status: 200 }],
    ["is null", stand.body("null"), { outcome: "body", status: 200 }],
    ["is a list", stand.body("[1,2]"), { outcome: "body", status: 200 }],
    ["has 30,000 brackets", stand.body("[".repeat(30_000) + "]".repeat(30_000)), { outcome: "body", status: 200 }],
    ["counts -5", stand.body('{"count":-5}'), { outcome: "body", status: 200 }],
    ["counts 7.5", stand.body('{"count":7.5}'), { outcome: "body", status: 200 }],
    ["counts 1e400", stand.body('{"count":1e400}'), { outcome: "body", status: 200 }],
    ["counts in a string", stand.body('{"count":"7"}'), { outcome: "body", status: 200 }],
    ["counts 0 and says more", stand.body('{"count":0,"more":null}'), { outcome: "ok" }],
    ["has 50 MB", stand.fiftyMegabytes, { outcome: "body", status: 200 }],
    ["has chunks without end", stand.endlessChunks, { outcome: "body", status: 200 }],
    ["is a gzip bomb", stand.gzipBomb, { outcome: "body", status: 200 }],
    ["is a redirect loop", stand.redirectLoop, { outcome: "redirect" }],
    ["is a redirect to another host", stand.redirectTo("http://127.0.0.2:9/"), { outcome: "redirect", status: 302 }],
    ["is reset in the header", stand.resetInHeader, { outcome: "network" }],
    ["is reset in the body", stand.resetInBody, { outcome: "network" }],
    ["is cut short", stand.cutShort, { outcome: "network" }],
    ["does not come", stand.hang, { outcome: "timeout" }],
    ["comes a byte a second", stand.byteASecond, { outcome: "timeout" }],
  ] as const
) {
  Deno.test(`an answer that ${what} is ${expected.outcome === "ok" ? "good" : `bad: ${expected.outcome}`}`, async () => {
    await using stacosys = await stand.startStandIn();
    stacosys.answer(behaviour);
    const timeoutMs = expected.outcome === "timeout" ? 1_000 : 60_000;
    const answer = await createStacosys({ url: stacosys.url, timeoutMs })(A);
    const status = answer.outcome !== "ok" && answer.status;
    assertEquals(answer.outcome, expected.outcome);
    if ("status" in expected) assertEquals(status, expected.status);
  });
}

Deno.test("what goes wrong on the wire has a reason in a few words", async () => {
  await using stacosys = await stand.startStandIn();
  const ask = createStacosys({ url: stacosys.url, timeoutMs: 60_000 });
  async function reasonFor(behaviour: stand.Behaviour): Promise<string> {
    stacosys.answer(behaviour);
    const answer = await ask(A);
    return answer.outcome === "ok" ? "" : answer.reason;
  }
  assertEquals(await reasonFor(stand.resetInHeader), "Connection reset by peer (os error 104)");
  assertEquals(await reasonFor(stand.headers(100)), "message head is too large");
  assertEquals(await reasonFor(stand.redirectTo("file:///etc/passwd")), "a redirect to file:");
  assertEquals(await reasonFor(stand.redirectTo("http://u:secret@h:999999/")), "a redirect to what is no URL");
  await stacosys.stop();
  assertEquals(await reasonFor(stand.hang), "Connection refused (os error 111)");
});

Deno.test("as with Go's client nine redirects are followed, and the tenth is not", async () => {
  await using stacosys = await stand.startStandIn();
  const ask = createStacosys({ url: stacosys.url, timeoutMs: 60_000 });
  let left = 9;
  stacosys.answer((exchange) => (left-- > 0 ? stand.redirectLoop : stand.count(7))(exchange));
  assertEquals((await ask(A)).outcome, "ok");
  left = 10;
  assertEquals(await ask(A), { outcome: "redirect", reason: "10 redirects" });
});

Deno.test("what takes too long says how long that was, in seconds", async () => {
  await using stacosys = await stand.startStandIn();
  stacosys.answer(stand.hang);
  const ask = createStacosys({ url: stacosys.url, timeoutMs: 500 });
  const answers = await Promise.all(Array.from({ length: 65 }, () => ask(A)));
  const reasons = answers.map((answer) => answer.outcome === "ok" ? "" : answer.reason);
  assertEquals(new Set(reasons), new Set(["no answer within 0.5 s", "none of 64 slots was free within 0.5 s"]));
});

Deno.test("each request has a connection of its own, and leaves none open", async () => {
  await using stacosys = await stand.startStandIn();
  stacosys.answer(stand.keptOpen(7));
  const ask = createStacosys({ url: stacosys.url, timeoutMs: 60_000 });
  for (let i = 0; i < 20; i++) assertEquals((await ask(A)).outcome, "ok");
  assertEquals(new Set(stacosys.requests.map(({ connection }) => connection)).size, 20);
  await until(() => stacosys.connections === 0, "all connections are closed");
});

Deno.test("an answer that is not read to its end leaves no connection open", async () => {
  await using stacosys = await stand.startStandIn();
  const ask = createStacosys({ url: stacosys.url, timeoutMs: 60_000 });
  const page = "x".repeat(100_000);
  for (const status of ["200 OK", "500 INTERNAL SERVER ERROR"]) {
    stacosys.answer(async ({ send, pause }) => {
      await send(`HTTP/1.1 ${status}\r\nContent-Length: 1000000\r\n\r\n${page}`);
      await pause(60_000);
    });
    assertEquals((await ask(A)).outcome, status === "200 OK" ? "body" : "status");
    await until(() => stacosys.connections === 0, `the connection with status ${status} is closed`);
  }
});

Deno.test("64 KiB are read of a body, and not a byte more", async () => {
  await using stacosys = await stand.startStandIn();
  const ask = createStacosys({ url: stacosys.url, timeoutMs: 60_000 });
  for (const [size, outcome] of [[65_536, "ok"], [65_537, "body"]] as const) {
    stacosys.answer(stand.body('{"count":7}'.padStart(size)));
    assertEquals((await ask(A)).outcome, outcome);
  }
});

Deno.test("64 requests go to Stacosys at a time; the others wait for their turn, first come, first served", async () => {
  await using stacosys = await stand.startStandIn();
  stacosys.answer(stand.slowly(50, 7));
  const ask = createStacosys({ url: stacosys.url, timeoutMs: 60_000 });
  const answers = await Promise.all(Array.from({ length: 200 }, (_, i) => ask(`/comments/count?url=/${i}/`)));
  assertEquals(answers.filter(({ outcome }) => outcome === "ok").length, 200);
  assertEquals(stacosys.mostOpen, 64);
});

Deno.test("an urgent request is the next to have a turn, however many others wait", async () => {
  await using stacosys = await stand.startStandIn();
  const gate = Promise.withResolvers<void>();
  stacosys.answer(async (exchange) => {
    await gate.promise;
    await stand.count(7)(exchange);
  });
  const ask = createStacosys({ url: stacosys.url, timeoutMs: 60_000 });
  const others = Array.from({ length: 200 }, (_, i) => ask(`/comments/count?url=/${i}/`));
  const urgent = [ask("/comments/count?url=/first/", true), ask("/comments/count?url=/second/", true)];
  await until(() => stacosys.requests.length === 64, "all turns are taken");
  gate.resolve();
  await Promise.all([...others, ...urgent]);
  const order = stacosys.requests.map(({ target }) => target);
  for (const url of ["/first/", "/second/"]) {
    // They are sent on connections of their own, of which one may overtake another.
    assert(order.indexOf(`/comments/count?url=${url}`) < 2 * 64, `${url} is among the next to have a turn`);
  }
});

Deno.test("a request whose turn comes when its time is all but over is not sent", async () => {
  await using stacosys = await stand.startStandIn();
  const { behaviour, release } = stand.held(7);
  stacosys.answer(behaviour);
  let now = 0;
  const ask = createStacosys({ url: stacosys.url, timeoutMs: 60_000, monotonic: () => now });
  const first = Array.from({ length: 64 }, (_, i) => ask(`/comments/count?url=/${i}/`));
  const late = ask(A);
  await until(() => stacosys.requests.length === 64, "all turns are taken");
  now = 50_000;
  const early = ask("/comments/count?url=/early/");
  now = 55_000;
  release();
  assertEquals((await late).outcome, "timeout");
  assertEquals(new Set((await Promise.all([...first, early])).map(({ outcome }) => outcome)), new Set(["ok"]));
  assertEquals(stacosys.requests.length, 65);
});

Deno.test("who waits for a turn waits no longer than the time limit, and then takes none", async () => {
  await using stacosys = await stand.startStandIn();
  stacosys.answer(stand.hang);
  const ask = createStacosys({ url: stacosys.url, timeoutMs: 2_000 });
  const answers = await Promise.all(Array.from({ length: 200 }, (_, i) => ask(`/comments/count?url=/${i}/`)));
  assertEquals(answers.filter(({ outcome }) => outcome === "timeout").length, 200);
  stacosys.answer(stand.count(8));
  assertEquals((await ask(A)).outcome, "ok");
});

Deno.test("a Stacosys that asks for a password gets it, after a redirect too", async () => {
  await using stacosys = await stand.startStandIn();
  stacosys.answer(stand.redirectOnce(7));
  const authorization = `Basic ${btoa("me:secret")}`;
  const answer = await createStacosys({ url: stacosys.url, authorization, timeoutMs: 60_000 })(A);
  assertEquals(answer.outcome, "ok");
  assertEquals(stacosys.requests.map(({ headers }) => headers.get("authorization")), [authorization, authorization]);
});
