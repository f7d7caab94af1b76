import { assertEquals } from "@std/assert";
import type { InTime } from "../service/in_time.ts";
import type { Log } from "../service/log.ts";
import { Watch, type WatchOptions } from "../service/watch.ts";
import { type Folder, makeFolder } from "./folder.ts";

/** A watch of a file, which looks when a test says so. */
async function watch(folder: string, file = "db.sqlite", options: WatchOptions = {}) {
  const lines: string[] = [];
  const calls: string[] = [];
  const log: Log = (_, text) => lines.push(text);
  const watch = new Watch(`${folder}/${file}`, () => calls.push("changed"), log, options);
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
  const { look, watch: watched } = await watch(folder.path, "db.sqlite", { monotonic: () => now });
  assertEquals(await look(5), 0);
  assertEquals([watched.changes, watched.changedAt], [0, undefined]);
  await write(folder);
  assertEquals(await look(3), 0);
  assertEquals(await look(1), 1);
  now = 9_000;
  assertEquals(await look(10), 0);
  assertEquals([watched.changes, watched.changedAt], [1, 1_000]);
});

Deno.test("thirty seconds after the last change it is told of once more, as a slow disk may show it only then", async () => {
  await using folder = await makeFolder();
  await write(folder);
  let now = 0;
  const { look, watch: watched, lines } = await watch(folder.path, "db.sqlite", { monotonic: () => now });
  for (let change = 1; change <= 2; change++) {
    await write(folder);
    assertEquals(await look(4), 1);
    now += 29_999;
    assertEquals(await look(1), 0);
  }
  now += 1;
  assertEquals(await look(1), 1);
  now += 60_000;
  assertEquals([await look(5), watched.changes, lines.length], [0, 2, 3]);
});

Deno.test("thirty seconds after the start a change is told of once, as there may have been one just before", async () => {
  await using folder = await makeFolder();
  await write(folder);
  let now = 5_000;
  const { look, watch: watched } = await watch(folder.path, "db.sqlite", { monotonic: () => now });
  now += 29_999;
  assertEquals(await look(5), 0);
  now += 1;
  assertEquals([await look(5), watched.changes], [1, 0]);
});

Deno.test("a change counts also if the file vanishes before three looks have seen the same", async () => {
  await using folder = await makeFolder();
  await write(folder);
  const { look } = await watch(folder.path);
  await write(folder);
  assertEquals(await look(1), 0);
  await Deno.rename(`${folder.path}/db.sqlite`, `${folder.path}/gone`);
  assertEquals(await look(5), 1);
  await Deno.rename(`${folder.path}/gone`, `${folder.path}/db.sqlite`);
  assertEquals(await look(5), 0);
});

Deno.test("a change that goes on is told of after ten seconds, and again when it is over", async () => {
  await using folder = await makeFolder();
  await write(folder);
  const { look } = await watch(folder.path);
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
  const { look } = await watch(folder.path);
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
  const { look } = await watch(folder.path, "link");
  await write(folder, "data/db.sqlite-wal", "a page");
  assertEquals(await look(4), 1);
  await write(folder, "data/db.sqlite");
  assertEquals(await look(4), 1);
});

Deno.test("a file that goes away is a warning, and one that comes back a change if it is another", async () => {
  await using folder = await makeFolder();
  await Deno.mkdir(`${folder.path}/data`);
  await write(folder, "data/db.sqlite");
  const { lines, look } = await watch(folder.path, "data/db.sqlite");
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
  const gone =
    `WatchFile: ${file} is not there, or hidden by the unit, as /home and /root are; as long as that is so, only TtlSeconds counts`;
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
  const { lines, look } = await watch(folder.path);
  assertEquals(lines.length, 1);
  await write(folder);
  assertEquals(await look(4), 1);
});

Deno.test("a folder is no database", async () => {
  await using folder = await makeFolder();
  const { lines } = await watch(folder.path, ".");
  assertEquals(lines, [
    `WatchFile: ${folder.path}/. is not a file; expected the SQLite file of Stacosys; as long as that is so, only TtlSeconds counts`,
  ]);
});

/** A disk, and how often it was looked at. */
interface Disk {
  hangs: boolean;
  seen: string;
  looks: number;
  /** Lets what hangs come to its end. */
  release: () => void;
}

/** A watch of a file on a disk that may hang, so that whatever is waited for comes too late. */
async function watchOn(disk: Disk) {
  async function lookAt(): Promise<{ readonly seen: string }> {
    disk.looks++;
    if (disk.hangs) await new Promise<void>((resolve) => disk.release = resolve);
    return { seen: disk.seen };
  }
  const inTime: InTime = (work, late) => disk.hangs ? Promise.resolve(late) : work;
  return await watch("/nfs", "db.sqlite", { lookAt, inTime });
}

const FILE = "/nfs/db.sqlite";
const HANGS = `WatchFile: ${FILE} cannot be seen: it takes longer than 3 s (does the disk hang?); ` +
  "as long as that is so, only TtlSeconds counts";

Deno.test("a disk that hangs is a warning, one look waits for it, and what has changed meanwhile is a change", async () => {
  const disk: Disk = { hangs: false, seen: "one", looks: 0, release: () => {} };
  const { lines, look, watch: { fault } } = await watchOn(disk);
  assertEquals([disk.looks, fault], [1, undefined]);
  disk.hangs = true;
  assertEquals(await look(60), 0);
  assertEquals(disk.looks, 2);
  disk.seen = "two";
  disk.hangs = false;
  disk.release();
  assertEquals(await look(3), 0);
  assertEquals(await look(1), 1);
  assertEquals(lines, [
    `WatchFile: ${FILE} is watched`,
    HANGS,
    `WatchFile: ${FILE} can be seen now`,
    `WatchFile: ${FILE} has changed; all counts have expired`,
  ]);
});

Deno.test("a start does not wait for a disk that hangs, and what it sees in the end is a change", async () => {
  const disk: Disk = { hangs: true, seen: "one", looks: 0, release: () => {} };
  const { lines, look, watch: { fault } } = await watchOn(disk);
  assertEquals(fault, `${FILE} cannot be seen: it takes longer than 3 s (does the disk hang?)`);
  disk.hangs = false;
  disk.release();
  assertEquals(await look(4), 1);
  assertEquals(disk.looks, 4);
  assertEquals(lines.slice(0, 2), [HANGS, `WatchFile: ${FILE} can be seen now`]);
});
