/**
 * The program in the hands of its owner: checked, told to end, restarted warm, replaced while readers come.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertLess,
  assertLessOrEqual,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { makeFolder } from "../folder.ts";
import { startCrowd } from "./crowd.ts";
import { freePort, FROM_SOURCE, type Program, refuses, runProgram, startProgram } from "./program.ts";
import { type Answer, ask, brief, received } from "./reader.ts";
import * as stand from "../stand_in.ts";
import { until } from "../until.ts";

const ARTICLES = Array.from({ length: 10 }, (_, i) => `/${i}/`);

// Checked.

Deno.test("--check reports a good configuration and listens nowhere", async () => {
  // Its port is taken, which would be a fault if it listened.
  await using program = await startProgram({ Stacosys: "http://127.0.0.1:8100" });
  const file = `${program.folder}/config.json`;
  assertEquals(await runProgram(["--config", file, "--check"]), { code: 0, stdout: `${file}: good\n`, stderr: "" });
});

Deno.test("--check reports each fault and ends with status 1", async () => {
  await using folder = await makeFolder();
  const file = `${folder.path}/config.json`;
  await Deno.writeTextFile(file, '{ "HostPort": "nonsense", "TtlSeconds": -1 }');
  const { code, stdout, stderr } = await runProgram(["--check", "--config", file]);
  assertEquals({ code, stdout }, { code: 1, stdout: "" });
  const keys = stderr.trim().split("\n").map((line) => /: (\w+): expected .*, got /.exec(line)?.[1]);
  assertEquals(keys, ["HostPort", "Stacosys", "TtlSeconds"]);
});

// Told to end.

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  Deno.test(`after ${signal} nobody is let in, those inside are answered, and the status is 0`, async () => {
    await using stacosys = await stand.startStandIn();
    await using program = await startProgram({ Stacosys: stacosys.url });
    const { behaviour, release } = stand.held(7);
    stacosys.answer(behaviour);
    const reader = ask(program, "/a/");
    await until(() => stacosys.open === 1, "the request is under way");
    program.process.kill(signal);
    await until(() => refuses(program.url), "nobody is let in");
    assertEquals(stacosys.open, 1);
    release();
    assertEquals(brief(await reader), '200 {"count":7}');
    assertEquals(await program.ended, 0);
  });
}

Deno.test("after SIGTERM it does not wait for those inside as long as Stacosys may take", async () => {
  await using stacosys = await stand.startStandIn();
  // Ten times the 5 seconds that it does wait.
  await using program = await startProgram({ Stacosys: stacosys.url, TimeoutSeconds: 50 });
  await withReaderInside(program, stacosys, async () => {
    program.process.kill("SIGTERM");
    assertEquals(await program.ended, 0);
  });
});

Deno.test("a second SIGTERM ends it at once", async () => {
  await using stacosys = await stand.startStandIn();
  await using program = await startProgram({ Stacosys: stacosys.url });
  await withReaderInside(program, stacosys, async () => {
    program.process.kill("SIGTERM");
    await until(() => refuses(program.url), "it has heard the first");
    program.process.kill("SIGTERM");
    assertEquals(await program.ended, 143);
  });
});

Deno.test("SIGHUP is ignored, with a line that says to restart", async () => {
  await using stacosys = await stand.startStandIn();
  await using program = await startProgram({ Stacosys: stacosys.url });
  program.process.kill("SIGHUP");
  await until(() => program.stderr().endsWith("\n"), "there is a line");
  assertMatch(program.stderr(), /^\S+ info SIGHUP is ignored; restart to read the configuration again\n$/);
  assertEquals(brief(await ask(program, "/a/")), '200 {"count":7}');
});

// Restarted warm.

Deno.test("a restart costs Stacosys not one request for a fresh count", async () => {
  await using stacosys = await stand.startStandIn();
  await using folder = await makeFolder();
  const config = { Stacosys: stacosys.url, SnapshotFile: `${folder.path}/snapshot` };
  await fillAndStop(config);
  assertEquals(stacosys.requests.length, ARTICLES.length);

  await using program = await startProgram(config);
  assertEquals(await results(program), ARTICLES.map(() => "hit"));
  assertEquals(stacosys.requests.length, ARTICLES.length);
  assertEquals(program.stderr(), "");
});

Deno.test("a snapshot is readable by its user alone", async () => {
  await using stacosys = await stand.startStandIn();
  await using folder = await makeFolder();
  const before = Deno.umask(0);
  try {
    await fillAndStop({ Stacosys: stacosys.url, SnapshotFile: `${folder.path}/snapshot` });
  } finally {
    Deno.umask(before);
  }
  assertEquals(await filesIn(folder.path), ["snapshot"]);
  const { mode } = await Deno.stat(`${folder.path}/snapshot`);
  assertEquals((mode ?? 0) & 0o777, 0o600);
});

Deno.test("after a restart a count expires when it would have without one", async () => {
  await using stacosys = await stand.startStandIn();
  await using folder = await makeFolder();
  const TtlSeconds = 86_400;
  const config = { Stacosys: stacosys.url, SnapshotFile: `${folder.path}/snapshot`, CacheControl: true, TtlSeconds };
  await fillAndStop(config);
  const now = Date.now();
  const expiries = new Map([["/0/", now + TtlSeconds / 2 * 1_000], ["/1/", now - 1_000]]);
  await changeExpiries(config.SnapshotFile, (key) => expiries.get(new URLSearchParams(key).get("url") ?? ""));

  await using program = await startProgram(config);
  const [sooner, over, whole] = await Promise.all(["/0/", "/1/", "/2/"].map((article) => ask(program, article)));
  assert(sooner !== undefined && over !== undefined && whole !== undefined);
  assertMatch(cacheStatus(sooner), /; hit$/);
  assertLessOrEqual(maxAge(sooner), TtlSeconds / 2);
  assertMatch(cacheStatus(over), /; fwd=stale; /);
  assertMatch(cacheStatus(whole), /; hit$/);
  assertLess(TtlSeconds / 2, maxAge(whole));
});

Deno.test("an expired count outlives a restart in case Stacosys fails", async () => {
  await using stacosys = await stand.startStandIn();
  await using folder = await makeFolder();
  const config = { Stacosys: stacosys.url, SnapshotFile: `${folder.path}/snapshot` };
  await fillAndStop(config);
  await changeExpiries(config.SnapshotFile, () => Date.now() - 1_000);
  await stacosys.stop();

  await using program = await startProgram(config);
  const answer = await ask(program, "/0/");
  assertEquals(brief(answer), '200 {"count":7}');
  assertMatch(cacheStatus(answer), /detail=stale-if-error/);
});

/** Whether the program may put its own in the place of the file. */
type Broken = { readonly ours: boolean; readonly text: (good: string) => string };

const BROKEN: Readonly<Record<string, Broken>> = {
  "cut short in a line": { ours: true, text: (good) => good.slice(0, -40) },
  "cut short after a line": { ours: true, text: (good) => good.split("\n").slice(0, 5).join("\n") + "\n" },
  "of another version": { ours: true, text: (good) => good.replace('"version":1', '"version":2') },
  "of another Stacosys": {
    ours: true,
    text: (good) => good.replace(/"stacosys":"[^"]+"/, '"stacosys":"http://a.test"'),
  },
  "with a line that is not JSON": { ours: true, text: (good) => good.replace("\n[", "\n{") },
  "not JSON": { ours: false, text: () => "Dear diary,\n" },
  "the JSON of another program": { ours: false, text: () => '{"name":"diary"}\n' },
};

for (const [name, { ours, text }] of Object.entries(BROKEN)) {
  const consequence = ours ? "and it is replaced at the end" : "and it is left alone, which is another";
  Deno.test(`a snapshot ${name} is a warning, the start is cold, ${consequence}`, async () => {
    await using stacosys = await stand.startStandIn();
    await using folder = await makeFolder();
    const file = `${folder.path}/snapshot`;
    const config = { Stacosys: stacosys.url, SnapshotFile: file };
    await fillAndStop(config);
    const broken = text(await Deno.readTextFile(file));
    await Deno.writeTextFile(file, broken);

    await using program = await startProgram(config);
    assertEquals(await results(program), ARTICLES.map(() => "fwd=uri-miss"));
    await stop(program);
    const cannotSave = ours ? "" : "\\S+ warning cannot save .*/snapshot: .*\n";
    assertMatch(
      program.stderr(),
      new RegExp(`^${cannotSave}\\S+ warning cannot read .*/snapshot: .*; starting cold\n$`),
    );
    assertEquals(await Deno.readTextFile(file) === broken, !ours);
    assertEquals(await filesIn(folder.path), ["snapshot"]);
  });
}

Deno.test("kill -9 loses no count that is older than the last sweep", async () => {
  await using stacosys = await stand.startStandIn();
  await using folder = await makeFolder();
  const SnapshotFile = `${folder.path}/snapshot`;
  const config = { Stacosys: stacosys.url, SnapshotFile, SweepSeconds: 0.1 };
  {
    await using program = await startProgram(config);
    await results(program);
    await until(() => isSaved(SnapshotFile), "a sweep has saved all counts");
    program.process.kill("SIGKILL");
    await program.ended;
  }
  await using program = await startProgram(config);
  assertEquals(await results(program), ARTICLES.map(() => "hit"));
});

Deno.test("kill -9 while snapshots are written leaves a whole one", async () => {
  await using stacosys = await stand.startStandIn();
  await using folder = await makeFolder();
  const SnapshotFile = `${folder.path}/snapshot`;
  const config = { Stacosys: stacosys.url, SnapshotFile, SweepSeconds: 0.001 };
  for (let kills = 0; kills < 5; kills++) {
    await using program = await startProgram(config);
    await results(program);
    await until(() => isSaved(SnapshotFile), "all counts are saved, and are saved again");
    program.process.kill("SIGKILL");
    await program.ended;
    assertEquals(program.stderr(), "");
  }
  await using program = await startProgram(config);
  assertEquals(await results(program), ARTICLES.map(() => "hit"));
});

Deno.test("a snapshot that cannot be saved is told of at the start, once, and the service goes on", async () => {
  await using stacosys = await stand.startStandIn();
  await using folder = await makeFolder();
  await using program = await startProgram({ Stacosys: stacosys.url, SnapshotFile: `${folder.path}/none/snapshot` });
  assertEquals(brief(await ask(program, "/0/")), '200 {"count":7}');
  await stop(program);
  assertMatch(program.stderr(), /^\S+ warning cannot save .*\/none\/snapshot: .*\n$/);
});

Deno.test("a snapshot for which there is no room is told of, and the last one stays", async () => {
  await using stacosys = await stand.startStandIn();
  await using folder = await makeFolder();
  const SnapshotFile = `${folder.path}/snapshot`;
  const config = { Stacosys: stacosys.url, SnapshotFile };
  await fillAndStop(config);
  const saved = await Deno.readTextFile(SnapshotFile);
  {
    // No file may be longer than 64 KiB here: the counts of six pages fit in, one of 40,000 bytes besides does not.
    const command = ["sh", "-c", `trap "" XFSZ; ulimit -f 128; exec "$0" "$@"`, ...FROM_SOURCE];
    await using program = await startProgram(config, command);
    for (let page = 0; page < 6; page++) {
      const urls = Array.from({ length: 100 }, (_, i) => `url=/${page}/${i}/`);
      assertEquals((await received(await fetch(`${program.url}/comments/counts?${urls.join("&")}`))).status, 200);
    }
    stacosys.answer(stand.body('{"count":7}'.padStart(40_000)));
    assertEquals((await ask(program, "/long/")).status, 200);
    await stop(program);
    assertMatch(program.stderr(), /^\S+ warning cannot save .*\/snapshot: .*\n$/);
  }
  assertEquals(await Deno.readTextFile(SnapshotFile), saved);
  assertEquals(await filesIn(folder.path), ["snapshot"]);
});

// Replaced while readers come.

Deno.test("without ReusePort a second start fails with one line, and the first goes on", async () => {
  await using stacosys = await stand.startStandIn();
  await using first = await startProgram({ Stacosys: stacosys.url });
  const { code, stderr } = await runProgram(["--config", `${first.folder}/config.json`]);
  assertEquals(code, 75);
  assertMatch(stderr, /^\S+ warning cannot listen on 127\.0\.0\.1:\d+: .*in use.*; trying for 10 s.*\n$/);
  assertEquals(brief(await ask(first, "/a/")), '200 {"count":7}');
});

Deno.test("with ReusePort it is replaced twice under load, and not one request fails", async () => {
  await using stacosys = await stand.startStandIn();
  const config = { Stacosys: stacosys.url, HostPort: `127.0.0.1:${freePort()}`, ReusePort: true };
  await using first = await startProgram(config);
  using client = Deno.createHttpClient({ poolMaxIdlePerHost: 0 });
  const crowd = startCrowd(ARTICLES, async (article) => {
    return await received(await fetch(`${first.url}/comments/count?url=${article}`, { client }));
  });
  await crowd.answers(200);

  await using second = await startProgram(config);
  await crowd.answers(200);
  await stop(first);
  await crowd.answers(200);
  await using third = await startProgram(config);
  await crowd.answers(200);
  await stop(second);
  await crowd.answers(200);

  await crowd.leave();
  await stop(third);
});

Deno.test("with ReusePort a reader who keeps a connection is told so by the last answer on it", async () => {
  await using stacosys = await stand.startStandIn();
  const config = { Stacosys: stacosys.url, HostPort: `127.0.0.1:${freePort()}`, ReusePort: true };
  await using first = await startProgram(config);
  const { hostname, port } = new URL(first.url);
  using connection = await Deno.connect({ hostname, port: Number(port) });
  await using _second = await startProgram(config);
  let leaving: Promise<void> | undefined;
  for (let answer = ""; !answer.includes("\r\nconnection: close\r\n");) {
    answer = await askOn(connection);
    assertMatch(answer, /^HTTP\/1\.1 200 /);
    leaving ??= stop(first);
  }
  await leaving;
});

// Kept by browsers and CDNs.

Deno.test("with CacheControl a count may be kept for what is left of its life, and a stale one not at all", async () => {
  await using stacosys = await stand.startStandIn();
  {
    await using program = await startProgram({ Stacosys: stacosys.url, CacheControl: true, TtlSeconds: 86_400 });
    for (const result of ["fwd=uri-miss", "hit"]) {
      const answer = await ask(program, "/a/");
      assertStringIncludes(cacheStatus(answer), result);
      // Of its day some may have passed.
      assertLess(0, maxAge(answer));
      assertLessOrEqual(maxAge(answer), 86_400);
    }
  }
  await using program = await startProgram({ Stacosys: stacosys.url, CacheControl: true, TtlSeconds: 0.05 });
  await ask(program, "/a/");
  await stacosys.stop();
  await until(async () => cacheStatus(await ask(program, "/a/")).includes("stale"), "it is stale");
  assertEquals(maxAge(await ask(program, "/a/")), 0);
});

Deno.test("without CacheControl nothing is said about keeping", async () => {
  await using stacosys = await stand.startStandIn();
  await using program = await startProgram({ Stacosys: stacosys.url });
  for (const result of ["fwd=uri-miss", "hit"]) {
    const answer = await ask(program, "/a/");
    assertStringIncludes(cacheStatus(answer), result);
    assertEquals(answer.headers.get("cache-control"), null);
  }
});

/**
 * Asks on a connection that stays open, and returns the answer with its head, or nothing if the connection is closed.
 */
async function askOn(connection: Deno.Conn): Promise<string> {
  await connection.write(new TextEncoder().encode("GET /comments/count?token=t&url=/a/ HTTP/1.1\r\nHost: h\r\n\r\n"));
  const answer = new Uint8Array(4_096);
  return new TextDecoder().decode(answer.subarray(0, await connection.read(answer) ?? 0));
}

/** Runs `test` while a reader waits for a Stacosys that hangs. He is not answered. */
async function withReaderInside(program: Program, stacosys: stand.StandIn, test: () => Promise<void>): Promise<void> {
  stacosys.answer(stand.hang);
  const reader = assertRejects(() => ask(program, "/a/"));
  await until(() => stacosys.open === 1, "the request is under way");
  await test();
  await reader;
}

/** Runs the program until it has all counts. */
async function fillAndStop(config: Readonly<Record<string, unknown>>): Promise<void> {
  await using program = await startProgram(config);
  assertEquals(await results(program), ARTICLES.map(() => "fwd=uri-miss"));
  await stop(program);
}

async function stop({ process, ended }: Program): Promise<void> {
  process.kill("SIGTERM");
  assertEquals(await ended, 0);
}

/** How each article's count was come by. */
async function results(program: Program): Promise<(string | undefined)[]> {
  const answers = await Promise.all(ARTICLES.map((article) => ask(program, article)));
  return answers.map((answer) => cacheStatus(answer).split("; ")[1]);
}

function cacheStatus({ headers }: Answer): string {
  return headers.get("cache-status") ?? "";
}

function maxAge({ headers }: Answer): number {
  return Number(/^public, max-age=(\d+)$/.exec(headers.get("cache-control") ?? "")?.[1]);
}

/** Writes other expiry times into a snapshot, where `expiryOf` names one. */
async function changeExpiries(file: string, expiryOf: (key: string) => number | undefined): Promise<void> {
  const lines = (await Deno.readTextFile(file)).split("\n").map((line) => {
    if (!line.startsWith("[")) return line;
    const [key, body, expiresAt]: [string, string, number] = JSON.parse(line);
    return JSON.stringify([key, body, expiryOf(key) ?? expiresAt]);
  });
  await Deno.writeTextFile(file, lines.join("\n"));
}

/** Whether a snapshot has all counts. */
async function isSaved(file: string): Promise<boolean> {
  const text = await Deno.readTextFile(file).catch(() => "");
  return text.split("\n[").length > ARTICLES.length;
}

async function filesIn(folder: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).sort();
}
