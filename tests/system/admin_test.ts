/**
 * The owner's own listener: purge, who is kept out, and what only a process can tell. Its page is in
 * status_page_test.ts.
 *
 * @module
 */

import { assert, assertEquals, assertLessOrEqual, assertStringIncludes } from "@std/assert";
import { countsAsJson } from "../../admin/counts.ts";
import { Cache } from "../../cache.ts";
import { makeFolder } from "../folder.ts";
import { memoryOf } from "./memory.ts";
import { testWith } from "./needs.ts";
import { firstFault, freePort, runProgram, startProgram } from "./program.ts";
import { ask, brief, received } from "./reader.ts";
import { BAD, sample, samplesOf, startService } from "../service.ts";
import * as stand from "../stand_in.ts";
import { until } from "../until.ts";

// Metrics of the process.

Deno.test("the process tells its time, its memory and when it started", async () => {
  const before = Date.now() / 1000;
  await using program = await startProgram({
    Stacosys: "http://127.0.0.1:9",
    AdminHostPort: `127.0.0.1:${freePort()}`,
  });
  const metrics = samplesOf(await text(`${adminOf(program)}/metrics`));
  const started = sample(metrics, "process_start_time_seconds");
  // The clock and the start may be told by different counters of the system.
  assertLessOrEqual(before - 1, started);
  assertLessOrEqual(started, Date.now() / 1000 + 1);
  const cpu = sample(metrics, "process_cpu_seconds_total");
  assert(cpu > 0);
  // In bytes, about as many as Linux says, in whichever moment it is asked.
  const memory = sample(metrics, "process_resident_memory_bytes") / (1e6 * (await memoryOf(program.process)).now);
  assert(memory > 0.1 && memory < 10, `${memory} times what Linux says`);
  await until(
    async () => sample(samplesOf(await text(`${adminOf(program)}/metrics`)), "process_cpu_seconds_total") > cpu,
    "its processor time grows",
  );
});

Deno.test("how long Stacosys took is told in seconds", async () => {
  await using stacosys = await stand.startStandIn();
  const AdminHostPort = `127.0.0.1:${freePort()}`;
  await using program = await startProgram({ Stacosys: stacosys.url, AdminHostPort, TimeoutSeconds: 100 });
  stacosys.answer(stand.slowly(300, 7));
  assertEquals(brief(await ask(program, "/a/")), '200 {"count":7}');
  const metrics = samplesOf(await text(`${adminOf(program)}/metrics`));
  const seconds = sample(metrics, 'httpfastcache_stacosys_response_seconds_sum{outcome="ok"}');
  // It waited 300 ms, and would have been given up after 100 s.
  assert(seconds > 0.1 && seconds < 100, `${seconds} s`);
});

testWith(["promtool"], "promtool has nothing to say about the metrics, cold or after every result", async () => {
  await using stacosys = await stand.startStandIn();
  const AdminHostPort = `127.0.0.1:${freePort()}`;
  await using program = await startProgram({ Stacosys: stacosys.url, AdminHostPort, TtlSeconds: 0.1, MaxEntries: 2 });
  const silent = { code: 0, said: "" };
  assertEquals(await checkMetrics(await text(`${adminOf(program)}/metrics`)), silent);

  await until(async () => {
    await ask(program, "/a/");
    return seen(await metrics(), "hit");
  }, "there is a hit");
  for (const article of ["/b/", "/c/"]) await ask(program, article);
  await text(`${program.url}/nothing`);
  stacosys.answer(stand.status("500 INTERNAL SERVER ERROR"));
  await ask(program, "/d/");
  await until(async () => {
    await ask(program, "/c/");
    return seen(await metrics(), "stale");
  }, "there is a stale count");

  const all = await metrics();
  for (const result of ["hit", "miss", "stale", "error", "rejected"]) assert(seen(all, result), result);
  assert(sample(all, "httpfastcache_evictions_total") > 0);
  assert(sample(all, 'httpfastcache_stacosys_requests_total{outcome="ok"}') >= 3);
  assertEquals(await checkMetrics(await text(`${adminOf(program)}/metrics`)), silent);

  async function metrics(): Promise<Map<string, number>> {
    return samplesOf(await text(`${adminOf(program)}/metrics`));
  }
  function seen(metrics: Map<string, number>, result: string): boolean {
    return sample(metrics, `httpfastcache_counts_total{result="${result}"}`) > 0;
  }
});

Deno.test("a reader who waits for a Stacosys that hangs is told of while he waits", async () => {
  await using stacosys = await stand.startStandIn();
  const AdminHostPort = `127.0.0.1:${freePort()}`;
  await using program = await startProgram({ Stacosys: stacosys.url, AdminHostPort });
  const health = async () => JSON.parse(await text(`${adminOf(program)}/healthz`));
  stacosys.answer(stand.hang);
  const reader = ask(program, "/a/");
  await until(async () => (await health()).waiting === 1, "a reader waits");
  await until(async () => (await health()).stacosys === "slow", "Stacosys is slow");
  await stacosys.stop();
  assertEquals((await reader).status, 404);
  await until(async () => (await health()).waiting === 0, "nobody waits");
});

// Purge.

Deno.test("after a purge each next reader gets the count of now", async () => {
  const { own, count, stacosys } = await startService();
  for (const article of ["/a/", "/b/", "/c/"]) await count(article);
  stacosys.answer = { outcome: "ok", body: '{"count":8}\n' };
  assertEquals(brief(await count("/a/")), '200 {"count":7}');
  assertEquals(brief(await own("POST", "/purge")), '200 {"purged":3}');
  assertEquals(brief(await count("/a/")), '200 {"count":8}');
});

Deno.test("a purge of an article concerns it in either spelling, and the total, and nothing else", async () => {
  for (const purge of ["/purge?url=/2017/x/", "/purge?url=%2F2017%2Fx%2F"]) {
    const { own, read, cache } = await startService();
    const mine = ["token=T&url=/2017/x/", "token=T&url=%2F2017%2Fx%2F", "url=/2017/x/&token=other", "token=T"];
    const others = ["token=T&url=/2017/x", "token=T&url=/2017/x/y/", "token=T&url=/2017/", "token=T&url="];
    for (const query of [...mine, ...others]) await read(`/comments/count?${query}`);
    assertEquals(brief(await own("POST", purge)), '200 {"purged":4}');
    const fresh = [...cache.entries()].filter(([, { purged }]) => !purged).map(([target]) => target);
    assertEquals(fresh, others.map((query) => `/comments/count?${query}`));
  }
});

Deno.test("a purge loses no count while Stacosys fails", async () => {
  const { own, count, stacosys } = await startService();
  await count("/a/");
  stacosys.answer = BAD;
  assertEquals(brief(await own("POST", "/purge?url=/a/")), '200 {"purged":1}');
  assertEquals(brief(await count("/a/")), '200 {"count":7}');
});

Deno.test("a purge with a slip in its parameters is 400, and purges nothing", async () => {
  const { own, count, cache } = await startService();
  await count("/a/");
  assertEquals(brief(await own("POST", "/purge?ulr=/a/")), "400 400 expected url, got ulr");
  assertEquals(brief(await own("POST", "/purge?url=/a/&url=/b/")), "400 400 expected one url, got 2");
  assertEquals(areFresh(cache), true);
});

Deno.test("a purge with its url in a body, as a form has it, is 400, and purges nothing", async () => {
  const { admin, count, cache } = await startService();
  await using owner = listen(admin);
  await count("/a/");
  const form = new URLSearchParams({ url: "/b/" });
  for (const body of [form, new Blob([form.toString()]).stream()]) {
    const answer = await fetch(`${owner.url}/purge`, { method: "POST", body });
    assertEquals(brief(await received(answer)), "400 400 expected url in the query, got a body");
  }
  assertEquals(areFresh(cache), true);
});

// What the cache holds.

Deno.test("the counts are told with their url, age, whether they are fresh, and without their token, those of 0 first", async () => {
  const { own, read, clock, stacosys } = await startService();
  await read("/comments/count?token=9fb3e29c&url=/a/");
  clock.now += 30_000;
  await read("/comments/count?url=%2Fb%2F&token=T");
  stacosys.answer = { outcome: "ok", body: '{"count": 0}' };
  await read("/comments/count?%74oken=0123456789abcdef01234567&url=/a/");
  await read("/comments/count?token=T");
  clock.now += 30_000;
  const { status, headers, text } = await own("GET", "/counts");
  assertEquals([status, headers.get("content-type")], [200, "application/json"]);
  assertEquals(JSON.parse(text), {
    counts: [
      { url: "/a/", count: 0, ageSeconds: 30, fresh: true, target: "/comments/count?token=0123…&url=/a/" },
      { url: null, count: 0, ageSeconds: 30, fresh: true, target: "/comments/count?token=…" },
      { url: "/a/", count: 7, ageSeconds: 60, fresh: false, target: "/comments/count?token=9f…&url=/a/" },
      { url: "/b/", count: 7, ageSeconds: 30, fresh: true, target: "/comments/count?url=%2Fb%2F&token=…" },
    ],
    found: 4,
  });
  assertEquals(text.split("\n").length, 7, "a count is a line");
});

Deno.test("the counts of an empty cache are none", async () => {
  const { own } = await startService();
  assertEquals(JSON.parse((await own("GET", "/counts")).text), { counts: [], found: 0 });
});

Deno.test("counts can be searched by a part of their url and limited, and it is told how many there are", async () => {
  const { own, count } = await startService();
  for (const article of ["/2016/a/", "/2017/a/", "/2017/b/"]) await count(article);
  async function found(query: string): Promise<unknown> {
    const { counts, found } = JSON.parse((await own("GET", `/counts?${query}`)).text);
    return [counts.map(({ url }: { url: string }) => url), found];
  }
  assertEquals(await found("search=/2017/"), [["/2017/a/", "/2017/b/"], 2]);
  assertEquals(await found("search=%2Fa%2F&limit=1"), [["/2016/a/"], 2]);
  assertEquals(await found("search=nothing"), [[], 0]);
  assertEquals(await found("limit=0"), [[], 3]);
  assertEquals(brief(await own("GET", "/counts?url=/a/")), "400 400 expected search or limit, got url");
  assertEquals(brief(await own("GET", "/counts?limit=-1")), "400 400 expected a whole number as limit, got -1");
});

Deno.test("a purged count is not fresh, and one from before the start has no age", async () => {
  const { own, count, cache, clock } = await startService();
  cache.set("/comments/count?token=T&url=/kept/", '{"count":3}\n', clock.now + 20_000);
  cache.set("/comments/count?token=T&url=/longer-ttl/", '{"count":3}\n', clock.now + 3_600_000);
  clock.now += 10_000;
  await count("/a/");
  await own("POST", "/purge?url=/a/");
  clock.now += 5_000;
  const { counts } = JSON.parse((await own("GET", "/counts")).text);
  const told = counts.map(({ url, ageSeconds, fresh }: Record<string, unknown>) => [url, ageSeconds, fresh]);
  assertEquals(told, [["/kept/", null, true], ["/longer-ttl/", null, false], ["/a/", 5, false]]);
});

Deno.test("100,000 counts come in portions, between which readers are answered, and looking at them keeps none of them", async () => {
  const cache = new Cache<string>({ ttlMs: 60_000, maxEntries: 100_000 });
  for (let i = 0; i < 100_000; i++) cache.set(`/comments/count?token=T&url=/${i}/`, `{"count":${i % 2}}\n`);
  let portions = 0;
  let answered = 0;
  const reader = setInterval(() => answered++);
  const query = { search: "", limit: Infinity, now: Date.now(), uptimeMs: 1e6 };
  let text = "";
  for await (const portion of countsAsJson({ cache, ttlMs: 60_000 }, query)) {
    portions++;
    assertLessOrEqual(portion.length, 256 * 1024);
    text += portion;
  }
  clearInterval(reader);
  assert(answered > 100, `${answered} times`);
  assert(portions >= 200, `${portions} portions`);
  const { counts, found } = JSON.parse(text);
  assertEquals([found, counts.length, counts[0].count, counts[50_000].count], [100_000, 100_000, 0, 1]);
  cache.set("/one/more", "7");
  assertEquals(cache.entries().next().value?.[0], "/comments/count?token=T&url=/1/", "SIEVE evicts the oldest still");
});

// Who is kept out.

Deno.test("a request that another web page made is 403, wherever that page is from", async () => {
  const { own, count, cache } = await startService();
  await count("/a/");
  const origins = ["https://evil.example", "null", "http://localhost", "http://127.0.0.1", "http://localhost:8109"];
  for (const origin of [...origins, "https://127.0.0.1:8109", "http://127.0.0.1:8109/", "http://127.0.0.1:81090"]) {
    for (const request of ["POST /purge", "GET /metrics", "GET /healthz", "GET /counts", "GET /"]) {
      const [method = "", path = ""] = request.split(" ");
      assertEquals(brief(await own(method, path, { origin })), "403 403 forbidden", `${request} ${origin}`);
    }
  }
  assertEquals(areFresh(cache), true);
});

Deno.test("the status page itself may purge, whichever loopback name it has", async () => {
  const { own, count } = await startService();
  for (const host of ["127.0.0.1:8109", "localhost:9000", "[::1]:8109"]) {
    await count("/a/");
    assertEquals(brief(await own("POST", "/purge", { host, origin: `http://${host}` })), '200 {"purged":1}', host);
  }
});

Deno.test("a request under a name that is not loopback is 403, and so is one from its own origin", async () => {
  const { admin, count, cache } = await startService();
  await using owner = listen(admin);
  const { port } = owner;
  await count("/a/");
  const hosts = [
    "evil.example",
    `evil.example:${port}`,
    `192.168.1.1:${port}`,
    "0.0.0.0",
    "[::]",
    "localhost.evil.example",
  ];
  for (const host of [...hosts, "127.0.0.1.evil.example", `127.0.0.1@evil.example:${port}`, ""]) {
    for (const request of ["POST /purge", "GET /metrics", "GET /healthz", "GET /counts", "GET /"]) {
      for (const origin of ["", `Origin: http://${host}\r\n`]) {
        assertEquals(await statusOf(port, request, host, origin), 403, `${request} for ${host} ${origin}`);
      }
    }
  }
  assertEquals(areFresh(cache), true);
});

Deno.test("a request under any loopback name is answered", async () => {
  const { admin } = await startService();
  await using owner = listen(admin);
  const { port } = owner;
  const hosts = ["localhost", "LocalHost", "127.0.0.1", "127.1.2.3", "[::1]"];
  for (const host of hosts.flatMap((host) => [host, `${host}:${port}`])) {
    assertEquals(await statusOf(port, "GET /healthz", host), 200, host);
    assertEquals(await statusOf(port, "POST /purge", host), 200, host);
  }
});

Deno.test("a request without Host, or for what is no URL, is 400", async () => {
  const { admin } = await startService();
  await using owner = listen(admin);
  for (const target of ["http://[::1/healthz", "http://127.0.0.1:99999/healthz", "http://a%zz/", "*"]) {
    assertEquals(await statusOf(owner.port, `GET ${target}`, "127.0.0.1"), 400, target);
  }
  assertEquals(await statusOf(owner.port, "GET /healthz", undefined), 400, "without Host");
});

Deno.test("a wrong method is 405 with the right one, a wrong path 404", async () => {
  const { own, count, cache } = await startService();
  await count("/a/");
  const reading = ["/", "/healthz", "/metrics", "/counts"].map((path) => [path, ["GET", "HEAD"]] as const);
  for (const [path, allowed] of [...reading, ["/purge", ["POST"]] as const]) {
    for (const method of ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"]) {
      if (allowed.some((each) => each === method)) continue;
      const { status, headers } = await own(method, path);
      assertEquals([status, headers.get("allow")], [405, allowed.join(", ")], `${method} ${path}`);
    }
  }
  for (const path of ["/healthz/", "/Metrics", "/purge/all", "/comments/count?url=/a/", "/constructor", "/__proto__"]) {
    assertEquals(brief(await own("GET", path)), "404 404 page not found", path);
    assertEquals((await own("POST", path)).status, 404, path);
  }
  assertEquals(areFresh(cache), true);
});

Deno.test("HEAD is answered as GET is, without the body", async () => {
  const { admin, count, stacosys } = await startService();
  await using owner = listen(admin);
  const head = async (path: string) => {
    using connection = await Deno.connect({ hostname: "127.0.0.1", port: owner.port });
    const request = `HEAD ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`;
    await connection.write(new TextEncoder().encode(request));
    const [headers = "", body] = (await new Response(connection.readable).text()).split("\r\n\r\n");
    return { status: Number(headers.split(" ")[1]), length: Number(/content-length: (\d+)/i.exec(headers)?.[1]), body };
  };
  stacosys.answer = { outcome: "status", reason: "status 404", status: 404 };
  await count("/a/");
  for (const path of ["/healthz", "/healthz?stacosys"]) {
    const { status, text } = await received(await fetch(owner.url + path));
    assertEquals(await head(path), { status, length: text.length, body: "" }, path);
  }
  for (const path of ["/", "/metrics", "/counts"]) {
    const { status, body } = await head(path);
    assertEquals([status, body], [200, ""], path);
  }
  assertEquals((await head("/purge")).status, 405);
});

Deno.test("readers get none of this on the public port", async () => {
  await using stacosys = await stand.startStandIn();
  await using program = await startProgram({ Stacosys: stacosys.url, AdminHostPort: `127.0.0.1:${freePort()}` });
  await ask(program, "/a/");
  for (const path of ["/", "/healthz", "/metrics", "/counts", "/purge", "/purge?url=/a/", "/status.html"]) {
    for (const method of ["GET", "POST"]) {
      const answer = await received(await fetch(program.url + path, { method }));
      assertEquals(brief(answer), "404 404 page not found", `${method} ${path}`);
    }
  }
  assertEquals(JSON.parse(await text(`${adminOf(program)}/healthz`)).entries, 1);
  assertStringIncludes(
    program.stdout(),
    `listening on ${program.url}, for its owner on ${adminOf(program)}, for Stacosys`,
  );
});

for (const wrong of ["0.0.0.0:8109", ":8109", "192.168.1.1:8109", "blog.example.org:8109", "[::]:8109"]) {
  Deno.test(`an owner's listener at ${wrong} is a fault, and nothing listens`, async () => {
    await using folder = await makeFolder();
    const file = `${folder.path}/config.json`;
    const config = { HostPort: `127.0.0.1:${freePort()}`, Stacosys: "http://127.0.0.1:9", AdminHostPort: wrong };
    await Deno.writeTextFile(file, JSON.stringify(config));
    assertEquals(await runProgram(["--config", file]), {
      code: 1,
      stdout: "",
      stderr: `${file}: AdminHostPort: expected "127.0.0.1:port" or another loopback address, got "${wrong}"\n`,
    });
  });
}

Deno.test("an owner's port that is taken is told of in a line", async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using folder = await makeFolder();
  const file = `${folder.path}/config.json`;
  const AdminHostPort = `127.0.0.1:${taken.addr.port}`;
  const config = { HostPort: `127.0.0.1:${freePort()}`, Stacosys: "http://127.0.0.1:9", AdminHostPort };
  await Deno.writeTextFile(file, JSON.stringify(config));
  assertStringIncludes(await firstFault(["--config", file]), `cannot listen on ${AdminHostPort}: `);
});

/** Where the program says that its owner's listener is. */
function adminOf(program: { stdout(): string }): string {
  return /for its owner on ([^,]+),/.exec(program.stdout())?.[1] ?? "";
}

async function text(url: string): Promise<string> {
  return await (await fetch(url)).text();
}

/** The owner's listener on a port that the system chose. */
function listen(admin: (request: Request) => Response | Promise<Response>) {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, admin);
  const { port } = server.addr;
  return { port, url: `http://127.0.0.1:${port}`, [Symbol.asyncDispose]: () => server.shutdown() };
}

function areFresh(cache: Cache<string>): boolean {
  return cache.size > 0 && [...cache.entries()].every(([, { purged }]) => !purged);
}

/** The status of a request with a `Host` that `fetch` would not send, or none. */
async function statusOf(port: number, request: string, host: string | undefined, headers = ""): Promise<number> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  const named = host === undefined ? "" : `Host: ${host}\r\n`;
  const head = `${request} HTTP/1.1\r\n${named}${headers}Connection: close\r\nContent-Length: 0\r\n\r\n`;
  await connection.write(new TextEncoder().encode(head));
  const answer = await new Response(connection.readable).text();
  return Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1]);
}

async function checkMetrics(metrics: string): Promise<{ code: number; said: string }> {
  const child = new Deno.Command("promtool", {
    args: ["check", "metrics"],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  })
    .spawn();
  const output = child.output();
  const stdin = child.stdin.getWriter();
  await stdin.write(new TextEncoder().encode(metrics));
  await stdin.close();
  const { code, stdout, stderr } = await output;
  const decoder = new TextDecoder();
  return { code, said: decoder.decode(stdout) + decoder.decode(stderr) };
}
