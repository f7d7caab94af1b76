/**
 * A Stacosys that asks for a user and a password: it gets them, and nobody else does.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { makeFolder } from "../folder.ts";
import { freePort, FROM_SOURCE, runProgram, startProgram } from "./program.ts";
import { ask, brief } from "./reader.ts";
import * as stand from "../stand_in.ts";
import { until } from "../until.ts";

/** What the file says after `"Stacosys":`, with HOST for the host, and what Stacosys is to get. */
const SPELLINGS: readonly (readonly [text: string, sent: string])[] = [
  ['"http://meuser:s3cret@HOST"', "meuser:s3cret"],
  ['"http://meuser:s3cret@s3cret@HOST"', "meuser:s3cret@s3cret"],
  ['"http://meuser:s3cret s3cret@HOST"', "meuser:s3cret s3cret"],
  ['"http://meuser:s3cret\\"s3cret@HOST"', 'meuser:s3cret"s3cret'],
  ['"http:/meuser:s3cret@HOST"', "meuser:s3cret"],
  ['"http:meuser:s3cret@HOST"', "meuser:s3cret"],
  ['"http:\\\\\\\\meuser:s3cret@HOST"', "meuser:s3cret"],
  ['"http\\u003a//meuser\\u003as3cret@HOST"', "meuser:s3cret"],
  ['"http://meuser:s3cret\\u0040HOST"', "meuser:s3cret"],
  ['"http://meuser@HOST"', "meuser:"],
  ['"http://:s3cret@HOST"', ":s3cret"],
  ['"http://meuser:s3cre%74@HOST/"', "meuser:s3cret"],
  ['"HTTP://MEUSER:S3CRET@HOST"', "MEUSER:S3CRET"],
  ['" \\tht\\ntp://meuser:s3cr\\tet@HOST "', "meuser:s3cret"],
  ['"http://meuser:s3cret@old.test", "stacosys": "http://meuser:s3cret@HOST"', "meuser:s3cret"],
  ['"http://meuser:s3cret@old.test", "Stacosys": "http://HOST"', ""],
];

Deno.test("nothing that the program says or writes has the user or the password of Stacosys in it, however they are spelled", async () => {
  for (const [spelling, sent] of SPELLINGS) {
    await using stacosys = await stand.startStandIn();
    await using folder = await makeFolder();
    const SnapshotFile = `${folder.path}/snapshot`;
    const AdminHostPort = `127.0.0.1:${freePort()}`;
    const HOST = new URL(stacosys.url).host;
    // As an older version left it.
    const header = { kind: "httpfastcache snapshot", version: 1, stacosys: `http://meuser:s3cret@${HOST}` };
    await Deno.writeTextFile(SnapshotFile, `${JSON.stringify(header)}\n{"entries":0}\n`);

    const config = { Stacosys: "HERE", TtlSeconds: 0.01, SnapshotFile, AdminHostPort };
    await using program = await startProgram(
      config,
      FROM_SOURCE,
      (config) => JSON.stringify(config).replace('"HERE"', spelling.replace("HOST", HOST)),
    );
    const check = await runProgram(["--config", `${program.folder}/config.json`, "--check"]);
    assertEquals(check.code, 0);

    assertEquals(brief(await ask(program, "/a/")), '200 {"count":7}', spelling);
    const authorization = stacosys.requests[0]?.headers.get("authorization");
    assertEquals(authorization, sent === "" ? undefined : `Basic ${btoa(sent)}`, spelling);
    await stacosys.stop();
    await until(async () => {
      await ask(program, "/b/");
      return program.stderr().includes("refused");
    }, "the log says that Stacosys fails");
    const owner = await Promise.all(["/", "/healthz", "/metrics"].map(async (path) => {
      return await (await fetch(`http://${AdminHostPort}${path}`)).text();
    }));
    program.process.kill("SIGTERM");
    assertEquals(await program.ended, 0);

    assertStringIncludes(program.stdout(), `config: {\n  "HostPort": "${new URL(program.url).host}",\n`);
    assertMatch(program.stdout(), new RegExp(`"http://${HOST}/?"`));
    assertStringIncludes(program.stdout(), `, for Stacosys at http://${HOST}\n`);
    assertMatch(program.stderr(), /warning cannot read \S+: expected counts of http:\/\/\S+, got those of another URL/);
    const snapshot = await Deno.readTextFile(SnapshotFile);
    assertStringIncludes(snapshot, `"stacosys":"http://${HOST}"`);
    for (const said of [program.stdout(), program.stderr(), check.stdout, check.stderr, ...owner, snapshot]) {
      assert(!/meuser|s3cr/i.test(said), `${spelling}: ${said}`);
    }
  }
});
