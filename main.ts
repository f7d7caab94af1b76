/**
 * Command line, configuration, cache, proxy, listeners; in that order.
 *
 * @module
 */

import { createAdmin } from "./admin/admin.ts";
import { Metrics } from "./admin/metrics.ts";
import { Recent } from "./admin/recent.ts";
import { createScript } from "./blog/script.ts";
import { startSweeper } from "./cache.ts";
import project from "./deno.json" with { type: "json" };
import { createProxy } from "./proxy.ts";
import { watchClock } from "./service/clock.ts";
import { parseCommandLine } from "./service/command_line.ts";
import { type Config, parseConfig, readConfigFile } from "./service/config.ts";
import { inTime } from "./service/in_time.ts";
import { escapeInvisible } from "./service/invisible.ts";
import { AddressBusy, listen, type Listener, whenFree } from "./service/listen.ts";
import { createLog, reason, survive } from "./service/log.ts";
import { onSignals, Shutdown, SIGNALS } from "./service/shutdown.ts";
import { Snapshot } from "./service/snapshot.ts";
import { whyNotSaved } from "./service/snapshot_file.ts";
import { type Certificate, readCertificate, watchCertificate } from "./service/tls.ts";
import { Watch, whyNotSeen } from "./service/watch.ts";
import { readAuthorities } from "./upstream/authorities.ts";
import { parseCount } from "./upstream/parse_count.ts";
import { Counters } from "./upstream/counters.ts";
import { proxyAsGo } from "./upstream/no_proxy.ts";
import { Outage } from "./upstream/outage.ts";
import { type Ask, createStacosys } from "./upstream/stacosys.ts";
import { pathOf } from "./upstream/target.ts";
import { PATHS } from "./upstream/versions.ts";

const USAGE = `Usage: ${project.name} --config FILE [--check]

Caches the comment counters of Stacosys.

  --config FILE  the configuration, JSON
  --check        only check the configuration
  --help         show this
  --version      show the version`;

/** Exit statuses: a fault that only the owner can mend, and one that may pass (as in sysexits). */
const FAULT = 1;
const MAY_PASS = 75;

/** How long to wait for an address that is in use or not there yet. */
const WAIT_FOR_ADDRESS_MS = 10_000;

/**
 * Runs the program. Each fault that keeps it from serving is one line on stderr; then it ends.
 *
 * @param signals which signals it heeds; Windows has the first alone.
 */
export async function main(args: readonly string[], signals = SIGNALS): Promise<void> {
  const command = parseCommandLine(args);
  if (command.does === "help") return end(USAGE);
  if (command.does === "version") return end(`${project.name} ${project.version}`);
  if (command.does === "usage") return fail(...USAGE.split("\n"));
  const settings = await readConfig(command.file);
  return command.does === "check" ? check(command.file, settings.config) : serve(settings, signals);
}

async function serve({ text, config, certificate, caCerts }: Settings, signals: readonly Deno.Signal[]): Promise<void> {
  const log = createLog();
  survive(log);
  const metrics = new Metrics();
  const outage = new Outage(log);
  proxyAsGo(config.stacosys.url);
  const { stacosys, timeoutMs, ttlMs, staleIfErrorMs, staleWhileRevalidateMs, maxEntries } = config;
  const ask = observe(createStacosys({ ...stacosys, timeoutMs, caCerts }), metrics, outage);
  const counters = new Counters({ ask, outage, ttlMs, staleIfErrorMs, staleWhileRevalidateMs, maxEntries });
  const { cache } = counters;
  const { paths = PATHS, corsOrigin, cacheControl } = config;
  const { results } = metrics;
  const proxy = createProxy({ counters, results, paths, corsOrigin, cacheControl, script: await createScript() });
  const shutdown = new Shutdown(proxy);

  const { reusePort, admin, snapshotFile: file, watchFile } = config;
  const watch = watchFile === undefined ? undefined : new Watch(watchFile, () => counters.purge(), log);
  // Look before the first fetch, or a change in between is missed.
  await watch?.start();
  const accepts = (key: string, body: string) => paths.includes(pathOf(key)) && parseCount(body) !== undefined;
  const snapshot = file === undefined ? undefined : new Snapshot(cache, { file, stacosys: stacosys.url, accepts }, log);
  await snapshot?.check();

  const readers: Listener[] = [];
  let owner: Listener | undefined;
  let save: (() => Promise<unknown>) | undefined;
  onSignals(signals, log, async () => {
    await shutdown.end(readers, reusePort);
    await save?.();
    save = undefined;
    // A client may owe the rest of its request for ever.
    if (owner !== undefined) await inTime(owner.shutdown(), undefined);
    Deno.exit(0);
  });
  const forReaders = await whenFree(
    () => listen(config.listen, { reusePort, certificate }, shutdown.handle, log),
    WAIT_FOR_ADDRESS_MS,
    ({ message }) =>
      log("warning", `${message}; trying for ${WAIT_FOR_ADDRESS_MS / 1000} s, then exiting with status ${MAY_PASS}`),
  );
  readers.push(forReaders);
  const recent = new Recent({ cache, metrics, outage });
  const parts = { cache, counters, metrics, outage, recent, shutdown, watch, snapshot, certificate };
  const handler = createAdmin({ ...parts, ttlMs, maxEntries });
  let waited = false;
  // Whoever has the owner's address gets each purge, and alone may save the snapshot.
  const whenOwned = admin && whenFree(
    () => {
      const listener = listen(admin, { reusePort: false }, handler, log);
      // The process that had it may have got a purge.
      if (waited) counters.purge();
      return listener;
    },
    Infinity,
    ({ message }) => {
      waited = true;
      log("warning", `${message}; until it is free nothing listens for the owner, and no snapshot is saved`);
    },
  );
  snapshot?.load();
  // There may have been a change since it was saved.
  if (watch !== undefined) cache.expireAll();
  startSweeper(cache, config.sweepMs, () => void save?.());
  watchClock(() => {
    cache.expireAll();
    log("warning", "the clock was set back; all counts have expired");
  });
  if (certificate !== undefined) watchCertificate(certificate, log);
  if (admin !== undefined) recent.start();
  if (!waited) owner = await whenOwned;
  const forOwner = owner === undefined ? "" : `, for its owner on ${urlsOf(owner)}`;
  say(`config: ${text}`);
  const where = `${urlsOf(forReaders)}${forOwner}, for Stacosys at ${stacosys.url}`;
  say(`${project.name} ${project.version}: listening on ${where}`);

  if (snapshot === undefined) await Deno.permissions.revoke({ name: "write" });
  if (snapshot === undefined && watch === undefined) await Deno.permissions.revoke({ name: "read" });
  owner ??= await whenOwned;
  if (waited && owner) log("info", `listening for the owner on ${urlsOf(owner)}; all counts have expired`);
  if (snapshot !== undefined) save = () => snapshot.save();
}

interface Settings {
  /** The configuration as it may be shown. */
  readonly text: string;
  readonly config: Config;
  readonly certificate: Certificate | undefined;
  readonly caCerts: string[];
}

async function readConfig(file: string): Promise<Settings> {
  let given;
  try {
    given = readConfigFile(file);
  } catch (error) {
    return fail(`File error: ${reason(error)}`);
  }
  const { config, text, faults, warnings } = parseConfig(given, file);
  const { caCerts, fault } = readAuthorities(config?.stacosys.url ?? "");
  if (fault !== undefined) warnings.push(`${file}: Stacosys: an authority of your own may not be trusted: ${fault}`);
  const certificate = config?.tls && await readCertificate(
    config.tls,
    (key, fault) => faults.push(`${file}: ${key}: ${fault}`),
    (key, warning) => warnings.push(`${file}: ${key}: ${warning}`),
  );
  for (const warning of warnings) warn(warning);
  return config === undefined || faults.length > 0 ? fail(...faults) : { text, config, certificate, caCerts };
}

/** Checks what only the service's own user can know. */
async function check(file: string, { snapshotFile, watchFile, tls }: Config): Promise<never> {
  const notSaved = snapshotFile === undefined ? undefined : await whyNotSaved(snapshotFile);
  if (notSaved !== undefined) warn(`${file}: SnapshotFile: cannot be saved: ${notSaved}`);
  const notSeen = watchFile === undefined ? undefined : await whyNotSeen(watchFile);
  if (notSeen !== undefined) warn(`${file}: WatchFile: ${notSeen}`);
  const usesFiles = [snapshotFile, watchFile, tls].some((used) => used !== undefined);
  const limit = usesFiles && Deno.uid() === 0
    ? "; run as root, so the rights of the service's user are not checked"
    : "";
  return end(escapeInvisible(`${file}: good${limit}`));
}

/** Reports each answer of Stacosys to the metrics and to the log of outages. */
function observe(ask: Ask, metrics: Metrics, outage: Outage): Ask {
  return async (target, urgent) => {
    const start = performance.now();
    const answer = await ask(target, urgent);
    const ms = performance.now() - start;
    metrics.addAnswer(answer, ms / 1000);
    outage.follow(target, answer, ms, urgent === true);
    return answer;
  };
}

function urlsOf({ urls }: Listener): string {
  return urls.join(" and ");
}

/** Writes a line for the owner. */
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

function warn(text: string): void {
  say(escapeInvisible(`warning: ${text}`), console.warn);
}

/** Ends with a line for each fault. What is in one, such as the name of a file, makes no line of its own. */
function fail(...faults: readonly string[]): never {
  for (const fault of faults) say(escapeInvisible(fault), console.error);
  Deno.exit(FAULT);
}

if (import.meta.main) {
  await main(Deno.args).catch((error) => {
    // It was said when the waiting began.
    if (error instanceof AddressBusy) Deno.exit(MAY_PASS);
    fail(`${project.name}: ${reason(error)}`);
  });
}
