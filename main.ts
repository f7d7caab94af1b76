/**
 * Command line, configuration, cache, proxy, server; in that order.
 *
 * @module
 */

// @ts-types="./types/std_parse_args.d.ts"
import { parseArgs } from "@std/cli/parse-args";
// @ts-types="./types/std_status.d.ts"
import { STATUS_CODE } from "@std/http/status";
import { Cache, startSweeper } from "./cache.ts";
import { type Config, parseConfig } from "./config.ts";
import project from "./deno.json" with { type: "json" };
import { createLog, type Log } from "./log.ts";
import { createMiss } from "./miss.ts";
import { createOutage } from "./outage.ts";
import { createProxy, type Handler } from "./proxy.ts";
import { createStacosys } from "./stacosys.ts";

const USAGE = `Usage: ${project.name} --config FILE

Caches the comment counters of Stacosys.

  --config FILE  the configuration, JSON
  --help         show this
  --version      show the version`;

/** Runs the program. What keeps it from starting is one line on stderr for each fault, and ends it with status 1. */
export async function main(args: readonly string[]): Promise<void> {
  const config = readConfig(configFile(args));
  const log = createLog();
  surviveFaults(log);
  serve(config, createHandler(config, log), log);
  await Deno.permissions.revoke({ name: "read" });
}

function configFile(args: readonly string[]): string {
  const strange: string[] = [];
  const { _, ...options } = parseArgs(
    // As with Go's flag package, one dash does for two.
    args.map((arg) => arg.replace(/^-(?=[a-z]{2})/, "--")),
    { string: ["config"], boolean: ["help", "version"], unknown: (arg, key) => key === undefined || strange.push(arg) },
  );
  strange.push(..._.map(String));
  if (options["help"] === true) end(USAGE);
  if (options["version"] === true) end(`${project.name} ${project.version}`);
  if (strange.length > 0) fail(`${project.name}: expected --config FILE and nothing else, got ${strange.join(" ")}`);
  const file = options["config"];
  return typeof file === "string" && file !== "" ? file : fail(USAGE);
}

function readConfig(file: string): Config {
  let text;
  try {
    text = Deno.readTextFileSync(file);
  } catch (error) {
    fail(`File error: ${reason(error)}`);
  }
  const { config, faults, warnings } = parseConfig(text, file);
  for (const warning of warnings) console.warn(`warning: ${warning}`);
  if (config === undefined) fail(faults.join("\n"));
  console.log(`config: ${text}`);
  return config;
}

function createHandler(config: Config, log: Log): Handler {
  const cache = new Cache<string>(config);
  startSweeper(cache, config.sweepMs);
  const miss = createMiss({
    cache,
    ask: createStacosys({ url: config.stacosys, timeoutMs: config.timeoutMs }),
    outage: createOutage(log),
    staleWhileRevalidateMs: config.staleWhileRevalidateMs,
    maxFailures: config.maxEntries,
  });
  return createProxy({ cache, miss, paths: config.paths, corsOrigin: config.corsOrigin });
}

function serve({ listen, stacosys }: Config, handler: Handler, log: Log): void {
  const options = {
    port: listen.port,
    onListen: ({ hostname, port }: Deno.NetAddr) => {
      const host = hostname.includes(":") ? `[${hostname}]` : hostname;
      console.log(
        `${project.name} ${project.version}: listening on http://${host}:${port} for Stacosys at ${stacosys}`,
      );
    },
    onError: (error: unknown) => {
      log("error", `a request could not be answered: ${inFull(error)}`);
      return new Response("500 internal server error\n", { status: STATUS_CODE.InternalServerError });
    },
  };
  try {
    try {
      Deno.serve({ ...options, hostname: listen.hostname ?? "::" }, handler);
    } catch (error) {
      // A machine without IPv6 has no "::".
      if (listen.hostname !== undefined || error instanceof Deno.errors.AddrInUse) throw error;
      Deno.serve({ ...options, hostname: "0.0.0.0" }, handler);
    }
  } catch (error) {
    fail(`${project.name}: cannot listen on ${listen.hostname ?? ""}:${listen.port}: ${reason(error)}`);
  }
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

function end(text: string): never {
  console.log(text);
  Deno.exit(0);
}

function fail(text: string): never {
  console.error(text);
  Deno.exit(1);
}

if (import.meta.main) await main(Deno.args);
