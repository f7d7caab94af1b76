/**
 * Stacosys slow, wrong or away. What happens on the wire is tested on the program as a process; where time matters, the
 * proxy runs in the test, by a clock that the test sets.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { Counters } from "../../upstream/counters.ts";
import { Metrics } from "../../admin/metrics.ts";
import { Outage } from "../../upstream/outage.ts";
import { createProxy } from "../../proxy.ts";
import { createStacosys } from "../../upstream/stacosys.ts";
import { FROM_SOURCE, type Program, startProgram } from "./program.ts";
import { type Answer, ask, brief, received } from "./reader.ts";
import * as stand from "../stand_in.ts";
import { until } from "../until.ts";

const CorsOrigin = "https://blog.example.org";

const FAULTS: Readonly<Record<string, stand.Behaviour>> = {
  "status 500": stand.status("500 INTERNAL SERVER ERROR"),
  "status 404": stand.status("404 NOT FOUND"),
  "status 301 that says not where": stand.status("301 MOVED PERMANENTLY"),
  "status 204": stand.status("204 NO CONTENT"),
  "HTML with status 200": stand.html,
  "an empty body": stand.empty,
  "a body that is not UTF-8": stand.notUtf8,
  "half a JSON": stand.halfJson,
  "a reset in the header": stand.resetInHeader,
  "a reset in the body": stand.resetInBody,
  "a body cut short": stand.cutShort,
  "a body longer than its Content-Length": stand.lengthTooShort,
  "a byte a second": stand.byteASecond,
  "no answer": stand.hang,
  "50 MB": stand.fiftyMegabytes,
  "endless chunks": stand.endlessChunks,
  "a gzip bomb": stand.gzipBomb,
  "a redirect loop": stand.redirectLoop,
  "a redirect to another host": stand.redirectTo("http://localhost:1/comments/count?url=/a/"),
  "more than 100 headers": stand.headers(100),
  "endless headers": stand.endlessHeaders,
};

Deno.test("whatever Stacosys does wrong, a count never seen is a 404 with the CORS header in time, and right once Stacosys is", async () => {
  await using stacosys = await stand.startStandIn();
  await using program = await startProgram({ Stacosys: stacosys.url, CorsOrigin, TtlSeconds: 1, TimeoutSeconds: 2 });
  misbehave(stacosys);
  // A byte a second would be a good answer after two minutes.
  const answers = await askAll(
    program,
    ({ status, text, headers }) =>
      `${status} ${text.trim()}, ${headers.get("content-type")}, for ${headers.get("access-control-allow-origin")}`,
  );
  assertEquals(answers, forAll(`404 404 page not found, text/plain; charset=utf-8, for ${CorsOrigin}`));

  stacosys.answer(stand.count(8));
  await until(() => allAre(program, '200 {"count":8}'), "all counts are right");
  await until(() => stacosys.connections === 0, "all connections to Stacosys are closed");
});

Deno.test("whatever Stacosys does wrong, a known count stays what it was, and is right again once Stacosys is", async () => {
  await using stacosys = await stand.startStandIn();
  await using program = await startProgram({ Stacosys: stacosys.url, TtlSeconds: 0.5, TimeoutSeconds: 2 });
  assertEquals(await askAll(program, brief), forAll('200 {"count":7}'));
  misbehave(stacosys);
  await until(async () => {
    const answers = await askAll(program, (answer) => `${brief(answer)}${isStale(answer) ? ", stale" : ""}`);
    for (const [fault, answer] of Object.entries(answers)) assertMatch(answer, /^200 {"count":7}/, fault);
    return Object.values(answers).every((answer) => answer.endsWith("stale"));
  }, "each count is stale, since each request to Stacosys has failed");

  stacosys.answer(stand.count(8));
  await until(() => allAre(program, '200 {"count":8}'), "all counts are right");
});

Deno.test("while Stacosys refuses connections, a known count stays, one never seen is a 404, and both are right once it is back", async () => {
  await using stacosys = await stand.startStandIn();
  await using program = await startProgram({ Stacosys: stacosys.url, CorsOrigin, TtlSeconds: 0.1 });
  assertEquals(brief(await ask(program, "/known/")), '200 {"count":7}');
  await stacosys.stop();
  await until(async () => {
    const answer = await ask(program, "/known/");
    assertEquals(brief(answer), '200 {"count":7}');
    return isStale(answer);
  }, "the count is stale");
  const cold = await ask(program, "/cold/");
  assertEquals([cold.status, cold.headers.get("access-control-allow-origin")], [404, CorsOrigin]);

  await stacosys.start();
  stacosys.answer(stand.count(8));
  for (const article of ["/known/", "/cold/"]) {
    await until(
      async () => brief(await ask(program, article)) === '200 {"count":8}',
      `${article} is right`,
    );
  }
});

Deno.test("what is unusual in Stacosys' answer, but not wrong, is understood", async () => {
  await using stacosys = await stand.startStandIn();
  await using program = await startProgram({ Stacosys: stacosys.url });
  const unusual = {
    gzip: stand.gzip(7),
    chunks: stand.chunked(7),
    "one redirect": stand.redirectOnce(7),
    "a connection that stays open": stand.keptOpen(7),
    "a long wait": stand.slowly(500, 7),
    "many headers": stand.headers(80),
    "60,000 chunks of a byte": stand.byteChunks(7),
  };
  for (const [name, behaviour] of Object.entries(unusual)) {
    stacosys.answer(behaviour);
    assertEquals(brief(await ask(program, `/${encodeURIComponent(name)}/`)), '200 {"count":7}', name);
  }
});

Deno.test("a redirect to another host, or another port, is not followed", async () => {
  await using stacosys = await stand.startStandIn();
  await using elsewhere = await stand.startStandIn();
  const { get } = serviceFor(stacosys);
  const { host, port } = new URL(elsewhere.url);
  const locations = [elsewhere.url, `http://localhost:${port}`, `//${host}`];
  for (const [i, location] of locations.entries()) {
    stacosys.answer(stand.redirectTo(`${location}/comments/count?url=/a/`));
    assertEquals((await get(`/${i}/`)).status, 404);
  }
  assertEquals(elsewhere.requests, []);
  assertEquals(stacosys.requests.length, 3);
});

for (const state of ["cold", "expired"]) {
  Deno.test(`25 readers at once for each of 10 ${state} counts are 10 requests to Stacosys`, async () => {
    await using stacosys = await stand.startStandIn();
    const { get, clock } = serviceFor(stacosys, { ttlMs: 1_000 });
    const articles = Array.from({ length: 10 }, (_, i) => `/${i}/`);
    if (state === "expired") {
      await Promise.all(articles.map(get));
      clock.ms += 1_000;
    }
    const before = stacosys.requests.length;
    stacosys.answer(stand.slowly(50, 8));
    const readers = Array.from({ length: 25 }, () => articles).flat();
    const answers = await Promise.all(readers.map(get));
    assertEquals(new Set(answers.map(brief)), new Set(['200 {"count":8}']));
    assertEquals(stacosys.requests.length - before, 10);
  });
}

Deno.test("a reader who goes away does not cancel the request for the others, nor for those who come after", async () => {
  await using stacosys = await stand.startStandIn();
  await using program = await startProgram({ Stacosys: stacosys.url });
  const { behaviour, release } = stand.held(7);
  stacosys.answer(behaviour);
  const first = new AbortController();
  const gone = assertRejects(() => ask(program, "/a/", first.signal));
  await until(() => stacosys.open === 1, "Stacosys is asked");
  const others = [ask(program, "/a/"), ask(program, "/a/")];
  first.abort();
  await gone;
  release();
  assertEquals((await Promise.all(others)).map(brief), ['200 {"count":7}', '200 {"count":7}']);
  assertEquals((await ask(program, "/a/")).headers.get("cache-status"), "httpfastcache; hit");
  assertEquals(stacosys.requests.length, 1);
});

Deno.test("a count asked for every 50 ms for 7 s, with a time to live of 2 s, costs Stacosys 4 requests", async () => {
  await using stacosys = await stand.startStandIn();
  const { get, clock } = serviceFor(stacosys, { ttlMs: 2_000 });
  for (; clock.ms < 7_000; clock.ms += 50) assertEquals((await get("/a/")).status, 200);
  assertEquals(stacosys.requests.length, 4);
});

for (const state of ["cold", "known"]) {
  Deno.test(`a failing Stacosys is asked once a second for a ${state} count, and is believed again after one`, async () => {
    await using stacosys = await stand.startStandIn();
    const { get, clock } = serviceFor(stacosys, { ttlMs: 1_000 });
    if (state === "known") {
      await get("/a/");
      clock.ms += 1_000;
    }
    const before = stacosys.requests.length;
    stacosys.answer(stand.status("500 INTERNAL SERVER ERROR"));
    for (const end = clock.ms + 3_000; clock.ms < end; clock.ms += 50) {
      const answers = await Promise.all([get("/a/"), get("/a/"), get("/a/")]);
      assertEquals(
        new Set(answers.map(brief)),
        new Set([state === "cold" ? "404 404 page not found" : '200 {"count":7}']),
      );
    }
    assertEquals(stacosys.requests.length - before, 3);

    stacosys.answer(stand.count(8));
    clock.ms += 1_000;
    assertEquals(brief(await get("/a/")), '200 {"count":8}');
  });
}

Deno.test("while Stacosys hangs known counts stay, others are a 404 after the time limit, and all are right once it is well", async () => {
  await using stacosys = await stand.startStandIn();
  const { get, clock } = serviceFor(stacosys, { ttlMs: 1_000, timeoutMs: 2_000 });
  const articles = Array.from({ length: 100 }, (_, i) => `/${i}/`);
  await Promise.all(articles.slice(0, 50).map(get));
  clock.ms += 1_000;
  stacosys.answer(stand.hang);
  const answers = await Promise.all(articles.map(get));
  const expected = articles.map((_, i) => i < 50 ? '200 {"count":7}' : "404 404 page not found");
  assertEquals(answers.map(brief), expected);

  stacosys.answer(stand.count(8));
  clock.ms += 1_000;
  assertEquals(new Set((await Promise.all(articles.map(get))).map(brief)), new Set(['200 {"count":8}']));
  await until(() => stacosys.connections === 0, "no connection is left");
});

Deno.test("a known count outlives its time to live by as long as it may be stale, then it is a 404", async () => {
  await using stacosys = await stand.startStandIn();
  const { get, clock } = serviceFor(stacosys, { ttlMs: 1_000, staleIfErrorMs: 60_000 });
  await get("/a/");
  stacosys.answer(stand.html);
  clock.ms = 60_999;
  const answer = await get("/a/");
  assertEquals(brief(answer), '200 {"count":7}');
  assertMatch(answer.headers.get("cache-status") ?? "", /^httpfastcache; fwd=stale; fwd-status=200; .*stale-if-error/);
  clock.ms = 61_000;
  assertEquals((await get("/a/")).status, 404);
});

Deno.test("with stale-while-revalidate an expired count is served at once, and fetched by one request meanwhile", async () => {
  await using stacosys = await stand.startStandIn();
  const { get, clock } = serviceFor(stacosys, { ttlMs: 1_000, staleWhileRevalidateMs: 5_000 });
  await get("/a/");
  const { behaviour, release } = stand.held(8);
  stacosys.answer(behaviour);
  clock.ms = 5_999;
  for (let i = 0; i < 10; i++) assertEquals(brief(await get("/a/")), '200 {"count":7}');
  release();
  await until(async () => brief(await get("/a/")) === '200 {"count":8}', "the new count is served");
  assertEquals(stacosys.requests.length, 2);

  clock.ms += 6_000;
  stacosys.answer(stand.count(9));
  assertEquals(brief(await get("/a/")), '200 {"count":9}');
});

Deno.test("counts are kept for stale-while-revalidate, also where none is to be served when Stacosys fails", async () => {
  await using stacosys = await stand.startStandIn();
  const stale = { StaleIfErrorSeconds: 0, StaleWhileRevalidateSeconds: 3_600 };
  await using program = await startProgram({ Stacosys: stacosys.url, TtlSeconds: 0.05, ...stale });
  await until(async () => {
    const answer = await ask(program, "/a/");
    assertEquals(brief(answer), '200 {"count":7}');
    return answer.headers.get("cache-status")?.endsWith("detail=stale-while-revalidate") ?? false;
  }, "an expired count is served at once");
});

Deno.test("at most 64 requests to Stacosys are under way; the others wait for their turn", async () => {
  await using stacosys = await stand.startStandIn();
  const { get } = serviceFor(stacosys);
  const { behaviour, release } = stand.held(7);
  stacosys.answer(behaviour);
  const answers = Promise.all(Array.from({ length: 200 }, (_, i) => get(`/${i}/`)));
  await until(() => stacosys.open === 64, "64 requests are under way");
  release();
  assertEquals(new Set((await answers).map(brief)), new Set(['200 {"count":7}']));
  assertEquals([stacosys.mostOpen, stacosys.requests.length], [64, 200]);
});

Deno.test("an outage is two lines in the log: why it began and for which URL, and how long it was and for how many", async () => {
  await using stacosys = await stand.startStandIn();
  await using program = await startProgram({ Stacosys: stacosys.url, TtlSeconds: 0.05 });
  await ask(program, "/known/");
  await stacosys.stop();
  await until(async () => isStale(await ask(program, "/known/")), "Stacosys has failed once");
  await until(async () => {
    await ask(program, "/known/");
    return log(program).length > 0;
  }, "the outage is logged");
  for (let i = 0; i < 30; i++) assert(isStale(await ask(program, "/known/")));
  for (let i = 0; i < 100; i++) assertEquals((await ask(program, `/${i}/`)).status, 404);
  await stacosys.start();
  await until(async () => (await ask(program, "/new/")).status === 200, "Stacosys is back");
  await until(() => log(program).length >= 2, "two lines are written");
  const [begin = "", back = ""] = log(program);
  assertMatch(
    begin,
    /^\d{4}-\d\d-\d\dT[\d:.]+Z warning Stacosys fails: .*refused.*\/comments\/count\?token=t&url=\/known\/$/,
  );
  assertMatch(
    back,
    /^\d{4}-\d\d-\d\dT[\d:.]+Z info Stacosys is back after \d+\.\d s; meanwhile \d+ counts were stale and 10\d missing$/,
  );
  assertEquals(log(program).length, 2);
});

Deno.test("one request to a Stacosys that is stopped is one line in the log, and a page of ten in an outage is ten counts", async () => {
  await using stacosys = await stand.startStandIn();
  await using program = await startProgram({ Stacosys: stacosys.url });
  await ask(program, "/known/");
  await stacosys.stop();
  await ask(program, "/new/");
  await until(() => log(program).length > 0, "it is told");
  const page = `${program.url}/comments/counts?${Array.from({ length: 10 }, (_, i) => `url=/${i}/`).join("&")}`;
  let pages = 0;
  for (; log(program).length < 2; pages++) assertEquals((await received(await fetch(page))).status, 404);
  await stacosys.start();
  await until(async () => (await ask(program, "/back/")).status === 200, "Stacosys is back");
  await until(() => log(program).length >= 3, "it is told");
  const [first = "", begin = "", back = ""] = log(program);
  assertMatch(first, / warning Stacosys gave no count for \/comments\/count\?token=t&url=\/new\/: .*refused/);
  assertMatch(begin, / warning Stacosys fails: .*refused/);
  assertMatch(back, new RegExp(`; meanwhile 0 counts were stale and ${10 * pages + 1} missing$`));
});

Deno.test("a Stacosys that fails every other request does not flood the log", async () => {
  await using stacosys = await stand.startStandIn();
  await using program = await startProgram({ Stacosys: stacosys.url });
  for (let i = 0; i < 200; i++) {
    stacosys.answer(i % 2 === 0 ? stand.html : stand.count(7));
    await ask(program, `/${i}/`);
  }
  assertEquals(log(program), []);
});

Deno.test("neither a reader's URL nor Stacosys' answer brings a control character into the log", async () => {
  await using stacosys = await stand.startStandIn();
  await using program = await startProgram({ Stacosys: stacosys.url });
  // Bytes such as 9B begin a command to a terminal as ESC [ does, and HTTP allows them in a header.
  stacosys.answer(({ send }) =>
    send(new Uint8Array([..."HTTP/1.1 302 FOUND\r\nLocation: http://\x9b2J\x85/\r\n\r\n"].map((c) => c.charCodeAt(0))))
  );
  const request = "GET /comments/count?url=/\xc2\x9b2J\xc2\x85/ HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
  await until(async () => {
    using connection = await Deno.connect({ hostname: "127.0.0.1", port: Number(new URL(program.url).port) });
    await connection.write(Uint8Array.from(request, (c) => c.charCodeAt(0)));
    assertMatch(await new Response(connection.readable).text(), /^HTTP\/1.1 404/);
    return log(program).length > 0;
  }, "the outage is logged");
  assertStringIncludes(program.stderr(), "a redirect to what is no URL");
  assertStringIncludes(program.stderr(), "url=/\\u009b2J\\u0085/");
  for (const line of log(program)) assert(!/\p{Cc}/u.test(line), line);
});

const isLinux = Deno.build.os === "linux";
Deno.test({
  name: `what the program says may go to a disk that is full, and readers are served all the same${
    isLinux ? "" : " (ignored: needs the /dev/full of Linux)"
  }`,
  ignore: !isLinux,
  async fn() {
    await using stacosys = await stand.startStandIn();
    const command = ["sh", "-c", `echo listening on; exec "$0" "$@" > /dev/full 2>&1`, ...FROM_SOURCE];
    await using program = await startProgram({ Stacosys: stacosys.url, Unknown: 1 }, command);
    stacosys.answer(stand.html);
    await until(() => ask(program, "/a/").then(({ status }) => status === 404, () => false), "a fault is to be logged");
    stacosys.answer(stand.count(8));
    await until(async () => brief(await ask(program, "/a/")) === '200 {"count":8}', "the count is right");
  },
});

/** The program's parts put together as main.ts does it, but for the process, and with a clock that stands still. */
function serviceFor(
  stacosys: stand.StandIn,
  { ttlMs = 300_000, staleIfErrorMs = 86_400_000, staleWhileRevalidateMs = 0, timeoutMs = 10_000 } = {},
) {
  const clock = { ms: 0 };
  const now = () => clock.ms;
  const proxy = createProxy({
    counters: new Counters({
      ask: createStacosys({ url: stacosys.url, timeoutMs }),
      outage: new Outage(() => {}, now),
      ttlMs,
      staleIfErrorMs,
      staleWhileRevalidateMs,
      maxEntries: 1_000,
      now,
      monotonic: now,
    }),
    results: new Metrics().results,
    paths: ["/comments/count"],
    script: () => new Response(),
    now,
  });
  async function get(article: string): Promise<Answer> {
    return await received(await proxy(new Request(`http://127.0.0.1/comments/count?token=t&url=${article}`)));
  }
  return { clock, get };
}

function misbehave(stacosys: stand.StandIn): void {
  for (const [fault, behaviour] of Object.entries(FAULTS)) stacosys.answer(behaviour, `/${fault}/`);
}

/** Asks for a count under each of the {@linkcode FAULTS} at once, and tells what came of each. */
async function askAll(program: Program, tell: (answer: Answer) => string): Promise<Record<string, string>> {
  const told = Object.keys(FAULTS).map(async (fault) => {
    return [fault, tell(await ask(program, `/${encodeURIComponent(fault)}/`))] as const;
  });
  return Object.fromEntries(await Promise.all(told));
}

async function allAre(program: Program, told: string): Promise<boolean> {
  return Object.values(await askAll(program, brief)).every((answer) => answer === told);
}

/** The same told of each of the {@linkcode FAULTS}. */
function forAll(told: string): Record<string, string> {
  return Object.fromEntries(Object.keys(FAULTS).map((fault) => [fault, told]));
}

function log(program: Program): string[] {
  return program.stderr().split("\n").filter((line) => line !== "");
}

function isStale({ headers }: Answer): boolean {
  return headers.get("cache-status")?.includes("stale-if-error") ?? false;
}
