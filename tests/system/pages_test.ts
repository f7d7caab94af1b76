/**
 * A small page of each kind in `pages/`, in each engine. The pages say in their comments what is right, and judge it.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { createScript } from "../../blog/script.ts";
import { until } from "../until.ts";
import { startChromium } from "./chromium.ts";
import { startFirefox, type Tab } from "./firefox.ts";
import { testWith } from "./needs.ts";
import { startWebKit } from "./webkit.ts";

const FOLDER = `${import.meta.dirname}/pages`;

testWith(["chromium"], "Chromium shows the counts of each kind of page", async () => {
  await using browser = await startChromium();
  await using user = await browser.user();
  await walk(await user.open());
});

testWith(["firefox-esr"], "Firefox shows the counts of each kind of page", async () => {
  await using firefox = await startFirefox();
  await walk(firefox);
});

testWith(["WebKitWebDriver", "Xvfb"], "WebKit shows the counts of each kind of page", async () => {
  await using webkit = await startWebKit();
  await walk(webkit);
});

/** Loads each page, and waits until it has judged itself. */
async function walk({ load, evaluate }: Pick<Tab, "load" | "evaluate">): Promise<void> {
  const verdicts: Record<string, unknown> = {};
  const right: Record<string, unknown> = {};
  for await (const { name } of Deno.readDir(FOLDER)) {
    if (!name.endsWith(".html") || name === "away.html") continue;
    await using blog = await serveBlog();
    await load(`${blog.url}/${name}`);
    let verdict: unknown;
    // Between two pages there is none to ask.
    const judged = async () => (verdict = await evaluate("self.verdict ?? null").catch(() => null)) !== null;
    await until(judged, `${name} judges itself`);
    verdicts[name] = verdict;
    right[name] = "right";
  }
  assertEquals(verdicts, right);
}

/** The pages, and on another origin the script and the counts, which are the numbers in the articles' addresses. */
async function serveBlog() {
  const asked: string[] = [];
  const script = await createScript();
  const cors = { "access-control-allow-origin": "*" };
  const options = { hostname: "127.0.0.1", port: 0, onListen: () => {} };
  const comments = Deno.serve(options, (request) => {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === "/comments/counts.js") return script(request, cors);
    const urls = searchParams.getAll("url");
    asked.push(urls.join(" "));
    const numbers = urls.map((url) => [url, /\d+/.test(url) ? Number(/\d+/.exec(url)) : null]);
    return Response.json({ counts: Object.fromEntries(numbers) }, { headers: cors });
  });
  const pages = Deno.serve(options, async ({ url }) => {
    const { pathname } = new URL(url);
    if (pathname === "/asked") return Response.json(asked);
    const text = await Deno.readTextFile(FOLDER + pathname).catch(() => undefined);
    if (text === undefined) return new Response("404\n", { status: 404 });
    const headers = {
      "content-type": pathname.endsWith(".js") ? "text/javascript" : "text/html",
      ...pathname === "/isolated.html" ? { "cross-origin-embedder-policy": "require-corp" } : {},
    };
    return new Response(text.replaceAll("{{ comments }}", `http://127.0.0.1:${comments.addr.port}`), { headers });
  });
  return {
    url: `http://127.0.0.1:${pages.addr.port}`,
    async [Symbol.asyncDispose]() {
      await pages.shutdown();
      await comments.shutdown();
    },
  };
}
