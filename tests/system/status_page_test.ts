/**
 * The owner's status page: what it says, and how a browser shows it.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { BAD, GOOD, type Service, startService } from "../service.ts";
import { inBrowser, type Page } from "./chromium.ts";
import { freePort, startProgram } from "./program.ts";

// What it says, also where there is no JavaScript.

Deno.test("the page may load nothing, ask nobody but its listener, run no script but its own, and stand in no other", async () => {
  const { own } = await startService();
  const { status, headers, text } = await own("GET", "/");
  assertEquals([status, headers.get("content-type")], [200, "text/html; charset=utf-8"]);
  const nonces = [...text.matchAll(/<(?:style|script)[^>]* nonce="([\w-]+)"/g)].map(([, nonce]) => nonce);
  assertEquals(nonces.length, 2);
  assertEquals(
    headers.get("content-security-policy"),
    `default-src 'none'; style-src 'nonce-${nonces[0]}'; script-src 'nonce-${nonces[1]}'; connect-src 'self'; ` +
      "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  );
  assert((await own("GET", "/")).text !== text);
  assert(!/\bsrc=|href="[^/]|@import|url\(|\/\/[\w-]+\./.test(text));
});

Deno.test("cold, it says that nobody has asked, and which process on which machine says so", async () => {
  const service = await startService();
  const text = await said(service);
  for (const part of ["○ not asked yet", "no good answer yet", "no error yet", "○ nobody asked", "● well"]) {
    assertStringIncludes(text, part);
  }
  assertStringIncludes(text, `httpfastcache on ${Deno.hostname()}`);
  assertMatch(text, new RegExp(`version \\S+, process ${Deno.pid}, running for 0 s`));
});

Deno.test("in an outage it says that Stacosys is down, since when, why, and what readers get of it", async () => {
  const service = await startService();
  for (let i = 0; i < 12; i++) await service.count("/a/");
  service.pass(60);
  service.stacosys.answer = BAD;
  for (let i = 0; i < 6; i++) await service.count("/a/");
  service.pass(5);
  await service.count("/b/");
  await service.count("/b/");
  const text = await said(service);
  for (
    const part of [
      "▲ down for 5 s",
      "last good answer 1 min 5 s ago",
      "last error: status 500 for /comments/count?token=T&url=/b/, 0 s ago",
      "▲ some got no count",
      "20 counts in 5 minutes: 30% old, 10% missing",
      "since Stacosys’ last good answer: 6 old, 2 missing",
      "● well",
      "entries: 1 of at most 100",
    ]
  ) assertStringIncludes(text, part);
});

Deno.test("after an outage it says so, and what readers got of it within five minutes", async () => {
  const service = await startService();
  await service.count("/a/");
  service.stacosys.answer = { outcome: "network", reason: "Connection refused (os error 111)" };
  service.pass(60);
  await service.count("/a/");
  service.pass(2);
  await service.count("/a/");
  service.stacosys.answer = GOOD;
  service.pass(2);
  await service.count("/a/");
  service.pass(30);
  const text = await said(service);
  for (
    const part of [
      "● up for 30 s",
      "last error: Connection refused",
      "32 s ago",
      "▲ some got an old count",
      "4 counts in 5 minutes: 50% old",
    ]
  ) {
    assertStringIncludes(text, part);
  }
  service.pass(300);
  assertStringIncludes(await said(service), "○ nobody asked");
});

Deno.test("what no request has tested for a minute is said with its age", async () => {
  const service = await startService();
  await service.count("/a/");
  service.pass(59);
  assertStringIncludes(await said(service), "● up for 59 s");
  service.pass(121);
  assertStringIncludes(await said(service), "○ was up when last asked, 3 min 0 s ago");
  service.stacosys.answer = BAD;
  await service.count("/b/");
  service.pass(2);
  await service.count("/c/");
  service.pass(3_600);
  assertStringIncludes(await said(service), "▲ was down when last asked, 1 h 0 min ago");
});

Deno.test("a hang is said while it lasts", async () => {
  const service = await startService();
  await service.count("/a/");
  service.stacosys.answer = new Promise(() => {});
  service.count("/b/");
  service.pass(4);
  assertStringIncludes(await said(service), "▲ slow or hung a request has been waiting for 4 s");
});

Deno.test("a cache that has to evict is too small", async () => {
  const service = await startService({ maxEntries: 2 });
  for (const article of ["/a/", "/b/", "/c/"]) await service.count(article);
  assertStringIncludes(
    await said(service),
    "▲ too small entries: 2 of at most 2 evicted in 5 minutes: 1, since the start: 1",
  );
});

Deno.test("0% is only of none, 100% only of all", async () => {
  const service = await startService();
  const { requests } = service.metrics;
  requests.hit = 1;
  assertStringIncludes(await said(service), "hit from memory 1 100% 1 100% 1 100% miss fetched from Stacosys 0 0%");
  requests.hit = 99_999;
  requests.miss = 1;
  assertStringIncludes(await said(service), "hit from memory 99,999 >99.9%");
  assertStringIncludes(await said(service), "miss fetched from Stacosys 1 <0.1%");
  requests.miss = 400;
  assertStringIncludes(await said(service), "99,999 99.6%");
});

Deno.test("the numbers are of the last five minutes, with the last day and all of it beside", async () => {
  const service = await startService();
  const { requests } = service.metrics;
  requests.hit += 5_000;
  service.pass(90_000);
  requests.hit += 300;
  service.pass(600);
  requests.hit += 20;
  assertStringIncludes(await said(service), "hit from memory 20 100% 320 100% 5,320 100%");
});

Deno.test("what others have written is text", async () => {
  const service = await startService();
  service.stacosys.answer = { outcome: "network", reason: `<script>"&'</script>` };
  await service.read(`/comments/count?url=<b>'"&amp;`);
  const { text } = await service.own("GET", "/");
  assert(!text.includes("<b>'"));
  assertEquals(text.match(/<script/g)?.length, 1);
});

// How a browser shows it.

inBrowser("the page shows what a load really sent, in an outage and after, and renews it by itself", async (open) => {
  await using owner = await listen();
  const { service } = owner;
  const page = await open();
  await page.load(owner.url);
  await page.until(says("not asked yet"));

  for (let i = 0; i < 10; i++) await service.count(i < 2 ? `/${i}/` : "/0/");
  await service.read("/nothing");
  await page.until(says("● up", "all got their count"));
  assertEquals(await figures(page), { "Counts a minute": "60", "Hit ratio": "80%", "Old or missing counts": "0%" });

  service.pass(100);
  service.stacosys.answer = { outcome: "network", reason: "connection <b>refused</b>" };
  for (let i = 0; i < 9; i++) await service.count("/0/");
  service.pass(2);
  await service.count("/new/");
  await page.until(says("▲ down", "connection <b>refused</b>", "some got no count", "20 counts in 5 minutes"));
  assertEquals(await figures(page), { "Counts a minute": "12", "Hit ratio": "40%", "Old or missing counts": "50%" });
  assertMatch(String(await page.evaluate("document.title")), /^▲ Stacosys: down/);

  service.stacosys.answer = GOOD;
  service.pass(2);
  await service.count("/0/");
  await page.until(says("● up", "21 counts in 5 minutes"));
  const loaded = await page.evaluate(`[...new Set(performance.getEntriesByType("resource").map(({ name }) => name))]`);
  assertEquals(loaded, [owner.url]);
});

inBrowser("one article or all can be purged by keyboard alone", async (open) => {
  await using owner = await listen();
  const { service } = owner;
  for (const article of ["/a/", "/b/", "/c/"]) await service.count(article);
  const page = await open();
  await page.load(owner.url);
  await tabTo(page, "INPUT");
  await page.evaluate(`document.activeElement.value = "/a/"`);
  await page.press("Enter");
  await page.until(says("counts purged: 1"));
  await tabTo(page, "BUTTON");
  await page.press("Tab");
  assertEquals(await page.evaluate("document.activeElement.textContent"), "Purge all");
  await page.press("Enter");
  await page.until(says("counts purged: 3"));
  assertEquals([...service.cache.entries()].map(([, { purged }]) => purged), [true, true, true]);
});

inBrowser("the page says since when the service does not answer, and goes on when it is back", async (open) => {
  const page = await open();
  const AdminHostPort = `127.0.0.1:${freePort()}`;
  const config = { Stacosys: "http://127.0.0.1:9", AdminHostPort };
  const alert = `document.querySelector("[role=alert]").textContent`;
  {
    await using _ = await startProgram(config);
    await page.load(`http://${AdminHostPort}/`);
    await page.until(says("not asked yet"));
    assertEquals(await page.evaluate(alert), "");
  }
  await page.until(says("has not answered since"));
  assertMatch(String(await page.evaluate("document.title")), /not answering/);
  assertMatch(String(await page.evaluate(alert)), /^▲ httpfastcache has not answered since \d\d:\d\d:\d\d\./);
  await using _ = await startProgram(config);
  await page.until(`${alert} === ""`);
});

inBrowser("the page fits a phone, has four cards in two rows on a tablet, and is light or dark", async (open) => {
  await using owner = await listen();
  const backgrounds = [];
  for (const [width, dark, columns] of [[320, false, 1], [768, true, 2], [1280, false, 4]] as const) {
    const page = await open({ width, dark });
    await page.load(owner.url);
    assert(Number(await page.evaluate("document.documentElement.scrollWidth")) <= width);
    const lefts = `new Set([...document.querySelectorAll(".cards > div")].map((card) => card.offsetLeft)).size`;
    assertEquals(await page.evaluate(lefts), columns);
    backgrounds.push(await page.evaluate("getComputedStyle(document.documentElement).backgroundColor"));
  }
  assertEquals(backgrounds, ["rgb(250, 248, 243)", "rgb(23, 24, 23)", "rgb(250, 248, 243)"]);
});

/** A service, and its owner's listener on a port that the system chose. */
async function listen() {
  const service = await startService();
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, service.admin);
  const url = `http://127.0.0.1:${server.addr.port}/`;
  return { service, url, [Symbol.asyncDispose]: () => server.shutdown() };
}

/** The text of the page as the server sends it. */
async function said({ own }: Service): Promise<string> {
  const { text } = await own("GET", "/");
  return text.slice(text.indexOf("<body>"), text.indexOf("<script"))
    .replace(/<\/(?:p|li|td|th|h\d)>|<small>/g, " ")
    .replace(/<[^>]+>/g, "")
    .replace(/&#(\d+);/g, (_, code) => String.fromCharCode(code))
    .replace(/\s+/g, " ");
}

/** Whether the page says all of this. */
function says(...texts: string[]): string {
  return `${JSON.stringify(texts)}.every((text) => document.body.innerText.includes(text))`;
}

/** The large figures that do not depend on how fast Stacosys is. */
async function figures(page: Page): Promise<unknown> {
  return await page.evaluate(`Object.fromEntries([...document.querySelectorAll(".cards > div")].slice(0, 3)
    .map((card) => [card.querySelector("h3").textContent, card.querySelector("p span").textContent]))`);
}

async function tabTo(page: Page, tagName: string): Promise<void> {
  for (let i = 0; i < 10 && await page.evaluate("document.activeElement.tagName") !== tagName; i++) {
    await page.press("Tab");
  }
}
