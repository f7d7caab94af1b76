/**
 * NginX as it is measured: with a cache of its own, and in front of a peer.
 *
 * @module
 */

import { freePort, type Peer, ready, ROOT, type Setting } from "./peers.ts";
import { peerCores, run, start } from "./processes.ts";
import { replaced, siteAt, withoutOwnCache } from "./site.ts";

/** Starts NginX with a site, and as many workers as there are cores for it, as in Debian's nginx.conf. */
async function nginx(name: string, folder: string, port: number, site: string, protocol = "http"): Promise<Peer> {
  const own = `${folder}/nginx-${port}`;
  await Deno.mkdir(own);
  await Deno.writeTextFile(
    `${own}.conf`,
    `worker_processes ${peerCores()};
worker_rlimit_nofile 8192;
daemon off;
pid ${own}.pid;
error_log ${own}.log;
events { worker_connections 4096; }
http {
  # As in Debian's nginx.conf, but for the log and for readers who ask more often on a connection than any browser does.
  sendfile on;
  tcp_nopush on;
  access_log off;
  keepalive_requests 1000000;
  proxy_temp_path ${own}/proxy;
  client_body_temp_path ${own}/body;
  fastcgi_temp_path ${own}/fastcgi;
  uwsgi_temp_path ${own}/uwsgi;
  scgi_temp_path ${own}/scgi;
${site}
}
`,
  );
  const { pid } = start(["nginx", "-c", `${own}.conf`]);
  return await ready({ name, url: `${protocol}://127.0.0.1:${port}`, pids: [pid] });
}

/** What makes more of NginX's own cache: one request for each count, and files that are kept open. */
export const TUNED = "proxy_cache_lock on; open_file_cache max=1000 inactive=1h;";

/** NginX's own cache, as one would set it up in place of the Go program; `more` are directives besides. */
export async function nginxCache(name: string, setting: Setting, tls?: Certificate, more = ""): Promise<Peer> {
  const port = freePort();
  const { folder, stacosys, ttlSeconds } = setting;
  return await nginx(
    name,
    folder,
    port,
    `  proxy_cache_path ${folder}/cache-${port} keys_zone=counts:1m use_temp_path=off;
  server {
    ${tls === undefined ? `listen 127.0.0.1:${port};` : `listen 127.0.0.1:${port} ssl; ${certificateOf(tls)}`}
    location = /comments/count {
      proxy_pass ${stacosys};
      proxy_cache counts;
      proxy_cache_key $request_uri;
      proxy_cache_valid 200 ${ttlSeconds}s;
      add_header Access-Control-Allow-Origin https://blog.example.org;
      ${more}
    }
  }`,
    tls === undefined ? "http" : "https",
  );
}

/**
 * NginX with HTTPS before a peer, by the site of deploy/nginx.conf as it is: the same for all peers, but that only ours
 * is measured with its micro-cache, too.
 */
export async function nginxBefore(
  { folder }: Setting,
  peer: Peer,
  how: "with micro-cache" | "without" = "without",
): Promise<Peer> {
  const port = freePort();
  const home = { certificate: folder, ownCache: `${folder}/cache-${port}`, port, plainPort: freePort() };
  const site = siteAt(await Deno.readTextFile(`${ROOT}deploy/nginx.conf`), home);
  const before = replaced(site, "127.0.0.1:8101", new URL(peer.url).host);
  const front = await nginx(peer.name, folder, port, how === "without" ? withoutOwnCache(before) : before, "https");
  return { ...front, pids: [...front.pids, ...peer.pids], front: front.pids };
}

/** A certificate and its key, by the names of our configuration. */
export type Certificate = { readonly TlsCertFile: string; readonly TlsKeyFile: string };

/** Makes a certificate, as Let's Encrypt does by default: for an elliptic curve. */
export async function certificate(folder: string): Promise<Certificate> {
  const files = { TlsCertFile: `${folder}/fullchain.pem`, TlsKeyFile: `${folder}/privkey.pem` };
  await run([
    ...["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
    ...["-days", "90", "-subj", "/CN=comments.example.org"],
    ...["-out", files.TlsCertFile, "-keyout", files.TlsKeyFile],
  ]);
  return files;
}

function certificateOf({ TlsCertFile, TlsKeyFile }: Certificate): string {
  return `ssl_certificate ${TlsCertFile}; ssl_certificate_key ${TlsKeyFile};`;
}
