/**
 * The executable whole: what `deno compile` puts into it, and the self-extracting one with the real runtime. What its
 * launcher promises besides is in `launcher_test.ts`.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { denoCompile, OPTIONS, whyNotGood } from "../../compile/compile.ts";
import project from "../../deno.json" with { type: "json" };
import { executable } from "./executable.ts";
import { FOR_THE_EXECUTABLE, testWith } from "./needs.ts";
import { freePort, FROM_SOURCE, startProgram } from "./program.ts";

const ROOT = await Deno.realPath(`${import.meta.dirname}/../..`);

Deno.test("deno compile checks types and embeds the files and folders that main.ts imports, and nothing else", async () => {
  const folder = await Deno.makeTempDir();
  // Quiet is what it makes; here it has to tell what it embeds.
  const listing = await deno(denoCompile(`${folder}/httpfastcache`).filter((arg) => arg !== "--quiet"));
  await Deno.remove(folder, { recursive: true });
  // A folder of which all is embedded is one line, "folder/*".
  const embedded = [...listing.matchAll(/^[├└]─[─┬] ([^ /]+)/gm)].map(([, name = ""]) => name);

  const graph: { roots: string[]; modules: { specifier: string }[] } = JSON.parse(
    await deno(["info", "--json", "main.ts"]),
  );
  const root = (graph.roots[0] ?? "").replace(/main\.ts$/, "");
  const imported = graph.modules.map(({ specifier }) => specifier)
    .filter((specifier) => specifier.startsWith(root))
    .map((specifier) => specifier.slice(root.length).replace(/\/.*/, ""));
  assertEquals(embedded, [...new Set([".deno_compile_node_modules", ...imported])].sort());
});

async function deno(args: string[]): Promise<string> {
  const env = { NO_COLOR: "1", DENORT_BIN: "/bin/true" };
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args, cwd: ROOT, env }).output();
  assert(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout.length > 0 ? stdout : stderr);
}

for (
  const [what, script, fault] of [
    [
      "is good",
      'case "$*" in --version) echo NAME ;; *--check) echo compile/trial/config.json: good ;; esac',
      undefined,
    ],
    ["is the runtime itself", "echo deno 2.9.6", 'expected "NAME" of --version, got "deno 2.9.6"'],
    [
      "fails with HTTPS",
      'case "$*" in --version) echo NAME ;; *) echo no node:crypto >&2; exit 1 ;; esac',
      'expected "compile/trial/config.json: good" of --check, got "no node:crypto"',
    ],
  ] as const
) {
  Deno.test(`what was made is tried: a file that ${what} is ${fault === undefined ? "taken" : "not"}`, async () => {
    const file = await Deno.makeTempFile();
    const named = (text: string) => text.replaceAll("NAME", `${project.name} ${project.version}`);
    await Deno.writeTextFile(file, `#!/bin/sh\n${named(script)}\n`, { mode: 0o755 });
    await Deno.chmod(file, 0o755);
    assertEquals(await whyNotGood(file), fault && named(fault));
    await Deno.remove(file);
  });
}

for (const target of ["x86_64-pc-windows-msvc", "aarch64-apple-darwin"]) {
  Deno.test(`no file is made for ${target}, and one line says for what it is`, async () => {
    const args = [
      "run",
      "--no-prompt",
      "--allow-read",
      "--allow-env=DENORT_BIN",
      "compile/compile.ts",
      "--target",
      target,
    ];
    const { code, stderr } = await new Deno.Command(Deno.execPath(), { args, cwd: ROOT }).output();
    const line = `expected --target x86_64-unknown-linux-gnu or aarch64-unknown-linux-gnu, got ${target}`;
    assertEquals({ code, stderr: new TextDecoder().decode(stderr) }, { code: 1, stderr: `compile: ${line}\n` });
  });
}

Deno.test("what the environment has for other programs on the runtime is not listened on", async () => {
  const command = ["env", `DENO_SERVE_ADDRESS=tcp:127.0.0.1:${freePort()}`, ...FROM_SOURCE];
  await using program = await startProgram({ Stacosys: "http://127.0.0.1:8100" }, command);
  assertStringIncludes(program.stdout(), `listening on ${program.url}`);
});

/** Two folders: the executable alone in one, and another to work in. */
interface Place {
  readonly file: string;
  readonly folder: string;
}

/** A test of the self-extracting file. */
function test(name: string, fn: () => Promise<void>): void {
  testWith(FOR_THE_EXECUTABLE, name, fn);
}

async function withCopy(run: (place: Place) => Promise<void>): Promise<void> {
  const folder = await Deno.realPath(await Deno.makeTempDir());
  try {
    const file = `${folder}/été à part/httpfastcache`;
    await Deno.mkdir(`${folder}/été à part`);
    await Deno.copyFile(await executable(), file);
    await run({ file, folder });
    assertEquals([...Deno.readDirSync(`${folder}/été à part`)].length, 1);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function start({ file, folder }: Place, args: string[], env: Record<string, string>): Deno.ChildProcess {
  const options = { args, env, clearEnv: true, cwd: folder, stdin: "null", stdout: "piped", stderr: "piped" } as const;
  return new Deno.Command(file, options).spawn();
}

async function ends(place: Place, args: string[], env: Record<string, string>) {
  const { code, stdout, stderr } = await start(place, args, env).output();
  return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
}

/** Starts the executable before a Stacosys that always counts 7, asks it once, and tells it to end. */
async function servesAndEnds(place: Place, env: Record<string, string>): Promise<void> {
  await using stacosys = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen() {} },
    () => Response.json({ count: 7 }),
  );
  const HostPort = `127.0.0.1:${freePort()}`;
  const config = {
    HostPort,
    Stacosys: `http://127.0.0.1:${stacosys.addr.port}`,
    CorsOrigin: "https://blog.example.org",
  };
  await Deno.writeTextFile(`${place.folder}/config.json`, JSON.stringify(config));

  const process = start(place, ["--config", "config.json"], env);
  try {
    const stdout = process.stdout.pipeThrough(new TextDecoderStream());
    for await (const text of stdout.values({ preventCancel: true })) if (text.includes("listening on")) break;
    const response = await fetch(`http://${HostPort}/comments/count?token=t&url=/a/`);
    assertEquals(await response.json(), { count: 7 });
    assertEquals(response.headers.get("Access-Control-Allow-Origin"), "https://blog.example.org");
    await stdout.cancel();
  } finally {
    process.kill("SIGTERM");
  }
  assertEquals(await new Response(process.stderr).text(), "");
  assertEquals(await process.status, { success: true, code: 0, signal: null });
}

/** All files and folders in `folder`, but for what the executable unpacked. */
function* traces(folder: string): Iterable<string> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    yield name;
    if (isDirectory && !name.startsWith("unpacked-")) {
      for (const inner of traces(`${folder}/${name}`)) yield `${name}/${inner}`;
    }
  }
}

Deno.test("deno task start has the flags of V8 and the environment that the executable has, and what it may do besides", () => {
  const start = project.tasks.start.command.split(" ");
  // deno.json turns on what is unstable; the demo reads its own folder only, and saves no snapshot.
  for (const option of OPTIONS.filter((option) => !/^--(quiet|unstable-.*|allow-write)$/.test(option))) {
    assert(
      start.includes(option) || start.some((own) => own.startsWith(`${option}=`)),
      `${option} in ${start.join(" ")}`,
    );
  }
});

test("the self-extracting file is good", async () => {
  assertEquals(await whyNotGood(await executable()), undefined);
});

test("copied alone into a folder with blanks and accents, it serves with nothing in its environment but where to unpack", () =>
  withCopy((place) => servesAndEnds(place, { CACHE_DIRECTORY: `${place.folder}/cache` })));

test("it serves cold and warm, and leaves nothing but the folder that it unpacked into", () =>
  withCopy(async (place) => {
    const [home, temporary] = [`${place.folder}/home`, `${place.folder}/temporary`];
    await Deno.mkdir(home);
    await Deno.mkdir(temporary);
    for (const _ of ["cold", "warm"]) await servesAndEnds(place, { HOME: home, TMPDIR: temporary });
    const left = [...traces(home)];
    assertEquals(left.slice(0, 2), [".cache", ".cache/httpfastcache"]);
    assertMatch(left[2] ?? "", /^\.cache\/httpfastcache\/unpacked-[0-9a-f]{16}$/);
    assertEquals(left.length, 3);
    assertEquals([...traces(temporary)], []);
  }));

test("its command line is the program's, and so is the exit status, also of several that start at once", () =>
  withCopy(async (place) => {
    const env = { XDG_CACHE_HOME: `${place.folder}/cache` };
    const version = { code: 0, stdout: `${project.name} ${project.version}\n`, stderr: "" };
    const all = await Promise.all(Array.from({ length: 3 }, () => ends(place, ["--version"], env)));
    assertEquals(all, all.map(() => version));
    const { code, stderr } = await ends(place, ["-config=missing.json"], env);
    assertEquals(code, 1);
    assertStringIncludes(stderr, "File error: ");
    assertStringIncludes((await ends(place, ["--config", "x", "--", "-e"], env)).stderr, "-e");
  }));
