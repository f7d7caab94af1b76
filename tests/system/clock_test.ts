import { assertEquals, assertMatch } from "@std/assert";
import { startStandIn } from "../stand_in.ts";
import { until } from "../until.ts";
import { FROM_SOURCE, startProgram } from "./program.ts";
import { ask } from "./reader.ts";

Deno.test("a clock that is set back expires all counts, or they would be fresh for longer than TtlSeconds", async () => {
  await using stacosys = await startStandIn();
  const command = FROM_SOURCE.toSpliced(2, 0, "--preload", `${import.meta.dirname}/set_clock.ts`);
  await using program = await startProgram({ Stacosys: stacosys.url, TtlSeconds: 1e9 }, command);
  const status = async () => (await ask(program, "/a/")).headers.get("cache-status") ?? "";
  await status();
  const start = performance.now();
  // Were the count younger than the step, it would seem to expire later than its ttl allows, which is no hit anyway.
  await until(() => performance.now() - start > 2_000, "two seconds have passed");
  assertMatch(await status(), /; hit$/);
  program.process.kill("SIGUSR2");
  await until(async () => /fwd=stale/.test(await status()), "it is stale");
  assertMatch(program.stderr(), /^\S+ warning the clock was set back; all counts have expired\n$/);
  assertEquals(stacosys.requests.length, 2);
});
