/**
 * The variant with cron: the crontab, what it starts, and the rotation of its log.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { makeFolder } from "../folder.ts";
import * as stand from "../stand_in.ts";
import { until } from "../until.ts";
import { deployed, end, pathOf, replaced, run, test } from "./deploy.ts";
import { executable } from "./executable.ts";
import { freePort } from "./program.ts";
import { ask, brief } from "./reader.ts";

const CRONTAB = await deployed("httpfastcache.cron");

/** Generous, since the machine may be busy. */
const LIMIT_MS = 60_000;

test("Debian's cron accepts the lines of the crontab", ["crontab"], async () => {
  await using folder = await makeFolder();
  const file = `${folder.path}/crontab`;
  // It checks the crontabs of users only; in those of /etc/cron.d the user stands before the command.
  await Deno.writeTextFile(file, CRONTAB.replaceAll(/^([^#\n]*) httpfastcache /gm, "$1 "));
  const { success, output } = await run("crontab", "-n", file);
  assert(success, output);
  assertEquals(JOBS, {
    "@reboot": "httpfastcache-start",
    "* * * * *": "httpfastcache-start",
    "0 4 * * *": "httpfastcache-start --replace",
  });
  assert(CRONTAB.endsWith("\n"), "cron ignores a last line that does not end");
});

for (const when of ["@reboot", "* * * * *"]) {
  test(`the crontab's line ${when} starts it if it is not running, and says nothing if it is`, ["flock"], async () => {
    await using stacosys = await stand.startStandIn();
    await using machine = await startMachine(stacosys);
    const first = machine.cron(when);
    await machine.answers();
    const said = await machine.log();
    // As in the next minute.
    assertEquals((await machine.cron(when).status).code, 0);
    assertEquals(await machine.log(), said);

    first.kill("SIGKILL");
    await first.status;
    machine.cron(when);
    await machine.listens(2);
  });
}

test("the crontab's line for the night replaces it, whichever line is first then", ["flock"], async () => {
  await using stacosys = await stand.startStandIn();
  await using machine = await startMachine(stacosys);
  const old = machine.cron("@reboot");
  await machine.answers();

  machine.cron("0 4 * * *");
  machine.cron("* * * * *");
  assertEquals((await old.status).code, 0);
  await machine.listens(2);
});

test(
  "it is not replaced if its configuration is broken meanwhile, and the log says why and when",
  ["flock"],
  async () => {
    await using stacosys = await stand.startStandIn();
    await using machine = await startMachine(stacosys);
    machine.cron("@reboot");
    await machine.answers();
    await machine.configure({ HostPort: "nonsense", Stacosys: 7 });
    assertEquals((await machine.cron("0 4 * * *").status).code, 1);
    await machine.answers();
    const faults = (await machine.log()).split("\n").filter((line) => line.includes(": expected "));
    assertEquals(faults.length, 2);
    for (const fault of faults) {
      assertMatch(
        fault,
        /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ error \S+config\.json: \w+: expected /,
      );
    }
  },
);

test("a folder that is not its user's, as systemd leaves one, is named in the log", ["flock"], async () => {
  await using stacosys = await stand.startStandIn();
  await using machine = await startMachine(stacosys);
  await Deno.remove(machine.home);
  await Deno.symlink("private/httpfastcache", machine.home);
  assertEquals((await machine.cron("@reboot").status).code, 1);
  assertMatch(
    await machine.log(),
    /^\S+Z error \S+\/home: expected a folder of .+, got l.+ -> private\/httpfastcache\n$/,
  );
});

test("its log is rotated while it runs, and goes on in the emptied file", ["flock", "logrotate"], async () => {
  await using stacosys = await stand.startStandIn();
  await using machine = await startMachine(stacosys);
  const running = machine.cron("@reboot");
  await machine.listens(1);
  await using folder = await makeFolder();
  const rules = replaced(await deployed("httpfastcache.logrotate"), "/var/log/httpfastcache/log", machine.logFile);
  await Deno.writeTextFile(`${folder.path}/rules`, replaced(rules, "su httpfastcache httpfastcache", ""));
  await Deno.chmod(`${folder.path}/rules`, 0o644);
  const { success, output } = await run(
    "logrotate",
    "--force",
    "--state",
    `${folder.path}/state`,
    `${folder.path}/rules`,
  );
  assert(success, output);
  assertEquals(await machine.log(), "");
  running.kill("SIGHUP");
  await until(async () => (await machine.log()).includes("SIGHUP"), "it says something", LIMIT_MS);
  assertMatch(await machine.log(), /^\d{4}-/);
});

/** The commands of the crontab, by when they are run. All are run as the user httpfastcache. */
const JOBS: Readonly<Record<string, string>> = Object.fromEntries(
  [...CRONTAB.matchAll(/^(@\w+|(?:\S+ ){4}\S+) +httpfastcache +(.*)$/gm)].map(([, when, command]) => [when, command]),
);

/** A machine with the crontab and the executable. Disposing of it ends all it runs. */
interface Machine extends AsyncDisposable {
  /** The user's folder, and the log. */
  readonly home: string;
  readonly logFile: string;
  /** Runs a line as cron does when its time has come. */
  cron(when: string): Deno.ChildProcess;
  /** Replaces the configuration. */
  configure(config: Readonly<Record<string, unknown>>): Promise<void>;
  /** Waits until the executable answers. */
  answers(): Promise<void>;
  /** Waits until it has begun to listen so many times, and answers. */
  listens(times: number): Promise<void>;
  /** What was said. */
  log(): Promise<string>;
}

async function startMachine(stacosys: stand.StandIn): Promise<Machine> {
  const folder = await makeFolder();
  const at = (name: string) => `${folder.path}/${name}`;
  const [home, bin, config, logFile] = [at("home"), at("bin"), at("config.json"), at("log")];
  await Deno.mkdir(home);
  await Deno.mkdir(bin);
  await Deno.copyFile(await executable(), `${bin}/httpfastcache`);
  // With the right to run it.
  await Deno.copyFile(pathOf("httpfastcache-start"), `${bin}/httpfastcache-start`);
  let start = await deployed("httpfastcache-start");
  for (
    const [what, by] of [
      ["/etc/httpfastcache/config.json", config],
      ["/var/lib/httpfastcache", home],
      ["/var/log/httpfastcache/log", logFile],
    ] as const
  ) start = replaced(start, what, by);
  await Deno.writeTextFile(`${bin}/httpfastcache-start`, start);
  const HostPort = `127.0.0.1:${freePort()}`;
  const configure = (values: Readonly<Record<string, unknown>>) => Deno.writeTextFile(config, JSON.stringify(values));
  await configure({ HostPort, Stacosys: stacosys.url });
  await Deno.writeTextFile(logFile, "");

  const environment = Object.fromEntries(CRONTAB.matchAll(/^([A-Z]+)=(.*)$/gm).map(([, name, value]) => [name, value]));
  const children: Deno.ChildProcess[] = [];
  const log = () => Deno.readTextFile(logFile);
  const answers = () =>
    until(
      async () => {
        const answer = await ask({ url: `http://${HostPort}` }, "/a/").catch(() => undefined);
        return answer !== undefined && brief(answer) === '200 {"count":7}';
      },
      "it answers",
      LIMIT_MS,
    );
  return {
    home,
    logFile,
    cron(when) {
      const child = new Deno.Command(environment["SHELL"] ?? "", {
        args: ["-c", `exec ${JOBS[when]}`],
        clearEnv: true,
        env: { ...environment, PATH: replaced(environment["PATH"] ?? "", "/usr/local/bin", bin) },
        cwd: environment["HOME"] ?? "",
        stdin: "null",
      }).spawn();
      children.push(child);
      return child;
    },
    configure,
    answers,
    async listens(times) {
      await until(
        async () => (await log()).split("listening on").length === times + 1,
        `it listens for the ${times}. time`,
        LIMIT_MS,
      );
      await answers();
    },
    log,
    async [Symbol.asyncDispose]() {
      for (const child of children) await end(child, "SIGKILL");
      await folder[Symbol.asyncDispose]();
    },
  };
}
