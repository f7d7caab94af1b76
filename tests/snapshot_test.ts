import { setImmediate } from "node:timers";
import { assertEquals, assertLess, assertMatch } from "@std/assert";
import { Cache } from "../cache.ts";
import { keepSnapshot } from "../service/snapshot.ts";
import { makeFolder } from "./folder.ts";

const STACOSYS = "http://127.0.0.1:8100";

function keep(
  cache: Cache<string>,
  folder: string,
  log: string[] = [],
  accepts = (_key: string, _body: string) => true,
) {
  const options = { file: `${folder}/snapshot`, stacosys: STACOSYS, accepts };
  return keepSnapshot(cache, options, (_, message) => log.push(message));
}

Deno.test("what is saved is there again, with the same expiry", async () => {
  await using folder = await makeFolder();
  const cache = new Cache<string>({ ttlMs: 60_000, maxEntries: 10_000 });
  // Longer than what is read at once, and with characters of several bytes.
  for (let i = 0; i < 3_000; i++) cache.set(`/comments/count?url=/été-${i}/`, `{"count":${i}}\n`, Date.now() + i);
  await keep(cache, folder.path)();

  const again = new Cache<string>({ ttlMs: 60_000, maxEntries: 10_000 });
  keep(again, folder.path);
  const facts = (of: Cache<string>) => [...of.entries()].map(([key, { value, expiresAt }]) => [key, value, expiresAt]);
  assertEquals(facts(again), facts(cache));
});

Deno.test("what a process left that was killed while it saved is replaced by the next save", async () => {
  await using folder = await makeFolder();
  await Deno.writeTextFile(`${folder.path}/snapshot.tmp`, "[".repeat(1_000_000));
  await keep(new Cache<string>({ ttlMs: 60_000, maxEntries: 10 }), folder.path)();
  assertEquals(Array.from(Deno.readDirSync(folder.path), ({ name }) => name), ["snapshot"]);
  assertEquals((await Deno.readTextFile(`${folder.path}/snapshot`)).split("\n").length, 3);
});

Deno.test("rows that are no counts of ours are left out", async () => {
  await using folder = await makeFolder();
  const cache = new Cache<string>({ ttlMs: 60_000, maxEntries: 10 });
  for (const key of ["/ours", "/theirs"]) cache.set(key, "7");
  await keep(cache, folder.path)();
  const again = new Cache<string>({ ttlMs: 60_000, maxEntries: 10 });
  keep(again, folder.path, [], (key, body) => key === "/ours" && body === "7");
  assertEquals(Array.from(again.entries(), ([key]) => key), ["/ours"]);
});

Deno.test("what is purged is over in the snapshot, too", async () => {
  await using folder = await makeFolder();
  const cache = new Cache<string>({ ttlMs: 60_000, staleMs: 60_000, maxEntries: 10 });
  cache.set("/a", "7");
  cache.expireAll();
  await keep(cache, folder.path)();
  const again = new Cache<string>({ ttlMs: 60_000, staleMs: 60_000, maxEntries: 10 });
  keep(again, folder.path);
  assertEquals([again.get("/a"), again.getStale("/a")?.purged], [undefined, true]);
});

Deno.test("a folder that cannot be written to is told of at the start", async () => {
  await using folder = await makeFolder();
  const log: string[] = [];
  keep(new Cache<string>({ ttlMs: 60_000, maxEntries: 10 }), `${folder.path}/nowhere`, log);
  assertEquals(log.length, 1);
  assertMatch(log[0] ?? "", /^cannot save .*nowhere\/snapshot: No such file or directory/);
});

Deno.test("what the disk does not confirm is told of, and the last snapshot stays", async () => {
  await using folder = await makeFolder();
  const cache = new Cache<string>({ ttlMs: 60_000, maxEntries: 10 });
  const log: string[] = [];
  const save = keep(cache, folder.path, log);
  await save();
  const saved = await Deno.readTextFile(`${folder.path}/snapshot`);
  cache.set("/a", "7");
  const { syncData } = Deno.FsFile.prototype;
  Deno.FsFile.prototype.syncData = () => Promise.reject(new Error("the disk fails"));
  try {
    await save();
  } finally {
    Deno.FsFile.prototype.syncData = syncData;
  }
  assertEquals(log, [`cannot save ${folder.path}/snapshot: the disk fails`]);
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
  const saved = keep(cache, folder.path)().then(() => saving = false);
  let most = 0;
  while (saving) {
    const before = taken;
    await new Promise((resolve) => setImmediate(resolve));
    most = Math.max(most, taken - before);
  }
  await saved;
  assertEquals(taken, 100_000);
  // Two portions.
  assertLess(most, 1_001);
});

Deno.test("however many saves are due while one is under way, there is one", async () => {
  await using folder = await makeFolder();
  let saves = 0;
  class Counted extends Cache<string> {
    override entries(): ReturnType<Cache<string>["entries"]> {
      saves++;
      return super.entries();
    }
  }
  const save = keep(new Counted({ ttlMs: 60_000, maxEntries: 10 }), folder.path);
  await Promise.all(Array.from({ length: 10 }, save));
  assertEquals(saves, 1);
  await save();
  assertEquals(saves, 2);
});

Deno.test("a broken line is told by its number, a file that was cut short as such, and nothing of it is kept", async () => {
  await using folder = await makeFolder();
  const cache = new Cache<string>({ ttlMs: 60_000, maxEntries: 10 });
  for (let i = 0; i < 3; i++) cache.set(`/comments/count?url=/${i}/`, `{"count":${i}}\n`);
  await keep(cache, folder.path)();
  const whole = await Deno.readTextFile(`${folder.path}/snapshot`);
  const lines = whole.split("\n");

  async function faultOf(text: string): Promise<string | undefined> {
    await Deno.writeTextFile(`${folder.path}/snapshot`, text);
    const again = new Cache<string>({ ttlMs: 60_000, maxEntries: 10 });
    const log: string[] = [];
    keep(again, folder.path, log);
    assertEquals(again.size, log.length === 0 ? 3 : 0);
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
