/**
 * NginX as deploy/nginx.conf has it, with the program behind.
 *
 * @module
 */

import { assert, assertEquals, assertLess, assertLessOrEqual, assertMatch } from "@std/assert";
import { withoutOwnCache } from "../../bench/site.ts";
import { makeFolder } from "../folder.ts";
import * as stand from "../stand_in.ts";
import { until } from "../until.ts";
import { startCrowd } from "./crowd.ts";
import { replaced, run, test } from "./deploy.ts";
import { freePort, type Program, startProgram } from "./program.ts";
import { brief, received } from "./reader.ts";
import { asItIs, severalInstances, startSite, withBackup, writeSite } from "./site.ts";

/** Generous, since the machine may be busy. */
const LIMIT_MS = 60_000;

const forSite = (name: string, fn: () => Promise<void>) => test(name, ["nginx", "openssl"], fn);

for (const [name, edit] of Object.entries({ "as it is": asItIs, "with several instances": severalInstances })) {
  forSite(`NginX accepts the site ${name}`, async () => {
    await using folder = await makeFolder();
    const { file } = await writeSite(folder, ["127.0.0.1:8101", "127.0.0.1:8102"], "127.0.0.1:8100", edit);
    const { success, output } = await run("nginx", "-t", "-c", file);
    assert(success, output);
  });
}

forSite("counts, batches and the script come from the cache, and all else from Stacosys", async () => {
  await using stacosys = await stand.startStandIn();
  const Paths = ["/comments/count", "/api/comments/count"];
  await using program = await startProgram({ Stacosys: stacosys.url, CorsOrigin: "https://blog.example.org", Paths });
  await using site = await startSite([program], stacosys);

  const count = await site.get("/comments/count?token=t&url=/a/");
  assertEquals(brief(count), '200 {"count":7}');
  assertEquals(count.headers.get("access-control-allow-origin"), "https://blog.example.org");
  assertMatch(count.headers.get("cache-status") ?? "", /^httpfastcache; /);
  const batch = await site.get("/comments/counts?token=t&url=/a/&url=/b/");
  assertEquals(brief(batch), '200 {"counts":{"/a/":7,"/b/":7}}');
  const later = await site.get("/api/comments/count?url=/c/");
  assertEquals(brief(later), '200 {"count":7}');
  assertMatch(later.headers.get("cache-status") ?? "", /^httpfastcache; /);
  const script = await site.get("/comments/counts.js");
  assertMatch(script.headers.get("content-type") ?? "", /javascript/);
  assertEquals(stacosys.requests.map(({ target }) => target), [
    "/comments/count?token=t&url=/a/",
    "/comments/count?token=t&url=/b/",
    "/api/comments/count?url=/c/",
  ]);

  for (const [method, target] of [["GET", "/comments?url=/a/"], ["POST", "/comments"], ["GET", "/comments/count/"]]) {
    await site.get(target ?? "", { method: method ?? "" });
    const seen = stacosys.requests.at(-1);
    assertEquals([seen?.method, seen?.target], [method, target]);
    assertEquals(seen?.headers.get("host"), "127.0.0.1");
    assertEquals(seen?.headers.get("x-forwarded-for"), "127.0.0.1");
    assertEquals(seen?.headers.get("x-forwarded-proto"), "https");
  }
});

forSite("plain HTTP is led to HTTPS", async () => {
  await using stacosys = await stand.startStandIn();
  await using program = await startProgram({ Stacosys: stacosys.url });
  await using site = await startSite([program], stacosys);
  const answer = await received(await fetch(`${site.plainUrl}/comments/count?url=/a/`, { redirect: "manual" }));
  assertEquals(answer.status, 301);
  assertEquals(answer.headers.get("location"), "https://127.0.0.1/comments/count?url=/a/");
});

forSite("certbot renews the certificate by files that NginX hands out", async () => {
  await using stacosys = await stand.startStandIn();
  await using program = await startProgram({ Stacosys: stacosys.url });
  await using root = await makeFolder();
  await Deno.chmod(root.path, 0o755);
  await Deno.mkdir(`${root.path}/.well-known/acme-challenge`, { recursive: true });
  await Deno.writeTextFile(`${root.path}/.well-known/acme-challenge/token`, "proof");
  await using site = await startSite([program], stacosys, (site) => replaced(site, "/var/www/html", root.path));
  const answer = await received(await fetch(`${site.plainUrl}/.well-known/acme-challenge/token`));
  assertEquals(brief(answer), "200 proof");
});

forSite("the script is packed, and a reader who has it is told so", async () => {
  await using stacosys = await stand.startStandIn();
  await using program = await startProgram({ Stacosys: stacosys.url });
  await using site = await startSite([program], stacosys);
  const script = await site.get("/comments/counts.js");
  assertMatch(script.headers.get("vary") ?? "", /Accept-Encoding/);
  const etag = script.headers.get("etag") ?? "";
  // Deno unpacks, and then says nothing of how it was packed; a weak tag is one of what NginX has packed.
  assertMatch(etag, /^W\//);
  assertEquals((await site.get("/comments/counts.js", { headers: { "if-none-match": etag } })).status, 304);
});

forSite("the location of an owner who had the Go program works as it is", async () => {
  await using stacosys = await stand.startStandIn();
  await using program = await startProgram({ Stacosys: stacosys.url });
  await using site = await startSite([program], stacosys, (site) => {
    const [location = ""] = /^ {4}# \(3\).*?^ {4}\}\n/ms.exec(site) ?? [];
    return replaced(site, location, "    location /comments/count { proxy_pass http://127.0.0.1:8101; }\n");
  });
  assertEquals(brief(await site.count("/a/")), '200 {"count":7}');
  assertEquals(brief(await site.get("/comments/counts?token=t&url=/a/&url=/b/")), '200 {"counts":{"/a/":7,"/b/":7}}');
  assertEquals((await site.get("/comments/counts.js")).status, 200);
});

forSite("Stacosys is asked once for all who wait at NginX", async () => {
  await using stacosys = await stand.startStandIn();
  stacosys.answer(stand.slowly(300, 7));
  await using program = await startProgram({ Stacosys: stacosys.url });
  await using site = await startSite([program], stacosys);
  const crowd = await Promise.all(Array.from({ length: 100 }, () => site.count("/a/")));
  assertEquals(new Set(crowd.map(brief)), new Set(['200 {"count":7}']));
  assertEquals(stacosys.requests.length, 1);
});

forSite("NginX's own cache asks the cache again when what it has is a second old", async () => {
  await using stacosys = await stand.startStandIn();
  await using program = await startProgram({ Stacosys: stacosys.url, ...withMetrics() });
  await using site = await startSite([program], stacosys);
  await until(
    async () => {
      assertEquals(brief(await site.count("/a/")), '200 {"count":7}');
      return await requestsTo(program) > 1;
    },
    "the cache is asked again",
    LIMIT_MS,
  );
});

forSite("NginX adds to Cache-Status that it answered by itself, and nothing when it did not", async () => {
  await using stacosys = await stand.startStandIn();
  await using program = await startProgram({ Stacosys: stacosys.url });
  await using site = await startSite([program], stacosys);
  const first = await site.count("/a/");
  assertEquals(first.headers.get("cache-status"), "httpfastcache; fwd=uri-miss; fwd-status=200; stored");
  await until(
    async () => /, nginx; hit$/.test((await site.count("/a/")).headers.get("cache-status") ?? ""),
    "NginX answers by itself",
    LIMIT_MS,
  );
});

forSite("without NginX's own cache each request reaches the cache, on a few connections that are kept", async () => {
  await using stacosys = await stand.startStandIn();
  await using program = await startProgram({ Stacosys: stacosys.url, ...withMetrics() });
  await using relay = startRelay(program);
  await using site = await startSite([relay], stacosys, withoutOwnCache);
  const readers = 8;
  await Promise.all(Array.from({ length: readers }, async () => {
    for (let i = 0; i < 25; i++) assertEquals(brief(await site.count("/a/")), '200 {"count":7}');
  }));
  assertEquals(await requestsTo(program), readers * 25);
  assertLessOrEqual(relay.connections, readers);
  assertMatch((await site.count("/a/")).headers.get("cache-status") ?? "", /; hit$/);
});

forSite("while the cache is away NginX gives what it has kept, and has no answer to the rest", async () => {
  await using stacosys = await stand.startStandIn();
  await using program = await startProgram({ Stacosys: stacosys.url });
  await using site = await startSite([program], stacosys);
  await site.count("/a/");
  await kill(program);
  await until(
    async () => {
      const answer = await site.count("/a/");
      assertEquals(brief(answer), '200 {"count":7}');
      return answer.headers.get("cache-status")?.endsWith(", nginx; hit; detail=stale") ?? false;
    },
    "what is kept is too old for better days",
    LIMIT_MS,
  );
  assertEquals((await site.count("/b/")).status, 502);
  assertEquals(stacosys.requests.length, 1);
});

forSite("while the cache is away Stacosys does, if the site's line for that is on", async () => {
  await using stacosys = await stand.startStandIn();
  await using program = await startProgram({ Stacosys: stacosys.url, ...withMetrics() });
  await using site = await startSite([program], stacosys, withBackup);
  await site.count("/a/");
  assertEquals(await requestsTo(program), 1);
  await kill(program);
  assertEquals(brief(await site.count("/b/")), '200 {"count":7}');
});

forSite("a restart of the cache under load is not noticed by readers, if Stacosys does meanwhile", async () => {
  await using stacosys = await stand.startStandIn();
  const config = { Stacosys: stacosys.url, HostPort: `127.0.0.1:${freePort()}` };
  await using leaving = await startProgram(config);
  await using site = await startSite([leaving], stacosys, (text) => withBackup(withoutOwnCache(text)));
  const crowd = startCrowd(ARTICLES, site.count);
  await crowd.answers(100);
  leaving.process.kill("SIGTERM");
  await leaving.process.status;
  await crowd.answers(100);
  await using _ = await startProgram(config);
  await crowd.answers(100);
  await crowd.leave();
});

forSite("the cache is replaced under load, and readers do not notice, if it has ReusePort", async () => {
  await using stacosys = await stand.startStandIn();
  const config = { Stacosys: stacosys.url, HostPort: `127.0.0.1:${freePort()}`, ReusePort: true };
  await using leaving = await startProgram(config);
  await using site = await startSite([leaving], stacosys, withoutOwnCache);
  const crowd = startCrowd(ARTICLES, site.count);
  await crowd.answers(100);
  await using _ = await startProgram(config);
  leaving.process.kill("SIGTERM");
  await leaving.process.status;
  await crowd.answers(100);
  await crowd.leave();
});

forSite("two instances fetch each URL once in all, and the death of one is not noticed by readers", async () => {
  await using stacosys = await stand.startStandIn();
  await using one = await startProgram({ Stacosys: stacosys.url, ...withMetrics() });
  await using other = await startProgram({ Stacosys: stacosys.url, ...withMetrics() });
  await using site = await startSite([one, other], stacosys, (text) => severalInstances(withoutOwnCache(text)));

  // In another order the second time, by which chance would share them out anew.
  for (const articles of [ARTICLES, ARTICLES.toReversed()]) await Promise.all(articles.map(site.count));
  assertEquals(stacosys.requests.length, ARTICLES.length);
  const shares = await Promise.all([requestsTo(one), requestsTo(other)]);
  assertEquals(shares.reduce((sum, share) => sum + share), 2 * ARTICLES.length);
  for (const share of shares) assertLess(ARTICLES.length / 4, share);

  const crowd = startCrowd(ARTICLES, site.count);
  await crowd.answers(100);
  await kill(one);
  await crowd.answers(500);
  await crowd.leave();
  assertLessOrEqual(stacosys.requests.length, 2 * ARTICLES.length);
});

const ARTICLES = Array.from({ length: 40 }, (_, i) => `/2017/article-${i}/`);

/** Connections on the way to a program, counted. */
interface Relay extends AsyncDisposable {
  readonly url: string;
  readonly connections: number;
}

function startRelay(to: Program): Relay {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { hostname, port } = new URL(to.url);
  const pipes: Promise<unknown>[] = [];
  let connections = 0;
  const accepting = (async () => {
    for await (const near of listener) {
      connections++;
      const far = await Deno.connect({ hostname, port: Number(port) });
      pipes.push(Promise.allSettled([near.readable.pipeTo(far.writable), far.readable.pipeTo(near.writable)]));
    }
  })();
  return {
    url: `http://127.0.0.1:${listener.addr.port}`,
    get connections() {
      return connections;
    },
    async [Symbol.asyncDispose]() {
      listener.close();
      await accepting;
      await Promise.all(pipes);
    },
  };
}

function withMetrics(): { AdminHostPort: string } {
  return { AdminHostPort: `127.0.0.1:${freePort()}` };
}

/** How many requests of readers came to a program with metrics. */
async function requestsTo(program: Program): Promise<number> {
  const [, owner = ""] = /for its owner on (\S+),/.exec(program.stdout()) ?? [];
  const metrics = await (await fetch(`${owner}/metrics`)).text();
  const results = [...metrics.matchAll(/^httpfastcache_counts_total\{.*\} (\d+)$/gm)];
  return results.reduce((sum, [, requests]) => sum + Number(requests), 0);
}

async function kill({ process }: Program): Promise<void> {
  process.kill("SIGKILL");
  await process.status;
}
