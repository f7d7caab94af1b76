/**
 * The owner's status page, as a browser shows it.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { serve } from "./both_listeners.ts";
import { inBrowser, type Page } from "./chromium.ts";
import { freePort, startProgram } from "./program.ts";

Deno.test("the page may load nothing and ask nobody but the listener it came from", async () => {
  await using service = await serve();
  const { status, headers, text } = await service.own("GET", "/");
  assertEquals([status, headers.get("content-type")], [200, "text/html; charset=utf-8"]);
  assertEquals(
    headers.get("content-security-policy"),
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'",
  );
  assert(!/\b(?:src|href)=|@import|url\(|\/\/[\w-]+\./.test(text));
});

inBrowser("the page shows what the service does, and renews it by itself", async (open) => {
  await using service = await serve();
  const page = await open();
  await page.load(`http://127.0.0.1:${service.port}/`);
  await page.until(says("Stacosys was not asked yet", "none since the start"));

  for (let i = 0; i < 10; i++) await service.count(i < 2 ? `/${i}/` : "/0/");
  await service.read("/nothing");
  await page.until(says("Stacosys is up", "80%", "8 of 10 in all", "0 evictions"));
  assertEquals(await figures(page), { "Hit ratio": "80%", "Entries": "2" });
  assertEquals(await results(page), ["8 72.7%", "2 18.1%", "0 0%", "0 0%", "1 9%"]);
  await page.until(`[...document.querySelectorAll("path")].every((path) => path.getAttribute("d") !== "")`);

  service.clock.now = Date.now();
  service.stacosys.answer = { outcome: "network", reason: "connection <b>refused</b>" };
  await service.count("/new/");
  await page.until(says("Stacosys fails", "connection <b>refused</b>, ", " s ago"));
  const loaded = await page.evaluate(`[...new Set(performance.getEntriesByType("resource").map(({ name }) => name))]`);
  assertEquals(loaded, ["metrics", "healthz"].map((path) => `http://127.0.0.1:${service.port}/${path}`));
});

inBrowser("the page says since when the service does not answer, and goes on when it is back", async (open) => {
  const page = await open();
  const AdminHostPort = `127.0.0.1:${freePort()}`;
  const config = { Stacosys: "http://127.0.0.1:9", AdminHostPort };
  {
    await using _ = await startProgram(config);
    await page.load(`http://${AdminHostPort}/`);
    await page.until(says("Stacosys was not asked yet"));
    assertEquals(await page.evaluate(`document.querySelector("[role=alert]").textContent`), "");
  }
  await page.until(says("Not answering since"));
  assertMatch(String(await page.evaluate("document.title")), /not answering/);
  assertMatch(
    String(await page.evaluate(`document.querySelector("[role=alert]").textContent`)),
    /^▲ Not answering since \d\d:\d\d:\d\d\./,
  );
  await using _ = await startProgram(config);
  await page.until(says("Stacosys was not asked yet"));
  assertEquals(await page.evaluate(`document.querySelector("[role=alert]").textContent`), "");
});

inBrowser("the page fits a phone, and is light or dark as its owner likes", async (open) => {
  await using service = await serve();
  const backgrounds = [];
  for (const dark of [false, true]) {
    const page = await open({ width: 320, dark });
    await page.load(`http://127.0.0.1:${service.port}/`);
    await page.until(says("Stacosys was not asked yet"));
    assertEquals(await page.evaluate("document.documentElement.scrollWidth"), 320);
    backgrounds.push(await page.evaluate("getComputedStyle(document.documentElement).backgroundColor"));
  }
  assertEquals(backgrounds, ["rgb(250, 248, 243)", "rgb(23, 24, 23)"]);
});

/** Whether the page says all of this. */
function says(...texts: string[]): string {
  return `${JSON.stringify(texts)}.every((text) => document.body.innerText.includes(text))`;
}

/** Those of the large figures that do not depend on the time. */
async function figures(page: Page): Promise<unknown> {
  return await page.evaluate(`Object.fromEntries([...document.querySelectorAll("section")]
    .map((section) => [section.querySelector("h2").textContent, section.querySelector("p").textContent])
    .filter(([name]) => ["Hit ratio", "Entries"].includes(name)))`);
}

/** Number and share of each result. */
async function results(page: Page): Promise<unknown> {
  return await page.evaluate(`[...document.querySelectorAll("tr")]
    .map((row) => [...row.querySelectorAll("td")].map((cell) => cell.textContent).join(" "))`);
}
