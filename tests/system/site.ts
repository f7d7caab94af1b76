/**
 * The site of deploy/nginx.conf in a real NginX, and the changes that its comments tell how to make.
 *
 * @module
 */

import { assert } from "@std/assert";
import { replaced, siteAt } from "../../bench/site.ts";
import { type Folder, makeFolder } from "../folder.ts";
import { until } from "../until.ts";
import { deployed, end, PATH, run } from "./deploy.ts";
import { freePort } from "./program.ts";
import { type Answer, received } from "./reader.ts";

const SITE = await deployed("nginx.conf");

/** Generous, since the machine may be busy. */
const LIMIT_MS = 60_000;

/** A change that a comment in the site tells how to make. */
export type Edit = (site: string) => string;

export function asItIs(site: string): string {
  return site;
}

export function withBackup(site: string): string {
  return replaced(site, "# server 127.0.0.1:8100 backup;", "server 127.0.0.1:8100 backup;");
}

export function severalInstances(site: string): string {
  const [one = ""] = /^upstream httpfastcache \{.*?^\}\n/ms.exec(site) ?? [];
  return replaced(site, one, "").replaceAll(/^# (upstream httpfastcache \{| {4}.*|\})$/gm, "$1");
}

/** The site in a real NginX. */
export interface Site extends AsyncDisposable {
  /** Where it leads plain HTTP from. */
  readonly plainUrl: string;
  get(target: string, init?: RequestInit): Promise<Answer>;
  count(article: string): Promise<Answer>;
}

export async function startSite(
  caches: readonly { readonly url: string }[],
  stacosys: { readonly url: string },
  edit: Edit = asItIs,
): Promise<Site> {
  const folder = await makeFolder();
  const { file, url, plainUrl, cert } = await writeSite(folder, caches.map(hostOf), hostOf(stacosys), edit);
  const nginx = new Deno.Command("nginx", {
    args: ["-c", file],
    env: { PATH },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const said = new Response(nginx.stderr).text();
  const client = Deno.createHttpClient({ caCerts: [cert] });

  async function dispose(): Promise<void> {
    client.close();
    await end(nginx, "SIGTERM");
    await said;
    await folder[Symbol.asyncDispose]();
  }
  async function get(target: string, init: RequestInit = {}): Promise<Answer> {
    return await received(await fetch(url + target, { ...init, client }));
  }
  try {
    await Promise.race([
      until(() => listens(new URL(url)), "NginX listens", LIMIT_MS),
      nginx.status.then(async () => Promise.reject(new Error(`NginX has ended: ${await said}`))),
    ]);
  } catch (error) {
    await dispose();
    throw error;
  }
  return {
    plainUrl,
    get,
    count: (article) => get(`/comments/count?token=t&url=${article}`),
    [Symbol.asyncDispose]: dispose,
  };
}

/** Writes the site as the owner of this machine has it, and the configuration of NginX that it is part of. */
export async function writeSite(
  { path }: Folder,
  caches: readonly string[],
  stacosys: string,
  edit: Edit,
): Promise<{ readonly file: string; readonly url: string; readonly plainUrl: string; readonly cert: string }> {
  const [port, plainPort] = [freePort(), freePort()];
  const [first = "", second = ""] = caches;
  // NginX lets its workers, who are not root, do the writing.
  await Deno.chmod(path, 0o755);
  const { success, output } = await run(
    ...["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
    ...["-keyout", `${path}/privkey.pem`, "-out", `${path}/fullchain.pem`, "-subj", "/CN=comments.example.org"],
    ...["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"],
  );
  assert(success, output);

  const home = { certificate: path, ownCache: `${path}/cache`, port, plainPort };
  const site = replaced(siteAt(edit(SITE), home), "127.0.0.1:8100", stacosys)
    .replaceAll("127.0.0.1:8101", first)
    .replace("192.0.2.11:8101", first)
    .replace("192.0.2.12:8101", second);

  const file = `${path}/nginx.conf`;
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  await Deno.writeTextFile(
    file,
    `daemon off;
pid ${path}/pid;
error_log stderr;
events {}
http {
access_log off;
${temporary.map((name) => `${name}_temp_path ${path}/${name};`).join("\n")}
${site}
}
`,
  );
  return {
    file,
    url: `https://127.0.0.1:${port}`,
    plainUrl: `http://127.0.0.1:${plainPort}`,
    cert: await Deno.readTextFile(`${path}/fullchain.pem`),
  };
}

async function listens({ hostname, port }: URL): Promise<boolean> {
  try {
    using _ = await Deno.connect({ hostname, port: Number(port) });
    return true;
  } catch {
    return false;
  }
}

function hostOf({ url }: { readonly url: string }): string {
  return new URL(url).host;
}
