/**
 * What the self-extracting file promises: where it unpacks, whom it trusts, what it leaves behind. A small script stands
 * in for the Deno runtime here; the real one is in `executable_test.ts`.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { writeSelfExtracting } from "../../compile/self_extracting.ts";

/** Tells how it was started, then does what the program's first argument says. */
const RUNTIME = `#!/bin/sh
[ "$1" = --version ] && exit
runtime=$0
until [ "$1" = --the-last-option ]; do shift; done
echo "process $$, $runtime runs a program of $(wc -c <"$2") bytes"
shift 2
for argument; do printf '<%s>\\n' "$argument"; done
case \${1-} in
  fail) exit 7 ;;
  read) cat ;;
  wait) exec sleep 60 ;;
esac
`;

const isRoot = Deno.uid() === 0;
/** Folders that cannot be written, not run from, or are full, can be made by who may mount them. */
const canMount = await succeeds("unshare", "--mount", "true");
const NEEDS_ROOT = isRoot ? "" : " (ignored: needs root)";
const NEEDS_MOUNT = canMount ? "" : " (ignored: needs root and unshare: apt-get install util-linux)";

async function succeeds(command: string, ...args: string[]): Promise<boolean> {
  try {
    return (await new Deno.Command(command, { args, stdout: "null", stderr: "null" }).output()).success;
  } catch {
    return false;
  }
}

/** A folder with the executable, and two where it can unpack. */
interface Place {
  readonly folder: string;
  readonly file: string;
  /** For `XDG_CACHE_HOME`. */
  readonly cache: string;
  /** For `TMPDIR`. */
  readonly temporary: string;
}

async function inPlace(test: (place: Place) => Promise<void>, machine: string = Deno.build.arch): Promise<void> {
  const folder = await Deno.realPath(await Deno.makeTempDir());
  const place = { folder, file: `${folder}/httpfastcache`, cache: `${folder}/cache`, temporary: `${folder}/temporary` };
  const [runtime, program] = [`${folder}/runtime`, `${folder}/program`];
  try {
    await Deno.mkdir(place.cache, { mode: 0o700 });
    await Deno.mkdir(place.temporary, { mode: 0o700 });
    await Deno.writeTextFile(runtime, RUNTIME);
    await Deno.writeTextFile(program, "the program");
    await writeSelfExtracting({ runtime, program, machine, options: ["--the-last-option"] }, place.file);
    await test(place);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

interface Ended {
  readonly code: number;
  /** The file that ran as runtime. */
  readonly runtime: string | undefined;
  readonly lines: string[];
  readonly warnings: string[];
}

/** Starts `command` in an environment of nothing but `env`, and waits for its end. */
async function ends(command: string[], env: Record<string, string> = {}, input?: string): Promise<Ended> {
  const child = spawn(command, env, input === undefined ? "null" : "piped");
  if (input !== undefined) await new Blob([input]).stream().pipeTo(child.stdin);
  const { code, stdout, stderr } = await child.output();
  const [first, ...lines] = textLines(stdout);
  const start = /^process (\d+), (.*) runs a program of 11 bytes$/.exec(first ?? "");
  if (start !== null) assertEquals(Number(start[1]), child.pid, "the program has the process id of the start");
  return { code, runtime: start?.[2], lines, warnings: textLines(stderr) };
}

function spawn(
  [command = "", ...args]: string[],
  env: Record<string, string>,
  stdin: "null" | "piped",
): Deno.ChildProcess {
  return new Deno.Command(command, { args, env, clearEnv: true, stdin, stdout: "piped", stderr: "piped" }).spawn();
}

function textLines(bytes: Uint8Array): string[] {
  return new TextDecoder().decode(bytes).split("\n").slice(0, -1);
}

function names(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name);
}

/** The folder that the executable unpacked into under `cache`. */
function unpackedIn(cache: string): string {
  const [name, ...others] = names(`${cache}/httpfastcache`);
  assertEquals(others, []);
  assertMatch(name ?? "", /^unpacked-[0-9a-f]{16}$/);
  return `${cache}/httpfastcache/${name}`;
}

Deno.test("the executable unpacks once, and later starts use what is there", () =>
  inPlace(async ({ file, cache }) => {
    const first = await ends([file], { XDG_CACHE_HOME: cache });
    const at = unpackedIn(cache);
    const { ino } = await Deno.stat(at);
    const second = await ends([file], { XDG_CACHE_HOME: cache });
    assertEquals(first, { code: 0, runtime: `${at}/httpfastcache`, lines: [], warnings: [] });
    assertEquals(second, first);
    assertEquals((await Deno.stat(unpackedIn(cache))).ino, ino);
  }));

Deno.test("it unpacks where systemd, then XDG, then the home say", () =>
  inPlace(async ({ folder, file, cache, temporary }) => {
    const [systemd, home] = [`${folder}/systemd`, `${folder}/home`];
    await Deno.mkdir(home);
    await Deno.mkdir(systemd);
    const env = { CACHE_DIRECTORY: `${systemd}:/another`, XDG_CACHE_HOME: cache, HOME: home, TMPDIR: temporary };
    const { CACHE_DIRECTORY: _, ...withoutSystemd } = env;
    const { XDG_CACHE_HOME: __, ...homeAlone } = withoutSystemd;
    assertMatch((await ends([file], env)).runtime ?? "", new RegExp(`^${systemd}/unpacked-`));
    assertMatch((await ends([file], withoutSystemd)).runtime ?? "", new RegExp(`^${cache}/httpfastcache/unpacked-`));
    assertMatch((await ends([file], homeAlone)).runtime ?? "", new RegExp(`^${home}/.cache/httpfastcache/unpacked-`));
  }));

Deno.test("arguments, standard input and exit status are the program's", () =>
  inPlace(async ({ file, cache }) => {
    const env = { XDG_CACHE_HOME: cache };
    const strange = ["read", "--", "", "two words", "--help", "$HOME", "*", "a\\nb", "-e"];
    for (const _ of ["cold", "warm"]) {
      const { lines } = await ends([file, ...strange], env, "the input\n");
      assertEquals(lines, [...strange.map((argument) => `<${argument}>`), "the input"]);
      assertEquals((await ends([file, "fail"], env)).code, 7);
    }
  }));

Deno.test("it starts by a link, by PATH, from a folder with blanks, and nothing is written beside it", () =>
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

for (const shell of ["dash", "bash", "busybox"]) {
  const missing = !await succeeds(shell, ...shell === "busybox" ? ["true"] : ["-c", "true"]);
  Deno.test({
    name: `${shell} runs it, cold, warm and without a cache${
      missing ? ` (ignored: needs ${shell}: apt-get install ${shell})` : ""
    }`,
    ignore: missing,
    fn: () =>
      inPlace(async ({ folder, file, cache, temporary }) => {
        const bin = `${folder}/bin`;
        await Deno.mkdir(bin);
        // Busybox brings its own tar, find and so on, and they are to do as well.
        if (shell === "busybox") assert(await succeeds("busybox", "--install", "-s", bin));
        const command = [...shell === "busybox" ? ["busybox", "sh"] : [shell], file, "an argument"];
        for (const env of [{ XDG_CACHE_HOME: cache }, { XDG_CACHE_HOME: cache }, { TMPDIR: temporary }]) {
          const { code, lines, warnings } = await ends(command, { ...env, PATH: `${bin}:/usr/bin:/bin` });
          assertEquals({ code, lines, warnings }, { code: 0, lines: ["<an argument>"], warnings: [] });
        }
        assertEquals(names(temporary), []);
      }),
  });
}

Deno.test("starts that race on a cold cache all run, and unpack one folder", () =>
  inPlace(async ({ file, cache }) => {
    const all = await Promise.all(Array.from({ length: 8 }, () => ends([file], { XDG_CACHE_HOME: cache })));
    const runtime = `${unpackedIn(cache)}/httpfastcache`;
    assertEquals(all, all.map(() => ({ code: 0, runtime, lines: [], warnings: [] })));
  }));

Deno.test("without a cache it runs from a folder that is gone, whoever ends it and how", () =>
  inPlace(async ({ file, temporary }) => {
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      const child = spawn([file, "wait"], { HOME: "/nonexistent", TMPDIR: temporary }, "null");
      const output = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
      assertMatch((await output.read()).value ?? "", new RegExp(`^process ${child.pid}, /proc/self/fd/8 runs`));
      assertEquals(names(temporary), []);
      child.kill(signal);
      assertEquals((await child.status).signal, signal);
      await output.cancel();
      await child.stderr.cancel();
    }
    assertEquals(names(temporary), []);
  }));

Deno.test("ended while it unpacks, it leaves nothing and dies by that signal", () =>
  inPlace(async ({ folder, file, cache }) => {
    // A tar that says when it has begun, and goes on until it is told.
    await Deno.mkdir(`${folder}/bin`);
    const script = `#!/bin/sh\necho begun >&3\nwhile [ ! -e ${folder}/go ]; do sleep 0.01; done\n`;
    await Deno.writeTextFile(`${folder}/bin/tar`, script, { mode: 0o755 });
    const env = { XDG_CACHE_HOME: cache, PATH: `${folder}/bin:/usr/bin:/bin` };
    const child = spawn(["sh", "-c", 'exec "$0" 3>&1', file], env, "null");
    const output = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    assertEquals((await output.read()).value, "begun\n");
    child.kill("SIGTERM");
    await Deno.writeTextFile(`${folder}/go`, "");
    assertEquals((await child.status).signal, "SIGTERM");
    assertEquals(names(`${cache}/httpfastcache`), []);
    await output.cancel();
    await child.stderr.cancel();
  }));

/** What somebody may have done to the unpacked folder `at`. */
const tampering: Record<string, (at: string, cache: string) => Promise<unknown>> = {
  "the runtime may be written by the group": (at) => Deno.chmod(`${at}/httpfastcache`, 0o775),
  "the program may be written by everybody": (at) => Deno.chmod(`${at}/program.js`, 0o646),
  "the folder may be written by the group": (at) => Deno.chmod(at, 0o770),
  "the folder may be written by everybody": (at) => Deno.chmod(at, 0o707),
  "the folder of the compiled code may be written by everybody": (at) => Deno.chmod(`${at}/cache`, 0o1777),
  "the folder above may be written by the group": (_, cache) => Deno.chmod(`${cache}/httpfastcache`, 0o770),
  "a folder further up may be written by everybody": (_, cache) => Deno.chmod(cache, 0o777),
  "the program is a link": async (at) => {
    await Deno.rename(`${at}/program.js`, `${at}/another.js`);
    await Deno.symlink("another.js", `${at}/program.js`);
  },
  "the folder is a link": async (at, cache) => {
    await Deno.rename(at, `${cache}/elsewhere`);
    await Deno.symlink(`${cache}/elsewhere`, at);
  },
  "the folder is a link to nowhere": async (at) => {
    await Deno.remove(at, { recursive: true });
    await Deno.symlink("nowhere", at);
  },
  "the program is missing": (at) => Deno.remove(`${at}/program.js`),
  "a file is in place of the folder": async (at) => {
    await Deno.remove(at, { recursive: true });
    await Deno.writeTextFile(at, "");
  },
};

const byOthers: typeof tampering = {
  "the runtime is another user's": (at) => Deno.chown(`${at}/httpfastcache`, 65534, null),
  "the folder is another user's": (at) => Deno.chown(at, 65534, null),
  "the folder above is another user's": (_, cache) => Deno.chown(`${cache}/httpfastcache`, 65534, null),
  "a folder further up is another user's": (_, cache) => Deno.chown(cache, 65534, null),
};

for (const [what, tamper] of [...Object.entries(tampering), ...Object.entries(byOthers)]) {
  const ignore = what in byOthers && !isRoot;
  Deno.test({
    name: `what is unpacked is not run but warned about if ${what}${ignore ? NEEDS_ROOT : ""}`,
    ignore,
    fn: () =>
      inPlace(async ({ file, cache, temporary }) => {
        const env = { XDG_CACHE_HOME: cache, TMPDIR: temporary };
        await ends([file], env);
        const at = unpackedIn(cache);
        await tamper(at, cache);
        const { code, runtime, warnings } = await ends([file], env);
        assertEquals({ code, runtime }, { code: 0, runtime: "/proc/self/fd/8" });
        assertEquals(warnings, [
          `httpfastcache: warning: ${at} is not used: expected it whole, and nobody but this user to be able to write there`,
        ]);
        assertEquals(names(temporary), []);
      }),
  });
}

Deno.test("a folder for all, such as /tmp, may be further up; a link may lead to the cache", () =>
  inPlace(async ({ folder, file, cache }) => {
    await Deno.chmod(cache, 0o1777);
    await Deno.symlink(cache, `${folder}/link`);
    const { runtime, warnings } = await ends([file], { XDG_CACHE_HOME: `${folder}/link` });
    assertEquals({ runtime, warnings }, { runtime: `${unpackedIn(cache)}/httpfastcache`, warnings: [] });
  }));

Deno.test({
  name: `a user starts it in a folder that is closed to that user${NEEDS_ROOT}`,
  ignore: !isRoot,
  fn: () =>
    inPlace(async ({ folder, file, cache }) => {
      await Deno.chmod(folder, 0o755);
      await Deno.chown(cache, 65534, 65534);
      await Deno.mkdir(`${folder}/closed`, { mode: 0o700 });
      const command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", file];
      for (const _ of ["cold", "warm"]) {
        const { runtime, warnings } = await ends(["env", `--chdir=${folder}/closed`, ...command], {
          XDG_CACHE_HOME: cache,
          PATH: "/usr/bin:/bin",
        });
        assertEquals({ runtime, warnings }, { runtime: `${unpackedIn(cache)}/httpfastcache`, warnings: [] });
      }
    }),
});

Deno.test("what a start that was cut short left is not used, and removed after a day; so are other versions", () =>
  inPlace(async ({ file, cache }) => {
    const env = { XDG_CACHE_HOME: cache };
    await ends([file], env);
    const at = unpackedIn(cache);
    await Deno.remove(at, { recursive: true });
    for (const name of [`${at}.yester`, `${at}.todayy`, `${cache}/httpfastcache/unpacked-0123456789abcdef`]) {
      await Deno.mkdir(name);
      await Deno.writeTextFile(`${name}/httpfastcache`, "half of it");
    }
    await Deno.mkdir(`${cache}/httpfastcache/something-else`);
    const dayBefore = Date.now() / 1000 - 2 * 86400;
    for (const name of [`${at}.yester`, `${cache}/httpfastcache/unpacked-0123456789abcdef`]) {
      await Deno.utime(name, dayBefore, dayBefore);
    }
    await Deno.utime(`${cache}/httpfastcache/something-else`, dayBefore, dayBefore);
    assertEquals((await ends([file], env)).runtime, `${at}/httpfastcache`);
    const left = names(`${cache}/httpfastcache`).map((name) => `${cache}/httpfastcache/${name}`).sort();
    assertEquals(left, [`${cache}/httpfastcache/something-else`, at, `${at}.todayy`].sort());
  }));

Deno.test("the same parts make the same file", () =>
  inPlace(async ({ folder, file }) => {
    const [runtime, program, again] = [`${folder}/runtime`, `${folder}/program`, `${folder}/again`];
    await writeSelfExtracting({ runtime, program, machine: Deno.build.arch, options: ["--the-last-option"] }, again);
    assertEquals(await Deno.readFile(again), await Deno.readFile(file));
  }));

Deno.test("a file that was cut short says so in one line, ends with 1 and leaves nothing", () =>
  inPlace(async ({ file, temporary }) => {
    await Deno.truncate(file, (await Deno.stat(file)).size - 100);
    const { code, warnings } = await ends([file], { TMPDIR: temporary });
    assertEquals(code, 1);
    assertEquals(warnings.length, 1);
    assertMatch(warnings[0] ?? "", new RegExp(`^httpfastcache: cannot unpack into ${temporary}: .*unexpected end`));
    assertEquals(names(temporary), []);
  }));

Deno.test("a file made for another machine says so", () =>
  inPlace(async ({ file, cache }) => {
    const { code, warnings } = await ends([file], { XDG_CACHE_HOME: cache });
    assertEquals(code, 1);
    assertEquals(warnings, [
      `httpfastcache: cannot start: made for another, and this machine is ${Deno.build.arch}`,
    ]);
  }, "another"));

/** Mounts a small file system on `folder` that the command alone sees. */
function mounted(folder: string, options: string, command: string[]): string[] {
  const script = 'mount -t tmpfs -o "$1" tmpfs "$0" && shift && exec "$@"';
  return ["unshare", "--mount", "sh", "-c", script, folder, options, ...command];
}

for (
  const [what, options, warning] of [
    ["may run nothing", "mode=700,noexec", /^httpfastcache: warning: cannot unpack into .*: .*Permission denied$/],
    ["is full", "mode=700,size=4k", /^httpfastcache: warning: cannot unpack into .*No space left on device/],
    ["is read-only", "mode=700,ro", undefined],
  ] as const
) {
  Deno.test({
    name: `a cache that ${what} is passed over${NEEDS_MOUNT}`,
    ignore: !canMount,
    fn: () =>
      inPlace(async ({ file, cache, temporary }) => {
        const env = { XDG_CACHE_HOME: cache, TMPDIR: temporary, PATH: "/usr/sbin:/usr/bin:/sbin:/bin" };
        const { code, runtime, warnings } = await ends(mounted(cache, options, [file]), env);
        assertEquals({ code, runtime }, { code: 0, runtime: "/proc/self/fd/8" });
        assertEquals(warnings.length, warning === undefined ? 0 : 1);
        if (warning !== undefined) assertMatch(warnings[0] ?? "", warning);
        assertEquals(names(temporary), []);
      }),
  });
}

Deno.test("nowhere to unpack is one line that says where it tried, and status 1", () =>
  inPlace(async ({ file, folder }) => {
    const { code, warnings } = await ends([file], { TMPDIR: `${folder}/nowhere` });
    assert(
      warnings.some((line) => line === `httpfastcache: cannot unpack into ${folder}/nowhere`),
      warnings.join("\n"),
    );
    assertEquals(code, 1);
  }));
