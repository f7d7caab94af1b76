import { assertEquals, assertMatch } from "@std/assert";
import { ARTICLES } from "../../demo/articles.ts";
import { type BlogOptions, serveBlog } from "../../demo/blog.ts";
import { serveStacosys } from "../../demo/stacosys.ts";
import { inBrowser, type Page } from "./chromium.ts";
import { freePort, FROM_SOURCE } from "./program.ts";
import { until } from "../until.ts";

const COUNTS = ARTICLES.slice(0, 10).map(({ comments }) => comments);
const PATH = "/comments/count";

inBrowser("a page gets its ten counts with one request, and from then on out of the cache", async (open) => {
  await using demo = await startDemo();
  const page = await open();
  await page.load(demo.blog);
  await page.until(story("1 request for 10 counts", "None was cached"));
  assertEquals(await counts(page), COUNTS);
  assertEquals(await figures(page), ["1", "0", "10"]);
  assertEquals(demo.timesAsked(), 10);

  await page.load(demo.blog);
  await page.until(story("1 request for 10 counts", "All from the cache"));
  assertEquals(await counts(page), COUNTS);
  assertEquals(await figures(page), ["1", "10", "0"]);
  assertEquals(await page.evaluate(`document.getElementById("last").textContent`), "httpfastcache; hit");
  assertEquals(demo.timesAsked(), 10);
});

inBrowser(
  "a page written the old way gets its ten counts, and loses none when it moves to one request",
  async (open) => {
    await using demo = await startDemo();
    const page = await open();
    await page.load(`${demo.blog}/old-way/`);
    await page.until(has("10", "0", "10"));
    assertEquals(await counts(page), COUNTS);
    assertEquals(demo.timesAsked(), 10);

    await page.load(demo.blog);
    await page.until(story("1 request for 10 counts", "All from the cache"));
    assertEquals(await counts(page), COUNTS);
    assertEquals(demo.timesAsked(), 10);
  },
);

inBrowser(
  "with another origin in CorsOrigin the browser refuses the counts, and the page stays as it was",
  async (open) => {
    await using demo = await startDemo({ CorsOrigin: "https://blog.example.org" });
    const page = await open();
    for (const path of ["/", "/old-way/"]) {
      await page.load(demo.blog + path);
      await page.until(story("without an answer for this page"));
      assertEquals(await counters(page), COUNTS.map(() => "Comments"));
    }
  },
);

inBrowser("with a list of origins in CorsOrigin each of them gets its counts", async (open) => {
  const [one, other, stranger] = [free(), free().replace("127.0.0.1", "localhost"), free()];
  await using demo = await startDemo({ CorsOrigin: [`http://${one}`, `http://${other}`] });
  for (const address of [one, other]) {
    await using _ = serveBlog({ ...demo.options, ...split(address) });
    const page = await open();
    await page.load(`http://${address}`);
    await page.until(story("1 request for 10 counts"));
    assertEquals(await counts(page), COUNTS);
  }
  await using _ = serveBlog({ ...demo.options, ...split(stranger) });
  const page = await open();
  await page.load(`http://${stranger}`);
  await page.until(story("without an answer for this page"));
});

inBrowser("with Stacosys stopped, the counts are still there", async (open) => {
  await using demo = await startDemo({ TtlSeconds: 1 });
  const page = await open();
  await page.load(demo.blog);
  await page.until(story("1 request for 10 counts"));
  await demo.stopStacosys();
  await until(async () => {
    await page.load(demo.blog);
    await page.until(story("1 request for 10 counts"));
    return await page.evaluate(story("10 the last known")) === true;
  }, "the counts have expired");
  assertEquals(await counts(page), COUNTS);
  await page.load(`${demo.blog}/old-way/`);
  await page.until(has("10", "10", "0"));
  assertEquals(await counts(page), COUNTS);
});

inBrowser("a comment is added with the keyboard alone, and counted when the old count has expired", async (open) => {
  await using demo = await startDemo({ TtlSeconds: 2 });
  const page = await open();
  await page.load(demo.blog);
  await page.until(story("1 request for 10 counts"));
  const focused = (what: string) => page.evaluate(`document.activeElement.${what}`);

  await page.press("Tab");
  assertEquals(await focused("textContent"), "Skip to the articles");
  await page.press("Enter");
  await page.press("Tab");
  assertEquals(await focused("textContent"), "7 comments");
  await page.press("Enter");
  assertEquals(await focused("id"), "message");
  assertEquals(await page.evaluate(`document.getElementById("url").value`), ARTICLES[0]?.url);
  await page.press("Tab");
  assertEquals(await focused("textContent"), "Add comment");
  await page.press("Enter");
  await page.until(`document.getElementById("sent").textContent.startsWith("Readers ")`);
  await until(async () => {
    await page.evaluate("stacosysCounts(document)");
    return (await counts(page))[0] === 8;
  }, "the comment is counted");
  assertEquals(await counts(page), [8, ...COUNTS.slice(1)]);
});

inBrowser("whoever adds a comment is told if it did not arrive, or if readers do not see it yet", async (open) => {
  await using demo = await startDemo();
  const page = await open();
  await page.load(demo.blog);
  await page.until(story("1 request for 10 counts"));
  // The time after which the page asks again is over when the test says so.
  await page.evaluate(`{
    const { setTimeout } = self;
    self.setTimeout = (act, ms) => ms > 10_000 ? self.over = act : setTimeout(act, ms);
  }`);
  const sends = `document.getElementById("comment").requestSubmit()`;
  const said = (text: string) => `document.getElementById("sent").textContent.includes(${JSON.stringify(text)})`;

  await page.evaluate(sends);
  await page.until(said("Stacosys has it."));
  await demo.stopStacosys();
  await page.evaluate("over()");
  await page.until(said("Readers still see 7 comments"));
  await page.evaluate(sends);
  await page.until(said("does not answer"));
  assertEquals(await page.evaluate(said("Stacosys at")), true);
  await demo.stopBlog();
  await page.evaluate(sends);
  await page.until(said("The blog does not answer."));
});

inBrowser("a hundred readers ask Stacosys for nothing more, and the keyboard stays where it is", async (open) => {
  await using demo = await startDemo();
  const page = await open();
  await page.load(demo.blog);
  await page.until(story("1 request for 10 counts"));
  for (let tabs = 0; tabs < 3; tabs++) await page.press("Tab");
  await page.press("Enter");
  await page.until(has("101", "1,000", "10"));
  assertEquals(await page.evaluate(`document.activeElement.textContent`), "Be 100 readers");
  assertEquals(demo.timesAsked(), 10);
});

inBrowser("everything on the page that can be used has a name for a screen reader", async (open) => {
  await using demo = await startDemo();
  const page = await open();
  await page.load(demo.blog);
  const nameless = `[...document.querySelectorAll("a, button, select, textarea, input:not([type=hidden])")]
    .filter((element) => !(element.labels?.[0] ?? element).textContent.trim()).map((element) => element.outerHTML)`;
  assertEquals(await page.evaluate(nameless), []);
});

inBrowser("the page fits a phone", async (open) => {
  await using demo = await startDemo();
  const page = await open({ width: 360, height: 740 });
  await page.load(demo.blog);
  await page.until(story("1 request for 10 counts"));
  assertEquals(await page.evaluate(`document.documentElement.scrollWidth`), 360);
});

/** The service as a program, and around it the blog and the Stacosys of the demo. */
async function startDemo(settings: Record<string, unknown> = {}) {
  const stacosys = serveStacosys({ hostname: "127.0.0.1", port: 0 });
  const address = free();
  const HostPort = free();
  const file = await Deno.makeTempFile({ suffix: ".json" });
  const config = {
    HostPort,
    Stacosys: `http://127.0.0.1:${stacosys.port}`,
    CorsOrigin: `http://${address}`,
    ...settings,
  };
  await Deno.writeTextFile(file, JSON.stringify(config));
  const [deno = "", ...args] = FROM_SOURCE;
  const program = new Deno.Command(deno, {
    args: [...args, "--config", file],
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const output = program.stdout.pipeThrough(new TextDecoderStream()).values();
  for (let said = ""; !said.includes("listening on");) {
    const { value, done } = await output.next();
    if (done) throw new Error(`the service did not start: ${said}`);
    said += value;
  }

  const options: BlogOptions = {
    ...split(address),
    cache: `http://${HostPort}${PATH}`,
    ttlMs: Number(settings["TtlSeconds"] ?? 300) * 1000,
    stacosys: config.Stacosys,
    asked: stacosys.asked,
  };
  const blog = serveBlog(options);
  let stopped: Promise<void> | undefined;
  const stopStacosys = () => stopped ??= stacosys.shutdown();
  let closed: Promise<void> | undefined;
  const stopBlog = () => closed ??= blog.shutdown();

  return {
    blog: `http://${address}`,
    options,
    timesAsked: () => [...stacosys.asked.values()].reduce((sum, { times }) => sum + times, 0),
    stopStacosys,
    stopBlog,
    async [Symbol.asyncDispose]() {
      program.kill("SIGTERM");
      await output.return?.();
      await program.status;
      await stopBlog();
      await stopStacosys();
      await Deno.remove(file);
    },
  };
}

/** Whether the panel tells all of this. */
function story(...texts: string[]): string {
  return `${JSON.stringify(texts)}.every((text) => document.getElementById("story").textContent.includes(text))`;
}

/** Whether the panel has these numbers of requests, hits and misses. */
function has(...numbers: string[]): string {
  return `${JSON.stringify(numbers)}.join() ===
    ["requests", "hits", "misses"].map((id) => document.getElementById(id).textContent).join()`;
}

/** What the counters of the page say. */
async function counters(page: Page): Promise<unknown[]> {
  const found = await page.evaluate(`[...document.querySelectorAll("[data-stacosys-url]")].map((a) => a.textContent)`);
  return Array.isArray(found) ? found : [];
}

/** The numbers in the counters of the page. */
async function counts(page: Page): Promise<number[]> {
  return (await counters(page)).map((text) => {
    if (text === "No comments yet") return 0;
    assertMatch(String(text), /^(1 comment|\d+ comments)$/);
    return parseInt(String(text));
  });
}

/** Requests, hits and misses as the panel has them. */
function figures(page: Page): Promise<unknown> {
  return page.evaluate(`["requests", "hits", "misses"].map((id) => document.getElementById(id).textContent)`);
}

/** An address that nobody listens on. */
function free(): string {
  return `127.0.0.1:${freePort()}`;
}

function split(address: string): { hostname: string; port: number } {
  const { hostname, port } = new URL(`http://${address}`);
  return { hostname, port: Number(port) };
}
