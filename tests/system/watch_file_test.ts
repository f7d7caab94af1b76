/**
 * The program with a `WatchFile`. How a file is watched is in ../watch_test.ts.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { makeFolder } from "../folder.ts";
import * as stand from "../stand_in.ts";
import { until } from "../until.ts";
import { runProgram, startProgram } from "./program.ts";
import { ask, brief } from "./reader.ts";

Deno.test("a count that was under way when the file changed is given to those who wait, and not kept", async () => {
  await using stacosys = await stand.startStandIn();
  await using folder = await makeFolder();
  const WatchFile = `${folder.path}/db.sqlite`;
  await Deno.writeTextFile(WatchFile, "no comment");
  await using program = await startProgram({ Stacosys: stacosys.url, WatchFile, TimeoutSeconds: 600 });
  const { behaviour, release } = stand.held(7);
  stacosys.answer(behaviour);
  const waiting = ask(program, "/a/");
  await until(() => stacosys.open === 1, "Stacosys is asked");
  await Deno.writeTextFile(WatchFile, "a comment");
  await until(() => program.stderr().includes("has changed"), "the change is noticed");
  release();
  assertEquals(brief(await waiting), '200 {"count":7}');
  stacosys.answer(stand.count(8));
  assertEquals(brief(await ask(program, "/a/")), '200 {"count":8}');
});

Deno.test("after a restart each count is asked for anew, and the known one stays if Stacosys is away", async () => {
  await using stacosys = await stand.startStandIn();
  await using folder = await makeFolder();
  const WatchFile = `${folder.path}/db.sqlite`;
  await Deno.writeTextFile(WatchFile, "");
  const config = { Stacosys: stacosys.url, WatchFile, SnapshotFile: `${folder.path}/snapshot` };
  {
    await using program = await startProgram(config);
    for (const article of ["/a/", "/b/"]) await ask(program, article);
    program.process.kill("SIGTERM");
    assertEquals(await program.ended, 0);
  }
  await using program = await startProgram(config);
  stacosys.answer(stand.count(8));
  assertEquals(brief(await ask(program, "/a/")), '200 {"count":8}');
  await stacosys.stop();
  assertEquals(brief(await ask(program, "/b/")), '200 {"count":7}');
});

Deno.test("--check says in one line why a file cannot be watched, whatever its name is", async () => {
  await using folder = await makeFolder();
  const file = `${folder.path}/config.json`;
  const WatchFile = `${folder.path}/d\nb\u202e`;
  await Deno.writeTextFile(file, JSON.stringify({ HostPort: ":1", Stacosys: "http://h", WatchFile }));
  const { code, stderr } = await runProgram(["--config", file, "--check"]);
  const why = `${folder.path}/d\\u000ab\\u202e is not there, or hidden by the unit, as /home and /root are`;
  assertEquals([code, stderr], [0, `warning: ${file}: WatchFile: ${why}\n`]);
  await Deno.writeTextFile(WatchFile, "");
  assertEquals((await runProgram(["--config", file, "--check"])).stderr, "");
});
