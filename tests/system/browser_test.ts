import { assertEquals, assertMatch } from "@std/assert";
import { ARTICLES } from "../../demo/articles.ts";
import { type BlogOptions, serveBlog } from "../../demo/blog.ts";
import { openComments, serveStacosys } from "../../demo/stacosys.ts";
import { inBrowser, type Page } from "./chromium.ts";
import { freePort, FROM_SOURCE } from "./program.ts";

const COUNTS = ARTICLES.slice(0, 10).map(({ comments }) => comments);
const PATH = "/comments/count";

inBrowser("a page gets its ten counts with one request, and from then on out of the cache", async (open) => {
  await using demo = await startDemo();
  const page = await open();
  await page.load(demo.blog);
  await page.until(story("1 request for 10 counts", "None was fresh"));
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

inBrowser("with Stacosys stopped by its button, the counts are still there until it runs again", async (open) => {
  await using demo = await startDemo({ TtlSeconds: 1 });
  const page = await open();
  await page.load(demo.blog);
  await page.until(story("1 request for 10 counts"));
  await page.evaluate(`document.querySelector("[value=stopped]").click()`);
  await page.until(story("All are the last known, as Stacosys is stopped"));
  assertEquals(await counts(page), COUNTS);
  assertEquals(await page.evaluate(`document.querySelector("[value=stopped]").ariaPressed`), "true");

  await page.load(`${demo.blog}/old-way/`);
  await page.until(has("10", "10", "0"));
  assertEquals(await counts(page), COUNTS);
  assertMatch(
    String(await page.evaluate(`document.getElementById("last").textContent`)),
    /ttl=-\d+; detail=stale-if-error$/,
  );

  await page.load(demo.blog);
  await page.until(story("1 request for 10 counts"));
  await page.evaluate(`document.querySelector("[value=running]").click()`);
  await page.until(`document.getElementById("misses").textContent !== "0"`);
});

inBrowser("with Stacosys made slow by its button, readers get the last known counts after a second", async (open) => {
  await using demo = await startDemo({ TtlSeconds: 1 });
  const page = await open();
  await page.load(demo.blog);
  await page.until(story("1 request for 10 counts"));
  await page.evaluate(`document.querySelector("[value=slow]").click()`);
  await page.until(story("All are the last known, as Stacosys takes 5 seconds, and nobody waits longer than one"));
  assertEquals(await counts(page), COUNTS);
});

inBrowser(
  "a comment is added with the keyboard alone, and counted long before its old count would expire",
  async (open) => {
    await using demo = await startDemo({ TtlSeconds: 3600 });
    const page = await open({ width: 1280, height: 800 });
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
    await page.until(`document.getElementById("sent").textContent.startsWith("Readers see it now: 8 comments")`);
    await page.until(story("The file of Stacosys had changed"));
    assertEquals(await counts(page), [8, ...COUNTS.slice(1)]);
    const { top, bottom } = Object(
      await page.evaluate(`document.getElementById("sent").getBoundingClientRect().toJSON()`),
    );
    assertEquals(top >= 0 && bottom <= 800, true, "what became of it is within sight");
  },
);

inBrowser("where the file is not watched, a comment is counted when the old count has expired", async (open) => {
  await using demo = await startDemo({ TtlSeconds: 2, WatchFile: undefined });
  const page = await open();
  await page.load(demo.blog);
  await page.until(story("1 request for 10 counts"));
  await page.evaluate(`document.getElementById("comment").requestSubmit()`);
  await page.until(`document.getElementById("sent").textContent.startsWith("Readers see it now: 8 comments")`);
});

inBrowser("whoever adds a comment is told if readers do not see it yet, or if it did not arrive", async (open) => {
  await using demo = await startDemo();
  const page = await open();
  await page.load(demo.blog);
  await page.until(story("1 request for 10 counts"));
  await page.evaluate(`{
    const sent = document.getElementById("sent");
    self.said = "";
    new MutationObserver(() => said += sent.textContent).observe(sent, { childList: true });
  }`);
  const sends = `document.getElementById("comment").requestSubmit()`;

  await demo.stacosys.be("slow");
  await page.evaluate(sends);
  await page.until(`/Stacosys has it.*Readers still see 7 comments.*Readers see it now: 8 comments/.test(said)`);
  await demo.stacosys.be("stopped");
  await page.evaluate(sends);
  await page.until(`/Stacosys at .* does not answer/.test(said)`);
  await demo.stopBlog();
  await page.evaluate(sends);
  await page.until(`said.includes("The blog does not answer.")`);
});

inBrowser("the page follows a blog that was started again with another TtlSeconds", async (open) => {
  await using demo = await startDemo();
  const page = await open();
  await page.load(demo.blog);
  await page.until(`document.getElementById("ttl").textContent === "300"`);
  await demo.stopBlog();
  await using _ = serveBlog({ ...demo.options, ttlMs: 60_000 });
  await page.until(`document.getElementById("ttl").textContent === "60"`);
});

inBrowser("a hundred readers ask Stacosys for nothing more, and the keyboard stays where it is", async (open) => {
  await using demo = await startDemo();
  const page = await open();
  await page.load(demo.blog);
  await page.until(story("1 request for 10 counts"));
  for (let tabs = 0; tabs < 4; tabs++) await page.press("Tab");
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
  const folder = await Deno.makeTempDir();
  const { WatchFile } = { WatchFile: `${folder}/comments.sqlite`, ...settings };
  const stacosys = serveStacosys({ hostname: "127.0.0.1", port: 0 }, openComments(WatchFile));
  const address = free();
  const HostPort = free();
  const file = `${folder}/config.json`;
  const config = {
    HostPort,
    WatchFile,
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
    demo: stacosys,
  };
  const blog = serveBlog(options);
  let closed: Promise<void> | undefined;
  const stopBlog = () => closed ??= blog.shutdown();

  return {
    blog: `http://${address}`,
    options,
    timesAsked: () => [...stacosys.asked.values()].reduce((sum, { times }) => sum + times, 0),
    stacosys,
    stopBlog,
    async [Symbol.asyncDispose]() {
      program.kill("SIGTERM");
      await output.return?.();
      await program.status;
      await stopBlog();
      await stacosys.shutdown();
      await Deno.remove(folder, { recursive: true });
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
