import { assert, assertEquals, assertMatch } from "@std/assert";
import project from "../../deno.json" with { type: "json" };
import { executableCommand } from "./executable.ts";
import { FOR_THE_EXECUTABLE, type Need, testWith } from "./needs.ts";
import { firstFault, freePort, FROM_SOURCE, runProgram, startProgram } from "./program.ts";
import { ask, brief } from "./reader.ts";
import { startStandIn } from "../stand_in.ts";

testProgram("the program", [], () => Promise.resolve(FROM_SOURCE));
testProgram("the executable", FOR_THE_EXECUTABLE, executableCommand);

function testProgram(name: string, needs: readonly Need[], made: () => Promise<readonly string[]>): void {
  function test(promise: string, fn: (command: readonly string[]) => Promise<void>, more: readonly Need[] = []): void {
    testWith([...needs, ...more], `${name} ${promise}`, async () => await fn(await made()));
  }
  async function withFile(text: string, run: (file: string) => Promise<void>): Promise<void> {
    const file = await Deno.makeTempFile({ suffix: ".json" });
    try {
      await Deno.writeTextFile(file, text);
      await run(file);
    } finally {
      await Deno.remove(file);
    }
  }

  test("serves counts, and says where and for which Stacosys", async (command) => {
    await using stacosys = await startStandIn();
    await using program = await startProgram({ Stacosys: stacosys.url, CorsOrigin: "https://b.example" }, command);
    const config = await Deno.readTextFile(`${program.folder}/config.json`);
    assertEquals(
      program.stdout(),
      `config: ${config}\n${project.name} ${project.version}: listening on ${program.url}, for Stacosys at ${stacosys.url}\n`,
    );
    assertEquals(program.stderr(), "");
    for (let pass = 0; pass < 2; pass++) assertEquals(brief(await ask(program, "/a/")), '200 {"count":7}');
    assertEquals(stacosys.requests.map(({ target }) => target), ["/comments/count?token=t&url=/a/"]);
  });

  test("asks a Stacosys on this machine itself, also where the environment names a proxy", async (command) => {
    await using stacosys = await startStandIn();
    for (const [variable, exempt] of [["HTTP_PROXY", "example.org"], ["ALL_PROXY", ""]]) {
      const proxied = ["env", `${variable}=http://127.0.0.1:9`, `no_proxy=${exempt}`, ...command];
      await using program = await startProgram({ Stacosys: stacosys.url }, proxied);
      assertEquals(brief(await ask(program, "/a/")), '200 {"count":7}');
    }
  });

  test("takes --config FILE, -config FILE, --config=FILE and -config=FILE", async (command) => {
    await withFile('{"HostPort":":1","Stacosys":"http://h"}', async (file) => {
      for (const args of [["--config", file], ["-config", file], [`--config=${file}`], [`-config=${file}`]]) {
        assertEquals(await runProgram([...args, "--check"], command), {
          code: 0,
          stdout: `${file}: good\n`,
          stderr: "",
        });
      }
    });
  });

  test("shows its usage, on stderr if it was called wrongly", async (command) => {
    const help = await runProgram(["--help"], command);
    assertEquals([help.code, help.stderr], [0, ""]);
    assertMatch(help.stdout, /^Usage: httpfastcache --config FILE/);
    for (const args of [[], ["--config"], ["-config="]]) {
      assertEquals(await runProgram(args, command), { code: 1, stdout: "", stderr: help.stdout });
    }
    assertEquals(await runProgram(["-version"], command), {
      code: 0,
      stdout: `${project.name} ${project.version}\n`,
      stderr: "",
    });
  });

  test("names what it does not know on its command line", async (command) => {
    for (
      const [args, named] of [
        [["--port=1"], "--port=1"],
        [["-x"], "-x"],
        [["a", "1e3"], "a 1e3"],
        [["--", "b"], "b"],
        [[""], '""'],
        [["a\nb\u202e"], "a\\u000ab\\u202e"],
      ] as const
    ) {
      assertEquals(await runProgram(["--config", "c.json", ...args], command), {
        code: 1,
        stdout: "",
        stderr: `httpfastcache: expected --config FILE, got ${named}; try --help\n`,
      });
    }
  });

  test("reports every fault of its configuration, and does not start", async (command) => {
    await withFile('{"HostPort":"nonsense","TtlSeconds":0,"Sweep":1}', async (file) => {
      for (const args of [["--config", file], ["--config", file, "--check"]]) {
        assertEquals(await runProgram(args, command), {
          code: 1,
          stdout: "",
          stderr: [
            `warning: ${file}: Sweep: unknown, ignored; did you mean SweepSeconds?`,
            `${file}: HostPort: expected "host:port" or ":port" with a port from 1 to 65535, got "nonsense"`,
            `${file}: Stacosys: expected a URL such as "http://127.0.0.1:8100", without query or fragment, got nothing`,
            `${file}: TtlSeconds: expected a number of seconds greater than 0, up to 1000000000, got 0`,
            "",
          ].join("\n"),
        });
      }
    });
  });

  test("says which file it cannot read", async (command) => {
    const { code, stderr } = await runProgram(["--config", "/nowhere/c.json"], command);
    assertEquals(code, 1);
    assertMatch(stderr, /^File error: No such file or directory.*\/nowhere\/c\.json.*\n$/);
  });

  for (const [hostname, needs] of [["127.0.0.1", []], ["[::1]", ["::1"]]] as const) {
    test(`says at once that its port is in use at ${hostname}`, async (command) => {
      using other = Deno.listen({ hostname, port: 0 });
      const address = `${hostname}:${other.addr.port}`;
      await withFile(`{"HostPort":"${address}","Stacosys":"http://h"}`, async (file) => {
        const why = "Address already in use (os error 98)";
        const rest = "trying for 10 s, then exiting with status 75";
        const [time = "", ...words] = (await firstFault(["--config", file], command)).split(" ");
        assertMatch(time, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
        assertEquals(words.join(" "), `warning cannot listen on ${address}: ${why}; ${rest}\n`);
      });
    }, needs);
  }

  test("says at once that its address is not there", async (command) => {
    await withFile(`{"HostPort":"192.0.2.1:${freePort()}","Stacosys":"http://h"}`, async (file) => {
      const fault = await firstFault(["--config", file], command);
      assertMatch(fault, /^\S+ warning cannot listen on 192\.0\.2\.1:\d+: [^\n]+; trying for 10 s[^\n]+\n$/);
    });
  });

  test("ends with a line, and status 1, at a start that fails as nobody foresaw", async (command) => {
    await withFile('{"HostPort":":1","Stacosys":"http://h"}', async (file) => {
      const { code, stderr } = await runProgram(["--config", file], ["env", "DENO_CERT=/nowhere.pem", ...command]);
      assertEquals(code, 1);
      assertMatch(stderr, /^httpfastcache: Failed opening CA file[^\n]+\n$/);
    });
  });

  for (const [kind, host, needs] of [["IPv4", "127.0.0.1", []], ["IPv6", "[::1]", ["::1"]]] as const) {
    test(`listens on all addresses of ${kind} if HostPort names none`, async (command) => {
      const port = freePort();
      await using program = await startProgram({ HostPort: `:${port}`, Stacosys: "http://127.0.0.1:9" }, command);
      assertMatch(program.stdout(), new RegExp(`listening on http://\\S+:${port}, for`));
      const response = await fetch(`http://${host}:${port}/`);
      assertEquals([response.status, await response.text()], [404, "404 page not found\n"]);
    }, needs);
  }

  test("ends with status 0 when it is told to", async (command) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      await using program = await startProgram({ Stacosys: "http://127.0.0.1:9" }, command);
      program.process.kill(signal);
      assertEquals(await program.ended, 0);
    }
  });
}

Deno.test("once it serves, the program may no longer read or write files", async () => {
  const main = import.meta.resolve("../../main.ts");
  const file = await Deno.makeTempFile();
  await Deno.writeTextFile(file, `{"HostPort":"127.0.0.1:${freePort()}","Stacosys":"http://h"}`);
  const script = `${file}.ts`;
  await Deno.writeTextFile(
    script,
    `import { main } from "${main}";
    await main(["--config", "${file}"]);
    const states = ["read", "write", "run", "env", "ffi", "sys"].map((name) => Deno.permissions.querySync({ name }).state);
    console.log(states.join(" "));
    Deno.exit();`,
  );
  const args = [
    ...FROM_SOURCE.slice(1, -1),
    "--no-check",
    "--config",
    `${import.meta.dirname}/../../deno.json`,
  ];
  const output = await new Deno.Command(Deno.execPath(), { args: [...args, script] }).output();
  const said = new TextDecoder().decode(output.stdout);
  assert(
    said.endsWith("\nprompt prompt prompt prompt prompt prompt\n"),
    said + new TextDecoder().decode(output.stderr),
  );
  await Deno.remove(file);
  await Deno.remove(script);
});
