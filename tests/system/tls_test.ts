/**
 * The service's own HTTPS: what it takes for a certificate, and what it says of one that is of no use.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type Folder, makeFolder } from "../folder.ts";
import type { Log } from "../../service/log.ts";
import { watchCertificate } from "../../service/tls.ts";
import { type Need, testWith } from "./needs.ts";
import { type Ended, freePort, runProgram, startProgram } from "./program.ts";
import { ask, brief, received } from "./reader.ts";
import * as stand from "../stand_in.ts";
import { until } from "../until.ts";

const DAY_MS = 86_400_000;

const KEYS = {
  "ECDSA (P-256)": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
  "ECDSA (P-384)": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
  "RSA (2048)": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
  "Ed25519": ["-algorithm", "ED25519"],
} as const;

/** The files of a certificate and of its key. */
interface Files {
  readonly cert: string;
  readonly key: string;
}

// A good certificate.

for (const [name, options] of Object.entries(KEYS)) {
  withOpenssl(`readers are served over HTTPS with an ${name} key`, async (folder) => {
    await using stacosys = await stand.startStandIn();
    const { cert, key } = await makeCertificate(folder, { options });
    await using program = await startProgram({ Stacosys: stacosys.url, TlsCertFile: cert, TlsKeyFile: key });
    assertStringIncludes(program.stdout(), `listening on ${program.url}, for Stacosys`);
    assertMatch(program.url, /^https:/);
    using client = await trusting(cert);
    for (let pass = 0; pass < 2; pass++) assertEquals(brief(await count(program.url, client)), '200 {"count":7}');
    assertEquals(stacosys.requests.length, 1);
    assertEquals(program.stderr(), "");
  });
}

withOpenssl("a chain is handed out whole: who trusts only its root is served", async (folder) => {
  await using stacosys = await stand.startStandIn();
  const root = await makeCertificate(folder, { name: "root", authority: true });
  const middle = await makeCertificate(folder, { name: "middle", authority: true, issuer: root });
  const leaf = await makeCertificate(folder, { name: "leaf", issuer: middle });
  const chain = `${folder.path}/fullchain.pem`;
  await Deno.writeTextFile(chain, await Deno.readTextFile(leaf.cert) + await Deno.readTextFile(middle.cert));
  await using program = await startProgram({ Stacosys: stacosys.url, TlsCertFile: chain, TlsKeyFile: leaf.key });
  using client = await trusting(root.cert);
  assertEquals(brief(await count(program.url, client)), '200 {"count":7}');
});

withOpenssl("a key in the older form of its kind is as good", async (folder) => {
  await using stacosys = await stand.startStandIn();
  for (const [form, options] of [["ec", KEYS["ECDSA (P-256)"]], ["rsa", KEYS["RSA (2048)"]]] as const) {
    const { cert, key } = await makeCertificate(folder, { name: form, options });
    const older = `${folder.path}/older.pem`;
    await openssl(["pkey", "-in", key, "-out", older, "-traditional"]);
    assertMatch(await Deno.readTextFile(older), /BEGIN (EC|RSA) PRIVATE KEY/);
    await using program = await startProgram({ Stacosys: stacosys.url, TlsCertFile: cert, TlsKeyFile: older });
    using client = await trusting(cert);
    assertEquals(brief(await count(program.url, client)), '200 {"count":7}');
  }
});

withOpenssl("certificate and key may be in one file, in either order", async (folder) => {
  await using stacosys = await stand.startStandIn();
  for (const [form, options] of [["pkcs8", KEYS["ECDSA (P-256)"]], ["rsa", KEYS["RSA (2048)"]]] as const) {
    const { cert, key } = await makeCertificate(folder, { name: form, options });
    const pems = [await Deno.readTextFile(cert), await Deno.readTextFile(key)];
    for (const both of [pems, pems.toReversed()]) {
      const file = `${folder.path}/both.pem`;
      await Deno.writeTextFile(file, both.join("\n"));
      await using program = await startProgram({ Stacosys: stacosys.url, TlsCertFile: file, TlsKeyFile: file });
      using client = await trusting(cert);
      assertEquals(brief(await count(program.url, client)), '200 {"count":7}');
    }
  }
});

withOpenssl("who does not speak TLS is not answered, and the others are", async (folder) => {
  await using stacosys = await stand.startStandIn();
  const { cert, key } = await makeCertificate(folder);
  await using program = await startProgram({ Stacosys: stacosys.url, TlsCertFile: cert, TlsKeyFile: key });
  const answered = await ask({ url: program.url.replace("https:", "http:") }, "/a/").then(brief, () => "nothing");
  assertEquals(answered, "nothing");
  using client = await trusting(cert);
  assertEquals(brief(await count(program.url, client)), '200 {"count":7}');
});

withOpenssl("the owner's listener stays with HTTP, on its loopback address", async (folder) => {
  await using stacosys = await stand.startStandIn();
  const { cert, key } = await makeCertificate(folder);
  const AdminHostPort = `127.0.0.1:${freePort()}`;
  await using _ = await startProgram({ Stacosys: stacosys.url, TlsCertFile: cert, TlsKeyFile: key, AdminHostPort });
  assertEquals((await received(await fetch(`http://${AdminHostPort}/healthz`))).status, 200);
});

withOpenssl("HTTP/2 is spoken with those who can, HTTP/1.1 with the others", async (folder) => {
  await using stacosys = await stand.startStandIn();
  const { cert, key } = await makeCertificate(folder);
  await using program = await startProgram({ Stacosys: stacosys.url, TlsCertFile: cert, TlsKeyFile: key });
  const target = `${program.url}/comments/count?token=T&url=/a/`;
  for (const [option, version] of [["--http2", "2"], ["--http1.1", "1.1"]] as const) {
    const args = ["--silent", "--cacert", cert, option, "--write-out", "%{http_version}", target];
    const { stdout } = await new Deno.Command("curl", { args }).output();
    assertEquals(new TextDecoder().decode(stdout), `{"count":7}\n${version}`);
  }
}, ["curl"]);

// Certificates end.

withOpenssl("a certificate in the last third of its life is a warning, and served", async (folder) => {
  await using stacosys = await stand.startStandIn();
  const to = inDays(29);
  const { cert, key } = await makeCertificate(folder, { from: inDays(-61), to });
  await using program = await startProgram({ Stacosys: stacosys.url, TlsCertFile: cert, TlsKeyFile: key });
  await until(() => program.stderr().endsWith("\n"), "there is a warning");
  const file = `${program.folder}/config.json`;
  assertEquals(program.stderr(), `warning: ${file}: TlsCertFile: ${cert} expires ${to.toISOString()}; renew it\n`);
  using client = await trusting(cert);
  assertEquals(brief(await count(program.url, client)), '200 {"count":7}');
  const { code, stderr } = await check(folder, { TlsCertFile: cert, TlsKeyFile: key });
  assertEquals(code, 0);
  assertMatch(stderr, /^warning: .+: TlsCertFile: .+; renew it\n$/);
});

withOpenssl("a certificate before that is no matter for a word, also if it lives for six days", async (folder) => {
  for (const [name, from, to] of [["long", inDays(-59), inDays(31)], ["short", inDays(-1), inDays(5)]] as const) {
    const { cert, key } = await makeCertificate(folder, { name, from, to });
    const { code, stderr } = await check(folder, { TlsCertFile: cert, TlsKeyFile: key });
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
  }
});

Deno.test("once a day the log has a line of a certificate that is due, and of one that has ended", () => {
  const life = { beginsAt: Date.UTC(2026, 0, 1), endsAt: Date.UTC(2026, 0, 7) };
  const lines: string[] = [];
  const log: Log = (level, text) => lines.push(`${level} ${text}`);
  let now = life.beginsAt + DAY_MS / 2;
  watchCertificate({ life }, log, () => now, (look, everyMs) => {
    for (let day = 1; day <= 7; day++) {
      now += everyMs;
      look();
    }
  });
  const advice = "renew it, or restart if that is done";
  const due = `warning the certificate in use expires 2026-01-07T00:00:00.000Z; ${advice}`;
  const ended = `error the certificate in use expired 2026-01-07T00:00:00.000Z, and browsers refuse it; ${advice}`;
  assertEquals(lines, [due, due, ended, ended]);
});

withOpenssl("its owner is told how long the certificate lasts yet", async (folder) => {
  const to = inDays(10);
  const { cert, key } = await makeCertificate(folder, { from: inDays(-80), to });
  const AdminHostPort = `127.0.0.1:${freePort()}`;
  const config = { Stacosys: "http://127.0.0.1:9", TlsCertFile: cert, TlsKeyFile: key, AdminHostPort };
  await using _ = await startProgram(config);
  const own = async (path: string) => (await received(await fetch(`http://${AdminHostPort}${path}`))).text;
  const { certificate, certificateEndsSeconds } = JSON.parse(await own("/healthz"));
  assertEquals([certificate, Math.ceil(certificateEndsSeconds / 86_400)], ["due", 10]);
  const end = `httpfastcache_certificate_end_time_seconds ${to.getTime() / 1000}\n`;
  assertStringIncludes(await own("/metrics"), end);
  assertStringIncludes(await own("/"), "should have been renewed");
});

// Of no use.

refused("one that has ended", async (folder) => {
  const to = inDays(-1);
  const { cert, key } = await makeCertificate(folder, { from: inDays(-90), to });
  return {
    config: { TlsCertFile: cert, TlsKeyFile: key },
    fault: `TlsCertFile: expected a certificate that is valid, got ${cert}, which expired ${to.toISOString()}`,
  };
});

withOpenssl(
  "a certificate that does not begin yet is a warning, as the clock may be wrong, and served",
  async (folder) => {
    const from = inDays(2);
    const { cert, key } = await makeCertificate(folder, { from });
    const { code, stderr } = await check(folder, { TlsCertFile: cert, TlsKeyFile: key });
    assertEquals(code, 0);
    assertStringIncludes(stderr, `TlsCertFile: ${cert} begins ${from.toISOString()}; by the clock of this machine, `);
  },
);

refused("one with the key of another", async (folder) => {
  const { cert } = await makeCertificate(folder, { name: "mine" });
  const { key } = await makeCertificate(folder, { name: "other" });
  return {
    config: { TlsCertFile: cert, TlsKeyFile: key },
    fault:
      `TlsKeyFile: expected the key of the first certificate in ${cert}, got that of another certificate in ${key}`,
  };
});

refused("one without its key", async (folder) => {
  const { cert } = await makeCertificate(folder);
  return {
    config: { TlsCertFile: cert },
    fault: "TlsKeyFile: expected a file name, as TlsCertFile has one, got nothing",
  };
});

refused("a key without one", async (folder) => {
  const { key } = await makeCertificate(folder);
  return {
    config: { TlsKeyFile: key },
    fault: "TlsCertFile: expected a file name, as TlsKeyFile has one, got nothing",
  };
});

refused("one that is not there", async (folder) => {
  const { key } = await makeCertificate(folder);
  const cert = `${folder.path}/missing.pem`;
  return {
    config: { TlsCertFile: cert, TlsKeyFile: key },
    fault: `TlsCertFile: expected a certificate in PEM, got No such file or directory (os error 2): stat '${cert}'`,
  };
});

refused("a key that is not there", async (folder) => {
  const { cert } = await makeCertificate(folder);
  const key = `${folder.path}/missing.pem`;
  const expected = "expected a private key in PEM, without a passphrase";
  return {
    config: { TlsCertFile: cert, TlsKeyFile: key },
    fault: `TlsKeyFile: ${expected}, got No such file or directory (os error 2): stat '${key}'`,
  };
});

refused("one that is not PEM", async (folder) => {
  const { cert, key } = await makeCertificate(folder);
  const der = `${folder.path}/cert.der`;
  await openssl(["x509", "-in", cert, "-outform", "DER", "-out", der]);
  return {
    config: { TlsCertFile: der, TlsKeyFile: key },
    fault: `TlsCertFile: expected a certificate in PEM, got something else in ${der}`,
  };
});

refused("a key that is not PEM", async (folder) => {
  const { cert } = await makeCertificate(folder);
  const key = `${folder.path}/text.pem`;
  await Deno.writeTextFile(key, "not a key\n");
  return {
    config: { TlsCertFile: cert, TlsKeyFile: key },
    fault: `TlsKeyFile: expected a private key in PEM, without a passphrase, got something else in ${key}`,
  };
});

refused("a pipe, which nobody writes to,", async (folder) => {
  const { cert } = await makeCertificate(folder);
  const key = `${folder.path}/pipe.pem`;
  assert(new Deno.Command("mkfifo", { args: [key] }).outputSync().success);
  const expected = "expected a private key in PEM, without a passphrase";
  return {
    config: { TlsCertFile: cert, TlsKeyFile: key },
    fault: `TlsKeyFile: ${expected}, got ${key}, which is no file`,
  };
});

refused("a key with a passphrase", async (folder) => {
  const { cert, key } = await makeCertificate(folder);
  const locked = `${folder.path}/locked.pem`;
  await openssl(["pkcs8", "-topk8", "-in", key, "-out", locked, "-passout", "pass:secret"]);
  return {
    config: { TlsCertFile: cert, TlsKeyFile: locked },
    fault: `TlsKeyFile: expected a private key in PEM, without a passphrase, got something else in ${locked}`,
  };
});

withOpenssl("a key of a kind that TLS does not take is a fault, not a start that fails", async (folder) => {
  const options = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"];
  const { cert, key } = await makeCertificate(folder, { options });
  const { code, stderr } = await check(folder, { TlsCertFile: cert, TlsKeyFile: key });
  assertEquals(code, 1);
  assertMatch(stderr, /^[^\n]*: TlsCertFile: expected a certificate and key that TLS takes, got [^\n]*\n$/);
});

refused("a chain with nonsense in it", async (folder) => {
  const { cert, key } = await makeCertificate(folder);
  const chain = `${folder.path}/chain.pem`;
  const nonsense = `-----BEGIN CERTIFICATE-----\n${btoa("nonsense")}\n-----END CERTIFICATE-----\n`;
  await Deno.writeTextFile(chain, await Deno.readTextFile(cert) + nonsense);
  return {
    config: { TlsCertFile: chain, TlsKeyFile: key },
    fault: `TlsCertFile: expected a certificate in PEM, got something else in ${chain}`,
  };
});

withOpenssl("certificate and key the wrong way round are two faults, a line each", async (folder) => {
  const { cert, key } = await makeCertificate(folder);
  const { code, stderr } = await check(folder, { TlsCertFile: key, TlsKeyFile: cert });
  assertEquals(code, 1);
  assertEquals(stderr.trimEnd().split("\n").map((line) => /: (Tls\w+): expected /.exec(line)?.[1]), [
    "TlsCertFile",
    "TlsKeyFile",
  ]);
});

/** A test of a certificate that keeps the program from starting, and that --check reports in the same words. */
function refused(
  what: string,
  make: (folder: Folder) => Promise<{ config: Record<string, string>; fault: string }>,
): void {
  withOpenssl(`${what} keeps it from starting, and --check says so, too`, async (folder) => {
    const { config, fault } = await make(folder);
    const expected = { code: 1, stdout: "", stderr: `${folder.path}/config.json: ${fault}\n` };
    assertEquals(await check(folder, config), expected);
    assertEquals(await runProgram(["--config", `${folder.path}/config.json`]), expected);
  });
}

/** A test that needs certificates, and a folder for them. */
function withOpenssl(name: string, test: (folder: Folder) => Promise<void>, needs: readonly Need[] = []): void {
  testWith(["openssl", ...needs], name, async () => {
    await using folder = await makeFolder();
    await test(folder);
  });
}

/** What --check says of a configuration. */
async function check(folder: Folder, config: Record<string, string>): Promise<Ended> {
  const file = `${folder.path}/config.json`;
  const HostPort = `127.0.0.1:${freePort()}`;
  await Deno.writeTextFile(file, JSON.stringify({ HostPort, Stacosys: "http://127.0.0.1:9", ...config }));
  return await runProgram(["--check", "--config", file]);
}

/** A client that trusts one certificate, and those that it issued. */
async function trusting(cert: string): Promise<Deno.HttpClient> {
  return Deno.createHttpClient({ caCerts: [await Deno.readTextFile(cert)] });
}

async function count(url: string, client: Deno.HttpClient) {
  return await received(await fetch(`${url}/comments/count?token=T&url=/a/`, { client }));
}

/** Now and so many days, in whole seconds, as certificates have it. */
function inDays(days: number): Date {
  return new Date(Math.floor(Date.now() / 1000) * 1000 + days * DAY_MS);
}

/** Makes a certificate for 127.0.0.1, its own issuer if there is no other. */
async function makeCertificate(
  folder: Folder,
  { name = "site", options = KEYS["ECDSA (P-256)"], from = inDays(-1), to = inDays(90), authority = false, issuer }: {
    readonly name?: string;
    readonly options?: readonly string[];
    readonly from?: Date;
    readonly to?: Date;
    readonly authority?: boolean;
    readonly issuer?: Files;
  } = {},
): Promise<Files> {
  const home = `${folder.path}/${name}`;
  const [cert, key] = [`${home}.cert.pem`, `${home}.key.pem`];
  await openssl(["genpkey", ...options, "-out", key]);
  await openssl(["req", "-new", "-key", key, "-subj", `/CN=${name}`, "-out", `${home}.request`]);
  await Deno.mkdir(home);
  await Deno.writeTextFile(`${home}/index`, "");
  // Of openssl's commands only `ca` takes dates in the past.
  await Deno.writeTextFile(
    `${home}/config`,
    `[all]
database = ${home}/index
new_certs_dir = ${home}
rand_serial = yes
default_md = default
policy = policy
x509_extensions = extensions
[policy]
commonName = supplied
[extensions]
basicConstraints = critical, CA:${authority ? "TRUE" : "FALSE"}
subjectAltName = IP:127.0.0.1
`,
  );
  const by = issuer === undefined ? ["-selfsign", "-keyfile", key] : ["-cert", issuer.cert, "-keyfile", issuer.key];
  const dates = ["-startdate", asn1(from), "-enddate", asn1(to)];
  const files = ["-config", `${home}/config`, "-in", `${home}.request`, "-out", cert];
  await openssl(["ca", "-batch", "-notext", "-name", "all", ...by, ...dates, ...files]);
  return { cert, key };
}

/** `20260131235959Z` */
function asn1(date: Date): string {
  return `${date.toISOString().replace(/\.\d+Z$/, "").replaceAll(/\D/g, "")}Z`;
}

async function openssl(args: readonly string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("openssl", { args: [...args] }).output();
  assert(success, `openssl ${args[0]}: ${new TextDecoder().decode(stderr)}`);
}
