/**
 * What the self-extracting file promises: where it unpacks, whom it trusts, what it leaves behind. A small script stands
 * in for the Deno runtime here; the real one is in `executable_test.ts`.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { writeSelfExtracting } from "../../compile/self_extracting.ts";
import { FOR_THE_EXECUTABLE, type Need, testWith } from "./needs.ts";

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

/** A test of the executable, and what more it needs. */
function test(name: string, fn: () => Promise<void>, ...more: Need[]): void {
  testWith([...FOR_THE_EXECUTABLE, ...more], name, fn);
}

/** A folder, with a blank and an accent in its name, in which the executable is, and another where it can unpack. */
interface Place {
  readonly folder: string;
  readonly file: string;
  /** For `XDG_CACHE_HOME`. */
  readonly cache: string;
}

async function inPlace(
  test: (place: Place) => Promise<void>,
  parts: { machine?: string; runtime?: string } = {},
): Promise<void> {
  const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "à part " }));
  try {
    const place = { folder, file: `${folder}/httpfastcache`, cache: `${folder}/cache` };
    await Deno.mkdir(place.cache, { mode: 0o700 });
    await writeExecutable(place.file, parts);
    await test(place);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function writeExecutable(
  file: string,
  { machine = Deno.build.arch as string, runtime = RUNTIME } = {},
): Promise<void> {
  const parts = { runtime: `${file}.runtime`, program: `${file}.program`, machine, options: ["--the-last-option"] };
  await Deno.writeTextFile(parts.runtime, runtime);
  await Deno.writeTextFile(parts.program, "the program");
  await writeSelfExtracting(parts, file);
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
    const strange = ["read", "--", "", "two words", "--help", "$HOME", "*", "a\\nb", "-e"];
    for (const _ of ["cold", "warm"]) {
      const { lines } = await ends([file, ...strange], env, "the input\n");
      assertEquals(lines, [...strange.map((argument) => `<${argument}>`), "the input"]);
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
      assertEquals(names(at).sort(), ["httpfastcache", "program.js"]);
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

/** Ends the executable by `signal` while it unpacks, and waits until its tar has ended, too. */
async function endedWhileUnpacking({ folder, file, cache }: Place, signal: Deno.Signal): Promise<void> {
  // A tar that says when it has begun, and goes on until it is told.
  const bin = await Deno.makeTempDir({ dir: folder });
  const script = `#!/bin/sh\necho begun >&3\nwhile [ ! -e "\${0%/*}/go" ]; do sleep 0.01; done\n`;
  await Deno.writeTextFile(`${bin}/tar`, script, { mode: 0o755 });
  const env = { XDG_CACHE_HOME: cache, PATH: `${bin}:/usr/bin:/bin` };
  const child = spawn(["sh", "-c", 'exec "$0" 3>&1', file], env, "null");
  const output = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  assertEquals((await output.read()).value, "begun\n");
  child.kill(signal);
  await Deno.writeTextFile(`${bin}/go`, "");
  assertEquals((await child.status).signal, signal);
  assertEquals((await output.read()).done, true);
  await child.stderr.cancel();
}

test("ended while it unpacks, it dies by that signal, and nothing of it is left, or only until the next start", () =>
  inPlace(async (place) => {
    await endedWhileUnpacking(place, "SIGTERM");
    assertEquals(names(`${place.cache}/httpfastcache`), []);
    await endedWhileUnpacking(place, "SIGKILL");
    assertEquals(names(`${place.cache}/httpfastcache`).length, 1);
    const { code, warnings } = await ends([place.file], { XDG_CACHE_HOME: place.cache });
    assertEquals({ code, warnings }, { code: 0, warnings: [] });
    unpackedIn(place.cache);
  }));

test("a start removes other versions, but not what another start is unpacking, nor anything else", () =>
  inPlace(async ({ folder, file, cache }) => {
    const env = { XDG_CACHE_HOME: cache };
    const older = `${folder}/older`;
    await writeExecutable(older, { runtime: `${RUNTIME}# An older version.\n` });
    await ends([older], env);
    const kept = [`unpacked-0123456789abcdef.${Deno.pid}`, "something-else"];
    // One from a process that is gone, and one as versions before named it.
    for (const name of [...kept, "unpacked-0123456789abcdef.999999999", "unpacked-0123456789abcdef.Xf3kQz"]) {
      await Deno.mkdir(`${cache}/httpfastcache/${name}`);
      await Deno.writeTextFile(`${cache}/httpfastcache/${name}/httpfastcache`, "half of it");
    }
    for (const _ of ["cold", "warm"]) {
      const { code, runtime = "", warnings } = await ends([file], env);
      assertEquals({ code, warnings }, { code: 0, warnings: [] });
      const version = runtime.split("/").at(-2) ?? "";
      assertEquals(names(`${cache}/httpfastcache`).sort(), [...kept, version].sort());
    }
  }));

test("what it cannot remove keeps it from nothing, and it says nothing", () =>
  inPlace(async ({ folder, file, cache }) => {
    await Deno.mkdir(`${folder}/bin`);
    await Deno.writeTextFile(`${folder}/bin/rm`, "#!/bin/sh\necho cannot remove >&2\nexit 1\n", { mode: 0o755 });
    const env = { XDG_CACHE_HOME: cache };
    await ends([file], env);
    await Deno.mkdir(`${cache}/httpfastcache/unpacked-0123456789abcdef`);
    const { code, warnings } = await ends([file], { ...env, PATH: `${folder}/bin:/usr/bin:/bin` });
    assertEquals({ code, warnings }, { code: 0, warnings: [] });
  }));

test("what somebody has removed of the unpacked folder is unpacked again", () =>
  inPlace(async ({ file, cache }) => {
    const env = { XDG_CACHE_HOME: cache };
    const first = await ends([file], env);
    for (const name of ["httpfastcache", "program.js"]) {
      await Deno.remove(`${unpackedIn(cache)}/${name}`);
      assertEquals(await ends([file], env), first);
    }
  }));

/** What somebody may have done to the unpacked folder `at`. */
const tampering: Record<string, (at: string, cache: string) => Promise<unknown>> = {
  "the group may write it": (at) => Deno.chmod(at, 0o770),
  "everybody may write it": (at) => Deno.chmod(at, 0o707),
  "the group may write the folder above": (_, cache) => Deno.chmod(`${cache}/httpfastcache`, 0o770),
  "everybody may write the folder above": (_, cache) => Deno.chmod(`${cache}/httpfastcache`, 0o1777),
  "it is a link": async (at, cache) => {
    await Deno.rename(at, `${cache}/elsewhere`);
    await Deno.symlink(`${cache}/elsewhere`, at);
  },
  "it is a file": async (at) => {
    await Deno.remove(at, { recursive: true });
    await Deno.writeTextFile(at, "");
  },
};

const byOthers: typeof tampering = {
  "it is another user's": (at) => Deno.chown(at, 65534, null),
  "the folder above is another user's": (_, cache) => Deno.chown(`${cache}/httpfastcache`, 65534, null),
};

for (const [what, tamper] of [...Object.entries(tampering), ...Object.entries(byOthers)]) {
  test(`the unpacked folder is not used, and one line says so, if ${what}`, () =>
    inPlace(async ({ file, cache }) => {
      const env = { XDG_CACHE_HOME: cache };
      await ends([file], env);
      const at = unpackedIn(cache);
      await tamper(at, cache);
      const { code, runtime, warnings } = await ends([file], env);
      assertEquals({ code, runtime, lines: warnings.length }, { code: 1, runtime: undefined, lines: 1 });
      assertMatch(warnings[0] ?? "", new RegExp(`folder of user ${Deno.uid()} that nobody else may write`));
      assertEquals(names(`${cache}/httpfastcache`), [at.replace(/.*\//, "")]);
    }), ...what in byOthers ? ["root"] as const : []);
}

test("others may read the folder above, and a link may lead to it", () =>
  inPlace(async ({ folder, file, cache }) => {
    await Deno.mkdir(`${cache}/httpfastcache`, { mode: 0o755 });
    await Deno.symlink(cache, `${folder}/link`);
    const { runtime, warnings } = await ends([file], { XDG_CACHE_HOME: `${folder}/link` });
    assertEquals({ runtime, warnings }, { runtime: `${unpackedIn(cache)}/httpfastcache`, warnings: [] });
    assertEquals((await Deno.stat(unpackedIn(cache))).mode, 0o40700);
  }));

test("a user starts it in a folder that is closed to that user", () =>
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
  }), "root");

test("nothing is written into a home that is another user's", () =>
  inPlace(async ({ file, cache }) => {
    await Deno.chown(cache, 65534, 65534);
    assertEquals((await ends([file], { HOME: cache })).code, 1);
    assertEquals(names(cache), []);
  }), "root");

test("the same parts make the same file", () =>
  inPlace(async ({ folder, file }) => {
    await writeExecutable(`${folder}/again`);
    assertEquals(await Deno.readFile(`${folder}/again`), await Deno.readFile(file));
  }));

/** What goes wrong is one line and status 1, and nothing is left of it. */
async function failsToStart({ file, cache }: Place): Promise<string> {
  const { code, warnings } = await ends([file], { XDG_CACHE_HOME: cache });
  assertEquals({ code, lines: warnings.length }, { code: 1, lines: 1 });
  assertEquals(names(`${cache}/httpfastcache`), []);
  return warnings[0] ?? "";
}

test("a file that was cut short says so in one line, ends with 1 and leaves nothing", () =>
  inPlace(async (place) => {
    await Deno.truncate(place.file, (await Deno.stat(place.file)).size - 100);
    const line = await failsToStart(place);
    assertStringIncludes(line, `httpfastcache: cannot unpack into ${place.cache}/httpfastcache: `);
    assertStringIncludes(line, "unexpected end");
  }));

test("a file made for another machine says so", () =>
  inPlace(async (place) => {
    assertEquals(
      await failsToStart(place),
      `httpfastcache: cannot start: made for another, and this machine is ${Deno.build.arch}`,
    );
  }, { machine: "another" }));

test("where there is no glibc it says that this is missing", () =>
  inPlace(async (place) => {
    const line = await failsToStart(place);
    assertStringIncludes(line, "httpfastcache: cannot start: the Deno runtime needs glibc 2.27 or later");
    // A program whose interpreter is missing is for the system what one without its loader is.
  }, { runtime: "#!/nowhere/ld-linux\n" }));

/** Mounts a small file system on `folder`, starts `file`, and tells what it left there. */
function mounted(folder: string, options: string, file: string): string[] {
  const script = 'mount -t tmpfs -o "$1" tmpfs "$0" && { "$2"; status=$?; find "$0" -type f; exit $status; }';
  return ["unshare", "--mount", "sh", "-c", script, folder, options, file];
}

for (
  const [what, options, says] of [
    ["may run nothing", "mode=700,noexec", /^httpfastcache: cannot start: .*Permission denied$/],
    ["is full", "mode=700,size=4k", /^httpfastcache: cannot unpack into .*No space left on device/],
  ] as const
) {
  test(
    `a cache that ${what} is one line and status 1, and nothing is left there`,
    () =>
      inPlace(async ({ file, cache }) => {
        const env = { XDG_CACHE_HOME: cache, PATH: "/usr/sbin:/usr/bin:/sbin:/bin" };
        const { code, lines, warnings } = await ends(mounted(cache, options, file), env);
        assertEquals({ code, lines, warnings: warnings.length }, { code: 1, lines: [], warnings: 1 });
        assertMatch(warnings[0] ?? "", says);
      }),
    "mount",
  );
}

test("a cache that cannot be used is passed over", () =>
  inPlace(async ({ folder, file, cache }) => {
    await Deno.writeTextFile(`${folder}/file`, "");
    await Deno.mkdir(`${folder}/all's`);
    await Deno.chmod(`${folder}/all's`, 0o777);
    for (const unusable of [`${folder}/file`, `${folder}/all's`, "relative", "/proc/nowhere"]) {
      const { runtime, warnings } = await ends([file], { CACHE_DIRECTORY: unusable, XDG_CACHE_HOME: cache });
      assertEquals({ runtime, warnings }, { runtime: `${unpackedIn(cache)}/httpfastcache`, warnings: [] });
    }
  }));

test("no folder to unpack into is one line that names the three variables, and status 1", () =>
  inPlace(async ({ file, folder }) => {
    for (const env of [{}, { CACHE_DIRECTORY: "relative", XDG_CACHE_HOME: file, HOME: `${folder}/nowhere` }]) {
      const { code, warnings } = await ends([file], env);
      const { CACHE_DIRECTORY = "", XDG_CACHE_HOME = "", HOME = "" }: Record<string, string> = env;
      assertEquals({ code, warnings }, {
        code: 1,
        warnings: [
          "httpfastcache: cannot unpack: expected CACHE_DIRECTORY, XDG_CACHE_HOME or HOME to name a folder of user " +
          `${Deno.uid()} that nobody else may write, got "${CACHE_DIRECTORY}", "${XDG_CACHE_HOME}" and "${HOME}"`,
        ],
      });
    }
    assert(!names(folder).includes("nowhere"));
  }));
