/**
 * Where the self-extracting file unpacks, whom it trusts, and what it says if it cannot.
 *
 * @module
 */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { ends, inPlace, names, type Place, runtimeIn, test, unpackedIn } from "./launcher.ts";

/** What somebody may have done to the unpacked folder `at`. */
const tampering: Record<string, (at: string, cache: string) => Promise<unknown>> = {
  "the group may write it": (at) => Deno.chmod(at, 0o770),
  "everybody may write it": (at) => Deno.chmod(at, 0o707),
  "the group may write the folder above": (_, cache) => Deno.chmod(`${cache}/httpfastcache`, 0o770),
  "everybody may write the folder above": (_, cache) => Deno.chmod(`${cache}/httpfastcache`, 0o1777),
  "the group may write a folder further above": (_, cache) => Deno.chmod(cache, 0o770),
  "everybody may write a folder further above": (_, cache) => Deno.chmod(cache, 0o707),
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
  "a folder further above is another user's": (_, cache) => Deno.chown(cache, 65534, null),
  "a folder further above is another user's, and has the sticky bit": async (_, cache) => {
    await Deno.chown(cache, 65534, null);
    await Deno.chmod(cache, 0o1777);
  },
};

for (const [what, tamper] of [...Object.entries(tampering), ...Object.entries(byOthers)]) {
  test(
    `the unpacked folder is not used, and one line says so if there is no other, if ${what}`,
    () =>
      inPlace(async ({ file, cache, temporary, path }) => {
        const env = { XDG_CACHE_HOME: cache, PATH: path };
        await ends([file], env);
        const at = unpackedIn(cache);
        await tamper(at, cache);
        const { code, runtime, warnings } = await ends([file], env);
        assertEquals({ code, runtime, lines: warnings.length }, { code: 75, runtime: undefined, lines: 1 });
        assertMatch(warnings[0] ?? "", new RegExp(`folder of user ${Deno.uid()} that nobody else may write`));
        const another = await ends([file], { ...env, TMPDIR: temporary });
        assertEquals(another, { code: 0, runtime: runtimeIn(temporary), lines: [], warnings: [] });
        assertEquals(names(`${cache}/httpfastcache`), [at.replace(/.*\//, "")]);
      }),
    ...what in byOthers ? ["root"] as const : [],
  );
}

test("others may read the folder above, and a link may lead to it", () =>
  inPlace(async ({ folder, file, cache }) => {
    await Deno.mkdir(`${cache}/httpfastcache`, { mode: 0o755 });
    await Deno.symlink(cache, `${folder}/link`);
    const { runtime, warnings } = await ends([file], { XDG_CACHE_HOME: `${folder}/link` });
    assertEquals({ runtime, warnings }, { runtime: `${unpackedIn(cache)}/httpfastcache`, warnings: [] });
    assertEquals((await Deno.stat(unpackedIn(cache))).mode, 0o40700);
  }));

test("nothing is made below a folder that others may write, unless it has the sticky bit", () =>
  inPlace(async ({ folder, file, temporary }) => {
    const open = `${folder}/open`;
    await Deno.mkdir(open);
    await Deno.chmod(open, 0o777);
    await Deno.symlink(open, `${folder}/link`);
    const cache = `${temporary}/new/cache`;
    for (const unusable of [`${open}/new`, `${folder}/link/new`]) {
      const { runtime, warnings } = await ends([file], { CACHE_DIRECTORY: unusable, XDG_CACHE_HOME: cache });
      assertEquals({ runtime, warnings }, { runtime: `${unpackedIn(cache)}/httpfastcache`, warnings: [] });
      assertEquals(names(open), []);
    }
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
  inPlace(async ({ file, cache, temporary }) => {
    await Deno.chown(cache, 65534, 65534);
    const { code, runtime } = await ends([file], { HOME: cache, TMPDIR: temporary });
    assertEquals({ code, runtime }, { code: 0, runtime: runtimeIn(temporary) });
    assertEquals(names(cache), []);
  }), "root");

/** What no folder cures is one line and status 1, and nothing is left of it. */
async function failsToStart({ file, cache, temporary }: Place): Promise<string> {
  const { code, warnings } = await ends([file], { XDG_CACHE_HOME: cache, TMPDIR: temporary });
  assertEquals({ code, lines: warnings.length }, { code: 1, lines: 1 });
  assertEquals([names(`${cache}/httpfastcache`), names(temporary)], [[], []]);
  return warnings[0] ?? "";
}

test("a file that was cut short says so in one line, ends with 1 and leaves nothing", () =>
  inPlace(async (place) => {
    await Deno.truncate(place.file, (await Deno.stat(place.file)).size - 100);
    const line = await failsToStart(place);
    assertStringIncludes(line, `httpfastcache: cannot unpack into ${place.cache}/httpfastcache: `);
    assertStringIncludes(line, "unexpected end");
  }));

for (
  const [what, parts, says] of [
    ["made for another machine", { machine: "another" }, `made for another, and this machine is ${Deno.build.arch}`],
    // A program whose interpreter is missing is for the system what one without its loader is.
    [
      "started where there is no glibc",
      { runtime: "#!/nowhere/ld-linux\n" },
      `the Deno runtime needs glibc 2.27 or later for ${Deno.build.arch}: `,
    ],
    [
      "started on a processor that is too old",
      { runtime: "#!/bin/sh\nkill -ILL $$\n" },
      "the Deno runtime needs an instruction that this processor lacks",
    ],
    [
      "started with a glibc that is too old",
      { runtime: "#!/bin/sh\necho no GLIBC_2.27 here >&2\nexit 1\n" },
      "the Deno runtime ends with status 1: no GLIBC_2.27 here",
    ],
  ] as const
) {
  test(`a file ${what} says so in one line`, () =>
    inPlace(async (place) => {
      const line = await failsToStart(place);
      assertStringIncludes(line, `httpfastcache: cannot start: ${says}`);
    }, parts));
}

/** Mounts a small file system on `folder`, and starts `file`; then it tells what that left there, or becomes it. */
function mounted(folder: string, options: string, file: string, then: "tells" | "is replaced"): string[] {
  const start = then === "tells" ? '{ "$2"; status=$?; find "$0" -type f; exit $status; }' : 'exec "$2"';
  return ["unshare", "--mount", "sh", "-c", `mount -t tmpfs -o "$1" tmpfs "$0" && ${start}`, folder, options, file];
}

for (
  const [what, options, says] of [
    ["may run nothing", "mode=700,noexec", /^httpfastcache: cannot run anything in .*Permission denied; .*75 in 10 s$/],
    ["is full", "mode=700,size=4k", /^httpfastcache: cannot unpack into .*No space left on device.*; .*75 in 10 s$/],
    ["is read-only", "mode=700,ro", /^httpfastcache: cannot unpack: .*Read-only file system; .*75 in 10 s$/],
  ] as const
) {
  test(
    `where a cache ${what} and there is no other it is one line, status 75 after ten seconds, and nothing is left there`,
    () =>
      inPlace(async ({ folder, file, cache, path }) => {
        const env = { XDG_CACHE_HOME: cache, PATH: path };
        const { code, lines, warnings } = await ends(mounted(cache, options, file, "tells"), env);
        assertEquals({ code, lines, warnings: warnings.length }, { code: 75, lines: [], warnings: 1 });
        assertMatch(warnings[0] ?? "", says);
        assertEquals(await Deno.readTextFile(`${folder}/quick/slept`), "10\n");
      }),
    "mount",
  );
  test(
    `where a cache ${what} it unpacks into a private folder of the temporary one, and says nothing`,
    () =>
      inPlace(async ({ file, cache, temporary, path }) => {
        const env = { XDG_CACHE_HOME: cache, TMPDIR: temporary, PATH: path };
        for (const _ of ["cold", "warm"]) {
          const { code, runtime, warnings } = await ends(mounted(cache, options, file, "is replaced"), env);
          assertEquals({ code, runtime, warnings }, { code: 0, runtime: runtimeIn(temporary), warnings: [] });
        }
      }),
    "mount",
  );
}

test(
  "where all folders are full, the line names the first",
  () =>
    inPlace(async ({ file, cache, path }) => {
      const env = { XDG_CACHE_HOME: cache, TMPDIR: cache, PATH: path };
      const { warnings } = await ends(mounted(cache, "mode=700,size=4k", file, "tells"), env);
      assertMatch(
        warnings.join(),
        /^httpfastcache: cannot unpack into .*\/cache\/httpfastcache: .*No space left on device/,
      );
    }),
  "mount",
);

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

test("with no cache, no home, or a home that is not there, it unpacks into a private folder, and says nothing", () =>
  inPlace(async ({ folder, file, temporary }) => {
    for (const env of [{}, { HOME: "/nonexistent" }, { XDG_CACHE_HOME: "relative", HOME: `${folder}/nowhere` }]) {
      const ended = await ends([file], { ...env, TMPDIR: temporary });
      assertEquals(ended, { code: 0, runtime: runtimeIn(temporary), lines: [], warnings: [] });
    }
  }));

/** What somebody else may have put where the private folder is to be, or done to the folder above. */
const taken: Record<string, (at: string, place: Place) => Promise<unknown>> = {
  "it is a file": (at) => Deno.writeTextFile(at, ""),
  "it is a link to a folder of this user": (at, { cache }) => Deno.symlink(cache, at),
  "it is a link to nowhere": (at, { cache }) => Deno.symlink(`${cache}/new`, at),
  "others may write it": async (at) => {
    await Deno.mkdir(at);
    await Deno.chmod(at, 0o777);
  },
  "all may move it": (_, { temporary }) => Deno.chmod(temporary, 0o777),
};

const takenByOthers: typeof taken = {
  "it is another user's": async (at) => {
    await Deno.mkdir(at);
    await Deno.chown(at, 65534, 65534);
  },
  "the folder above is another user's": (_, { temporary }) => Deno.chown(temporary, 65534, 65534),
};

for (const [what, take] of [...Object.entries(taken), ...Object.entries(takenByOthers)]) {
  test(
    `the private folder is not used, nothing is written, and one line says so, if ${what}`,
    () =>
      inPlace(async (place) => {
        const { file, cache, temporary, path } = place;
        const at = `${temporary}/httpfastcache-${Deno.uid()}`;
        await take(at, place);
        const { code, runtime, warnings } = await ends([file], { HOME: "/nonexistent", TMPDIR: temporary, PATH: path });
        assertEquals({ code, runtime, lines: warnings.length }, { code: 75, runtime: undefined, lines: 1 });
        assertStringIncludes(
          warnings[0] ?? "",
          "httpfastcache: cannot unpack: expected CACHE_DIRECTORY, XDG_CACHE_HOME, HOME or TMPDIR to name a folder of " +
            `user ${Deno.uid()} that nobody else may write, with no folder above it that others own or may ` +
            `write, but for sticky ones such as /tmp, got "", "", "/nonexistent" and "${temporary}"`,
        );
        assertEquals(names(cache), []);
        if (await Deno.stat(at).then(({ isDirectory }) => isDirectory, () => false)) assertEquals(names(at), []);
      }),
    ...what in takenByOthers ? ["root"] as const : [],
  );
}
