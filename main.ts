/**
 * Command line, configuration, cache, proxy, server; in that order.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { STATUS_CODE } from "@std/http/status";
import { createAdmin } from "./admin/admin.ts";
import { Cache, startSweeper } from "./cache.ts";
import { type Address, type Config, parseConfig } from "./service/config.ts";
import { createCounters } from "./upstream/counters.ts";
import project from "./deno.json" with { type: "json" };
import { createHandoff, type Handoff } from "./service/handoff.ts";
import { createLog, type Log } from "./service/log.ts";
import { createMetrics, type Metrics } from "./admin/metrics.ts";
import { createOutage, type Outage } from "./upstream/outage.ts";
import { createProxy } from "./proxy.ts";
import { createScript } from "./blog/script.ts";
import { keepSnapshot } from "./service/snapshot.ts";
import { type Ask, createStacosys } from "./upstream/stacosys.ts";
import { pathOf } from "./upstream/target.ts";
import { type Certificate, readCertificate } from "./service/tls.ts";

const USAGE = `Usage: ${project.name} --config FILE [--check]

Caches the comment counters of Stacosys.

  --config FILE  the configuration, JSON
  --check        only check the configuration
  --help         show this
  --version      show the version`;

/** What is asked directly, whatever proxy the environment names. Go leaves these out too. */
const LOOPBACK = "localhost,127.0.0.0/8,::1";

/** How long requests under way may take once the process is told to end. */
const DRAIN_MS = 5_000;

/** How soon a listener is replaced that has broken. */
const RELISTEN_MS = 500;

/** The status that shells give a process ended by SIGTERM. With 1, a fault at the start, systemd lets it rest. */
const KILLED = 143;

/** Runs the program. What keeps it from starting is one line on stderr for each fault, and ends it with status 1. */
export async function main(args: readonly string[]): Promise<void> {
  const { file, check } = parseCommandLine(args);
  const { config, text, tls } = await readConfig(file);
  if (check) end(`${file}: good`);
  say(`config: ${text}`);

  const log = createLog();
  surviveFaults(log);
  const { staleMs, staleWhileRevalidateMs, stacosys, timeoutMs, snapshotFile, paths } = config;
  const cache = new Cache<string>({ ...config, staleMs: Math.max(staleMs, staleWhileRevalidateMs) });
  const metrics = createMetrics();
  const outage = createOutage(log);
  bypassProxy();
  const ask = watch(createStacosys({ url: stacosys, timeoutMs }), metrics, outage);
  const counters = createCounters({ cache, ask, outage, staleWhileRevalidateMs });
  const save = snapshotFile === undefined
    ? undefined
    : keepSnapshot(cache, { file: snapshotFile, stacosys }, (key) => paths.includes(pathOf(key)), log);
  startSweeper(cache, config.sweepMs, save);

  const proxy = createProxy({ ...config, cache, counters, requests: metrics.requests, script: await createScript() });
  const { reusePort } = config;
  const handoff = reusePort ? createHandoff(proxy) : undefined;
  const servers = [serve(config.listen, { reusePort, ...tls }, handoff?.handle ?? proxy, log)];
  let where = urlOf(tls === undefined ? "http" : "https", config.listen);
  if (config.admin !== undefined) {
    servers.push(serve(config.admin, { reusePort }, createAdmin({ cache, counters, metrics, outage }), log));
    where += `, for its owner on ${urlOf("http", config.admin)}`;
  }
  stopOnSignals(servers, handoff, save, log);
  say(`${project.name} ${project.version}: listening on ${where}, for Stacosys at ${stacosys}`);

  if (save !== undefined) return;
  await Deno.permissions.revoke({ name: "write" });
  await Deno.permissions.revoke({ name: "read" });
}

function parseCommandLine(args: readonly string[]): { file: string; check: boolean } {
  const strange: string[] = [];
  const { _, config, check, help, version } = parseArgs(
    // As with Go's flag package, one dash does for two.
    args.map((arg) => arg.replace(/^-(?=[a-z]{2})/, "--")),
    {
      string: ["config", "_"],
      boolean: ["check", "help", "version"],
      unknown: (arg, key) => key === undefined || strange.push(arg),
    },
  );
  strange.push(..._.map(String));
  if (help === true) end(USAGE);
  if (version === true) end(`${project.name} ${project.version}`);
  if (strange.length > 0) {
    const got = strange.map((arg) => arg || '""').join(" ");
    fail(`${project.name}: expected --config FILE, got ${got}; try --help`);
  }
  if (typeof config !== "string" || config === "") fail(USAGE);
  return { file: config, check: check === true };
}

async function readConfig(file: string): Promise<{ config: Config; text: string; tls: Certificate | undefined }> {
  let text;
  try {
    text = Deno.readTextFileSync(file);
  } catch (error) {
    fail(`File error: ${reason(error)}`);
  }
  const { config, faults, warnings } = parseConfig(text, file);
  const tls = config?.tls && await readCertificate(
    config.tls,
    (key, fault) => faults.push(`${file}: ${key}: ${fault}`),
    (key, warning) => warnings.push(`${file}: ${key}: ${warning}`),
  );
  for (const warning of warnings) say(`warning: ${warning}`, console.warn);
  return config === undefined || faults.length > 0 ? fail(faults.join("\n")) : { config, text, tls };
}

/** Keeps a proxy that the environment names from standing between this machine and itself. Call it before any `fetch`. */
export function bypassProxy(): void {
  const listed = Deno.env.get("NO_PROXY") || Deno.env.get("no_proxy");
  Deno.env.set("NO_PROXY", listed ? `${listed},${LOOPBACK}` : LOOPBACK);
}

/** Tells those who count and those who log about each answer of Stacosys. */
function watch(ask: Ask, metrics: Metrics, outage: Outage): Ask {
  return async (target) => {
    const start = performance.now();
    const answer = await ask(target);
    metrics.answered(answer, (performance.now() - start) / 1000);
    outage.answered(target, answer);
    return answer;
  };
}

/** What listens until it is shut down. */
type Server = Pick<Deno.HttpServer, "shutdown">;

function serve(
  { hostname, port }: Address,
  how: { reusePort: boolean; cert?: string; key?: string },
  handler: Deno.ServeHandler,
  log: Log,
): Server {
  const options = {
    ...how,
    port,
    onListen: () => {},
    onError: (error: unknown) => {
      log("error", `a request could not be answered: ${inFull(error)}`);
      return new Response("500 internal server error\n", { status: STATUS_CODE.InternalServerError });
    },
  };
  function listen(signal: AbortSignal): Deno.HttpServer {
    try {
      return Deno.serve({ ...options, signal, hostname: hostname ?? "::" }, handler);
    } catch (error) {
      // A machine without IPv6 has no "::".
      if (hostname !== undefined || error instanceof Deno.errors.AddrInUse) throw error;
      return Deno.serve({ ...options, signal, hostname: "0.0.0.0" }, handler);
    }
  }
  try {
    return keepListening(listen, log);
  } catch (error) {
    return fail(`${project.name}: cannot listen on ${inUrl(hostname ?? "")}:${port}: ${reason(error)}`);
  }
}

/**
 * Listens again whenever a server has given up. `Deno.serve` does so at the first connection that it cannot accept, for
 * example because too many files are open. Its connections are closed then, which makes room.
 */
function keepListening(listen: (signal: AbortSignal) => Deno.HttpServer, log: Log): Server {
  let connections = new AbortController();
  let server = listen(connections.signal);
  let stopping = false;
  async function relisten(): Promise<void> {
    for (let broken = false; !stopping; broken = true) {
      try {
        if (broken) server = listen(connections.signal);
        return await server.finished;
      } catch (error) {
        log("error", `a connection could not be accepted, all are closed: ${reason(error)}`);
        // Unlike `shutdown`, it closes also those over HTTP/2 on which nothing happens.
        connections.abort();
        connections = new AbortController();
        await new Promise((resolve) => setTimeout(resolve, RELISTEN_MS));
      }
    }
  }
  relisten();
  return {
    shutdown() {
      stopping = true;
      return server.shutdown();
    },
  };
}

function urlOf(protocol: string, { hostname = "::", port }: Address): string {
  return `${protocol}://${inUrl(hostname)}:${port}`;
}

function inUrl(hostname: string): string {
  return hostname.includes(":") ? `[${hostname}]` : hostname;
}

/** Ends the process when it is told to: no new requests, those under way answered, the cache saved. */
function stopOnSignals(
  servers: readonly Server[],
  handoff: Handoff | undefined,
  save: (() => Promise<void>) | undefined,
  log: Log,
): void {
  let stopping = false;
  async function stop(): Promise<void> {
    if (stopping) Deno.exit(KILLED);
    stopping = true;
    await handoff?.calm();
    const drained = Promise.all(servers.map((server) => server.shutdown()));
    handoff?.release();
    await Promise.race([drained, new Promise((resolve) => setTimeout(resolve, DRAIN_MS))]);
    await save?.();
    Deno.exit(0);
  }
  Deno.addSignalListener("SIGINT", stop);
  if (Deno.build.os === "windows") return;
  Deno.addSignalListener("SIGTERM", stop);
  Deno.addSignalListener("SIGHUP", () => log("info", "SIGHUP is ignored; restart to read the configuration again"));
}

/** Faults that nobody foresaw are logged, and readers go on being served. */
function surviveFaults(log: Log): void {
  addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    log("error", `a promise was rejected: ${inFull(event.reason)}`);
  });
  addEventListener("error", (event) => {
    event.preventDefault();
    log("error", `an error was thrown: ${inFull(event.error)}`);
  });
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The error and where it came from, in one line. */
function inFull(error: unknown): string {
  const text = error instanceof Error ? error.stack ?? error.message : String(error);
  return text.replaceAll(/\s+/g, " ");
}

/** Tells the owner what he may like to know. */
function say(text: string, write = console.log): void {
  try {
    write(text);
  } catch {
    // It may go to a disk that is full. Readers are served all the same.
  }
}

function end(text: string): never {
  console.log(text);
  Deno.exit(0);
}

function fail(text: string): never {
  console.error(text);
  Deno.exit(1);
}

if (import.meta.main) await main(Deno.args).catch((error) => fail(`${project.name}: ${reason(error)}`));
