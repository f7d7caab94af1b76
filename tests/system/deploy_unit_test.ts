/**
 * The unit as systemd reads it, what goes with it, and the documentation that tells how to use them.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { makeFolder } from "../folder.ts";
import * as stand from "../stand_in.ts";
import { until } from "../until.ts";
import { deployed, pathOf, replaced, run, test } from "./deploy.ts";
import { FROM_SOURCE, startProgram } from "./program.ts";
import { ask, brief } from "./reader.ts";

const UNIT = await deployed("httpfastcache.service");
const DROP_IN = await deployed("tls.conf");
const OPERATIONS = await Deno.readTextFile(`${import.meta.dirname}/../../docs/operations.md`);

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

Deno.test("a reload ends the process if the configuration is good, and leaves it alone if it is broken", async () => {
  await using stacosys = await stand.startStandIn();
  await using program = await startProgram({ Stacosys: stacosys.url });
  const file = `${program.folder}/config.json`;
  const good = await Deno.readTextFile(file);

  await Deno.writeTextFile(file, good.replace("HostPort", "HostPrt"));
  const refused = await reload(program.process.pid, file);
  assert(!refused.success);
  assertMatch(refused.output, /HostPort: expected/);
  assertEquals(brief(await ask(program, "/a/")), '200 {"count":7}');

  await Deno.writeTextFile(file, good);
  assert((await reload(program.process.pid, file)).success);
  assertEquals((await program.process.status).code, 0);
});

/** Does what `systemctl reload` does: one command after the other, until one fails. */
async function reload(pid: number, config: string): Promise<{ success: boolean; output: string }> {
  const commands = settings(UNIT, "ExecReload").map((command) =>
    command.replace("/usr/local/bin/httpfastcache", FROM_SOURCE.map(quote).join(" "))
      .replace("/etc/httpfastcache/config.json", quote(config)).replace("${MAINPID}", String(pid))
  );
  assertEquals(commands.length, 2);
  return await run("sh", "-c", commands.join(" && "));
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** The values that a unit gives to a key. */
function settings(unit: string, key: string): string[] {
  return [...unit.matchAll(new RegExp(`^${key}=(.*)$`, "gm"))].map(([, value = ""]) => value);
}

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
  const [where, hasTls, expected] of [
    ["of its own", true, "try-restart httpfastcache"],
    ["of NginX", false, "reload nginx"],
  ] as const
) {
  Deno.test(`after a renewal the hook has the new certificate taken for HTTPS ${where}`, async () => {
    await using folder = await makeFolder();
    const dropIn = `${folder.path}/tls.conf`;
    if (hasTls) await Deno.writeTextFile(dropIn, DROP_IN);
    const hook = replaced(
      await deployed("certbot-hook"),
      "/etc/systemd/system/httpfastcache.service.d/tls.conf",
      dropIn,
    );
    assertEquals(await run("sh", "-c", `systemctl() { echo "$@"; }\n${hook}`), {
      success: true,
      output: `${expected}\n`,
    });
  });
}

Deno.test("the drop-in and the site name the same certificate, and the drop-in the files of the documentation", async () => {
  const [certificate] = /\/etc\/letsencrypt\/live\/\S+fullchain.pem/.exec(DROP_IN) ?? [];
  assert((await deployed("nginx.conf")).includes(`ssl_certificate ${certificate};`));
  const paths = [...DROP_IN.matchAll(/"\/run\/credentials\/[^"]+"/g)].map(([path]) => path);
  assertEquals(paths.length, 2);
  for (const path of paths) assert(OPERATIONS.includes(path), path);
});

Deno.test("the documentation names each file of deploy/", async () => {
  for await (const { name } of Deno.readDir(pathOf(""))) assert(OPERATIONS.includes(name), name);
});

Deno.test("each link within the documentation leads to a heading", () => {
  const headings = [...OPERATIONS.matchAll(/^## (.*)$/gm)].map(([, text = ""]) =>
    text.toLowerCase().replaceAll(/[^\w -]/g, "").replaceAll(" ", "-")
  );
  const links = [...OPERATIONS.matchAll(/\]\(#([^)]*)\)/g)].map(([, link = ""]) => link);
  assertEquals(links.filter((link) => !headings.includes(link)), []);
});
