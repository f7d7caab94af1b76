import { setImmediate } from "node:timers";
import { assert, assertEquals, assertLess, assertMatch, assertStringIncludes } from "@std/assert";
import { Cache } from "../cache.ts";
import type { InTime } from "../service/in_time.ts";
import { Snapshot } from "../service/snapshot.ts";
import { whyNotSaved } from "../service/snapshot_file.ts";
import { makeFolder } from "./folder.ts";

const STACOSYS = "http://127.0.0.1:8100";

function newCache(maxEntries = 10): Cache<string> {
  return new Cache<string>({ ttlMs: 60_000, staleMs: 60_000, maxEntries });
}

/** A snapshot of `cache` in a folder, whose log goes into `log`. */
function snapshotOf(
  cache: Cache<string>,
  folder: string,
  { log = [], accepts = () => true, inTime }: {
    readonly log?: string[];
    readonly accepts?: (key: string, body: string) => boolean;
    readonly inTime?: InTime;
  } = {},
): Snapshot {
  const options = { file: `${folder}/snapshot`, stacosys: STACOSYS, accepts };
  return new Snapshot(cache, options, (level, message) => log.push(`${level} ${message}`), inTime);
}

/** A cache with what a folder's snapshot has. */
function loaded(folder: string, options: Parameters<typeof snapshotOf>[2] = {}, maxEntries = 10): Cache<string> {
  const cache = newCache(maxEntries);
  snapshotOf(cache, folder, options).load();
  return cache;
}

function namesIn(folder: string): string[] {
  return Array.from(Deno.readDirSync(folder), ({ name }) => name);
}

Deno.test("what is saved is there again, with the same expiry", async () => {
  await using folder = await makeFolder();
  const cache = newCache(10_000);
  // Longer than what is read at once, and with characters of several bytes.
  for (let i = 0; i < 3_000; i++) cache.set(`/comments/count?url=/été-${i}/`, `{"count":${i}}\n`, Date.now() + i);
  assertEquals(await snapshotOf(cache, folder.path).save(), undefined);
  const facts = (of: Cache<string>) => [...of.entries()].map(([key, { value, expiresAt }]) => [key, value, expiresAt]);
  assertEquals(facts(loaded(folder.path, {}, 10_000)), facts(cache));
});

Deno.test("a snapshot of version 1.1 is read", async () => {
  await using folder = await makeFolder();
  const rows = [{ kind: "httpfastcache snapshot", version: 1, stacosys: STACOSYS }, ["/a", "7", Date.now() + 9_999], {
    entries: 1,
  }];
  await Deno.writeTextFile(`${folder.path}/snapshot`, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  assertEquals(loaded(folder.path).get("/a")?.value, "7");
});

Deno.test("of a snapshot of another version it is said which one it is, whatever stands there", async () => {
  await using folder = await makeFolder();
  for (const [version, said] of [["2", "2"], ['"1"', '"1"'], ['{"toString":0}', '{"toString":0}']]) {
    await Deno.writeTextFile(`${folder.path}/snapshot`, `{"kind":"httpfastcache snapshot","version":${version}}\n`);
    const log: string[] = [];
    loaded(folder.path, { log });
    assertEquals(log, [`warning cannot read ${folder.path}/snapshot: expected version 1, got ${said}; starting cold`]);
  }
});

Deno.test("a count is no older than the time to live, also if that was longer when it was saved", async () => {
  await using folder = await makeFolder();
  let now = 1_000_000;
  const cache = (ttlMs: number) => new Cache<string>({ ttlMs, staleMs: 3_600_000, maxEntries: 10, now: () => now });
  const before = cache(3_600_000);
  before.set("/a", "7");
  await snapshotOf(before, folder.path).save();
  const after = cache(300_000);
  snapshotOf(after, folder.path).load();
  const isFresh = [299_999, 300_000, 3_400_000].map((ageMs) => {
    now = 1_000_000 + ageMs;
    return after.get("/a") !== undefined;
  });
  assertEquals(isFresh, [true, false, false]);
});

Deno.test("what has expired is no purged count after a restart, and so may be served while it is fetched anew", async () => {
  await using folder = await makeFolder();
  const cache = newCache();
  cache.set("/expired", "7", Date.now() - 1_000);
  cache.set("/purged", "7");
  cache.expire("/purged");
  await snapshotOf(cache, folder.path).save();
  const again = loaded(folder.path);
  assertEquals(["/expired", "/purged"].map((key) => again.getStale(key)?.purged), [false, true]);
});

Deno.test("what a process left that was killed while it saved is removed at a later start, and nothing else", async () => {
  await using folder = await makeFolder();
  const header = '{"kind":"httpfastcache snapshot"}\n';
  const files = {
    "snapshot.1a.tmp": header,
    "snapshot.2b.tmp": "",
    "snapshot.notes.tmp": "Dear diary,\n",
    "a.tmp": header,
  };
  for (const [name, text] of Object.entries(files)) await Deno.writeTextFile(`${folder.path}/${name}`, text);
  const snapshot = snapshotOf(newCache(), folder.path);
  await snapshot.check();
  assertEquals(namesIn(folder.path).sort(), Object.keys(files).sort());
  for (const name of Object.keys(files)) await Deno.utime(`${folder.path}/${name}`, 1_700_000_000, 1_700_000_000);
  await snapshot.check();
  assertEquals(namesIn(folder.path).sort(), ["a.tmp", "snapshot.notes.tmp"]);
});

Deno.test("two processes that save to one file at once leave a whole one, and nothing beside it", async () => {
  await using folder = await makeFolder();
  const processes = [2_000, 3_000].map((entries) => {
    const cache = newCache(entries);
    for (let i = 0; i < entries; i++) cache.set(`/${i}`, "7");
    return snapshotOf(cache, folder.path);
  });
  for (let round = 0; round < 20; round++) {
    assertEquals(await Promise.all(processes.map((one) => one.save())), [undefined, undefined]);
    const log: string[] = [];
    assert([2_000, 3_000].includes(loaded(folder.path, { log }, 3_000).size), log.join());
  }
  assertEquals(namesIn(folder.path), ["snapshot"]);
});

Deno.test("no count is fresh that was saved later than it is now, as nobody knows how old it is", async () => {
  await using folder = await makeFolder();
  const cache = newCache();
  cache.set("/a", "7", Date.now() + 30_000);
  await snapshotOf(cache, folder.path).save();
  const file = `${folder.path}/snapshot`;
  const text = await Deno.readTextFile(file);
  await Deno.writeTextFile(file, text.replace(/("savedAt":)(\d+)/, (_, key, at) => `${key}${Number(at) + 20_000}`));
  const again = loaded(folder.path);
  assertEquals([again.get("/a"), again.getStale("/a")?.value], [undefined, "7"]);
});

Deno.test("rows that are no counts of ours are left out", async () => {
  await using folder = await makeFolder();
  const cache = newCache();
  for (const key of ["/ours", "/theirs"]) cache.set(key, "7");
  await snapshotOf(cache, folder.path).save();
  const accepts = (key: string, body: string) => key === "/ours" && body === "7";
  assertEquals(Array.from(loaded(folder.path, { accepts }).entries(), ([key]) => key), ["/ours"]);
});

Deno.test("what is purged is over in the snapshot, too, also if the clock is set back meanwhile", async () => {
  await using folder = await makeFolder();
  let now = 1_000_000;
  const clocked = () => new Cache<string>({ ttlMs: 60_000, staleMs: 60_000, maxEntries: 10, now: () => now });
  const cache = clocked();
  cache.set("/a", "7");
  now += 1_000;
  cache.expireAll();
  await snapshotOf(cache, folder.path).save();
  for (now of [now, now - 30_000]) {
    const again = clocked();
    snapshotOf(again, folder.path).load();
    assertEquals([again.get("/a"), again.getStale("/a")?.purged], [undefined, true]);
  }
});

Deno.test("what the disk does not confirm is told of, and the last snapshot stays", async () => {
  await using folder = await makeFolder();
  const cache = newCache();
  const snapshot = snapshotOf(cache, folder.path);
  await snapshot.save();
  const saved = await Deno.readTextFile(`${folder.path}/snapshot`);
  cache.set("/a", "7");
  const { syncData } = Deno.FsFile.prototype;
  Deno.FsFile.prototype.syncData = () => Promise.reject(new Error("the disk fails"));
  try {
    assertEquals(await snapshot.save(), "the disk fails");
  } finally {
    Deno.FsFile.prototype.syncData = syncData;
  }
  assertEquals(await Deno.readTextFile(`${folder.path}/snapshot`), saved);
});

Deno.test("readers pass while a large cache is saved, also if all of it has expired", async () => {
  await using folder = await makeFolder();
  let taken = 0;
  class Watched extends Cache<string> {
    override *entries(): ReturnType<Cache<string>["entries"]> {
      for (const entry of super.entries()) {
        taken++;
        yield entry;
      }
    }
  }
  const cache = new Watched({ ttlMs: 0, maxEntries: 100_000 });
  for (let i = 0; i < 100_000; i++) cache.set(`/comments/count?url=/${i}/`, "{}");
  let saving = true;
  const saved = snapshotOf(cache, folder.path, { inTime: (work) => work }).save().then(() => saving = false);
  let most = 0;
  while (saving) {
    const before = taken;
    await new Promise((resolve) => setImmediate(resolve));
    most = Math.max(most, taken - before);
  }
  await saved;
  assertEquals(taken, 100_000);
  // Some portions of 256 KiB, and never all of it.
  assertLess(most, 25_000);
});

Deno.test("a save that is under way does not count for what has changed since, and all who ask meanwhile share one", async () => {
  await using folder = await makeFolder();
  let saves = 0;
  let passed = () => {};
  class Counted extends Cache<string> {
    override *entries(): ReturnType<Cache<string>["entries"]> {
      saves++;
      yield* super.entries();
      passed();
    }
  }
  const cache = new Counted({ ttlMs: 60_000, staleMs: 60_000, maxEntries: 10 });
  cache.set("/a", "7");
  const snapshot = snapshotOf(cache, folder.path);
  let purges: Promise<unknown> | undefined;
  passed = () => {
    // The row is written, fresh.
    passed = () => {};
    cache.expireAll();
    purges = Promise.all(Array.from({ length: 100 }, () => snapshot.save()));
  };
  await Promise.all(Array.from({ length: 10 }, () => snapshot.save()));
  await purges;
  assertEquals(saves, 2);
  assertEquals(loaded(folder.path).get("/a"), undefined);
});

Deno.test("a folder that cannot be written to is told of at the start, once, and again when it can", async () => {
  await using folder = await makeFolder();
  const log: string[] = [];
  const snapshot = snapshotOf(newCache(), `${folder.path}/nowhere`, { log });
  await snapshot.check();
  snapshot.load();
  for (let i = 0; i < 2; i++) assertStringIncludes(await snapshot.save() ?? "", "No such file or directory");
  assertStringIncludes(snapshot.fault ?? "", "No such file or directory");
  await Deno.mkdir(`${folder.path}/nowhere`);
  for (let i = 0; i < 2; i++) assertEquals(await snapshot.save(), undefined);
  assertEquals([snapshot.fault, log.length], [undefined, 2]);
  assertMatch(log[0] ?? "", /^warning cannot save .*nowhere\/snapshot: No such file or directory/);
  assertEquals(log[1], `info ${snapshot.file} can be saved again`);
});

const OTHERS: Readonly<Record<string, (file: string) => void>> = {
  "somebody else's file": (file) => Deno.writeTextFileSync(file, '{"name":"diary"}\n'),
  "a file with a damaged first line": (file) =>
    Deno.writeTextFileSync(file, '{"kind":"httpfastcache snapsh\0t"}\n[]\n'),
  "a folder": (file) => Deno.mkdirSync(file),
  "a pipe, which nobody writes to": (file) => {
    assert(new Deno.Command("mkfifo", { args: [file] }).outputSync().success);
  },
  "a link that leads nowhere but to itself": (file) => Deno.symlinkSync(file, file),
};

for (const [name, make] of Object.entries(OTHERS)) {
  Deno.test(`${name} in the place of the snapshot stays, however often it would be saved, and is told of once`, async () => {
    await using folder = await makeFolder();
    const log: string[] = [];
    const snapshot = snapshotOf(newCache(), folder.path, { log });
    make(snapshot.file);
    const before = await Deno.lstat(snapshot.file);
    assertEquals(await whyNotSaved(snapshot.file) === undefined, false);
    await snapshot.check();
    snapshot.load();
    for (let i = 0; i < 3; i++) assertEquals(await snapshot.save(), snapshot.fault);
    assertEquals(log.map((line) => line.slice(0, 19)), ["warning cannot save", "warning cannot read"]);
    const { ino, size, mtime } = await Deno.lstat(snapshot.file);
    assertEquals([ino, size, mtime], [before.ino, before.size, before.mtime]);
    assertEquals(namesIn(folder.path), ["snapshot"]);

    await Deno.remove(snapshot.file);
    assertEquals([await snapshot.save(), snapshot.fault], [undefined, undefined]);
    assertEquals(log.at(-1), `info ${snapshot.file} can be saved again`);
  });
}

Deno.test("an empty file, made to set its rights, is a snapshot without counts, of which nothing is told", async () => {
  await using folder = await makeFolder();
  const log: string[] = [];
  const snapshot = snapshotOf(newCache(), folder.path, { log });
  await Deno.writeTextFile(snapshot.file, "");
  await snapshot.check();
  snapshot.load();
  assertEquals([await snapshot.save(), log], [undefined, []]);
});

Deno.test("a snapshot that somebody replaces while the service runs is left alone from then on", async () => {
  await using folder = await makeFolder();
  const snapshot = snapshotOf(newCache(), folder.path);
  await snapshot.save();
  await Deno.writeTextFile(snapshot.file, "Dear diary,\n");
  assertStringIncludes(await snapshot.save() ?? "", "got something else");
  assertEquals(await Deno.readTextFile(snapshot.file), "Dear diary,\n");
});

Deno.test("a disk that hangs is told of after 3 s, and when it is well again", async () => {
  await using folder = await makeFolder();
  const log: string[] = [];
  let hangs = true;
  // Whatever is waited for comes too late.
  const inTime: InTime = (work, late) => hangs ? Promise.resolve(late) : work;
  const cache = newCache();
  cache.set("/a", "7");
  await snapshotOf(cache, folder.path).save();
  const snapshot = snapshotOf(newCache(), folder.path, { log, inTime });
  await snapshot.check();
  snapshot.load();
  const text = "it takes longer than 3 s (does the disk hang?)";
  assertEquals([await snapshot.save(), snapshot.fault], [text, text]);
  hangs = false;
  assertEquals([await snapshot.save(), snapshot.fault], [undefined, undefined]);
  const { file } = snapshot;
  assertEquals(log, [
    `warning cannot save ${file}: ${text}; until it can be saved, a restart loses counts`,
    `warning cannot read ${file}: ${text}; starting cold`,
    `info ${file} can be saved again`,
  ]);
});

Deno.test("a broken line is told by its number, a file that was cut short as such, and nothing of it is kept", async () => {
  await using folder = await makeFolder();
  const cache = newCache();
  for (let i = 0; i < 3; i++) cache.set(`/comments/count?url=/${i}/`, `{"count":${i}}\n`);
  await snapshotOf(cache, folder.path).save();
  const whole = await Deno.readTextFile(`${folder.path}/snapshot`);
  const lines = whole.split("\n");

  async function faultOf(text: string): Promise<string | undefined> {
    await Deno.writeTextFile(`${folder.path}/snapshot`, text);
    const log: string[] = [];
    assertEquals(loaded(folder.path, { log }).size, log.length === 0 ? 3 : 0);
    return /snapshot: (.*);/.exec(log[0] ?? "")?.[1];
  }
  const cut = "expected a whole snapshot, got one that was cut short";
  assertEquals(await faultOf(whole), undefined);
  assertEquals(
    await faultOf(lines.with(2, "[1]").join("\n")),
    "line 3: expected key, body and expiry, got something else",
  );
  assertEquals(await faultOf(lines.toSpliced(2, 1).join("\n")), cut);
  assertEquals(await faultOf(whole.slice(0, -20)), cut);
  assertEquals(await faultOf(lines.slice(0, 3).join("\n")), cut);
  assertEquals(await faultOf(`${whole}[1]\n`), cut);
});
