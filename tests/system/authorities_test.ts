/**
 * A Stacosys over HTTPS whose certificate comes from an authority of the owner's own, and what that needs of the
 * system.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { makeFolder } from "../folder.ts";
import * as stand from "../stand_in.ts";
import { testWith } from "./needs.ts";
import { FROM_SOURCE, runProgram, startProgram } from "./program.ts";
import { ask, brief } from "./reader.ts";

const TRIAL = `${import.meta.dirname}/../../compile/trial`;
const CERTIFICATE = await Deno.readTextFile(`${TRIAL}/certificate.pem`);
const BROKEN = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

/** As the unit of version 1.1.0 has it. */
const IN_UNIT = "DENO_TLS_CA_STORE=mozilla,system";

/** A Stacosys that shows the certificate of the trial, and counts 7. */
function startStacosys() {
  const key = Deno.readTextFileSync(`${TRIAL}/key.pem`);
  const options = { port: 0, hostname: "127.0.0.1", cert: CERTIFICATE, key, onListen() {} };
  const server = Deno.serve(options, () => Response.json({ count: 7 }));
  return { url: `https://localhost:${server.addr.port}`, [Symbol.asyncDispose]: () => server.shutdown() };
}

/** The command that starts the program where `/etc/ssl` has nothing but what `script` puts there. */
function withStore(script: string): string[] {
  const shell = `mount -t tmpfs tmpfs /etc/ssl && mkdir /etc/ssl/certs && ${script} && exec "$@"`;
  return ["env", "--unset=SSL_CERT_FILE", IN_UNIT, "unshare", "--mount", "sh", "-c", shell, "sh", ...FROM_SOURCE];
}

testWith(["mount"], "an authority that the system knows is trusted", async () => {
  await using stacosys = startStacosys();
  const command = withStore(`cp '${TRIAL}/certificate.pem' /etc/ssl/certs/ca-certificates.crt`);
  await using program = await startProgram({ Stacosys: stacosys.url }, command);
  assertEquals(brief(await ask(program, "/a/")), '200 {"count":7}');
  assertEquals(program.stderr(), "");
});

testWith(["mount"], "where the system knows none, a Stacosys over HTTP is served without a word", async () => {
  await using stacosys = await stand.startStandIn();
  await using program = await startProgram({ Stacosys: stacosys.url }, withStore("true"));
  assertEquals(brief(await ask(program, "/a/")), '200 {"count":7}');
  assertEquals(program.stderr(), "");
});

testWith(
  ["mount"],
  "where the system knows none, one over HTTPS costs a warning, which a check gives as well",
  async () => {
    await using program = await startProgram({ Stacosys: "https://stacosys.example" }, withStore("true"));
    assertMatch(
      program.stderr(),
      /^warning: .*: Stacosys: an authority of your own may not be trusted: no such file: \/etc\/ssl\/certs\/ca-certificates.crt\n$/,
    );
    const { code, stderr } = await runProgram(
      ["--check", "--config", `${program.folder}/config.json`],
      withStore("true"),
    );
    assertEquals({ code, stderr }, { code: 0, stderr: program.stderr() });
  },
);

for (
  const [what, text, answer, says] of [
    ["with the authority", CERTIFICATE, 200, undefined],
    ["in which another certificate is broken", BROKEN + CERTIFICATE, 200, "1 of 2 certificates are broken"],
    ["that was cut short", CERTIFICATE + CERTIFICATE.slice(0, 200), 200, undefined],
    ["that is empty", "", 404, "expected certificates in PEM, got none"],
    ["that is missing", undefined, 404, "No such file or directory"],
  ] as const
) {
  const result = answer === 200 ? "makes it trusted" : "does not keep it from serving";
  Deno.test(`a file ${what} that SSL_CERT_FILE names ${result}${says === undefined ? "" : ", with a warning"}`, async () => {
    await using stacosys = startStacosys();
    await using folder = await makeFolder();
    const file = `${folder.path}/authorities.pem`;
    if (text !== undefined) await Deno.writeTextFile(file, text);
    const command = ["env", IN_UNIT, `SSL_CERT_FILE=${file}`, ...FROM_SOURCE];
    await using program = await startProgram({ Stacosys: stacosys.url }, command);
    const said = program.stderr();
    assertEquals((await ask(program, "/a/")).status, answer);
    assertMatch(said, says === undefined ? /^$/ : new RegExp(`^warning: .* not be trusted: .*${says}.*\n$`));
  });
}
