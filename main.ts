/**
 * Command line, configuration, cache, proxy, listeners; in that order.
 *
 * @module
 */

import { createAdmin } from "./admin/admin.ts";
import { Metrics } from "./admin/metrics.ts";
import { Recent } from "./admin/recent.ts";
import { createScript } from "./blog/script.ts";
import { Cache, startSweeper } from "./cache.ts";
import project from "./deno.json" with { type: "json" };
import { createProxy } from "./proxy.ts";
import { parseCommandLine } from "./service/command_line.ts";
import { type Config, parseConfig, readConfigFile } from "./service/config.ts";
import { AddressBusy, listen, type Listener, whenFree } from "./service/listen.ts";
import { createLog, hidePasswords, type Log, reason, survive } from "./service/log.ts";
import { Shutdown } from "./service/shutdown.ts";
import { keepSnapshot, whyNotSaved } from "./service/snapshot.ts";
import { type Certificate, readCertificate } from "./service/tls.ts";
import { lookAt, Watch } from "./service/watch.ts";
import { readAuthorities } from "./upstream/authorities.ts";
import { countOf } from "./upstream/count.ts";
import { Counters } from "./upstream/counters.ts";
import { Outage } from "./upstream/outage.ts";
import { type Ask, bypassProxy, createStacosys } from "./upstream/stacosys.ts";
import { pathOf } from "./upstream/target.ts";

const USAGE = `Usage: ${project.name} --config FILE [--check]

Caches the comment counters of Stacosys.

  --config FILE  the configuration, JSON
  --check        only check the configuration
  --help         show this
  --version      show the version`;

/** Exit statuses: a fault that only the owner can mend, one that may pass (as in sysexits), a second signal. */
const FAULT = 1;
const MAY_PASS = 75;
const KILLED = 143;

/** How long to wait for an address that is in use or not there yet. */
const WAIT_FOR_ADDRESS_MS = 10_000;

/** Runs the program. Each fault that keeps it from serving is one line on stderr; then it ends. */
export async function main(args: readonly string[]): Promise<void> {
  const command = parseCommandLine(args);
  if (command.does === "help") return end(USAGE);
  if (command.does === "version") return end(`${project.name} ${project.version}`);
  if (command.does === "usage") return fail(USAGE);
  const { text, config, certificate, caCerts } = await readConfig(command.file);
  if (command.does === "check") return check(command.file, config);
  const log = createLog();
  survive(log);
  const metrics = new Metrics();
  const outage = new Outage(log);
  bypassProxy();
  const { stacosys, timeoutMs } = config;
  const ask = observe(createStacosys({ url: stacosys, timeoutMs, caCerts }), metrics, outage);
  const { staleMs, staleWhileRevalidateMs, paths } = config;
  const cache = new Cache<string>({ ...config, staleMs: Math.max(staleMs, staleWhileRevalidateMs) });
  const counters = new Counters({ cache, ask, outage, staleIfErrorMs: staleMs, staleWhileRevalidateMs });
  const proxy = createProxy({ ...config, cache, counters, requests: metrics.requests, script: await createScript() });
  const shutdown = new Shutdown(proxy);

  const { reusePort, admin, snapshotFile: file, watchFile } = config;
  const watch = watchFile === undefined ? undefined : new Watch(watchFile, () => counters.purge(), log);
  // It looks before the first count is fetched: a change in between would go unseen.
  await watch?.start();
  const listeners: Listener[] = [];
  let save: (() => Promise<void>) | undefined = undefined;
  onSignals(log, async () => {
    await shutdown.end(listeners, reusePort);
    await save?.();
    Deno.exit(0);
  });
  async function open(start: () => Listener): Promise<string> {
    const listener = await listenWhenFree(start, log);
    listeners.push(listener);
    return listener.urls.join(" and ");
  }
  let forOwner = "";
  if (admin !== undefined) {
    const recent = new Recent({ cache, metrics, outage });
    recent.start();
    const owner = createAdmin({ ...config, cache, counters, metrics, outage, recent, readers: shutdown, watch });
    forOwner = `, for its owner on ${await open(() => listen(admin, { reusePort }, owner, log))}`;
  }
  const forReaders = await open(() => listen(config.listen, { reusePort, certificate }, shutdown.handle, log));
  const accepts = (key: string, body: string) => paths.includes(pathOf(key)) && countOf(body) !== undefined;
  save = file === undefined ? undefined : keepSnapshot(cache, { file, stacosys, accepts }, log);
  // There may have been a change since it was saved.
  if (watch !== undefined) cache.expireAll();
  startSweeper(cache, config.sweepMs, save);
  say(`config: ${text}`);
  say(`${project.name} ${project.version}: listening on ${forReaders}${forOwner}, for Stacosys at ${stacosys}`);

  if (save === undefined) await Deno.permissions.revoke({ name: "write" });
  if (save === undefined && watchFile === undefined) await Deno.permissions.revoke({ name: "read" });
}

interface Settings {
  readonly text: string;
  readonly config: Config;
  readonly certificate: Certificate | undefined;
  readonly caCerts: string[];
}

async function readConfig(file: string): Promise<Settings> {
  let text;
  try {
    text = readConfigFile(file);
  } catch (error) {
    return fail(`File error: ${reason(error)}`);
  }
  const { config, faults, warnings } = parseConfig(text, file);
  const { caCerts, fault } = readAuthorities();
  if (fault !== undefined && config?.stacosys.startsWith("https:")) {
    warnings.push(`${file}: Stacosys: an authority of your own may not be trusted: ${fault}`);
  }
  const certificate = config?.tls && await readCertificate(
    config.tls,
    (key, fault) => faults.push(`${file}: ${key}: ${fault}`),
    (key, warning) => warnings.push(`${file}: ${key}: ${warning}`),
  );
  for (const warning of warnings) say(`warning: ${warning}`, console.warn);
  return config === undefined || faults.length > 0 ? fail(faults.join("\n")) : { text, config, certificate, caCerts };
}

/** Checks what only the service's own user can know. */
async function check(file: string, { snapshotFile, watchFile, tls }: Config): Promise<never> {
  const warn = (text: string) => say(`warning: ${file}: ${text}`, console.warn);
  const notSaved = snapshotFile === undefined ? undefined : whyNotSaved(snapshotFile);
  if (notSaved !== undefined) warn(`SnapshotFile: cannot be saved: ${notSaved}`);
  const { fault = undefined } = watchFile === undefined ? {} : await lookAt(watchFile);
  if (fault !== undefined) warn(`WatchFile: ${fault}`);
  const usesFiles = [snapshotFile, watchFile, tls].some((used) => used !== undefined);
  const limit = usesFiles && Deno.uid() === 0
    ? "; run as root, so the rights of the service's user are not checked"
    : "";
  return end(`${file}: good${limit}`);
}

/** Reports each answer of Stacosys to the metrics and to the log of outages. */
function observe(ask: Ask, metrics: Metrics, outage: Outage): Ask {
  return async (target) => {
    const start = performance.now();
    const answer = await ask(target);
    const ms = performance.now() - start;
    metrics.answered(answer, ms / 1000);
    outage.answered(target, answer, ms);
    return answer;
  };
}

function listenWhenFree(start: () => Listener, log: Log): Promise<Listener> {
  return whenFree(start, WAIT_FOR_ADDRESS_MS, ({ message }) => {
    log("warning", `${message}; trying for ${WAIT_FOR_ADDRESS_MS / 1000} s, then exiting with status ${MAY_PASS}`);
  });
}

function onSignals(log: Log, stop: () => Promise<void>): void {
  let stopping = false;
  function onSignal(): void {
    if (stopping) Deno.exit(KILLED);
    stopping = true;
    stop();
  }
  Deno.addSignalListener("SIGINT", onSignal);
  if (Deno.build.os === "windows") return;
  Deno.addSignalListener("SIGTERM", onSignal);
  Deno.addSignalListener("SIGHUP", () => log("info", "SIGHUP is ignored; restart to read the configuration again"));
}

/** Writes a line for the owner. */
function say(text: string, write = console.log): void {
  try {
    write(hidePasswords(text));
  } catch {
    // It may go to a disk that is full. Readers are served all the same.
  }
}

function end(text: string): never {
  console.log(text);
  Deno.exit(0);
}

function fail(text: string): never {
  say(text, console.error);
  Deno.exit(FAULT);
}

if (import.meta.main) {
  await main(Deno.args).catch((error) => {
    // It was said when the waiting began.
    if (error instanceof AddressBusy) Deno.exit(MAY_PASS);
    fail(`${project.name}: ${reason(error)}`);
  });
}
