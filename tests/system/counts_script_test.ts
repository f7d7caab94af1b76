import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { inBrowser, type Page } from "./chromium.ts";
import { testWith } from "./needs.ts";

const SCRIPT = Deno.readTextFileSync(new URL("../../blog/counts.js", import.meta.url));

inBrowser("counts.js takes its texts from its tag, before the elements or behind them", async (open) => {
  const tag = `<script src="/comments/counts.js" data-token="T" async
    data-one="one remark" data-many="{n} remarks, yes, {n}" data-none="none"></script>`;
  const elements = `<p data-stacosys-url="/0/">-</p><p data-stacosys-url="/1/">-</p><p data-stacosys-url="/2/">-</p>`;
  for (const html of [tag + elements, elements + tag]) {
    await using site = serveSite(html);
    const page = await open();
    await page.load(site.url);
    await page.until(filled);
    assertEquals(await texts(page), ["none", "one remark", "2 remarks, yes, 2"]);
    assertEquals(site.asked, ["/comments/counts?token=T&url=/0/&url=/1/&url=/2/"]);
  }
});

inBrowser("counts.js asks the server that its tag names, without a token if it has none", async (open) => {
  await using site = serveSite(`
    <script src="/comments/counts.js" data-server="/elsewhere/"></script>
    <p data-stacosys-url="/é/1 & 2/">-</p>`);
  const page = await open();
  await page.load(site.url);
  await page.until(filled);
  assertEquals(site.asked, ["/elsewhere/comments/counts?url=/%C3%A9/1%20%26%202/"]);
});

inBrowser("counts.js asks for a hundred articles at once, each once", async (open) => {
  await using site = serveSite(`
    <script src="/comments/counts.js"></script>
    ${Array.from({ length: 201 }, (_, i) => `<p data-stacosys-url="/${i}/">-</p>`).join("")}
    <p data-stacosys-url="/7/">-</p>`);
  const page = await open();
  await page.load(site.url);
  await page.until(filled);
  assertEquals(await page.evaluate(`[...document.querySelectorAll("p")].at(-1).textContent`), "7 comments");
  const amounts = site.asked.map((target) => target.split("url=").length - 1);
  assertEquals(amounts.reduce((sum, amount) => sum + amount), 201);
  assertEquals(amounts.length, 3);
  assertEquals(Math.max(...amounts) <= 100, true);
});

inBrowser("counts.js keeps a request within what NginX takes, however long the addresses are", async (open) => {
  const long = "a".repeat(500);
  await using site = serveSite(`
    ${Array.from({ length: 30 }, (_, i) => `<p data-stacosys-url="/${long}/${i}/">-</p>`).join("")}
    <script src="/comments/counts.js"></script>`);
  const page = await open();
  await page.load(site.url);
  await page.until(filled);
  assertEquals(site.asked.length, 4);
  assertEquals(Math.max(...site.asked.map((target) => target.length)) < 8000, true);
});

inBrowser("counts.js leaves alone what it has no count for", async (open) => {
  const elements = `<p data-stacosys-url="/1/">-</p><p data-stacosys-url="/null/">-</p>`;
  await using site = serveSite(`${elements}<script src="/comments/counts.js"></script>`);
  const page = await open();
  await page.load(site.url);
  await page.until(`document.querySelector("p").textContent !== "-"`);
  assertEquals(await texts(page), ["1 comment", "-"]);

  for (const server of ["/missing", "/broken", "http://127.0.0.1:9", "https://a b"]) {
    await using site = serveSite(`${elements}<script src="/comments/counts.js" data-server="${server}"></script>`);
    const page = await open();
    await page.load(site.url);
    await page.evaluate(`stacosysCounts()`);
    assertEquals(await texts(page), ["-", "-"]);
    assertStringIncludes(String((await said(page))[0]), `No comment counts from ${server}/comments/counts: `);
  }
});

inBrowser("counts.js finds its tag as a module, imported, inserted, evaluated or in a bundle", async (open) => {
  const files = { "/bundle.js": `${SCRIPT}\nself.bundled = true;` };
  const ways = {
    module: `<script type="module" src="/comments/counts.js?v=2" data-token="T"></script>`,
    imported: `<script type="module" data-server="" data-token="T">import "/comments/counts.js";</script>`,
    inserted: `<script>
      const tag = document.createElement("script");
      tag.src = "/comments/counts.js";
      tag.dataset.token = "T";
      document.head.append(tag);
    </script>`,
    evaluated: `<script type="text/later" src="/comments/counts.js" data-token="T"></script>
      <script>fetch("/comments/counts.js").then((response) => response.text()).then(eval);</script>`,
    bundled: `<script src="/bundle.js" data-server="" data-token="T"></script>`,
    "bundled as a module": `<script type="module" src="/bundle.js" data-server="" data-token="T"></script>`,
    "bundled, beside its tag": `<script type="text/later" src="/comments/counts.js" data-token="T"></script>
      <script src="/bundle.js"></script>`,
    inlined: `<script data-server="" data-token="T">${SCRIPT}</script>`,
  };
  for (const [way, tag] of Object.entries(ways)) {
    await using site = serveSite(
      `<script src="/js/accounts.js"></script>${tag}<p data-stacosys-url="/3/">-</p>`,
      files,
    );
    const page = await open();
    await page.load(site.url);
    await page.until(filled);
    assertEquals([way, ...site.asked], [way, "/comments/counts?token=T&url=/3/"]);
    assertEquals([way, ...await said(page)], [way]);
    assertEquals([way, await page.evaluate(`document.body.innerText.trim()`)], [way, "3 comments"]);
  }
});

inBrowser("counts.js says in one line what to write if no tag tells where to ask", async (open) => {
  const files = { "/bundle.js": SCRIPT };
  const ways = [
    `<script type="module">import "/comments/counts.js";</script>`,
    `<script src="/bundle.js"></script>`,
    `<script>${SCRIPT}</script>`,
  ];
  for (const tag of ways) {
    await using site = serveSite(`<p data-stacosys-url="/3/">-</p>${tag}`, files);
    const page = await open();
    await page.load(site.url);
    await page.until(`said.length > 0`);
    assertEquals(await said(page), [
      'No comment counts: no script tag has data-server="https://comments.example.org"',
    ]);
    assertEquals(await page.evaluate(`document.body.innerText.trim()`), "-");
    assertEquals(await page.evaluate(`stacosysCounts()`), {});
    assertEquals(site.asked, []);
  }
});

Deno.test("counts.js may be inlined: nothing in it ends its own tag", () => {
  assertEquals(/<\/script|<!--/i.test(SCRIPT), false);
});

Deno.test("docs/blog.md has each attribute that counts.js knows", async () => {
  const docs = await Deno.readTextFile(new URL("../../docs/blog.md", import.meta.url));
  const attributes = [...new Set(docs.match(/data-[a-z-]+/g))].sort();
  const texts = ["none", "zero", "one", "two", "few", "many", "other"].map((name) => `data-${name}`);
  assertEquals(attributes, ["data-server", "data-stacosys-count", "data-stacosys-url", "data-token", ...texts].sort());
});

testWith(["gzip"], "counts.js is at most 3 KB on its way to the reader, with gzip's level 6", async () => {
  const file = new URL("../../blog/counts.js", import.meta.url).pathname;
  const { stdout } = await new Deno.Command("gzip", { args: ["-6", "--stdout", "--no-name", decodeURI(file)] })
    .output();
  assert(stdout.length <= 3072, `${stdout.length} bytes`);
});

inBrowser("half a character in the url of one element takes no count from the others", async (open) => {
  await using site = serveSite(`<p data-stacosys-url="/1/">-</p><p>-</p>
    <script>document.querySelectorAll("p")[1].dataset.stacosysUrl = "/\\ud83d/2/\\ud83d\\ude00";</script>
    <script src="/comments/counts.js"></script>`);
  const page = await open();
  await page.load(site.url);
  await page.until(filled);
  assertEquals(await texts(page), ["1 comment", "2 comments"]);
  assertEquals(site.asked, ["/comments/counts?url=/1/&url=/%EF%BF%BD/2/%F0%9F%98%80"]);
});

inBrowser(
  "stacosysCounts may listen to any event, and asks for those only that it has no count of",
  async (open) => {
    await using site = serveSite(`<p data-stacosys-url="/1/">-</p><div></div>
    <script src="/comments/counts.js" defer></script>
    <script type="module">document.addEventListener("turbo:load", stacosysCounts);</script>`);
    const page = await open();
    await page.load(site.url);
    await page.until(filled);
    const dispatch = `document.dispatchEvent(new CustomEvent("turbo:load", { detail: {} }))`;
    await page.evaluate(dispatch);
    await page.evaluate(`document.querySelector("div").innerHTML = '<p data-stacosys-url="/2/">-</p>'`);
    await page.evaluate(dispatch);
    await page.until(filled);
    // A new element of a known article: its count is less than a minute old.
    await page.evaluate(`document.querySelector("div").innerHTML = '<p data-stacosys-url="/1/">-</p>'`);
    await page.evaluate(dispatch);
    await page.until(filled);
    // One element that shows another article from now on.
    await page.evaluate(`document.querySelector("p").dataset.stacosysUrl = "/4/"`);
    await page.evaluate(dispatch);
    await page.until(`document.querySelector("p").textContent === "4 comments"`);
    assertEquals(site.asked, [1, 2, 4].map((n) => `/comments/counts?url=/${n}/`));
    assertEquals(await said(page), []);
  },
);

inBrowser("stacosysCounts takes an element, a list, or anything else for nothing", async (open) => {
  await using site = serveSite(`
    <p id="one" data-stacosys-url="/1/">-</p>
    <div><p data-stacosys-url="/2/">-</p><p data-stacosys-url="/3/">-</p></div>
    <script src="/comments/counts.js"></script>`);
  const page = await open();
  await page.load(site.url);
  await page.until(filled);
  async function asksFor(call: string, ...articles: number[]): Promise<void> {
    site.asked.length = 0;
    await page.evaluate(call);
    const urls = articles.map((n) => `url=/${n}/`).join("&");
    assertEquals([call, ...site.asked], urls === "" ? [call] : [call, `/comments/counts?${urls}`]);
  }
  await asksFor(`stacosysCounts(document.getElementById("one"))`, 1);
  await asksFor(`stacosysCounts(document.querySelector("div"))`, 2, 3);
  await asksFor(`stacosysCounts(document.querySelectorAll("div, div p"))`, 2, 3);
  await asksFor(`stacosysCounts([document.querySelector("div p"), null, "text"])`, 2);
  await asksFor(`stacosysCounts(document)`, 1, 2, 3);
  for (const nothing of ["", "null", "undefined", "[]", "document.querySelectorAll('b')", "window", "7", "'text'"]) {
    await asksFor(`stacosysCounts(${nothing})`);
  }
  await asksFor(`stacosysCounts(document.querySelector("p").firstChild)`);
  assertEquals(await said(page), []);
});

inBrowser("two calls at once ask once, and what could not be had is asked for again by the next", async (open) => {
  await using site = serveSite(`<p data-stacosys-url="/1/">-</p><p data-stacosys-url="/null/">-</p>
    <script src="/comments/counts.js"></script>`);
  site.fail(true);
  const page = await open();
  await page.load(site.url);
  await page.until(`said.length > 0`);
  site.fail(false);
  site.asked.length = 0;
  const both = await page.evaluate(`Promise.all([stacosysCounts(), stacosysCounts()])`);
  assertEquals(both, [{ "/1/": 1, "/null/": null }, { "/1/": 1, "/null/": null }]);
  assertEquals(await texts(page), ["1 comment", "-"]);
  assertEquals(site.asked, ["/comments/counts?url=/1/&url=/null/"]);
  await page.evaluate(`stacosysCounts()`);
  assertEquals(site.asked.at(-1), "/comments/counts?url=/null/");

  site.fail(true);
  await page.evaluate(`stacosysCounts(document)`);
  assertEquals(await texts(page), ["1 comment", "-"]);
});

inBrowser("the promise gives the numbers, also of what was asked for before", async (open) => {
  await using site = serveSite(`<p data-stacosys-url="/1/">-</p><p data-stacosys-url="/null/">-</p><div></div>
    <script src="/comments/counts.js"></script>`);
  const page = await open();
  await page.load(site.url);
  await page.until(`document.querySelector("p").textContent !== "-"`);
  await page.evaluate(`document.querySelector("div").innerHTML = '<p data-stacosys-url="/1200/">-</p>'`);
  assertEquals(await page.evaluate(`stacosysCounts()`), { "/1/": 1, "/null/": null, "/1200/": 1200 });
  assertEquals(await page.evaluate(`stacosysCounts(document.querySelector("div"))`), { "/1200/": 1200 });
});

inBrowser("an icon within the link stays if the link says where the count goes", async (open) => {
  await using site = serveSite(`
    <a href="/1/" data-stacosys-url="/1/"><svg></svg> <b data-stacosys-count>Comments</b></a>
    <script src="/comments/counts.js"></script>`);
  const page = await open();
  await page.load(site.url);
  await page.until(`document.querySelector("b").textContent === "1 comment"`);
  const html = `<svg></svg> <b data-stacosys-count="">1 comment</b>`;
  assertEquals(await page.evaluate(`document.querySelector("a").innerHTML`), html);
});

inBrowser("an empty mark asks for the path of its href, and with one that is no page for nothing", async (open) => {
  await using site = serveSite(`
    <a href="mailto:1@example.org" data-stacosys-url>-</a>
    <a id="own" href="/7/2017/?from=list#comments" data-stacosys-url>-</a>
    <script src="/comments/counts.js"></script>`);
  const page = await open();
  await page.load(site.url);
  await page.until(`document.getElementById("own").textContent === "7 comments"`);
  assertEquals(await page.evaluate(`document.body.innerText.replaceAll(/\\s+/g, " ")`), "- 7 comments");
  assertEquals(site.asked, ["/comments/counts?url=/7/2017/"]);
});

inBrowser("each language has the plurals that it needs, and its own numbers", async (open) => {
  const russian = `data-none="нет" data-one="{n} комментарий" data-few="{n} комментария" data-many="{n} комментариев"`;
  const polish = `data-one="1 komentarz" data-few="{n} komentarze" data-many="{n} komentarzy"`;
  const arabic =
    `data-none="لا تعليقات" data-one="تعليق واحد" data-two="تعليقان" data-few="{n} تعليقات" data-many="{n} تعليقًا" data-other="{n} تعليق"`;
  const cases: [html: string, tag: string, counts: Record<number, string>][] = [
    [`lang="ru"`, russian, {
      0: "нет",
      1: "1 комментарий",
      3: "3 комментария",
      11: "11 комментариев",
      21: "21 комментарий",
      1234: "1\xa0234 комментария",
    }],
    [`lang="pl_PL"`, polish, { 0: "0 komentarzy", 1: "1 komentarz", 22: "22 komentarze", 25: "25 komentarzy" }],
    [`lang="en"`, `lang="ar-u-nu-latn" ${arabic}`, {
      0: "لا تعليقات",
      1: "تعليق واحد",
      2: "تعليقان",
      3: "3 تعليقات",
      11: "11 تعليقًا",
      100: "100 تعليق",
    }],
    [`lang="de"`, `data-one="ein Kommentar" data-other="{n} Kommentare"`, {
      0: "0 Kommentare",
      1: "ein Kommentar",
      1234: "1.234 Kommentare",
    }],
    [`lang="ja"`, `data-other="コメント{n}件"`, { 1: "コメント1件", 2: "コメント2件" }],
  ];
  for (const [html, tag, counts] of cases) await shows(open, html, tag, counts);
});

inBrowser("with two texts all goes by 1 and the rest, in any language and in none", async (open) => {
  const two = `data-one="one" data-many="{n} in all"`;
  const counts = { 0: "0 in all", 1: "one", 2: "2 in all", 21: "21 in all" };
  for (const html of [`lang="ru"`, `lang="fr"`, `lang="not a language"`, ""]) await shows(open, html, two, counts);
  await shows(open, `lang="en"`, "", { 0: "0 comments", 1: "1 comment", 2: "2 comments", 1234: "1,234 comments" });
  await shows(
    open,
    `lang="ru"`,
    `data-many="{n}" data-few="few" data-one="1"`,
    { 1: "1", 3: "3", 21: "21" },
    "delete Intl.PluralRules;",
  );
});

inBrowser(
  "after a refused request the console names connect-src, CorsOrigin and the origin of the page",
  async (open) => {
    await using other = serveSite("");
    const server = other.url.slice(0, -1);
    await using site = serveSite(`<p data-stacosys-url="/1/">-</p>
    <script src="/comments/counts.js" data-server="${server}"></script>`);
    const page = await open();
    await page.load(site.url);
    await page.until(`said.length > 0`);
    const origin = site.url.slice(0, -1);
    assertEquals(await said(page), [
      `No comment counts from ${server}/comments/counts: Failed to fetch. If the server is up, ` +
      `see connect-src of the page's Content-Security-Policy, and CorsOrigin for ${origin}`,
    ]);
    assertEquals(await texts(page), ["-"]);
  },
);

/** That a page with this tag shows each of these counts in these words. */
async function shows(
  open: Parameters<Parameters<typeof inBrowser>[1]>[0],
  html: string,
  tag: string,
  counts: Readonly<Record<number, string>>,
  before = "",
): Promise<void> {
  await using site = serveSite(`<html ${html}><script>${before}</script>
    <script src="/comments/counts.js" ${tag}></script>
    ${Object.keys(counts).map((n) => `<p data-stacosys-url="/${n}/">-</p>`).join("")}`);
  const page = await open();
  await page.load(site.url);
  await page.until(filled);
  assertEquals([html, tag, await texts(page)], [html, tag, Object.values(counts)]);
  assertEquals(await said(page), []);
}

/**
 * A site of one page, whose counts are the numbers in its articles' addresses. The page notes what the console says.
 */
function serveSite(html: string, files: Readonly<Record<string, string>> = {}) {
  const asked: string[] = [];
  let failing = false;
  const javascript = { headers: { "content-type": "text/javascript" } };
  const notes = `<script>
    self.said = [];
    console.warn = (text) => said.push(text);
    addEventListener("error", ({ message }) => said.push(message));
    addEventListener("unhandledrejection", ({ reason }) => said.push(String(reason)));
  </script>`;
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, ({ url }) => {
    const { pathname, search, searchParams } = new URL(url);
    if (pathname === "/") {
      const page = `<!DOCTYPE html><meta charset="utf-8">${notes}${html}`;
      return new Response(page, { headers: { "content-type": "text/html" } });
    }
    const file = files[pathname];
    if (file !== undefined) return new Response(file, javascript);
    if (pathname === "/comments/counts.js") return new Response(SCRIPT, javascript);
    if (pathname === "/js/accounts.js") return new Response("", javascript);
    if (pathname.startsWith("/broken/")) return new Response(`{"counts":`);
    if (failing || pathname.startsWith("/missing/") || !pathname.endsWith("/comments/counts")) {
      return new Response("404\n", { status: 404 });
    }
    asked.push(pathname + search);
    const number = (article: string) => article === "/null/" ? null : Number(/\d+/.exec(article)?.[0]);
    return Response.json({
      counts: Object.fromEntries(searchParams.getAll("url").map((article) => [article, number(article)])),
    });
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}/`,
    asked,
    fail: (on: boolean) => failing = on,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** Whether all paragraphs show a count. */
const filled = `![...document.querySelectorAll("p")].some((p) => p.textContent === "-")`;

function texts(page: Page): Promise<unknown> {
  return page.evaluate(`[...document.querySelectorAll("p")].map((p) => p.textContent)`);
}

/** What the console of the page said, and what went wrong in it. */
async function said(page: Page): Promise<unknown[]> {
  const found = await page.evaluate("said");
  return Array.isArray(found) ? found : [];
}
