/**
 * The owner's status page as a browser shows it.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { BAD, GOOD, startService } from "../service.ts";
import { inBrowser, type Page } from "./chromium.ts";
import { freePort, startProgram } from "./program.ts";

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
  await page.until(
    says("▲ refuses connections", "connection <b>refused</b>", "some got no count", "20 counts in 5 minutes"),
  );
  assertEquals(await figures(page), { "Counts a minute": "12", "Hit ratio": "40%", "Old or missing counts": "50%" });
  assertMatch(String(await page.evaluate("document.title")), /^▲ Stacosys: refuses connections/);

  service.stacosys.answer = GOOD;
  service.pass(2);
  await service.count("/0/");
  await page.until(says("● up", "21 counts in 5 minutes"));
  const loaded = await page.evaluate(`[...new Set(performance.getEntriesByType("resource").map(({ name }) => name))]`);
  assertEquals(loaded, [`${owner.url}counts?search=&limit=100`, owner.url]);
});

inBrowser("one article or all can be purged by keyboard alone", async (open) => {
  await using owner = await listen();
  const { service } = owner;
  for (const article of ["/a/", "/b/", "/c/"]) await service.count(article);
  const page = await open();
  await page.load(owner.url);
  await page.until(says("3 of 3 counts"));
  // Nothing is renewed by itself.
  await page.evaluate(`{ for (let timer = 0; timer < 100; timer++) clearTimeout(timer); }`);
  await tabTo(page, "INPUT");
  await page.evaluate(`document.activeElement.value = "/a/"`);
  await page.press("Enter");
  await page.until(says("counts purged: 1"));
  await tabTo(page, "BUTTON");
  await page.press("Tab");
  assertEquals(await page.evaluate("document.activeElement.textContent"), "Purge all");
  await page.press("Enter");
  await page.until(says("counts purged: 3"));
  await page.until(`!document.querySelector("#counts tbody").innerText.includes("fresh")`);
  assertEquals([...service.cache.entries()].map(([, { purged }]) => purged), [true, true, true]);
});

inBrowser(
  "the counts that the cache holds are shown, those of 0 first, searched and purged by keyboard alone",
  async (open) => {
    await using owner = await listen();
    const { service } = owner;
    for (let i = 0; i < 120; i++) await service.count(`/${i}/`);
    service.stacosys.answer = { outcome: "ok", body: '{"count":0}\n' };
    await service.count("/zero/");
    await service.read("/comments/count?token=9fb3e29c&url=/119/");
    await service.read("/comments/count?token=TOKEN");
    const page = await open();
    await page.load(owner.url);
    await page.until(says("100 of 100 counts, those of 0 first"));
    const rows =
      `[...document.querySelectorAll("#counts tbody tr")].map((row) => [...row.children].map((cell) => cell.innerText).join("|").replace(/\\s+/g, " "))`;
    assertEquals(await page.evaluate(`${rows}.slice(0, 3)`), [
      "the whole site /comments/count?token=T…|0|0 s|fresh|",
      "/119/ /comments/count?token=9f…&url=/119/|0|0 s|fresh|Purge",
      "/zero/|0|0 s|fresh|Purge",
    ]);
    const others = `${rows}.slice(3).map((row) => row.split(/[ |]/)[0])`;
    assertEquals(await page.evaluate(`${others}.join() === ${others}.sort().join()`), true);
    await page.evaluate(`document.querySelector("[type=search]").focus()`);
    await page.evaluate(`document.activeElement.value = "/119/"`);
    await page.press("Enter");
    await page.until(says("2 of 2 counts"));
    await page.press("Tab");
    await page.press("Tab");
    assertEquals(await page.evaluate("document.activeElement.ariaLabel"), "Purge /119/");
    await page.press("Enter");
    await page.until(says("counts purged: 3"));
    assertEquals(await page.evaluate("document.activeElement.ariaLabel"), "Purged /119/");
    assertEquals([...service.cache.entries()].filter(([, { purged }]) => purged).length, 3);
  },
);

inBrowser("what does not show in an address is written out among the counts, and purged all the same", async (open) => {
  await using owner = await listen();
  const { service } = owner;
  const hidden = "/a\u202eb\u{e0041}c\x9b/";
  const shown = "/a\\u202eb\\udb40\\udc41c\\u009b/";
  service.cache.set(`/comments/count?x=1&url=${hidden}&y=2`, '{"count":7}');
  const page = await open();
  await page.load(owner.url);
  await page.until(says("1 of 1 counts"));
  const row = `document.querySelector("#counts tbody th").innerText.replace(/\\s+/g, " ")`;
  assertEquals(await page.evaluate(row), `${shown} /comments/count?x=1&url=${shown}&y=2`);
  const button = `document.querySelector("#counts tbody button")`;
  assertEquals(await page.evaluate(`${button}.ariaLabel`), `Purge ${shown}`);
  await page.evaluate(`${button}.click()`);
  await page.until(says("counts purged: 1"));
  assertEquals(await page.evaluate(`${button}.ariaLabel`), `Purged ${shown}`);
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
  await page.evaluate(`document.querySelector("#purge [value=all]").click()`);
  await page.until(`document.querySelector("#purge output").innerText === "▲ httpfastcache does not answer"`);
  await page.until(says("has not answered since"));
  assertMatch(String(await page.evaluate("document.title")), /^▲ no answer/);
  assertMatch(
    String(await page.evaluate(alert)),
    /^▲ .* has not answered since \d\d:\d\d:\d\d UTC: it is not running, or .* your tunnel/,
  );
  await using _ = await startProgram(config);
  await page.until(`${alert} === ""`);
});

inBrowser("the page fits a phone, has four cards in two rows on a tablet, and is light or dark", async (open) => {
  await using owner = await listen();
  await owner.service.count(`/2017/${"a-very-long-name-".repeat(9)}/`);
  const backgrounds = [];
  for (const [width, dark, columns] of [[320, false, 1], [768, true, 2], [1280, false, 4]] as const) {
    const page = await open({ width, dark });
    await page.load(owner.url);
    await page.until(says("1 of 1 counts"));
    assert(Number(await page.evaluate("document.documentElement.scrollWidth")) <= width);
    const url = `document.querySelector("#counts tbody th").offsetWidth`;
    assert(Number(await page.evaluate(url)) > width / 2, "a url has room");
    const lefts = `new Set([...document.querySelectorAll(".cards > div")].map((card) => card.offsetLeft)).size`;
    assertEquals(await page.evaluate(lefts), columns);
    backgrounds.push(await page.evaluate("getComputedStyle(document.documentElement).backgroundColor"));
  }
  assertEquals(backgrounds, ["rgb(250, 248, 243)", "rgb(23, 24, 23)", "rgb(250, 248, 243)"]);
});

inBrowser(
  "all text has a contrast of 4.5 and more, also what is out of date, in the light and in the dark",
  async (open) => {
    await using owner = await listen();
    owner.service.stacosys.answer = BAD;
    for (const article of ["/a/", "/b/"]) {
      await owner.service.count(article);
      owner.service.pass(2);
    }
    for (const dark of [false, true]) {
      const page = await open({ dark });
      await page.load(owner.url);
      await page.until(says("no count, at"));
      for (const silent of ["", "silent"]) {
        await page.evaluate(`document.body.className = "${silent}"`);
        const contrast = Number(await page.evaluate(LOWEST_CONTRAST));
        assert(contrast >= 4.5, `${contrast} ${silent} ${dark ? "in the dark" : "in the light"}`);
      }
    }
  },
);

/** The contrast of the text that has least of it with the background of the page, as WCAG 2 computes it. */
const LOWEST_CONTRAST = `(() => {
  const canvas = document.createElement("canvas").getContext("2d");
  const luminance = (color) => {
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((c) => c / 255)
      .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const back = luminance(getComputedStyle(document.documentElement).backgroundColor);
  const own = (element) => [...element.childNodes].some(({ nodeType, data }) => nodeType === 3 && data.trim() !== "");
  return Math.min(...[...document.querySelectorAll("body :not(script, noscript, button, input)")].filter(own)
    .filter((element) => element.checkVisibility())
    .map((element) => {
      const { color, opacity } = getComputedStyle(element);
      let alpha = 1;
      for (let e = element; e; e = e.parentElement) alpha *= getComputedStyle(e).opacity;
      if (alpha !== 1) throw new Error("with opacity colors are mixed");
      const text = luminance(color);
      return (Math.max(text, back) + 0.05) / (Math.min(text, back) + 0.05);
    }));
})()`;

/** A service, and its owner's listener on a port that the system chose. */
async function listen() {
  const service = await startService();
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, service.admin);
  const url = `http://127.0.0.1:${server.addr.port}/`;
  return { service, url, [Symbol.asyncDispose]: () => server.shutdown() };
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
