/**
 * Disks that are full, hang, or hold what is not to be read.
 *
 * @module
 */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { makeFolder } from "../folder.ts";
import * as stand from "../stand_in.ts";
import { until } from "../until.ts";
import { testWith } from "./needs.ts";
import { freePort, FROM_SOURCE, type Program, runProgram, startProgram } from "./program.ts";
import { ask, brief, received } from "./reader.ts";

const FULL = "No space left on device (os error 28)";
const HANGS = "it takes longer than 3 s (does the disk hang?)";

testWith(
  ["mount"],
  "on a full disk the snapshot stays as it was, which is told once, and it is saved again when there is room",
  async () => {
    await using stacosys = await stand.startStandIn();
    await using disk = await mountDisk(TMPFS);
    const file = `${disk.path}/snapshot`;
    const config = { Stacosys: stacosys.url, SnapshotFile: file, AdminHostPort: `127.0.0.1:${freePort()}` };
    await using program = await startProgram({ ...config, SweepSeconds: 0.05 }, disk.command);
    await askFor(program, 12);
    await until(async () => rowsIn(await disk.read(file)) === 12, "all counts are saved");

    await askFor(program, 400);
    const health = () => snapshotOf(config);
    await until(async () => (await health()).fault === FULL, "the disk is full");
    const kept = await disk.read(file);
    const purged = await own(config, "POST", "/purge?url=/0/");
    assertEquals([purged.status, purged.text.includes(FULL)], [500, true]);
    await until(async () => await disk.names() === "snapshot\n", "nothing remains beside it");
    assertEquals(await disk.read(file), kept);
    assertEquals(JSON.parse(kept.split("\n").at(-2) ?? ""), { entries: rowsIn(kept) });

    await disk.run("mount", "-o", "remount,size=1m", disk.path);
    await until(async () => (await health()).fault === null, "there is room");
    assertEquals(rowsIn(await disk.read(file)), 400);
    await until(() => program.stderr().endsWith("again\n"), "that is told");
    assertMatch(
      program.stderr(),
      new RegExp(`^\\S+ warning cannot save ${file}: [^\\n]*28\\); .*\\n\\S+ info ${file} can be saved again\\n$`),
    );
  },
);

testWith(["mount"], "if the disk is full at the end, the snapshot stays as it was, and a line says why", async () => {
  await using stacosys = await stand.startStandIn();
  await using disk = await mountDisk(TMPFS);
  const file = `${disk.path}/snapshot`;
  const config = { Stacosys: stacosys.url, SnapshotFile: file };
  await fill(config, 12, disk.command);
  const before = await disk.read(file);
  // More than there is room for, and no room at all.
  for (const filler of [0, 8_192]) {
    await disk.run("sh", "-c", `head -c ${filler} /dev/zero >"$0" || true`, `${disk.path}/filler`);
    const said = await fill(config, 400, disk.command);
    assertMatch(said, new RegExp(`^\\S+ warning cannot save ${file}: ${FULL.replace(/[()]/g, "\\$&")}; .*\n$`));
    assertEquals(await disk.read(file), before);
    assertEquals(await disk.names(), "filler\nsnapshot\n");
  }
  await using next = await startProgram(config, disk.command);
  assertMatch((await ask(next, "/0/")).headers.get("cache-status") ?? "", /; hit$/);
});

testWith(
  ["root", "setpriv"],
  "a snapshot that may not be read stays, and the log, health, --check and a purge say so until it may",
  async () => {
    await using stacosys = await stand.startStandIn();
    await using folder = await makeFolder();
    const file = `${folder.path}/snapshot`;
    const config = { Stacosys: stacosys.url, SnapshotFile: file, AdminHostPort: `127.0.0.1:${freePort()}` };
    await fill(config, 12);
    const { ino } = await Deno.stat(file);
    await Deno.chmod(file, 0);
    // Root that may not pass over the rights of a file.
    const caps = "-dac_override,-dac_read_search";
    const command = ["setpriv", `--bounding-set=${caps}`, `--inh-caps=${caps}`, ...FROM_SOURCE];
    await using program = await startProgram({ ...config, SweepSeconds: 0.01 }, command);
    const fault = "Permission denied (os error 13)";
    assertEquals(await snapshotOf(config), { file, fault });
    assertEquals((await own(config, "POST", "/purge")).status, 500);
    const { code, stderr } = await runProgram(["--config", `${program.folder}/config.json`, "--check"], command);
    assertEquals([code, stderr.includes(`SnapshotFile: cannot be saved: ${fault}`)], [0, true]);
    const { ino: stays, mode } = await Deno.stat(file);
    assertEquals([stays, (mode ?? 0) & 0o777], [ino, 0]);
    assertEquals(program.stderr().split("\n").length, 3);

    await Deno.chmod(file, 0o600);
    await until(async () => (await snapshotOf(config)).fault === null, "it is saved");
    await until(() => program.stderr().endsWith(`info ${file} can be saved again\n`), "that is told");
  },
);

Deno.test("--check says of a snapshot that it is a folder, or somebody else's file", async () => {
  await using folder = await makeFolder();
  await Deno.mkdir(`${folder.path}/folder`);
  await Deno.writeTextFile(`${folder.path}/diary`, "Dear diary,\n");
  for (const [name, got] of [["folder", "what is not a file"], ["diary", "something else, which is left alone"]]) {
    const config = `${folder.path}/config.json`;
    const SnapshotFile = `${folder.path}/${name}`;
    await Deno.writeTextFile(
      config,
      JSON.stringify({ HostPort: ":8101", Stacosys: "http://127.0.0.1:9", SnapshotFile }),
    );
    const { code, stderr } = await runProgram(["--config", config, "--check"]);
    const expected = `expected a httpfastcache snapshot, got ${got}`;
    assertEquals([code, stderr], [0, `warning: ${config}: SnapshotFile: cannot be saved: ${expected}\n`]);
  }
});

testWith(
  ["mount", "/dev/fuse"],
  "a watched file on a disk that hangs holds up neither a start nor a snapshot nor the end, and is told of",
  async () => {
    await using stacosys = await stand.startStandIn();
    await using disk = await mountDisk(HANGING);
    await using folder = await makeFolder();
    const WatchFile = `${disk.path}/db.sqlite`;
    const SnapshotFile = `${folder.path}/snapshot`;
    // What is there when the disk hangs no more.
    await Deno.writeTextFile(WatchFile, "x");
    const config = { Stacosys: stacosys.url, WatchFile, SnapshotFile, AdminHostPort: `127.0.0.1:${freePort()}` };
    await using program = await startProgram(config, disk.command);
    assertEquals(brief(await ask(program, "/a/")), '200 {"count":7}');
    const fault = `${WatchFile} cannot be seen: ${HANGS}`;
    const health = async () => JSON.parse((await own(config, "GET", "/healthz")).text);
    assertEquals((await health()).watch.fault, fault);
    assertEquals(brief(await own(config, "POST", "/purge")), '200 {"purged":1}');
    await disk.end();
    await until(async () => (await health()).watch.fault === null, "it can be seen");
    const told = program.stderr().split("\n").filter((line) => line.includes(HANGS));
    assertEquals(told.length, 1);
    program.process.kill("SIGTERM");
    assertEquals(await program.ended, 0);
  },
);

testWith(
  ["mount", "/dev/fuse"],
  "--check says of a watched file, and of a snapshot, that its disk hangs, and ends",
  async () => {
    await using disk = await mountDisk(HANGING);
    await using folder = await makeFolder();
    const config = `${folder.path}/config.json`;
    const [WatchFile, SnapshotFile] = [`${disk.path}/db.sqlite`, `${disk.path}/snapshot`];
    const settings = { HostPort: ":8101", Stacosys: "http://127.0.0.1:9", WatchFile, SnapshotFile };
    await Deno.writeTextFile(config, JSON.stringify(settings));
    const { code, stderr } = await runProgram(["--config", config, "--check"], disk.command);
    const warning = `warning: ${config}:`;
    const faults =
      `${warning} SnapshotFile: cannot be saved: ${HANGS}\n${warning} WatchFile: ${WatchFile} cannot be seen: ${HANGS}\n`;
    assertEquals([code, stderr], [0, faults]);
  },
);

testWith(
  ["mount", "/dev/fuse"],
  "a snapshot on a disk that hangs holds up no reader, no purge and no end, and is told of",
  async () => {
    await using stacosys = await stand.startStandIn();
    await using disk = await mountDisk(HANGING);
    const file = `${disk.path}/snapshot`;
    const config = { Stacosys: stacosys.url, SnapshotFile: file, AdminHostPort: `127.0.0.1:${freePort()}` };
    await using program = await startProgram(config, disk.command);
    assertEquals(brief(await ask(program, "/a/")), '200 {"count":7}');
    assertEquals(await snapshotOf(config), { file, fault: HANGS });
    assertStringIncludes((await own(config, "POST", "/purge")).text, `500 purged 1 here and now, but`);
    program.process.kill("SIGTERM");
    assertEquals(await program.ended, 0);
  },
);

const TMPFS = 'mount -t tmpfs -o size=8k tmpfs "$0"';

/** A file system in user space whose program answers nothing. */
const HANGING = 'exec 3<>/dev/fuse && mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0 hangs "$0"';

/** Mounts a disk on a folder, for those processes alone that are started with its `command`. */
async function mountDisk(mount: string) {
  const folder = await makeFolder();
  const { path } = folder;
  const holder = new Deno.Command("unshare", {
    args: [
      "--mount",
      "sh",
      "-c",
      `${mount} && echo mounted && read _; exec 3>&-; umount "$0"; echo gone; read _`,
      path,
    ],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const stdin = holder.stdin.getWriter();
  const stdout = holder.stdout.getReader();
  const said = async () => new TextDecoder().decode((await stdout.read()).value);
  assertEquals(await said(), "mounted\n");
  const enter = ["--mount", "--target", String(holder.pid)];
  const on = (...args: string[]) => new Deno.Command("nsenter", { args: [...enter, ...args] }).output();
  return {
    path,
    command: ["nsenter", ...enter, ...FROM_SOURCE],
    /** The text of a file on it. */
    read: async (file: string) => new TextDecoder().decode((await on("cat", file)).stdout),
    /** The names of all files on it, each with a newline. */
    names: async () => new TextDecoder().decode((await on("ls", path)).stdout),
    async run(...args: string[]) {
      assertEquals((await on(...args)).success, true);
    },
    /** Takes it away. What is in the folder below it can be seen then. */
    async end() {
      await stdin.write(new TextEncoder().encode("\n"));
      assertEquals(await said(), "gone\n");
    },
    async [Symbol.asyncDispose]() {
      holder.kill("SIGKILL");
      await Promise.all([stdin.abort().catch(() => {}), stdout.cancel(), holder.status]);
      await folder[Symbol.asyncDispose]();
    },
  };
}

type Config = { readonly AdminHostPort: string };

async function own({ AdminHostPort }: Config, method: string, path: string) {
  return await received(await fetch(`http://${AdminHostPort}${path}`, { method }));
}

/** What health says of the snapshot. */
async function snapshotOf(config: Config): Promise<{ file: string; fault: string | null }> {
  return JSON.parse((await own(config, "GET", "/healthz")).text).snapshot;
}

async function askFor(program: Program, articles: number): Promise<void> {
  for (let i = 0; i < articles; i++) assertEquals((await ask(program, `/${i}/`)).status, 200);
}

/** Runs the program until it has so many counts, and returns what it said on stderr. */
async function fill(config: Readonly<Record<string, unknown>>, articles: number, command?: string[]): Promise<string> {
  await using program = await startProgram(config, command);
  await askFor(program, articles);
  program.process.kill("SIGTERM");
  assertEquals(await program.ended, 0);
  return program.stderr();
}

/** How many counts a snapshot has. */
function rowsIn(snapshot: string): number {
  return snapshot.split("\n[").length - 1;
}
