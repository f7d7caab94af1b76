import { assertEquals } from "@std/assert";
import { Watch } from "../service/watch.ts";
import { type Folder, makeFolder } from "./folder.ts";

/** A watch of a file, which looks when a test says so. */
async function watch(folder: Folder, file = "db.sqlite", monotonic = () => 0) {
  const lines: string[] = [];
  const calls: string[] = [];
  const watch = new Watch(
    `${folder.path}/${file}`,
    () => calls.push("changed"),
    (_, text) => lines.push(text),
    monotonic,
  );
  await watch.start();
  return {
    lines,
    watch,
    /** Looks so many times, and returns how often it was told of a change meanwhile. */
    async look(times: number): Promise<number> {
      const before = calls.length;
      for (let i = 0; i < times; i++) await watch.look();
      return calls.length - before;
    },
  };
}

let writes = 0;

/** Writes a file, with a modification time of its own. */
async function write(folder: Folder, file = "db.sqlite", text = "x"): Promise<void> {
  await Deno.writeTextFile(`${folder.path}/${file}`, text);
  const time = 1_700_000_000 + writes++;
  await Deno.utime(`${folder.path}/${file}`, time, time);
}

Deno.test("a change is told of once, when three looks have seen the same", async () => {
  await using folder = await makeFolder();
  await write(folder);
  let now = 1_000;
  const { look, watch: watched } = await watch(folder, "db.sqlite", () => now);
  assertEquals(await look(5), 0);
  assertEquals([watched.changes, watched.changedAt], [0, undefined]);
  await write(folder);
  assertEquals(await look(3), 0);
  assertEquals(await look(1), 1);
  now = 9_000;
  assertEquals(await look(10), 0);
  assertEquals([watched.changes, watched.changedAt], [1, 1_000]);
});

Deno.test("a change that goes on is told of after ten seconds, and again when it is over", async () => {
  await using folder = await makeFolder();
  await write(folder);
  const { look } = await watch(folder);
  let told = 0;
  for (let second = 0; second <= 10; second++) {
    await write(folder);
    told += await look(1);
  }
  assertEquals(told, 1);
  await write(folder);
  assertEquals(await look(4), 1);
});

Deno.test("a write-ahead log is a part of the file, unless it is empty", async () => {
  await using folder = await makeFolder();
  await write(folder);
  const { look } = await watch(folder);
  await write(folder, "db.sqlite-wal", "");
  assertEquals(await look(10), 0);
  await write(folder, "db.sqlite-wal", "a page");
  assertEquals(await look(4), 1);
  await Deno.remove(`${folder.path}/db.sqlite-wal`);
  assertEquals(await look(4), 1);
});

Deno.test("a file behind a link is watched, and its log beside the file itself", async () => {
  await using folder = await makeFolder();
  await Deno.mkdir(`${folder.path}/data`);
  await write(folder, "data/db.sqlite");
  await Deno.symlink(`${folder.path}/data/db.sqlite`, `${folder.path}/link`);
  const { look } = await watch(folder, "link");
  await write(folder, "data/db.sqlite-wal", "a page");
  assertEquals(await look(4), 1);
  await write(folder, "data/db.sqlite");
  assertEquals(await look(4), 1);
});

Deno.test("a file that goes away is a warning, and one that comes back a change if it is another", async () => {
  await using folder = await makeFolder();
  await Deno.mkdir(`${folder.path}/data`);
  await write(folder, "data/db.sqlite");
  const { lines, look } = await watch(folder, "data/db.sqlite");
  await Deno.rename(`${folder.path}/data`, `${folder.path}/old`);
  assertEquals(await look(5), 0);
  await Deno.rename(`${folder.path}/old`, `${folder.path}/data`);
  assertEquals(await look(5), 0);
  await Deno.remove(`${folder.path}/data`, { recursive: true });
  await Deno.mkdir(`${folder.path}/data`);
  assertEquals(await look(5), 0);
  await write(folder, "data/db.sqlite");
  assertEquals(await look(4), 1);
  const file = `${folder.path}/data/db.sqlite`;
  const gone = `WatchFile: ${file} is not there; as long as that is so, only TtlSeconds counts`;
  const back = `WatchFile: ${file} can be seen now`;
  assertEquals(lines, [
    `WatchFile: ${file} is watched`,
    gone,
    back,
    gone,
    back,
    `WatchFile: ${file} has changed; all counts have expired`,
  ]);
});

Deno.test("a file that is not there at the start is a warning, and a change once it comes", async () => {
  await using folder = await makeFolder();
  const { lines, look } = await watch(folder);
  assertEquals(lines.length, 1);
  await write(folder);
  assertEquals(await look(4), 1);
});

Deno.test("a folder is no database", async () => {
  await using folder = await makeFolder();
  const { lines } = await watch(folder, ".");
  assertEquals(lines, [
    `WatchFile: ${folder.path}/. is not a file; expected the SQLite file of Stacosys; as long as that is so, only TtlSeconds counts`,
  ]);
});
