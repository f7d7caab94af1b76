/**
 * The owner's own listener: health, metrics, purge, and who is kept out. Its page is in status_page_test.ts.
 *
 * @module
 */

import { assert, assertEquals, assertLessOrEqual, assertMatch, assertStringIncludes } from "@std/assert";
import { BAD, GOOD, serve, value, values } from "./both_listeners.ts";
import { makeFolder } from "../folder.ts";
import { testWith } from "./needs.ts";
import { freePort, runProgram, startProgram } from "./program.ts";
import { ask, brief, received } from "./reader.ts";
import * as stand from "../stand_in.ts";
import { until } from "../until.ts";

// Health.

Deno.test("health tells of the service, and of Stacosys as its last answer was", async () => {
  await using service = await serve();
  const { health, count, clock, stacosys } = service;
  const well = {
    status: "ok",
    uptimeSeconds: 0,
    entries: 0,
    stacosys: "unknown",
    lastError: null,
    lastErrorSeconds: null,
  };
  assertEquals(await health(), well);

  await count("/a/");
  assertEquals(await health(), { ...well, entries: 1, stacosys: "up" });

  clock.now += 90_000;
  stacosys.answer = BAD;
  await count("/b/");
  const failed = { lastError: "status 500", lastErrorSeconds: 0 };
  assertEquals(await health(), { ...well, uptimeSeconds: 90, entries: 1, stacosys: "down", ...failed });

  stacosys.answer = GOOD;
  await count("/c/");
  assertEquals(await health(), { ...well, uptimeSeconds: 90, entries: 2, stacosys: "up", ...failed });
});

Deno.test("health is JSON that nobody keeps", async () => {
  await using service = await serve();
  const { status, headers } = await service.own("GET", "/healthz");
  assertEquals([status, headers.get("content-type"), headers.get("cache-control")], [
    200,
    "application/json",
    "no-store",
  ]);
});

// Metrics.

Deno.test("each request of a reader is counted once, by how it ended", async () => {
  await using service = await serve();
  const { count, read, clock, stacosys, metrics } = service;
  async function gained(act: () => Promise<unknown>): Promise<Record<string, number>> {
    const before = await metrics();
    await act();
    const after = await metrics();
    const results = ["hit", "miss", "stale", "error", "rejected"].map((result): [string, number] => {
      const name = `httpfastcache_requests_total{result="${result}"}`;
      return [result, value(after, name) - value(before, name)];
    });
    return Object.fromEntries(results.filter(([, gain]) => gain !== 0));
  }
  assertEquals(await gained(() => count("/a/")), { miss: 1 });
  assertEquals(await gained(() => Promise.all([count("/a/"), count("/a/"), count("/a/")])), { hit: 3 });
  assertEquals(await gained(() => read("/comments/counts?token=T&url=/a/")), { hit: 1 });
  assertEquals(await gained(() => read("/comments/counts?token=T&url=/a/&url=/b/")), { miss: 1 });
  assertEquals(await gained(() => read("/nothing/here")), { rejected: 1 });
  assertEquals(await gained(() => count("x".repeat(8_192))), { rejected: 1 });
  assertEquals(await gained(() => read("/comments/counts")), { rejected: 1 });
  stacosys.answer = BAD;
  clock.now += 60_000;
  assertEquals(await gained(() => count("/a/")), { stale: 1 });
  assertEquals(await gained(() => count("/c/")), { error: 1 });
});

Deno.test("each answer of Stacosys is counted once, by how it ended", async () => {
  await using service = await serve();
  const outcomes = ["ok", "status", "body", "redirect", "timeout", "network"] as const;
  for (const [i, outcome] of outcomes.entries()) {
    service.stacosys.answer = outcome === "ok" ? GOOD : { outcome, reason: "a test says so" };
    for (let n = 0; n <= i; n++) await service.count(`/${outcome}/${n}/`);
  }
  const metrics = await service.metrics();
  const counted = outcomes.map((outcome) => metrics.get(`httpfastcache_stacosys_requests_total{outcome="${outcome}"}`));
  assertEquals(counted, [1, 2, 3, 4, 5, 6]);
});

Deno.test("a hit asks Stacosys for nothing, and is not in its figures", async () => {
  await using service = await serve();
  for (let i = 0; i < 5; i++) await service.count("/a/");
  const metrics = await service.metrics();
  assertEquals(metrics.get('httpfastcache_stacosys_requests_total{outcome="ok"}'), 1);
  assertEquals(metrics.get("httpfastcache_stacosys_response_seconds_count"), 1);
});

Deno.test("the histogram tells how many answers took at most so long", async () => {
  await using service = await serve();
  for (const [i, seconds] of [0.0005, 0.005, 0.0051, 0.5, 60].entries()) {
    service.stacosys.seconds = seconds;
    await service.count(`/${i}/`);
  }
  const metrics = await service.metrics();
  const name = "httpfastcache_stacosys_response_seconds";
  const bucket = (le: string) => metrics.get(`${name}_bucket{le="${le}"}`);
  assertEquals(["0.001", "0.0025", "0.005", "0.01", "0.25", "0.5", "10", "+Inf"].map(bucket), [1, 1, 2, 3, 3, 4, 4, 5]);
  assertEquals(metrics.get(`${name}_count`), 5);
  assert(Math.abs(value(metrics, `${name}_sum`) - 60.5106) < 1e-9);
});

Deno.test("entries are those in the cache now, evictions those that had to go", async () => {
  await using service = await serve({ maxEntries: 3 });
  for (let i = 0; i < 5; i++) await service.count(`/${i}/`);
  const metrics = await service.metrics();
  assertEquals([metrics.get("httpfastcache_entries"), metrics.get("httpfastcache_evictions_total")], [3, 2]);
});

Deno.test("the process tells its time, its memory and when it started", async () => {
  const before = Date.now() / 1000;
  await using program = await startProgram({
    Stacosys: "http://127.0.0.1:9",
    AdminHostPort: `127.0.0.1:${freePort()}`,
  });
  const metrics = values(await text(`${adminOf(program)}/metrics`));
  const started = value(metrics, "process_start_time_seconds");
  // The clock and the start may be told by different counters of the system.
  assertLessOrEqual(before - 1, started);
  assertLessOrEqual(started, Date.now() / 1000 + 1);
  const cpu = value(metrics, "process_cpu_seconds_total");
  assert(cpu > 0);
  const memory = value(metrics, "process_resident_memory_bytes");
  assert(memory > 1e6 && memory < 1e10, `${memory} bytes`);
  await until(
    async () => value(values(await text(`${adminOf(program)}/metrics`)), "process_cpu_seconds_total") > cpu,
    "its processor time grows",
  );
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
  assert(value(all, "httpfastcache_evictions_total") > 0);
  assert(value(all, 'httpfastcache_stacosys_requests_total{outcome="ok"}') >= 3);
  assertEquals(await checkMetrics(await text(`${adminOf(program)}/metrics`)), silent);

  async function metrics(): Promise<Map<string, number>> {
    return values(await text(`${adminOf(program)}/metrics`));
  }
  function seen(metrics: Map<string, number>, result: string): boolean {
    return value(metrics, `httpfastcache_requests_total{result="${result}"}`) > 0;
  }
});

// Purge.

Deno.test("a purge empties the cache, and the next reader gets the count of now", async () => {
  await using service = await serve();
  for (const article of ["/a/", "/b/", "/c/"]) await service.count(article);
  service.stacosys.answer = { outcome: "ok", body: '{"count":8}\n' };
  assertEquals(brief(await service.count("/a/")), '200 {"count":7}');
  assertEquals(brief(await service.own("POST", "/purge")), '200 {"purged":3}');
  assertEquals(service.cache.size, 0);
  assertEquals(brief(await service.count("/a/")), '200 {"count":8}');
  assertEquals(brief(await service.own("POST", "/purge")), '200 {"purged":1}');
  assertEquals(brief(await service.own("POST", "/purge")), '200 {"purged":0}');
});

Deno.test("a purge of an article removes it in either spelling, and nothing else", async () => {
  for (const purge of ["/purge?url=/2017/x/", "/purge?url=%2F2017%2Fx%2F"]) {
    await using service = await serve();
    const mine = ["token=T&url=/2017/x/", "token=T&url=%2F2017%2Fx%2F", "url=/2017/x/&token=other"];
    const others = ["token=T&url=/2017/x", "token=T&url=/2017/x/y/", "token=T&url=/2017/", "token=/2017/x/", "url="];
    for (const query of [...mine, ...others]) await service.read(`/comments/count?${query}`);
    assertEquals(brief(await service.own("POST", purge)), '200 {"purged":3}');
    const kept = [...service.cache.entries()].map(([target]) => target);
    assertEquals(kept, others.map((query) => `/comments/count?${query}`));
  }
});

Deno.test("a purge reaches the stale count, too", async () => {
  await using service = await serve();
  await service.count("/a/");
  service.clock.now += 60_000;
  service.stacosys.answer = BAD;
  assertEquals(brief(await service.own("POST", "/purge?url=/a/")), '200 {"purged":1}');
  assertEquals((await service.count("/a/")).status, 404);
});

Deno.test("a purge with a slip in its parameters is 400, and removes nothing", async () => {
  await using service = await serve();
  await service.count("/a/");
  assertEquals(brief(await service.own("POST", "/purge?ulr=/a/")), "400 400 expected url, got ulr");
  assertEquals(brief(await service.own("POST", "/purge?url=/a/&url=/b/")), "400 400 expected one url, got 2");
  assertEquals(service.cache.size, 1);
});

Deno.test("a purge with its url in a body, as a form has it, is 400, and removes nothing", async () => {
  await using service = await serve();
  await service.count("/a/");
  const form = new URLSearchParams({ url: "/b/" });
  for (const body of [form, new Blob([form.toString()]).stream()]) {
    const answer = await fetch(`http://127.0.0.1:${service.port}/purge`, { method: "POST", body });
    assertEquals(brief(await received(answer)), "400 400 expected url in the query, got a body");
  }
  assertEquals(service.cache.size, 1);
});

// Who is kept out.

Deno.test("a request that a web page made is 403, wherever the page is from", async () => {
  await using service = await serve();
  await service.count("/a/");
  const origins = ["https://evil.example", "null", "http://localhost", `http://127.0.0.1:${service.port}`];
  for (const origin of origins) {
    for (
      const [method, path] of [["POST", "/purge"], ["GET", "/metrics"], ["GET", "/healthz"], ["GET", "/"]] as const
    ) {
      assertEquals(
        brief(await service.own(method, path, { origin })),
        "403 403 forbidden",
        `${method} ${path} ${origin}`,
      );
    }
  }
  assertEquals(service.cache.size, 1);
});

Deno.test("a request under a name that is not loopback is 403", async () => {
  await using service = await serve();
  const { port } = service;
  await service.count("/a/");
  const hosts = [
    "evil.example",
    `evil.example:${port}`,
    `192.168.1.1:${port}`,
    "0.0.0.0",
    "[::]",
    "localhost.evil.example",
  ];
  for (const host of [...hosts, "127.0.0.1.evil.example", `127.0.0.1@evil.example:${port}`, ""]) {
    for (const request of ["POST /purge", "GET /metrics", "GET /healthz", "GET /"]) {
      assertEquals(await statusOf(port, request, host), 403, `${request} for ${host}`);
    }
  }
  assertEquals(service.cache.size, 1);
});

Deno.test("a request under any loopback name is answered", async () => {
  await using service = await serve();
  const { port } = service;
  const hosts = ["localhost", "LocalHost", "127.0.0.1", "127.1.2.3", "[::1]"];
  for (const host of hosts.flatMap((host) => [host, `${host}:${port}`])) {
    assertEquals(await statusOf(port, "GET /healthz", host), 200, host);
    assertEquals(await statusOf(port, "POST /purge", host), 200, host);
  }
});

Deno.test("a wrong method is 405 with the right one, a wrong path 404", async () => {
  await using service = await serve();
  await service.count("/a/");
  for (const [path, allowed] of [["/", "GET"], ["/healthz", "GET"], ["/metrics", "GET"], ["/purge", "POST"]] as const) {
    for (const method of ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"].filter((each) => each !== allowed)) {
      const { status, headers } = await service.own(method, path);
      assertEquals([status, headers.get("allow")], [405, allowed], `${method} ${path}`);
    }
  }
  for (const path of ["/healthz/", "/Metrics", "/purge/all", "/comments/count?url=/a/", "/constructor", "/__proto__"]) {
    assertEquals(brief(await service.own("GET", path)), "404 404 page not found", path);
    assertEquals((await service.own("POST", path)).status, 404, path);
  }
  assertEquals(service.cache.size, 1);
});

Deno.test("readers get none of this on the public port", async () => {
  await using stacosys = await stand.startStandIn();
  await using program = await startProgram({ Stacosys: stacosys.url, AdminHostPort: `127.0.0.1:${freePort()}` });
  await ask(program, "/a/");
  for (const path of ["/", "/healthz", "/metrics", "/purge", "/purge?url=/a/", "/status.html"]) {
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

Deno.test("an owner's port that is taken ends the program with one line", async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using folder = await makeFolder();
  const file = `${folder.path}/config.json`;
  const AdminHostPort = `127.0.0.1:${taken.addr.port}`;
  const config = { HostPort: `127.0.0.1:${freePort()}`, Stacosys: "http://127.0.0.1:9", AdminHostPort };
  await Deno.writeTextFile(file, JSON.stringify(config));
  const { code, stderr } = await runProgram(["--config", file]);
  assertEquals(code, 1);
  assertMatch(stderr, new RegExp(`^httpfastcache: cannot listen on ${AdminHostPort}: .+\n$`));
});

/** Where the program says that its owner's listener is. */
function adminOf(program: { stdout(): string }): string {
  return /for its owner on ([^,]+),/.exec(program.stdout())?.[1] ?? "";
}

async function text(url: string): Promise<string> {
  return await (await fetch(url)).text();
}

/** The status of a request with a `Host` that `fetch` would not send. */
async function statusOf(port: number, request: string, host: string): Promise<number> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  const head = `${request} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`;
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
