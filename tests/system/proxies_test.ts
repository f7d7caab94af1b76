/**
 * By which proxy Stacosys is asked, beside the Go program: what the environment says means the same to both.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { proxyAsGo } from "../../upstream/no_proxy.ts";
import { createStacosys } from "../../upstream/stacosys.ts";
import { buildGo, GO } from "./go_program.ts";
import { testWith } from "./needs.ts";

type Environment = Readonly<Record<string, string>>;

/** Of these the environment of a test has none but its own. */
const VARIABLES = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"].flatMap((name) => [name, name.toLowerCase()]);

/** What stands for the proxy that listens. */
const PROXY = "http://proxy";

/** Which environment, for a Stacosys that nobody can reach but the proxy; and whether the proxy is asked. */
const CASES: readonly (readonly [stacosys: string, environment: Environment, isAsked: boolean])[] = [
  ["http://s.y.invalid:8100", { HTTP_PROXY: PROXY }, true],
  ["http://s.y.invalid:8100", { HTTP_PROXY: "", http_proxy: PROXY }, true],
  ["http://s.y.invalid:8100", { HTTPS_PROXY: PROXY }, false],
  ["http://s.y.invalid:8100", { ALL_PROXY: PROXY }, false],
  ["http://s.y.invalid:8100", { all_proxy: PROXY }, false],
  ["http://s.y.invalid:8100", { HTTP_PROXY: PROXY, NO_PROXY: "z.invalid, S.Y.Invalid" }, false],
  ["http://s.y.invalid:8100", { HTTP_PROXY: PROXY, NO_PROXY: "", no_proxy: "s.y.invalid" }, false],
  ["http://s.y.invalid:8100", { HTTP_PROXY: PROXY, NO_PROXY: "s.y.invalid:8100" }, false],
  ["http://s.y.invalid:8100", { HTTP_PROXY: PROXY, NO_PROXY: "s.y.invalid:80" }, true],
  ["http://s.y.invalid", { HTTP_PROXY: PROXY, NO_PROXY: "s.y.invalid:80" }, false],
  ["http://s.y.invalid:8100", { HTTP_PROXY: PROXY, NO_PROXY: "y.invalid" }, false],
  ["http://sy.invalid:8100", { HTTP_PROXY: PROXY, NO_PROXY: "y.invalid" }, true],
  ["http://s.y.invalid:8100", { HTTP_PROXY: PROXY, NO_PROXY: ".y.invalid:8100" }, false],
  ["http://s.y.invalid:8100", { HTTP_PROXY: PROXY, NO_PROXY: "*.y.invalid" }, false],
  ["http://y.invalid:8100", { HTTP_PROXY: PROXY, NO_PROXY: ".y.invalid,*.y.invalid" }, true],
  ["http://y.invalid:8100", { HTTP_PROXY: PROXY, NO_PROXY: "z.invalid,*" }, false],
  ["http://y.invalid:8100", { HTTP_PROXY: PROXY, NO_PROXY: ":8100" }, true],
  ["http://255.255.255.255:8100", { HTTP_PROXY: PROXY, NO_PROXY: "255.255.0.0/16" }, false],
  ["http://255.255.255.255:8100", { HTTP_PROXY: PROXY, NO_PROXY: "255.255.255.255:80" }, true],
  ["http://[100::1]:8100", { HTTP_PROXY: PROXY, NO_PROXY: "[100::1]:80" }, true],
  ["http://127.9.9.9:8100", { HTTP_PROXY: PROXY }, false],
  ["http://localhost:8100", { HTTP_PROXY: PROXY, NO_PROXY: "z.invalid" }, false],
];

Deno.test("Stacosys is asked by the proxy that the environment names, unless NO_PROXY or loopback exempt it", async () => {
  await using proxy = startProxy();
  const before = Deno.env.toObject();
  try {
    for (const [stacosys, environment, isAsked] of CASES) {
      for (const name of VARIABLES) Deno.env.delete(name);
      for (const [name, value] of Object.entries(proxy.named(environment))) Deno.env.set(name, value);
      // A demo does it once more.
      for (let times = 0; times < 2; times++) proxyAsGo(stacosys);
      const ask = createStacosys({ url: stacosys, timeoutMs: 60_000 });
      assertEquals(await proxy.isAskedWhen(() => ask("/x")), isAsked, `${stacosys} ${JSON.stringify(environment)}`);
    }
  } finally {
    for (const name of VARIABLES) Deno.env.delete(name);
    for (const [name, value] of Object.entries(before)) Deno.env.set(name, value);
  }
});

testWith(GO, "the Go program asks by the same proxy", async () => {
  await using built = await buildGo();
  await using proxy = startProxy();
  for (const [Stacosys, environment, isAsked] of CASES) {
    const none = Object.fromEntries(VARIABLES.map((name) => [name, ""]));
    await using go = await built.start({ Stacosys }, { ...none, ...proxy.named(environment) });
    const asked = proxy.isAskedWhen(() => fetch(`${go.url}/comments/count`).then((answer) => answer.body?.cancel()));
    assertEquals(await asked, isAsked, `${Stacosys} ${JSON.stringify(environment)}`);
  }
});

function startProxy() {
  let requests = 0;
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, () => {
    requests++;
    return Response.json({ count: 7 });
  });
  return {
    /** The environment with where it listens. */
    named(environment: Environment): Environment {
      const url = `http://127.0.0.1:${server.addr.port}`;
      return Object.fromEntries(Object.entries(environment).map(([name, to]) => [name, to === PROXY ? url : to]));
    },
    async isAskedWhen(ask: () => Promise<unknown>): Promise<boolean> {
      const before = requests;
      await ask();
      return requests > before;
    },
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}
