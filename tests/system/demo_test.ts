import { assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { serveBlog } from "../../demo/blog.ts";
import demo from "../../config.json" with { type: "json" };
import project from "../../deno.json" with { type: "json" };
import { openComments, serveStacosys } from "../../demo/stacosys.ts";
import { freePort } from "./program.ts";
import { until } from "../until.ts";

const LOCAL = { hostname: "127.0.0.1", port: 0 };

Deno.test("the demo Stacosys counts comments as 2.x does, with a token, and as 3.x does, without", async () => {
  const stacosys = serveStacosys(LOCAL);
  const url = `http://127.0.0.1:${stacosys.port}`;
  const response = await fetch(`${url}/comments/count?token=demo&url=/2017/golang-a-la-rescousse/`);
  assertEquals(response.status, 200);
  assertEquals(response.headers.get("content-type"), "application/json");
  assertEquals(await response.text(), '{"count":7}\n');
  assertEquals(await text(`${url}/comments/count?token=demo&url=%2F2017%2Fgolang-a-la-rescousse%2F`), '{"count":7}\n');
  assertEquals(await text(`${url}/api/comments/count?url=/2017/golang-a-la-rescousse/`), '{"count":7}\n');
  assertEquals(await text(`${url}/comments/count?token=demo&url=/2017/unknown/`), '{"count":0}\n');
  assertEquals(await text(`${url}/comments/count?token=other&url=/2017/golang-a-la-rescousse/`), '{"count":0}\n');
  assertEquals(stacosys.asked.get("/2017/golang-a-la-rescousse/")?.times, 4);
  await stacosys.shutdown();
});

Deno.test("a comment posted to the demo Stacosys is counted at once, one without text or by a robot never", async () => {
  const stacosys = serveStacosys(LOCAL);
  const url = `http://127.0.0.1:${stacosys.port}`;
  async function post(comment: Record<string, string>): Promise<number> {
    const body = new URLSearchParams({ url: "/2016/hello/", token: "demo", ...comment });
    const response = await fetch(`${url}/newcomment`, { method: "POST", body, redirect: "manual" });
    await response.body?.cancel();
    return response.status;
  }
  assertEquals(await post({ author: "Ada", message: "Hello!" }), 302);
  assertEquals(await post({ author: "Ada", message: " " }), 400);
  assertEquals(await post({ message: "Buy!", captcha: "yes" }), 400);
  assertEquals(await post({ message: "Hello!", token: "other" }), 400);
  assertEquals(await text(`${url}/comments/count?token=demo&url=/2016/hello/`), '{"count":4}\n');
  await stacosys.shutdown();
});

Deno.test("the demo Stacosys can be stopped, started and made slow, and keeps its comments", async () => {
  const stacosys = serveStacosys(LOCAL);
  const url = `http://127.0.0.1:${stacosys.port}/comments/count?token=demo&url=/2016/hello/`;
  await stacosys.be("stopped");
  await assertRejects(() => fetch(url));
  await stacosys.be("slow");
  const slow = text(url);
  await stacosys.be("running");
  assertEquals(await slow, '{"count":3}\n');
  await stacosys.shutdown();
});

Deno.test("deno task start shows a command to try, and it answers a real count", async () => {
  await using task = await startTask({ HostPort: free(), Stacosys: `http://${free()}` });
  await task.says("Ctrl-C");
  const [, url = ""] = /curl '(.*)'/.exec(task.output()) ?? [];
  assertEquals(await text(url), '{"count":7}\n');
});

Deno.test("deno task start shows a blog where CorsOrigin has one on this machine, otherwise it says why there is none", async () => {
  {
    const address = free();
    const CorsOrigin = ["https://blog.example.org", `http://${address}`];
    await using task = await startTask({ HostPort: free(), Stacosys: `http://${free()}`, CorsOrigin });
    await task.says("Ctrl-C");
    assertStringIncludes(task.output(), `\n  http://${address}\n`);
    assertStringIncludes(await text(`http://${address}/`), "Golang to the rescue");
  }
  await using task = await startTask({ HostPort: free(), Stacosys: `http://${free()}`, CorsOrigin: "*" });
  await task.says("Ctrl-C");
  assertStringIncludes(task.output(), "no blog, as CorsOrigin names none on this machine");
});

Deno.test("the form of the blog works without a script, and says so if Stacosys is away", async () => {
  const stacosys = serveStacosys(LOCAL);
  const url = `http://127.0.0.1:${stacosys.port}`;
  await using blog = serveBlog({ ...LOCAL, cache: "http://127.0.0.1:1/comments/count", ttlMs: 1000, stacosys: url });
  function post(message: string): Promise<Response> {
    const body = new URLSearchParams({ token: "demo", url: "/2016/hello/", author: "", message, captcha: "" });
    return fetch(`http://127.0.0.1:${blog.addr.port}/newcomment`, { method: "POST", body, redirect: "manual" });
  }
  const response = await post("Hello!");
  assertEquals([response.status, response.headers.get("location")], [303, "/"]);
  assertEquals(await text(`${url}/comments/count?token=demo&url=/2016/hello/`), '{"count":4}\n');
  assertStringIncludes(await (await post("")).text(), "expected a comment");
  await stacosys.shutdown();
  assertEquals(await (await post("Hello!")).text(), `Stacosys at ${url} does not answer.\n`);
});

Deno.test("deno task start follows config.json: while it is broken it says so, mended it serves again", async () => {
  await using task = await startTask({ HostPort: free(), Stacosys: `http://${free()}` });
  await task.says("Ctrl-C");
  await Deno.writeTextFile(`${task.folder}/config.json`, '{ "HostPort": ');
  await task.says("config.json: expected JSON");
  const HostPort = free();
  await Deno.writeTextFile(
    `${task.folder}/config.json`,
    JSON.stringify({ HostPort, Stacosys: `http://${free()}`, Paths: ["/api/comments/count"] }),
  );
  await task.says(`listening on http://${HostPort}`);
  assertEquals(await text(`http://${HostPort}/api/comments/count?url=/2017/sqlite-is-enough/`), '{"count":15}\n');
});

Deno.test("a comment of the demo is in the file that config.json watches, and counted long before its time", async () => {
  const HostPort = free();
  const CorsOrigin = `http://${free()}`;
  const config = { HostPort, Stacosys: `http://${free()}`, CorsOrigin, TtlSeconds: 3600, WatchFile: demo.WatchFile };
  const count = () => text(`http://${HostPort}/comments/count?token=demo&url=/2016/hello/`);
  await using task = await startTask(config);
  await task.says("Ctrl-C");
  assertEquals(await count(), '{"count":3}\n');
  const body = new URLSearchParams({ token: "demo", url: "/2016/hello/", message: "Hello!" });
  await (await fetch(`${CorsOrigin}/newcomment`, { method: "POST", body })).body?.cancel();
  await until(async () => await count() === '{"count":4}\n', "the comment is counted");

  const other = free();
  await Deno.writeTextFile(`${task.folder}/config.json`, JSON.stringify({ ...config, HostPort: other }));
  await task.says(`listening on http://${other}`);
  assertEquals(
    await text(`http://${other}/comments/count?token=demo&url=/2016/hello/`),
    '{"count":4}\n',
    "a changed config.json loses no comment",
  );
});

Deno.test("the comments of the demo begin anew with each process, also after one that was killed", async () => {
  const folder = await Deno.makeTempDir();
  const file = `${folder}/comments.sqlite`;
  const comments = openComments(file);
  comments.add("/2016/hello/", "Ada", "Hello!");
  comments.close();
  const again = openComments(file);
  assertEquals(again.count("/2016/hello/"), 4);
  again.close();
  const other = new DatabaseSync(file);
  other.exec(`PRAGMA user_version = ${Deno.pid + 1}`);
  other.close();
  const anew = openComments(file);
  assertEquals(anew.count("/2016/hello/"), 3);
  anew.close();
  await Deno.remove(folder, { recursive: true });
});

Deno.test("with a WatchFile that is not the demo's own, the demo leaves it alone and keeps its comments in memory", async () => {
  const HostPort = free();
  await using task = await startTask({ HostPort, Stacosys: `http://${free()}`, WatchFile: "stacosys.sqlite" });
  await task.says("Ctrl-C");
  assertStringIncludes(
    task.output(),
    "demo: the comments are in memory, and not in stacosys.sqlite, which is WatchFile",
  );
  assertEquals(await text(`http://${HostPort}/comments/count?token=demo&url=/2016/hello/`), '{"count":3}\n');
});

Deno.test("with its address taken, deno task start says what to change, and starts when that is done", async () => {
  using other = Deno.listen(LOCAL);
  const config = { HostPort: `127.0.0.1:${other.addr.port}`, Stacosys: `http://${free()}` };
  await using task = await startTask(config);
  await task.says("demo: change that address in config.json; this starts again when config.json has changed");
  const HostPort = free();
  await Deno.writeTextFile(`${task.folder}/config.json`, JSON.stringify({ ...config, HostPort }));
  await task.says(`listening on http://${HostPort}`);
});

Deno.test("where something is that is no Stacosys, deno task start says so and shows nothing that would fail", async () => {
  await using server = Deno.serve({ ...LOCAL, onListen: () => {} }, () => new Response("no\n", { status: 404 }));
  using silent = Deno.listen(LOCAL);
  const says = new Map([
    [server.addr.port, "is no Stacosys, as it gives no count; change Stacosys in config.json"],
    [silent.addr.port, "cannot stand in for it: Address already in use"],
  ]);
  for (const [port, what] of says) {
    const CorsOrigin = `http://${free()}`;
    await using task = await startTask({ HostPort: free(), Stacosys: `http://127.0.0.1:${port}`, CorsOrigin });
    await task.says("Ctrl-C");
    assertStringIncludes(task.output(), what);
    assertEquals(/curl|in a browser/.test(task.output()), false, task.output());
  }
});

Deno.test("where a Stacosys answers already, the demo's stays away", async () => {
  const server = Deno.serve({ ...LOCAL, onListen: () => {} }, () => Response.json({ count: 1234 }));
  {
    const HostPort = free();
    await using task = await startTask({ HostPort, Stacosys: `http://127.0.0.1:${server.addr.port}` });
    await task.says("Ctrl-C");
    assertStringIncludes(task.output(), "the demo Stacosys stays away");
    assertEquals(await text(`http://${HostPort}/comments/count?url=/a/`), '{"count":1234}');
  }
  await server.shutdown();
});

Deno.test("deno task start has its demo Stacosys, also where the environment names a proxy that answers for it", async () => {
  await using proxy = Deno.serve({ ...LOCAL, onListen: () => {} }, () => new Response("no such host", { status: 502 }));
  const env = { HTTP_PROXY: `http://127.0.0.1:${proxy.addr.port}`, NO_PROXY: "" };
  await using task = await startTask({ HostPort: free(), Stacosys: `http://${free()}` }, env);
  await task.says("Ctrl-C");
  const [, url = ""] = /curl '(.*)'/.exec(task.output()) ?? [];
  assertEquals(await text(url), '{"count":7}\n');
});

for (const signals of [["SIGINT"], ["SIGTERM"], ["SIGTERM", "SIGTERM"], ["SIGHUP"]] satisfies Deno.Signal[][]) {
  Deno.test(`${signals.join(" and ")} ends deno task start without a complaint`, async () => {
    await using task = await startTask({ HostPort: free(), Stacosys: `http://${free()}` });
    await task.says("Ctrl-C");
    const before = task.output();
    await task.end(...signals);
    assertMatch(task.output().slice(before.length), /^(.*Watcher.*\n)?$/);
  });
}

Deno.test("a second deno task start says in a line that one is running, and how to end that, and ends", async () => {
  const config = { HostPort: free(), Stacosys: `http://${free()}`, AdminHostPort: free() };
  await using first = await startTask(config);
  await first.says("Ctrl-C");
  await using second = await startTask(config);
  await second.ended;
  const { pid } = JSON.parse(await text(`http://${config.AdminHostPort}/healthz`));
  assertEquals(second.output().split("\n").filter((line) => !line.includes("Watcher")), [
    `demo: one seems to be running at http://${config.HostPort}/; end it with "kill ${pid}", ` +
    "or change the addresses in config.json",
    "",
  ]);
  Deno.kill(pid, "SIGTERM");
  await first.ended;
});

/** Runs the start task as deno.json has it, in a folder of its own with this configuration. */
async function startTask(config: Record<string, unknown>, env: Record<string, string> = {}) {
  const folder = await Deno.makeTempDir();
  await Deno.mkdir(`${folder}/demo`);
  await Deno.writeTextFile(`${folder}/config.json`, JSON.stringify(config));
  const script = `${import.meta.dirname}/../../demo/start.ts`;
  const args = project.tasks.start.command.split(" ").slice(1).map((arg) => arg === "demo/start.ts" ? script : arg);
  const child = new Deno.Command(Deno.execPath(), {
    args,
    cwd: folder,
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();

  let output = "";
  const read = [child.stdout, child.stderr].map(async (stream) => {
    for await (const chunk of stream.pipeThrough(new TextDecoderStream())) output += chunk;
  });
  let ended = false;
  const end = Promise.all([...read, child.status]).then(() => {
    ended = true;
  });

  return {
    folder,
    output: () => output,
    async says(expected: string): Promise<void> {
      await until(() => ended || output.includes(expected), `it says ${expected}`);
      assertStringIncludes(output, expected);
    },
    ended: end,
    async end(...signals: Deno.Signal[]): Promise<void> {
      for (const signal of signals) child.kill(signal);
      await end;
    },
    async [Symbol.asyncDispose]() {
      if (!ended) await this.end("SIGINT");
      await Deno.remove(folder, { recursive: true });
    },
  };
}

/** An address that nobody listens on. */
function free(): string {
  return `127.0.0.1:${freePort()}`;
}

async function text(url: string): Promise<string> {
  return await (await fetch(url)).text();
}
