/**
 * The unit as systemd reads it, what goes with it, and the documentation that tells how to use them.
 *
 * @module
 */

import { assert, assertEquals, assertLessOrEqual, assertMatch } from "@std/assert";
import { makeFolder } from "../folder.ts";
import * as stand from "../stand_in.ts";
import { until } from "../until.ts";
import { deployed, pathOf, replaced, run, test } from "./deploy.ts";
import { FROM_SOURCE, type Program, startProgram } from "./program.ts";
import { ask, brief } from "./reader.ts";

const UNIT = await deployed("httpfastcache.service");
const DROP_IN = await deployed("tls.conf");
const DOCS = new URL("../../docs/", import.meta.url);
const OPERATIONS = await Deno.readTextFile(new URL("operations.md", DOCS));
const MORE = await Deno.readTextFile(new URL("more.md", DOCS));

test(
  "systemd has nothing to say about the unit, alone and with the drop-in for HTTPS",
  ["systemd-analyze"],
  async () => {
    await using folder = await makeFolder();
    const unit = `${folder.path}/httpfastcache.service`;
    // It looks whether there is what the unit starts.
    await Deno.writeTextFile(unit, replaced(UNIT, "/usr/local/bin/httpfastcache", "/bin/true"));
    assertEquals(await run("systemd-analyze", "verify", unit), { success: true, output: "" });
    await Deno.mkdir(`${unit}.d`);
    await Deno.writeTextFile(`${unit}.d/tls.conf`, DROP_IN);
    assertEquals(await run("systemd-analyze", "verify", unit), { success: true, output: "" });
  },
);

for (const [name, dropIn] of [["the unit", ""], ["the unit with the drop-in for HTTPS", DROP_IN]] as const) {
  test(`systemd rates the exposure of ${name} 2.0 or less`, ["systemd-analyze"], async () => {
    await using folder = await makeFolder();
    const unit = `${folder.path}/httpfastcache.service`;
    await Deno.writeTextFile(unit, `${UNIT}\n${dropIn}`);
    const options = ["--offline=true", "--threshold=20", "--no-pager"];
    const { success, output } = await run("systemd-analyze", "security", ...options, unit);
    assert(success, output.split("\n").filter((line) => /^(✗|→)/.test(line)).join("\n"));
  });
}

Deno.test("the unit starts again what was killed or found its port in use, and not what has a broken configuration", () => {
  assertEquals(settings(UNIT, "Restart"), ["always"]);
  assertEquals(settings(UNIT, "StartLimitIntervalSec"), ["0"]);
  const final = settings(UNIT, "RestartPreventExitStatus").join(" ").split(" ");
  assert(final.includes("1"));
  assert(!final.includes("75"));
  // Without it systemd would try five times a second to start a file that is not there.
  assert(final.includes("EXEC"));
});

const RELOADS = [["the unit", UNIT, []], ["the drop-in for HTTPS", DROP_IN, ["mount"]]] as const;

for (const [name, unit, needs] of RELOADS) {
  test(
    `a reload by ${name} ends the process if the configuration is good, and not if it is broken`,
    needs,
    async () => {
      await using stacosys = await stand.startStandIn();
      await using program = await startProgram({ Stacosys: stacosys.url });
      const file = `${program.folder}/config.json`;
      const good = await Deno.readTextFile(file);

      await Deno.writeTextFile(file, good.replace("HostPort", "HostPrt"));
      const refused = await reload(unit, program, file);
      assert(!refused.success);
      assertMatch(refused.output, /HostPort: expected/);
      assertEquals(brief(await ask(program, "/a/")), '200 {"count":7}');

      await Deno.writeTextFile(file, good);
      assert((await reload(unit, program, file)).success);
      assertEquals((await program.process.status).code, 0);
    },
  );
}

/** Does what `systemctl reload` does: one command after the other, until one fails. */
async function reload(unit: string, { folder, process }: Program, config: string) {
  const executable = `${folder}/httpfastcache`;
  await Deno.writeTextFile(executable, `#!/bin/sh\nexec ${FROM_SOURCE.map(quote).join(" ")} "$@"\n`, { mode: 0o755 });
  const commands = settings(unit, "ExecReload").filter((command) => command !== "").map((command) =>
    command.replace(/^\+/, "").replaceAll("%%", "%").replaceAll("${MAINPID}", String(process.pid))
      .replace("/usr/local/bin/httpfastcache", `"${executable}"`)
      .replace("/etc/httpfastcache/config.json", `"${config}"`)
  );
  assertEquals(commands.length, 2);
  return await run("sh", "-c", commands.join(" && "));
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** The values that a unit gives to a key. */
function settings(unit: string, key: string): string[] {
  const lines = unit.replaceAll(/\\\n */g, "");
  return [...lines.matchAll(new RegExp(`^${key}=(.*)$`, "gm"))].map(([, value = ""]) => value);
}

Deno.test("an update that is run twice keeps the version before, to which one rolls back", async () => {
  await using folder = await makeFolder();
  const installed = `${folder.path}/installed`;
  const write = (name: string, text: string) => Deno.writeTextFile(`${folder.path}/${name}`, text);
  async function runLine(what: RegExp): Promise<void> {
    const [line = ""] = what.exec(OPERATIONS) ?? [];
    const here = line.replaceAll("/usr/local/bin/", `${installed}/`);
    const { success, output } = await run("sh", "-c", `cd ${folder.path}; ${here}`);
    assert(success, `${here}: ${output}`);
  }
  await Deno.mkdir(installed);
  await write("installed/httpfastcache", "the version before");
  await write("httpfastcache", "the new version");
  for (let times = 0; times < 2; times++) await runLine(/^cmp .*$/m);
  assertEquals(await Deno.readTextFile(`${installed}/httpfastcache`), "the new version");
  await runLine(/^mv .*\.old .*$/m);
  assertEquals(await Deno.readTextFile(`${installed}/httpfastcache`), "the version before");
});

Deno.test("production's configuration serves counters, keeps a snapshot and has a listener for the owner", async () => {
  await using stacosys = await stand.startStandIn();
  await using folder = await makeFolder();
  const config = JSON.parse(await deployed("config.json"));
  assertEquals(config.HostPort, "127.0.0.1:8101");
  assertEquals(config.SnapshotFile, "/var/lib/httpfastcache/snapshot.json");
  const { HostPort: _, AdminHostPort: __, ...rest } = config;
  const SnapshotFile = `${folder.path}/snapshot.json`;
  await using program = await startProgram({ ...rest, Stacosys: stacosys.url, SnapshotFile });
  const answer = await ask(program, "/a/");
  assertEquals(brief(answer), '200 {"count":7}');
  assertEquals(answer.headers.get("access-control-allow-origin"), "https://blog.example.org");
  program.process.kill("SIGTERM");
  await until(async () => await Deno.stat(SnapshotFile).then(() => true, () => false), "the snapshot is there");
});

for (
  const [where, tls, systemd, expected] of [
    ["of its own", "there", "there", "systemctl try-restart httpfastcache"],
    ["of NginX", "none", "there", "systemctl reload nginx"],
    ["of NginX, without systemd", "none", "none", "nginx -s reload"],
  ] as const
) {
  Deno.test(`after a renewal the hook has the new certificate taken for HTTPS ${where}`, async () => {
    await using folder = await makeFolder();
    await Deno.writeTextFile(`${folder.path}/there`, "");
    let hook = await deployed("certbot-hook");
    hook = replaced(hook, "/etc/systemd/system/httpfastcache.service.d/tls.conf", `${folder.path}/${tls}`);
    hook = replaced(hook, "-d /run/systemd/system", `-e ${folder.path}/${systemd}`);
    const programs = ["systemctl", "nginx"].map((name) => `${name}() { echo ${name} "$@"; }\n`).join("");
    assertEquals(await run("sh", "-c", programs + hook), { success: true, output: `${expected}\n` });
  });
}

Deno.test("the drop-in and the site name the same certificate, and the drop-in the files of the documentation", async () => {
  const [certificate] = /\/etc\/letsencrypt\/live\/\S+fullchain.pem/.exec(DROP_IN) ?? [];
  assert((await deployed("nginx.conf")).includes(`ssl_certificate ${certificate};`));
  const paths = [...DROP_IN.matchAll(/"\/run\/credentials\/[^"]+"/g)].map(([path]) => path);
  assertEquals(paths.length, 2);
  for (const path of paths) assert(MORE.includes(path), path);
});

Deno.test("the documentation names each file of deploy/", async () => {
  for await (const { name } of Deno.readDir(pathOf(""))) assert((OPERATIONS + MORE).includes(name), name);
});

Deno.test("what an owner reads at night is short", () => {
  assertLessOrEqual(OPERATIONS.trim().split(/\s+/).length, 2_000);
});

Deno.test("each link from one heading of the documentation to another leads there", async () => {
  const headings = new Set<string>();
  const links: string[] = [];
  for await (const { name } of Deno.readDir(DOCS)) {
    if (!name.endsWith(".md")) continue;
    const text = await Deno.readTextFile(new URL(name, DOCS));
    for (const [, heading = ""] of text.matchAll(/^## (.*)$/gm)) {
      headings.add(`${name}#${heading.toLowerCase().replaceAll(/[^\w -]/g, "").replaceAll(" ", "-")}`);
    }
    for (const [, file, to] of text.matchAll(/\]\(([\w.]*)(#[^)]+)\)/g)) links.push(`${file || name}${to}`);
  }
  assert(links.length > 0);
  assertEquals(links.filter((link) => !headings.has(link)), []);
});
