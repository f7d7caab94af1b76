import { assertEquals } from "@std/assert";
import { Counters } from "../upstream/counters.ts";
import { Metrics } from "../admin/metrics.ts";
import { Outage } from "../upstream/outage.ts";
import { createProxy, type ProxyOptions } from "../proxy.ts";
import { startCounters } from "./counters.ts";
import { createScript } from "../blog/script.ts";
import type { Answer } from "../upstream/stacosys.ts";

const A = "/comments/count?token=T&url=/a/";

/** The proxy on a real port, before a Stacosys that counts 7 for each article but those without a number in its url. */
async function serve(options: Partial<ProxyOptions> = {}) {
  const clock = { now: 0 };
  const now = () => clock.now;
  const asked: string[] = [];
  const outage = new Outage(() => {});
  function ask(target: string): Promise<Answer> {
    asked.push(target);
    const bad: Answer = { outcome: "status", reason: "status 500", status: 500 };
    return Promise.resolve(target.includes("bad") ? bad : { outcome: "ok", body: '{"count":7}\n' });
  }
  const counters = new Counters({
    ask,
    outage,
    ttlMs: 300_000,
    staleIfErrorMs: 300_000,
    staleWhileRevalidateMs: 0,
    maxEntries: 2_000,
    now,
  });
  const { cache } = counters;
  const { results } = new Metrics();
  const script = await createScript();
  const handler = createProxy({ counters, results, paths: ["/comments/count"], script, now, ...options });
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, handler);
  async function get(path: string, init: RequestInit = {}) {
    const response = await fetch(`http://127.0.0.1:${server.addr.port}${path}`, init);
    return { status: response.status, text: await response.text(), headers: response.headers };
  }
  return { port: server.addr.port, asked, cache, clock, results, get, [Symbol.asyncDispose]: () => server.shutdown() };
}

const NOT_FOUND = {
  status: 404,
  text: "404 page not found\n",
  "content-type": "text/plain; charset=utf-8",
  "x-content-type-options": "nosniff",
};

function plain({ status, text, headers }: { status: number; text: string; headers: Headers }) {
  const shown = ["content-type", "x-content-type-options", "access-control-allow-origin"]
    .flatMap((name) => headers.has(name) ? [[name, headers.get(name)]] : []);
  return { status, text, ...Object.fromEntries(shown) };
}

Deno.test("a miss and a hit are answered alike, and Stacosys is asked once", async () => {
  await using proxy = await serve({ corsOrigin: "https://blog.example.org" });
  const miss = await proxy.get(A);
  const hit = await proxy.get(A);
  for (const answer of [miss, hit]) {
    assertEquals(plain(answer), {
      status: 200,
      text: '{"count":7}\n',
      "content-type": "application/json",
      "access-control-allow-origin": "https://blog.example.org",
    });
  }
  assertEquals(miss.headers.get("cache-status"), "httpfastcache; fwd=uri-miss; fwd-status=200; stored");
  assertEquals(hit.headers.get("cache-status"), "httpfastcache; hit");
  assertEquals(proxy.asked, [A]);
  assertEquals(proxy.results, { hit: 1, miss: 1, stale: 0, error: 0, rejected: 0 });
});

Deno.test("only a page on the reader's own machine, as in development, may read Cache-Status", async () => {
  const corsOrigin = [
    "http://127.0.0.1:8102",
    "http://localhost",
    "http://[::1]:8102",
    "https://localhost.example.org",
  ];
  await using proxy = await serve({ corsOrigin });
  const exposed = corsOrigin.map(async (origin) => {
    return (await proxy.get(A, { headers: { origin } })).headers.get("access-control-expose-headers");
  });
  assertEquals(await Promise.all(exposed), ["Cache-Status", "Cache-Status", "Cache-Status", null]);
});

Deno.test("another order or spelling is another entry, and Stacosys is asked as the reader did", async () => {
  await using proxy = await serve();
  const spellings = [A, "/comments/count?url=/a/&token=T", "/comments/count?token=T&url=%2Fa%2F", "/comments/count"];
  for (const spelling of [...spellings, ...spellings]) await proxy.get(spelling);
  assertEquals(proxy.asked, spellings);
});

Deno.test("what the reader wishes of caches and ranges has no effect", async () => {
  await using proxy = await serve();
  await proxy.get(A);
  const headers = { "range": "bytes=0-1", "if-modified-since": new Date().toUTCString(), "cache-control": "no-cache" };
  assertEquals(plain(await proxy.get(A, { headers })), {
    status: 200,
    text: '{"count":7}\n',
    "content-type": "application/json",
  });
  assertEquals(proxy.asked.length, 1);
});

Deno.test("any method but GET is 404, without CORS header", async () => {
  await using proxy = await serve({ corsOrigin: "*" });
  await proxy.get(A);
  for (const method of ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"]) {
    assertEquals(plain(await proxy.get(A, { method })), NOT_FOUND, method);
  }
  assertEquals(plain(await proxy.get(A, { method: "HEAD" })), { ...NOT_FOUND, text: "" });
  assertEquals(proxy.results.rejected, 6);
});

Deno.test("any other path is 404, without CORS header", async () => {
  await using proxy = await serve({ corsOrigin: "*" });
  for (
    const path of ["/", "/comments/count/", "/Comments/Count", "/comments/countx", "/comments", "/x/comments/count"]
  ) {
    assertEquals(plain(await proxy.get(`${path}?token=T&url=/a/`)), NOT_FOUND, path);
  }
  assertEquals(proxy.asked, []);
  assertEquals(proxy.results.rejected, 6);
});

Deno.test("the paths of the configuration are counters, no others", async () => {
  await using proxy = await serve({ paths: ["/api/comments/count"] });
  assertEquals((await proxy.get("/api/comments/count?url=/a/")).status, 200);
  assertEquals((await proxy.get(A)).status, 404);
});

Deno.test("a path of the configuration is a counter, even if it is another one with an s", async () => {
  await using proxy = await serve({ paths: ["/count", "/counts"] });
  assertEquals((await proxy.get("/counts?url=/a/&url=/b/")).text, '{"count":7}\n');
});

Deno.test("a count that cannot be had is 404 with CORS header", async () => {
  await using proxy = await serve({ corsOrigin: "https://blog.example.org" });
  const answer = await proxy.get("/comments/count?token=T&url=/bad/");
  assertEquals(plain(answer), { ...NOT_FOUND, "access-control-allow-origin": "https://blog.example.org" });
  assertEquals(answer.headers.get("cache-status"), "httpfastcache; fwd=uri-miss; fwd-status=500");
  assertEquals(proxy.cache.size, 0);
});

Deno.test("an address longer than 8 KiB is 414, and not kept", async () => {
  await using proxy = await serve();
  assertEquals((await proxy.get(`${A}${"x".repeat(8193 - A.length)}`)).status, 414);
  assertEquals((await proxy.get(`${A}${"x".repeat(8192 - A.length)}`)).status, 200);
  assertEquals(proxy.cache.size, 1);
});

Deno.test("of a list of origins, each reader's own is allowed, and nobody else's", async () => {
  await using proxy = await serve({ corsOrigin: ["https://a.example", "https://b.example"] });
  for (const pass of ["miss", "hit"]) {
    for (
      const [origin, allowed] of [
        ["https://a.example", "https://a.example"],
        ["https://b.example", "https://b.example"],
        ["https://c.example", null],
        [undefined, null],
      ] as const
    ) {
      const { headers } = await proxy.get(A, origin === undefined ? {} : { headers: { origin } });
      assertEquals(headers.get("access-control-allow-origin"), allowed, pass);
      assertEquals(headers.get("vary"), "Origin");
    }
  }
  const { headers } = await proxy.get("/comments/count?url=/bad/", { headers: { origin: "https://a.example" } });
  assertEquals(headers.get("access-control-allow-origin"), "https://a.example");
});

Deno.test("without CorsOrigin there is no CORS header", async () => {
  await using proxy = await serve();
  await proxy.get(A);
  const { headers } = await proxy.get(A, { headers: { origin: "https://a.example" } });
  assertEquals([headers.get("access-control-allow-origin"), headers.get("vary")], [null, null]);
});

Deno.test("with CacheControl, browsers may keep a count for what is left of its life, and a stale one not at all", async () => {
  await using proxy = await serve({ cacheControl: true, corsOrigin: "*" });
  async function age(target = A): Promise<string | null> {
    const { headers } = await proxy.get(target);
    assertEquals(headers.get("access-control-allow-origin"), "*");
    return headers.get("cache-control");
  }
  assertEquals(await age(), "public, max-age=300");
  proxy.clock.now = 100_500;
  assertEquals(await age(), "public, max-age=199");
  assertEquals(await age("/comments/count?url=/bad/"), "no-store");
  proxy.cache.set("/comments/count?url=/once-good-bad/", "7");
  proxy.clock.now = 500_000;
  assertEquals(await age("/comments/count?url=/once-good-bad/"), "public, max-age=0");
});

Deno.test("more bodies than are kept ready, and longer ones, are all answered right", async () => {
  await using proxy = await serve();
  const long = `{"count":7${" ".repeat(2_000)}}`;
  for (let i = 0; i < 1_100; i++) proxy.cache.set(`/comments/count?url=/${i}/`, `{"count":${i}}`);
  proxy.cache.set("/comments/count?url=/long/", long);
  for (let i = 0; i < 1_100; i++) {
    assertEquals((await proxy.get(`/comments/count?url=/${i}/`)).text, `{"count":${i}}`);
  }
  for (let pass = 0; pass < 2; pass++) assertEquals((await proxy.get("/comments/count?url=/long/")).text, long);
});

Deno.test("of the answers that are kept ready there are at most a thousand, none of them long", () => {
  let made = 0;
  const { Response } = globalThis;
  globalThis.Response = class extends Response {
    constructor(...args: ConstructorParameters<typeof Response>) {
      super(...args);
      made++;
    }
  };
  try {
    const { cache, counters } = startCounters({ maxEntries: 2_000 });
    const now = () => 0;
    const handle = createProxy({
      counters,
      now,
      results: new Metrics().results,
      paths: ["/comments/count"],
      script: () => new Response(),
    });
    const hit = (i: number) => handle(new Request(`http://h/comments/count?url=/${i}/`));
    for (let i = 0; i <= 1_000; i++) cache.set(`/comments/count?url=/${i}/`, `{"count":${i}}`);
    for (let pass = 0; pass < 2; pass++) for (let i = 0; i < 1_000; i++) hit(i);
    assertEquals(made, 1_000);
    for (const i of [1_000, 0]) hit(i);
    assertEquals(made, 1_002);
    cache.set("/comments/count?url=/2000/", '{"count":7}'.padStart(1_001));
    for (let pass = 0; pass < 2; pass++) hit(2_000);
    assertEquals(made, 1_004);
  } finally {
    globalThis.Response = Response;
  }
});

Deno.test("a page in one request: each count is the entry of its single request", async () => {
  await using proxy = await serve({ corsOrigin: "*" });
  await proxy.get(A);
  const counts = await proxy.get("/comments/counts?token=T&url=/a/&url=%2Fb%2F&url=/a/&url=/b/");
  assertEquals(plain(counts), {
    status: 200,
    text: '{"counts":{"/a/":7,"/b/":7}}\n',
    "content-type": "application/json",
    "access-control-allow-origin": "*",
  });
  assertEquals(proxy.asked, [A, "/comments/count?token=T&url=%2Fb%2F"]);
  assertEquals(counts.headers.get("cache-status"), 'httpfastcache; fwd=partial; detail="1 hit, 1 miss"');
  assertEquals(proxy.results, { hit: 1, miss: 2, stale: 0, error: 0, rejected: 0 });
  await proxy.get("/comments/count?token=T&url=%2Fb%2F");
  assertEquals(proxy.asked.length, 2);
});

Deno.test("ten known counts in one request ask Stacosys for nothing, and are those of the ten single requests", async () => {
  await using proxy = await serve();
  const urls = Array.from({ length: 10 }, (_, i) => `/${i}/`);
  for (const [i, url] of urls.entries()) proxy.cache.set(`/comments/count?token=T&url=${url}`, `{"count":${i}}`);
  const page = `/comments/counts?token=T${urls.map((url) => `&url=${url}`).join("")}`;
  const expected = { counts: Object.fromEntries(urls.map((url, i) => [url, i])) };
  for (let pass = 0; pass < 2; pass++) {
    const { text, headers } = await proxy.get(page);
    assertEquals(JSON.parse(text), expected);
    assertEquals(headers.get("cache-status"), "httpfastcache; hit");
  }
  assertEquals(proxy.results.hit, 20);
  proxy.cache.set("/comments/count?token=T&url=/3/", '{"count":33}');
  assertEquals(JSON.parse((await proxy.get(page)).text).counts["/3/"], 33);
  assertEquals(proxy.asked, []);
});

Deno.test("other parameters are passed on with each count of a page", async () => {
  await using proxy = await serve();
  await proxy.get("/comments/counts?url=/a/&token=T&lang=fr&url=/b/");
  assertEquals(proxy.asked, ["/comments/count?token=T&lang=fr&url=/a/", "/comments/count?token=T&lang=fr&url=/b/"]);
});

Deno.test("a count of a page that cannot be had is null; when none can, the page is 404", async () => {
  await using proxy = await serve({ corsOrigin: "*" });
  const some = await proxy.get("/comments/counts?url=/a/&url=/bad/");
  assertEquals([some.status, some.text], [200, '{"counts":{"/a/":7,"/bad/":null}}\n']);
  const none = await proxy.get("/comments/counts?url=/bad/&url=/worse-bad/");
  assertEquals(plain(none), { ...NOT_FOUND, "access-control-allow-origin": "*" });
});

Deno.test("a count that is slow, stale or failed says so", async () => {
  await using proxy = await serve({ cacheControl: true });
  proxy.cache.set("/comments/count?url=/bad/", "7");
  proxy.clock.now = 304_500;
  const bad = async () => (await proxy.get("/comments/count?url=/bad/")).headers;
  const stale = await bad();
  assertEquals(stale.get("cache-status"), "httpfastcache; fwd=stale; fwd-status=500; ttl=-5; detail=stale-if-error");
  assertEquals((await bad()).get("cache-status"), "httpfastcache; hit; ttl=-5; detail=stale-if-error");
});

Deno.test("a page of counts never seen, or of stale ones, says so", async () => {
  await using proxy = await serve();
  const status = async (query: string) => (await proxy.get(`/comments/counts?${query}`)).headers.get("cache-status");
  assertEquals(await status("url=/a/&url=/b/"), 'httpfastcache; fwd=uri-miss; detail="2 miss"');
  proxy.cache.set("/comments/count?url=/bad/", "7");
  proxy.clock.now = 304_500;
  assertEquals(await status("url=/bad/"), 'httpfastcache; fwd=stale; detail="1 stale"');
});

Deno.test("a reader who waited for another's request is told so", async () => {
  const entry = { value: '{"count":7}', expiresAt: 300_000, purged: false };
  const forward = { why: "uri-miss", status: 200, collapsed: true } as const;
  await using proxy = await serve({
    counters: { ...startCounters(), known: () => undefined, miss: () => ({ result: "miss", entry, forward }) },
  });
  const { headers } = await proxy.get(A);
  assertEquals(headers.get("cache-status"), "httpfastcache; fwd=uri-miss; fwd-status=200; stored; collapsed");
});

Deno.test("a stale count has neither a positive ttl nor a max-age, also where the clock is set back", async () => {
  await using proxy = await serve({ cacheControl: true });
  proxy.clock.now = 86_400_000;
  proxy.cache.set("/comments/count?url=/bad/", "7");
  proxy.clock.now = 0;
  for (const target of ["/comments/count?url=/bad/", "/comments/counts?url=/bad/"]) {
    const { headers } = await proxy.get(target);
    assertEquals(headers.get("cache-control"), "public, max-age=0");
    assertEquals(/ttl=[1-9]/.test(headers.get("cache-status") ?? ""), false);
  }
});

Deno.test("no cache keeps a refusal", async () => {
  await using proxy = await serve();
  for (
    const [target, status] of [
      ["/", 404],
      ["/comments/count?url=/bad/", 404],
      ["/comments/counts?url=/bad/", 404],
      ["/comments/counts", 400],
      [`${A}${"x".repeat(8_193)}`, 414],
      [`/comments/counts?url=${"x".repeat(33_000)}`, 414],
    ] as const
  ) {
    const answer = await proxy.get(target);
    assertEquals([answer.status, answer.headers.get("cache-control")], [status, "no-store"], target);
  }
  assertEquals((await proxy.get("/", { method: "POST" })).headers.get("cache-control"), "no-store");
});

Deno.test("the path of a request is what its request line says, whatever its Host", async () => {
  await using proxy = await serve();
  for (
    const [target, host] of [
      ["/comments/count?url=/a/", "x/comments/count?url=/evil&y="],
      ["/any", "a/comments/count?url=/V/&x="],
      ["/comments/count?url=/a/", "a#b"],
      ["/comments/count?url=/a/", "a@b"],
      ["/comments/counts?url=/a/", "a@b"],
    ]
  ) {
    assertEquals(await statusFor(proxy.port, `GET ${target} HTTP/1.1\r\nHost: ${host}\r\n`), 400, host);
  }
  assertEquals([proxy.asked, proxy.cache.size, proxy.results.rejected], [[], 0, 5]);
  for (const host of ["blog.example.org:8101", "[::1]:8101", "a_b"]) {
    assertEquals(await statusFor(proxy.port, `GET /comments/count HTTP/1.1\r\nHost: ${host}\r\n`), 200, host);
  }
});

/** The status that a request gets, sent as it stands. */
async function statusFor(port: number, head: string): Promise<number> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  await connection.write(new TextEncoder().encode(`${head}Connection: close\r\n\r\n`));
  const answer = await new Response(connection.readable).text();
  return Number(/^HTTP\/1.1 (\d+)/.exec(answer)?.[1]);
}

Deno.test("a count of a page that is no number is null", async () => {
  await using proxy = await serve();
  proxy.cache.set("/comments/count?url=/a/", '{"count":"many"}');
  proxy.cache.set("/comments/count?url=/b/", '{"count":1e400}');
  assertEquals((await proxy.get("/comments/counts?url=/a/&url=/b/")).text, '{"counts":{"/a/":null,"/b/":null}}\n');
});

Deno.test("a page with no url, or more than a hundred, is 400 with a line of JSON that says so", async () => {
  await using proxy = await serve({ corsOrigin: "*" });
  const urls = (n: number) => Array.from({ length: n }, (_, i) => `url=/${i}/`).join("&");
  const none = await proxy.get("/comments/counts?token=T");
  assertEquals([none.status, none.text], [400, '{"error":"expected 1 to 100 urls, got 0"}\n']);
  assertEquals(none.headers.get("content-type"), "application/json");
  assertEquals(none.headers.get("access-control-allow-origin"), "*");
  assertEquals((await proxy.get("/comments/counts")).status, 400);
  assertEquals(
    (await proxy.get(`/comments/counts?${urls(101)}`)).text,
    '{"error":"expected 1 to 100 urls, got more"}\n',
  );
  assertEquals(proxy.results.rejected, 3);
  assertEquals((await proxy.get(`/comments/counts?${urls(100)}`)).status, 200);
});

Deno.test("a page whose only url is too long is 414, as it is alone", async () => {
  await using proxy = await serve();
  const long = `/${"x".repeat(9_000)}/`;
  const status = async (path: string) => (await proxy.get(path)).status;
  assertEquals(await status(`/comments/count?url=${long}`), 414);
  assertEquals(await status(`/comments/counts?url=${long}`), 414);
  assertEquals((await proxy.get(`/comments/counts?url=${long}&url=/a/`)).text, `{"counts":{"${long}":null,"/a/":7}}\n`);
});

Deno.test("a page whose single requests are too long together is 414, and none of them is made", async () => {
  await using proxy = await serve({ corsOrigin: "*" });
  const urls = Array.from({ length: 100 }, (_, i) => `url=/${i}/`).join("&");
  const { status, headers } = await proxy.get(`/comments/counts?token=${"x".repeat(1_000)}&${urls}`);
  assertEquals([status, headers.get("access-control-allow-origin")], [414, "*"]);
  assertEquals((await proxy.get(`/comments/counts?url=${"x".repeat(33_000)}`)).status, 414);
  assertEquals([proxy.asked, proxy.results.rejected], [[], 2]);
  const four = Array.from({ length: 4 }, (_, i) => `url=/${i}/`.padEnd(8_192 - "/comments/count?".length, "x")).join(
    "&",
  );
  assertEquals((await proxy.get(`/comments/counts?${four}&url=/`)).status, 414);
  assertEquals((await proxy.get(`/comments/counts?${four}`)).status, 200);
});

Deno.test("the page is as fresh as its least fresh count", async () => {
  await using proxy = await serve({ cacheControl: true });
  await proxy.get("/comments/count?url=/a/");
  proxy.clock.now = 200_000;
  const { headers } = await proxy.get("/comments/counts?url=/a/&url=/b/");
  assertEquals(headers.get("cache-control"), "public, max-age=100");
});

Deno.test("the script for blogs is handed out, and not again to whoever has it", async () => {
  await using proxy = await serve({ corsOrigin: "*" });
  const { status, text, headers } = await proxy.get("/comments/counts.js");
  assertEquals(headers.get("access-control-allow-origin"), "*");
  assertEquals([status, text], [200, await Deno.readTextFile(new URL("../blog/counts.js", import.meta.url))]);
  assertEquals(headers.get("content-type"), "text/javascript; charset=utf-8");
  assertEquals(headers.get("cache-control"), "public, max-age=3600, stale-while-revalidate=604800");
  assertEquals(headers.get("cross-origin-resource-policy"), "cross-origin");
  const etag = headers.get("etag") ?? "";
  const again = await proxy.get("/comments/counts.js", { headers: { "if-none-match": etag } });
  assertEquals([again.status, again.text, again.headers.get("etag")], [304, "", etag]);
  assertEquals(proxy.results.hit, 0);
});
