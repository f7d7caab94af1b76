/**
 * What the self-extracting file promises to who starts it: it unpacks once, runs the program as if it were that, and
 * leaves nothing behind.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { ends, inPlace, names, type Place, RUNTIME, spawn, test, unpackedIn, writeExecutable } from "./launcher.ts";

test("the executable unpacks once, and later starts use what is there", () =>
  inPlace(async ({ file, cache }) => {
    const first = await ends([file], { XDG_CACHE_HOME: cache });
    const at = unpackedIn(cache);
    const { ino } = await Deno.stat(at);
    const second = await ends([file], { XDG_CACHE_HOME: cache });
    assertEquals(first, { code: 0, runtime: `${at}/httpfastcache`, lines: [], warnings: [] });
    assertEquals(second, first);
    assertEquals((await Deno.stat(unpackedIn(cache))).ino, ino);
  }));

test("it unpacks where systemd, then XDG, then the home say", () =>
  inPlace(async ({ folder, file, cache }) => {
    const [systemd, home] = [`${folder}/systemd`, `${folder}/home`];
    await Deno.mkdir(home);
    await Deno.mkdir(systemd);
    const env = { CACHE_DIRECTORY: `${systemd}:/another`, XDG_CACHE_HOME: cache, HOME: home };
    const { CACHE_DIRECTORY: _, ...withoutSystemd } = env;
    const { XDG_CACHE_HOME: __, ...homeAlone } = withoutSystemd;
    assertMatch((await ends([file], env)).runtime ?? "", new RegExp(`^${systemd}/unpacked-`));
    assertMatch((await ends([file], withoutSystemd)).runtime ?? "", new RegExp(`^${cache}/httpfastcache/unpacked-`));
    assertMatch((await ends([file], homeAlone)).runtime ?? "", new RegExp(`^${home}/.cache/httpfastcache/unpacked-`));
  }));

test("arguments, standard input and exit status are the program's", () =>
  inPlace(async ({ file, cache }) => {
    const env = { XDG_CACHE_HOME: cache };
    const unusual = ["read", "--", "", "two words", "--help", "$HOME", "*", "a\\nb", "-e"];
    for (const _ of ["cold", "warm"]) {
      const { lines } = await ends([file, ...unusual], env, "the input\n");
      assertEquals(lines, [...unusual.map((argument) => `<${argument}>`), "the input"]);
      assertEquals((await ends([file, "fail"], env)).code, 7);
    }
  }));

test("it starts by a link, by PATH, from a folder with blanks, and nothing is written beside it", () =>
  inPlace(async ({ folder, file, cache }) => {
    const blanks = `${folder}/a folder's "name" $(x) *`;
    await Deno.mkdir(blanks);
    await Deno.rename(file, `${blanks}/httpfastcache`);
    await Deno.chmod(`${blanks}/httpfastcache`, 0o555);
    await Deno.chmod(blanks, 0o555);
    await Deno.symlink(`${blanks}/httpfastcache`, `${folder}/link`);
    const env = { XDG_CACHE_HOME: `${cache}/with blanks`, PATH: `${blanks}:/usr/bin:/bin` };
    for (const start of [[`${folder}/link`], ["env", "httpfastcache"], [`${blanks}/httpfastcache`]]) {
      const { code, runtime, warnings } = await ends(start, env);
      assertEquals({ code, warnings }, { code: 0, warnings: [] });
      assertEquals(runtime, `${unpackedIn(`${cache}/with blanks`)}/httpfastcache`);
    }
    assertEquals(names(blanks), ["httpfastcache"]);
    await Deno.chmod(blanks, 0o755);
  }));

for (const shell of ["dash", "bash", "busybox"] as const) {
  test(`${shell} runs it, cold and warm`, () =>
    inPlace(async ({ folder, file, cache }) => {
      const bin = `${folder}/bin`;
      await Deno.mkdir(bin);
      // Busybox brings its own tar, find and so on, and they are to do as well.
      if (shell === "busybox") {
        const { success } = await new Deno.Command("busybox", { args: ["--install", "-s", bin] }).output();
        assert(success);
      }
      const command = [shell === "busybox" ? "sh" : shell, file, "an argument"];
      const env = { XDG_CACHE_HOME: cache, PATH: shell === "busybox" ? bin : "/usr/bin:/bin" };
      for (const _ of ["cold", "warm"]) {
        const { code, lines, warnings } = await ends(command, env);
        assertEquals({ code, lines, warnings }, { code: 0, lines: ["<an argument>"], warnings: [] });
      }
      unpackedIn(cache);
    }), shell);
}

test("twelve starts at once on a cold cache all run in silence, and leave one folder, twenty times", () =>
  inPlace(async ({ file, cache }) => {
    for (let round = 0; round < 20; round++) {
      const all = await Promise.all(Array.from({ length: 12 }, () => ends([file], { XDG_CACHE_HOME: cache })));
      const at = unpackedIn(cache);
      assertEquals(all, all.map(() => ({ code: 0, runtime: `${at}/httpfastcache`, lines: [], warnings: [] })));
      assertEquals(names(at).sort(), ["as", "httpfastcache", "program.js"]);
      await Deno.remove(at, { recursive: true });
    }
  }));

test("signals are the program's", () =>
  inPlace(async ({ file, cache }) => {
    for (const signal of ["SIGTERM", "SIGHUP"] as const) {
      const child = spawn([file, "wait"], { XDG_CACHE_HOME: cache }, "null");
      const output = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
      assertMatch((await output.read()).value ?? "", new RegExp(`^process ${child.pid}, `));
      child.kill(signal);
      assertEquals((await child.status).signal, signal);
      await output.cancel();
      await child.stderr.cancel();
    }
  }));

/** An executable that is unpacking. */
interface Unpacking {
  readonly child: Deno.ChildProcess;
  /** Lets it go on, and returns what it writes until all that it started have ended. */
  readonly goesOn: () => Promise<string>;
}

/** Starts the executable, by `command` if that is given, and stops it at its tar or its sync. */
async function unpacking(
  { folder, file, cache }: Place,
  stop: "tar" | "sync",
  ...command: string[]
): Promise<Unpacking> {
  // It says when it has begun, and goes on when it is told.
  const bin = await Deno.makeTempDir({ dir: folder });
  const script = `#!/bin/sh
echo begun >&3
while [ ! -e "\${0%/*}/go" ]; do sleep 0.01; done
PATH=/usr/bin:/bin exec ${stop} "$@"
`;
  await Deno.writeTextFile(`${bin}/${stop}`, script, { mode: 0o755 });
  const env = { XDG_CACHE_HOME: cache, PATH: `${bin}:/usr/bin:/bin` };
  const child = spawn([...command, "sh", "-c", 'exec "$0" 3>&1', file], env, "null");
  const output = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  assertEquals((await output.read()).value, "begun\n");
  const goesOn = async () => {
    await Deno.writeTextFile(`${bin}/go`, "");
    let said = "";
    for (let read = await output.read(); !read.done; read = await output.read()) said += read.value;
    return said;
  };
  return { child, goesOn };
}

async function endedWhileUnpacking(place: Place, signal: Deno.Signal): Promise<void> {
  const { child, goesOn } = await unpacking(place, "tar");
  child.kill(signal);
  assertEquals(await goesOn(), "");
  assertEquals((await child.status).signal, signal);
  await child.stderr.cancel();
}

/** Has `folder` look as if no start had used it for more than ten minutes. */
async function untouched(folder: string): Promise<void> {
  const then = new Date(Date.now() - 11 * 60_000);
  await Deno.utime(folder, then, then);
}

test("ended while it unpacks, it dies by that signal, and nothing of it is left, or only until a start ten minutes later", () =>
  inPlace(async (place) => {
    await endedWhileUnpacking(place, "SIGTERM");
    assertEquals(names(`${place.cache}/httpfastcache`), []);
    await endedWhileUnpacking(place, "SIGKILL");
    const [left = "", ...others] = names(`${place.cache}/httpfastcache`);
    assertEquals(others, []);
    await untouched(`${place.cache}/httpfastcache/${left}`);
    const { code, warnings } = await ends([place.file], { XDG_CACHE_HOME: place.cache });
    assertEquals({ code, warnings }, { code: 0, warnings: [] });
    unpackedIn(place.cache);
  }));

test(
  "as the first process of a container, where no signal of its own ends it, it ends all the same",
  () =>
    inPlace(async (place) => {
      const { child: { pid, status, stderr }, goesOn } = await unpacking(place, "tar", "unshare", "--pid", "--fork");
      const kill = `kill -s TERM $(cat /proc/${pid}/task/${pid}/children)`;
      assertEquals((await new Deno.Command("sh", { args: ["-c", kill] }).output()).code, 0);
      assertEquals([await goesOn(), (await status).code, await new Response(stderr).text()], ["", 143, ""]);
      assertEquals(names(`${place.cache}/httpfastcache`), []);
    }),
  "mount",
);

test(
  "two containers with one cache start at once, though each has the same process id",
  () =>
    inPlace(async (place) => {
      const container = ["unshare", "--pid", "--fork"];
      const both = [await unpacking(place, "sync", ...container), await unpacking(place, "tar", ...container)];
      const said: string[] = [];
      for (const { child, goesOn } of both) {
        said.push(await goesOn(), await new Response(child.stderr).text());
        assertEquals((await child.status).code, 0);
      }
      const start = `process 1, ${unpackedIn(place.cache)}/httpfastcache runs a program of 11 bytes\n`;
      assertEquals(said, [start, "", start, ""]);
    }),
  "mount",
);

test("a start removes other versions and half unpacked ones that nobody has used for ten minutes, and nothing else", () =>
  inPlace(async ({ folder, file, cache }) => {
    const env = { XDG_CACHE_HOME: cache };
    const older = `${folder}/older`;
    await writeExecutable(older, { runtime: `${RUNTIME}# An older version.\n` });
    const olderAt = (await ends([older], env)).runtime?.replace(/\/httpfastcache$/, "") ?? "";
    const at = (await ends([file], env)).runtime?.replace(/\/httpfastcache$/, "") ?? "";
    const root = `${cache}/httpfastcache`;
    const [used, unused] = [`${root}/unpacked-0123456789abcdef.Xf3kQz`, `${root}/unpacked-0123456789abcdef.999999`];
    for (const half of [used, unused, `${root}/something-else`]) {
      await Deno.mkdir(half);
      await Deno.writeTextFile(`${half}/httpfastcache`, "half of it");
    }
    for (const name of [olderAt, at, unused, `${root}/something-else`]) await untouched(name);
    // What a start uses is used from then on.
    for (const each of [older, file]) assertEquals((await ends([each], env)).code, 0);
    const left = () => names(root).map((name) => `${root}/${name}`).sort();
    assertEquals(left(), [olderAt, at, used, `${root}/something-else`].sort());
    for (const name of [olderAt, used]) await untouched(name);
    const { code, warnings } = await ends([file], env);
    assertEquals({ code, warnings }, { code: 0, warnings: [] });
    assertEquals(left(), [at, `${root}/something-else`].sort());
  }));

test("what it cannot remove keeps it from nothing, and it says nothing", () =>
  inPlace(async ({ folder, file, cache }) => {
    await Deno.mkdir(`${folder}/bin`);
    await Deno.writeTextFile(`${folder}/bin/rm`, "#!/bin/sh\necho cannot remove >&2\nexit 1\n", { mode: 0o755 });
    const env = { XDG_CACHE_HOME: cache };
    await ends([file], env);
    await Deno.mkdir(`${cache}/httpfastcache/unpacked-0123456789abcdef`);
    await untouched(`${cache}/httpfastcache/unpacked-0123456789abcdef`);
    const { code, warnings } = await ends([file], { ...env, PATH: `${folder}/bin:/usr/bin:/bin` });
    assertEquals({ code, warnings }, { code: 0, warnings: [] });
  }));

/** What may have become of an unpacked file, after a power cut for example. */
const damages: Record<string, (file: string) => Promise<void>> = {
  "is gone": (file) => Deno.remove(file),
  "is empty": (file) => Deno.truncate(file),
  "is cut short": async (file) => Deno.truncate(file, (await Deno.stat(file)).size - 1),
};

for (const [what, damage] of Object.entries(damages)) {
  for (const name of ["httpfastcache", "program.js"]) {
    test(`it unpacks again if ${name} ${what}`, () =>
      inPlace(async ({ file, cache }) => {
        const env = { XDG_CACHE_HOME: cache };
        const first = await ends([file], env);
        await damage(`${unpackedIn(cache)}/${name}`);
        assertEquals(await ends([file], env), first);
      }));
  }
}

test("the same parts make the same file", () =>
  inPlace(async ({ folder, file }) => {
    await writeExecutable(`${folder}/again`);
    assertEquals(await Deno.readFile(`${folder}/again`), await Deno.readFile(file));
  }));

test("the process is called what the file is, as Go's was", () =>
  inPlace(async ({ folder, file, cache }) => {
    await Deno.copyFile(file, `${folder}/counter-cache`);
    await Deno.symlink(file, `${folder}/link`);
    for (const name of ["httpfastcache", "counter-cache", "link", "httpfastcache"]) {
      const { lines } = await ends([`${folder}/${name}`, "name"], { XDG_CACHE_HOME: cache });
      assertEquals(lines, ["<name>", name]);
    }
    unpackedIn(cache);
  }));
