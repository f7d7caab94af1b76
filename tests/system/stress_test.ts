/**
 * The stress test as whoever runs it sees it. What it measures depends on the machine, so no figure is looked at here.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import project from "../../deno.json" with { type: "json" };

const [, ...TASK] = project.tasks.stress.command.split(" ");
const isLinux = Deno.build.os === "linux";
const NEEDS_LINUX = isLinux ? "" : " (ignored: needs Linux)";

Deno.test({
  name: `a stress test prints each figure beside its bound, and ends with a verdict${NEEDS_LINUX}`,
  ignore: !isLinux,
  async fn() {
    const { code, stdout, stderr } = await stress("--only", "answers");
    assertMatch(stdout, /^(\S.*\S +[\d,]+ MB more +at most [\d,]+( {2}BEYOND)?\n){2}\n/);
    assertMatch(stdout, code === 0 ? /\n\nall is within its bound\n$/ : /\n\n\d beyond its bound\n$/);
    assertEquals(stderr, "");
  },
});

Deno.test({
  name: `a stress test that is called wrongly says so in a line${NEEDS_LINUX}`,
  ignore: !isLinux,
  async fn() {
    for (const args of [["--only", "floodss"], ["--seconds", "0"], ["--seed", "x"], ["soak"], ["--fast"]]) {
      const { code, stderr } = await stress(...args);
      assertEquals(code, 1);
      assertMatch(stderr, /^stress: (--\w+: )?expected [^\n]+, got [^\n]+\n$/);
    }
  },
});

async function stress(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...TASK, ...args],
    cwd: `${import.meta.dirname}/../..`,
    env: { NO_COLOR: "1" },
  }).output();
  return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
}
