/**
 * A purge that was answered, and what ends the process after that.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { makeFolder } from "../folder.ts";
import { startService } from "../service.ts";
import * as stand from "../stand_in.ts";
import { until } from "../until.ts";
import { freePort, type Program, refuses, startProgram } from "./program.ts";
import { ask, brief, received } from "./reader.ts";

Deno.test("a purge outlives kill -9: no next start serves the old count as fresh", async () => {
  await using setting = await makeSetting();
  const { config, stacosys, purge } = setting;
  for (const url of ["/a/", undefined]) {
    await using program = await startProgram(config);
    await ask(program, "/a/");
    assertEquals(brief(await purge(url)), '200 {"purged":1}');
    await end(program, "SIGKILL");
    await using next = await startProgram(config);
    assertMatch(await resultOf(next, "/a/"), /fwd=stale; fwd-status=200/);
    await end(next, "SIGTERM");
  }
  assertEquals(stacosys.requests.length, 3);
});

Deno.test("a purge outlives kill -9, and an end in peace, also if sweeps save all the time", async () => {
  await using setting = await makeSetting();
  const config = { ...setting.config, SweepSeconds: 0.001 };
  for (const signal of ["SIGKILL", "SIGTERM", "SIGKILL", "SIGTERM"] as const) {
    await using program = await startProgram(config);
    await ask(program, "/a/");
    await setting.purge("/a/");
    await end(program, signal);
    await using next = await startProgram(config);
    assertMatch(await resultOf(next, "/a/"), /fwd=stale/);
    await end(next, "SIGKILL");
  }
});

Deno.test("a purge while the process waits for its last readers outlives it", async () => {
  await using setting = await makeSetting();
  const { config, stacosys, purge } = setting;
  await using program = await startProgram(config);
  await ask(program, "/a/");
  const { behaviour, release } = stand.held(7);
  stacosys.answer(behaviour);
  const reader = ask(program, "/b/");
  await until(() => stacosys.open === 1, "a reader waits");
  program.process.kill("SIGTERM");
  await until(() => refuses(program.url), "no other is let in");
  assertEquals(brief(await purge("/a/")), '200 {"purged":1}');
  release();
  assertEquals(brief(await reader), '200 {"count":7}');
  assertEquals(await program.ended, 0);
  await using next = await startProgram(config);
  assertMatch(await resultOf(next, "/a/"), /fwd=stale/);
});

for (const signal of ["SIGTERM", "SIGKILL"] as const) {
  Deno.test(`a purge outlives a hand-over with ReusePort, in which the old process ends by ${signal}`, async () => {
    await using setting = await makeSetting();
    const config = { ...setting.config, HostPort: `127.0.0.1:${freePort()}`, ReusePort: true };
    await fill(config);
    await using old = await startProgram(config);
    // It has loaded the old count.
    await using next = await startProgram(config);
    const waits = "until it is free nothing listens for the owner, and no snapshot is saved";
    await until(() => next.stderr().includes(waits), "the next one waits for the owner's address");
    assertEquals(brief(await setting.purge("/a/")), '200 {"purged":1}');
    await end(old, signal);
    await until(() => next.stderr().includes("listening for the owner"), "the next process has taken over");
    assertMatch(await resultOf(next, "/a/"), /fwd=stale/);
    assertEquals(brief(await setting.purge("/a/")), '200 {"purged":1}');
    await end(next, "SIGKILL");
    await using last = await startProgram(config);
    assertMatch(await resultOf(last, "/a/"), /fwd=stale/);
  });
}

Deno.test("a process that waits for the old one to end does not undo its purge on the disk", async () => {
  await using setting = await makeSetting();
  const config = { ...setting.config, HostPort: `127.0.0.1:${freePort()}`, ReusePort: true, SweepSeconds: 0.01 };
  await fill(config);
  await using old = await startProgram({ ...config, SweepSeconds: 600 });
  await using next = await startProgram(config);
  await setting.purge("/a/");
  const { SnapshotFile } = config;
  const { ino } = await Deno.stat(SnapshotFile);
  // Its readers are answered, so that it has swept meanwhile.
  for (const end = performance.now() + 200; performance.now() < end;) await ask(next, "/a/");
  assertEquals((await Deno.stat(SnapshotFile)).ino, ino);
  await end(next, "SIGTERM");
  await end(old, "SIGKILL");
  await using last = await startProgram(config);
  assertMatch(await resultOf(last, "/a/"), /fwd=stale/);
});

Deno.test("an owner's address that another program has is waited for, and readers are served meanwhile", async () => {
  await using setting = await makeSetting();
  const [hostname = "", port = ""] = setting.config.AdminHostPort.split(":");
  const other = Deno.listen({ hostname, port: Number(port) });
  await using program = await startProgram(setting.config);
  assertEquals(brief(await ask(program, "/a/")), '200 {"count":7}');
  other.close();
  await until(() => program.stderr().includes("listening for the owner"), "it has the address");
  assertEquals(brief(await setting.purge("/a/")), '200 {"purged":1}');
  assertMatch(await resultOf(program, "/a/"), /fwd=stale/);
});

Deno.test("with WatchFile no start serves a count of before as fresh, as the file may have changed meanwhile", async () => {
  await using setting = await makeSetting();
  const WatchFile = `${setting.folder}/db.sqlite`;
  await Deno.writeTextFile(WatchFile, "x");
  const config = { ...setting.config, WatchFile };
  await fill(config);
  await using program = await startProgram(config);
  assertMatch(await resultOf(program, "/a/"), /fwd=stale/);
});

Deno.test("a purge that cannot be saved is done, and the answer says that a restart may undo it, and why", async () => {
  await using setting = await makeSetting();
  const { config, folder, purge } = setting;
  await using program = await startProgram(config);
  await ask(program, "/a/");
  await Deno.rename(`${folder}/data`, `${folder}/gone`);
  const why = `cannot save ${config.SnapshotFile}: No such file or directory (os error 2)`;
  assertEquals(
    brief(await purge("/a/")),
    `500 500 purged 1 here and now, but a restart may bring the old counts back: ${why}`,
  );
  assertMatch(await resultOf(program, "/a/"), /fwd=stale/);
  const health = async () => JSON.parse((await own(config, "GET", "/healthz")).text).snapshot;
  assertEquals(await health(), { file: config.SnapshotFile, fault: "No such file or directory (os error 2)" });
  await Deno.rename(`${folder}/gone`, `${folder}/data`);
  assertEquals(brief(await purge("/a/")), '200 {"purged":1}');
  assertEquals(await health(), { file: config.SnapshotFile, fault: null });
});

Deno.test("a purge is answered when it is on the disk, and not before", async () => {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const snapshot = { file: "/snapshot", fault: undefined, save: () => promise };
  const { own, count, cache } = await startService({ snapshot });
  await count("/a/");
  let answered = false;
  const answer = own("POST", "/purge").finally(() => answered = true);
  for (let i = 0; i < 10; i++) await Promise.resolve();
  assertEquals([answered, [...cache.entries()].map(([, { purged }]) => purged)], [false, [true]]);
  resolve(undefined);
  assertEquals(brief(await answer), '200 {"purged":1}');
});

type Config = Readonly<Record<string, unknown>> & { readonly AdminHostPort: string; readonly SnapshotFile: string };

/** A Stacosys, a folder with one for the snapshot in it, and the owner's address. */
async function makeSetting() {
  const stacosys = await stand.startStandIn();
  const folder = await makeFolder();
  await Deno.mkdir(`${folder.path}/data`);
  const config: Config = {
    Stacosys: stacosys.url,
    SnapshotFile: `${folder.path}/data/snapshot`,
    AdminHostPort: `127.0.0.1:${freePort()}`,
  };
  return {
    config,
    stacosys,
    folder: folder.path,
    purge: (url?: string) => own(config, "POST", url === undefined ? "/purge" : `/purge?url=${url}`),
    async [Symbol.asyncDispose]() {
      await stacosys[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

async function own({ AdminHostPort }: Config, method: string, path: string) {
  return await received(await fetch(`http://${AdminHostPort}${path}`, { method }));
}

/** Runs the program until the count of an article is saved. */
async function fill(config: Config): Promise<void> {
  await using program = await startProgram(config);
  await ask(program, "/a/");
  await end(program, "SIGTERM");
}

async function end({ process, ended }: Program, signal: "SIGTERM" | "SIGKILL"): Promise<void> {
  process.kill(signal);
  await ended;
}

async function resultOf(program: Program, article: string): Promise<string> {
  return (await ask(program, article)).headers.get("cache-status") ?? "";
}
