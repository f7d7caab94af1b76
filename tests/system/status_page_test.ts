/**
 * The owner's status page: what it says, also where there is no JavaScript. How a browser shows it is in
 * status_page_browser_test.ts.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { BAD, GOOD, type Service, startService } from "../service.ts";
import type { Bad } from "../../upstream/stacosys.ts";

const TIMEOUT: Bad = { outcome: "timeout", reason: "no answer within 10 s" };
const REFUSED: Bad = { outcome: "network", reason: "Connection refused (os error 111)" };

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

Deno.test("in an outage it says what Stacosys does instead, since when, and what readers get of it", async () => {
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
      "▲ answers 500 for 5 s, since 00:01:00 UTC",
      "last good answer 1 min 5 s ago, 00:00:00 UTC",
      "last error: status 500 for /comments/count?token=…&url=/b/, 0 s ago, 00:01:05 UTC",
      "▲ some got no count",
      "20 counts in 5 minutes: 30% old, 10% missing",
      "since Stacosys’ last good answer: 6 old, 2 missing",
      "● well",
      "entries: 1 of at most 100",
    ]
  ) assertStringIncludes(text, part);
});

Deno.test("after an outage it is green, and says for five minutes until when readers got what of it", async () => {
  const service = await startService();
  for (const article of ["/a/", "/b/"]) await service.count(article);
  service.stacosys.answer = BAD;
  service.pass(60);
  await service.count("/a/");
  service.pass(2);
  await service.count("/b/");
  service.stacosys.answer = GOOD;
  service.pass(2);
  await service.count("/a/");
  service.pass(30);
  const text = await said(service);
  for (
    const part of [
      "● up for 30 s, since 00:01:04 UTC",
      "last error: status 500",
      "32 s ago, 00:01:02 UTC",
      "● all get their count some got an old count until 32 s ago, 00:01:02 UTC",
      "5 counts in 5 minutes: 40% old",
    ]
  ) {
    assertStringIncludes(text, part);
  }
  assertEquals(await titleOf(service), "● Readers: some got an old count until 32 s ago, 00:01:02 UTC");
  service.pass(300);
  assertStringIncludes(await said(service), "○ nobody asked");
  assertEquals(await titleOf(service), "○ Stacosys: was up");
});

Deno.test("what no request has tested for a minute is said with its age", async () => {
  const service = await startService();
  await service.count("/a/");
  service.pass(59);
  assertStringIncludes(await said(service), "● up for 59 s");
  service.pass(121);
  assertStringIncludes(await said(service), "○ was up when last asked, 3 min 0 s ago, 00:00:00 UTC");
  service.stacosys.answer = BAD;
  await service.count("/b/");
  service.pass(2);
  await service.count("/c/");
  service.pass(3_600);
  assertStringIncludes(await said(service), "▲ answers 500 when last asked, 1 h 0 min ago, 00:03:02 UTC");
});

for (
  const [answer, headline, hint = ""] of [
    [REFUSED, "refuses connections"],
    [{ outcome: "network", reason: "dns error: failed to lookup address" }, "cannot be found", "look at Stacosys in"],
    [{ outcome: "network", reason: "invalid peer certificate: Expired" }, "shows no good certificate"],
    [{ outcome: "network", reason: "Connection reset by peer (os error 104)" }, "the connection fails"],
    [TIMEOUT, "does not answer"],
    [{ outcome: "status", reason: "status 503", status: 503 }, "answers 503"],
    [{ outcome: "status", reason: "status 404", status: 404 }, "answers 404", "look at Stacosys and Paths in"],
    [{ outcome: "body", reason: "a body without a count" }, "answers without a count", "look at Stacosys and Paths in"],
    [
      { outcome: "redirect", reason: "a redirect to b", status: 302 },
      "redirects elsewhere",
      "look at Stacosys and Paths",
    ],
    [{ outcome: "redirect", reason: "10 redirects" }, "redirects without end", "look at Stacosys and Paths in"],
  ] satisfies [Bad, string, string?][]
) {
  Deno.test(`of a Stacosys that fails with ${answer.reason} it says that it ${headline}`, async () => {
    for (const wasGood of [true, false]) {
      const service = await startService();
      if (wasGood) await service.count("/a/");
      service.pass(61);
      service.stacosys.answer = answer;
      for (const article of ["/b/", "/c/"]) {
        await service.count(article);
        service.pass(2);
      }
      const text = await said(service);
      assertStringIncludes(text, `▲ ${headline}`);
      assertStringIncludes(text, hint);
      assertEquals(text.includes("in the configuration"), hint !== "");
      assertEquals(await titleOf(service), `▲ Stacosys: ${headline}`);
      assert(!text.includes("down"));
    }
  });
}

for (const answer of [BAD, TIMEOUT]) {
  Deno.test(`among ten articles one with ${answer.reason} is a detail, and no headline changes with an answer`, async () => {
    const service = await startService();
    const headlines = new Set<string>();
    for (let second = 0; second < 200; second++) {
      service.stacosys.answer = GOOD;
      if (second % 10 === 0) await service.count(`/${second % 90}/`);
      service.stacosys.answer = answer;
      await service.count("/bad/");
      service.pass(1);
      if (second < 20) continue;
      const { text } = await service.own("GET", "/");
      headlines.add(
        [...text.matchAll(/role="status" data-live><b[^>]*>([^<]*)/g)].map(([, headline]) => headline).join(),
      );
      assertStringIncludes(await said(service), "but not for 1 of the urls");
    }
    assertEquals([...headlines], ["● up,▲ some got no count,● well"]);
    service.stacosys.answer = GOOD;
    await service.count("/bad/");
    service.pass(10);
    assertEquals(await titleOf(service), "● Readers: some got no count until 11 s ago, 00:03:19 UTC");
  });
}

Deno.test("of two failures that take turns it says one, and another once that one is over", async () => {
  const service = await startService();
  await service.count("/a/");
  const titles = new Set<string>();
  for (let i = 0; i < 20; i++) {
    service.stacosys.answer = i % 2 === 0 ? BAD : TIMEOUT;
    await service.count(`/${i}/`);
    service.pass(2);
    if (i > 0) titles.add(await titleOf(service));
  }
  assertEquals([...titles], ["▲ Stacosys: answers 500"]);
  for (let i = 20; i < 26; i++) {
    await service.count(`/${i}/`);
    service.pass(2);
  }
  assertEquals(await titleOf(service), "▲ Stacosys: does not answer");
});

Deno.test("if each count is 0 it says so, and what that usually is", async () => {
  const service = await startService();
  service.stacosys.answer = { outcome: "ok", body: '{"count":0}\n' };
  for (const article of ["/a/", "/b/"]) await service.count(article);
  assertStringIncludes(await said(service), "○ each count is 0 usually the token or the urls of the blog are not");
  service.stacosys.answer = GOOD;
  await service.count("/c/");
  assertStringIncludes(await said(service), "● well");
});

Deno.test("it says how long a certificate of its own lasts, that it should have been renewed, and that it has ended", async () => {
  const beginsAt = Date.UTC(2026, 0, 1);
  const service = await startService({ certificate: { life: { beginsAt, endsAt: beginsAt + 6 * 86_400_000 } } });
  assertStringIncludes(await said(service), "Certificate ● good ends in 6 d 0 h, 2026-01-07 00:00:00 UTC");
  service.clock.now += 4 * 86_400_000;
  assertStringIncludes(
    await said(service),
    "▲ should have been renewed ends in 2 d 0 h, 2026-01-07 00:00:00 UTC renew it",
  );
  assertEquals(await titleOf(service), "▲ Certificate: should have been renewed");
  service.clock.now += 2 * 86_400_000 + 60_000;
  assertStringIncludes(
    await said(service),
    "▲ has ended, browsers refuse it ended 1 min 0 s ago, 00:00:00 UTC renew it",
  );
  assert(!(await said(await startService())).includes("Certificate"));
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
  const { results } = service.metrics;
  results.hit = 1;
  assertStringIncludes(await said(service), "hit from memory 1 100% 1 100% 1 100% miss fetched from Stacosys 0 0%");
  results.hit = 99_999;
  results.miss = 1;
  assertStringIncludes(await said(service), "hit from memory 99,999 >99.9%");
  assertStringIncludes(await said(service), "miss fetched from Stacosys 1 <0.1%");
  results.miss = 400;
  assertStringIncludes(await said(service), "99,999 99.6%");
});

Deno.test("the numbers are of the last five minutes, with the last day and all of it beside", async () => {
  const service = await startService();
  const { results } = service.metrics;
  results.hit += 5_000;
  service.pass(90_000);
  results.hit += 300;
  service.pass(600);
  results.hit += 20;
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

Deno.test("what does not show, or turns a line around, is written out wherever the owner reads it", async () => {
  const service = await startService();
  const hidden = "a\u202eb\u200bc\u{e0041}d\x9be\u00a0f";
  const shown = "a\\u202eb\\u200bc\\udb40\\udc41d\\u009be\\u00a0f";
  await service.count(encodeURIComponent(hidden));
  service.cache.set(`/comments/count?url=${hidden}`, "7");
  service.stacosys.answer = { outcome: "network", reason: hidden };
  await service.count("/b/");
  assertStringIncludes(await said(service), `last error: ${shown} for`);
  for (const path of ["/", "/healthz", "/counts", `/counts?${hidden}`]) {
    assertEquals(/[\p{Cf}\x7f-\xa0]/u.exec((await service.own("GET", path)).text), null, path);
  }
  assertEquals((await service.health())["lastError"], hidden);
  const { counts } = JSON.parse((await service.own("GET", "/counts")).text);
  assertEquals(counts.map(({ url }: { url: string }) => url), [hidden, hidden]);
});

Deno.test("how long Stacosys takes is told in milliseconds, or in seconds from one on", async () => {
  const service = await startService();
  for (const [seconds, told] of [[0.0042, "4.2 ms"], [0.25, "250 ms"], [3, "3 s"]] as const) {
    service.stacosys.seconds = seconds;
    service.pass(400);
    await service.count(`/${seconds}/`);
    assertStringIncludes(await said(service), `Stacosys answers in ${told} 5 min`);
  }
});

/** The text of the page as the server sends it. */
async function said({ own }: Service): Promise<string> {
  const { text } = await own("GET", "/");
  return text.slice(text.indexOf("<body>"), text.indexOf("<script"))
    .replace(/<\/(?:p|li|td|th|h\d)>|<small>/g, " ")
    .replace(/<[^>]+>/g, "")
    .replace(/&#(\d+);/g, (_, code) => String.fromCharCode(code))
    .replace(/\s+/g, " ");
}

/** The title of the page, without the name of the machine. */
async function titleOf({ own }: Service): Promise<string> {
  return /<title>(.*) - /.exec((await own("GET", "/")).text)?.[1] ?? "";
}
