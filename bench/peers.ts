/**
 * What is measured: each peer is started on a port of its own.
 *
 * @module
 */

import type { PeerName } from "./part.ts";
import { run, start } from "./processes.ts";

/** A running peer. */
export interface Peer {
  readonly name: string;
  /** Where it serves, without a slash at the end. */
  readonly url: string;
  /** The processes that count as it, with their descendants. */
  readonly pids: readonly number[];
  /** Those of them that are an NginX in front of it. */
  readonly front?: readonly number[];
}

/** Where a peer keeps what it needs, and what it stands in front of. */
export interface Setting {
  /** A folder that is removed at the end. */
  readonly folder: string;
  /** The URL of Stacosys. */
  readonly stacosys: string;
  /** How long counts are fresh, in seconds. */
  readonly ttlSeconds: number;
}

/** Where the project is. */
export const ROOT = `${import.meta.dirname}/../`;

/** The file that `deno task compile` makes. */
export const EXECUTABLE = `${ROOT}dist/httpfastcache`;

/** What the benchmark needs besides Deno. */
export interface Need {
  readonly name: string;
  /** What the shell finds it by. */
  readonly test: string;
  /** The packages of Debian that have it. */
  readonly packages: string;
  /** The peer that it is for; none: all. */
  readonly peer?: PeerName;
}

/** All that it needs. */
export const NEEDS: readonly Need[] = [
  { name: "wrk", test: "command -v wrk", packages: "wrk" },
  { name: "taskset", test: "command -v taskset", packages: "util-linux" },
  { name: "openssl", test: "command -v openssl", packages: "openssl" },
  { name: "nginx", test: "command -v nginx", packages: "nginx-light" },
  { name: "varnishd", test: "command -v varnishd", packages: "varnish", peer: "varnish" },
  {
    name: "go and its go-cache",
    test: "command -v go && ls /usr/share/gocode/src/github.com/patrickmn/go-cache",
    packages: "golang-go golang-github-patrickmn-go-cache-dev",
    peer: "go",
  },
  {
    name: "aiohttp and uvloop",
    test: "/usr/bin/python3 -c 'import aiohttp, uvloop'",
    packages: "python3-aiohttp python3-uvloop",
    peer: "python",
  },
  { name: "flask", test: "/usr/bin/python3 -c 'import flask'", packages: "python3-flask" },
];

/** A port that nobody listens on just now. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** Stacosys itself: Flask over SQLite. */
export async function flask(): Promise<Peer> {
  const port = freePort();
  const { pid } = start(["/usr/bin/python3", `${ROOT}bench/peers/stacosys.py`, `${port}`]);
  return await ready({ name: "Flask", url: `http://127.0.0.1:${port}`, pids: [pid] });
}

/** This program as its executable, with more keys of its configuration if need be. */
export async function executable(
  name: string,
  setting: Setting,
  more: Readonly<Record<string, unknown>> = {},
): Promise<Peer> {
  const config = { ...configFor(setting), ...more };
  const file = await write(setting, config);
  const { pid } = start([EXECUTABLE, "--config", file], { env: unpackedIn(setting.folder) });
  const protocol = more["TlsCertFile"] === undefined ? "http" : "https";
  return await ready({ name, url: `${protocol}://${config.HostPort}`, pids: [pid] });
}

/** The environment in which the executable unpacks itself into a folder of the benchmark, not of its user. */
export function unpackedIn(folder: string): Record<string, string> {
  return { XDG_CACHE_HOME: `${folder}/unpacked`, CACHE_DIRECTORY: "" };
}

/** A configuration, as this program and the Go program understand it. */
export interface PeerConfig {
  readonly HostPort: string;
  readonly Stacosys: string;
  readonly CorsOrigin: string;
  readonly TtlSeconds: number;
}

/** The configuration of a setting, with a free port. */
export function configFor({ stacosys, ttlSeconds }: Setting): PeerConfig {
  const CorsOrigin = "https://blog.example.org";
  return { HostPort: `127.0.0.1:${freePort()}`, Stacosys: stacosys, CorsOrigin, TtlSeconds: ttlSeconds };
}

async function write({ folder }: Setting, config: PeerConfig): Promise<string> {
  const file = `${folder}/${config.HostPort}.json`;
  await Deno.writeTextFile(file, JSON.stringify(config));
  return file;
}

/** A `Deno.serve` that does nothing but answer, with the headers of a hit. */
export async function bare(name: string): Promise<Peer> {
  const port = freePort();
  const { pid } = start([
    Deno.execPath(),
    "run",
    "--no-prompt",
    "--allow-net",
    `${ROOT}bench/peers/bare.ts`,
    `${port}`,
  ]);
  return await ready({ name, url: `http://127.0.0.1:${port}`, pids: [pid] });
}

/** The Go program that this one replaces; counts are fresh for five minutes, whatever the setting says. */
export async function go(name: string, setting: Setting, binary = "go-peer"): Promise<Peer> {
  const config = configFor(setting);
  const { pid } = start([`${setting.folder}/${binary}`, "--config", await write(setting, config)]);
  return await ready({ name, url: `http://${config.HostPort}`, pids: [pid] });
}

/** A cache on asyncio, in Python. */
export async function python(name: string, { stacosys, ttlSeconds }: Setting): Promise<Peer> {
  const port = freePort();
  const cache = `${ROOT}bench/peers/aiohttp_cache.py`;
  const { pid } = start(["/usr/bin/python3", cache, `${port}`, stacosys, `${ttlSeconds}`]);
  return await ready({ name, url: `http://127.0.0.1:${port}`, pids: [pid] });
}

/** Builds the Go program into a folder: as `go-peer`, and as `go-peer-1s`, whose counts are fresh for a second. */
export async function buildGo(folder: string): Promise<void> {
  const source = await Deno.readTextFile(`${ROOT}bench/peers/go/main.go`);
  const builds = { "go-peer": source, "go-peer-1s": source.replace("5*time.Minute", "time.Second") };
  for (const [name, text] of Object.entries(builds)) {
    await Deno.writeTextFile(`${folder}/${name}.go`, text);
    await run(["go", "build", "-o", `${folder}/${name}`, `${folder}/${name}.go`], {
      env: { GO111MODULE: "off", GOPATH: "/usr/share/gocode", GOCACHE: `${folder}/go-build`, GOFLAGS: "" },
    });
  }
}

/** Varnish with a cache in memory. */
export async function varnish(name: string, { folder, stacosys, ttlSeconds }: Setting): Promise<Peer> {
  const port = freePort();
  const { hostname, port: behind } = new URL(stacosys);
  const vcl = `${folder}/${port}.vcl`;
  await Deno.writeTextFile(
    vcl,
    `vcl 4.1;
backend default { .host = "${hostname}"; .port = "${behind}"; }
sub vcl_backend_response {
  set beresp.ttl = ${ttlSeconds}s;
  set beresp.http.Access-Control-Allow-Origin = "https://blog.example.org";
}
`,
  );
  const work = `${folder}/${port}.varnish`;
  const { pid } = start(["varnishd", "-F", "-a", `127.0.0.1:${port}`, "-f", vcl, "-n", work, "-s", "malloc,64m"]);
  return await ready({ name, url: `http://127.0.0.1:${port}`, pids: [pid] });
}

/** A Stacosys that costs nothing to ask and counts who does. */
export interface Upstream extends AsyncDisposable {
  readonly url: string;
  readonly asked: number;
}

/** Starts one, in this process. */
export function upstream(delayMs = 0): Upstream {
  let asked = 0;
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async () => {
    asked++;
    if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
    return new Response('{"count":7}\n', { headers: { "content-type": "application/json" } });
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    get asked() {
      return asked;
    },
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** What has that name. */
export function named<T>(all: ReadonlyMap<string, T>, name: string): T {
  const found = all.get(name);
  if (found === undefined) throw new Error(`expected one of ${[...all.keys()].join(", ")}, got ${name}`);
  return found;
}

/** Waits until a peer answers, and gives it back. */
export async function ready(peer: Peer): Promise<Peer> {
  for (const end = Date.now() + 20_000;;) {
    const { hostname, port } = new URL(peer.url);
    try {
      using _ = await Deno.connect({ hostname, port: Number(port) });
      return peer;
    } catch (error) {
      if (Date.now() > end) throw new Error(`${peer.name} does not listen on ${peer.url}: ${error}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
