import { assertEquals, assertMatch } from "@std/assert";
import { Cache } from "../../cache.ts";
import { Snapshot } from "../../service/snapshot.ts";
import { makeFolder } from "../folder.ts";
import { startStandIn } from "../stand_in.ts";
import { until } from "../until.ts";
import { FROM_SOURCE, startProgram } from "./program.ts";
import { ask } from "./reader.ts";

const HOUR_MS = 3_600_000;

Deno.test("a clock that is set back expires all counts, or they would be fresh for longer than TtlSeconds", async () => {
  await using stacosys = await startStandIn();
  await using folder = await makeFolder();
  const SnapshotFile = `${folder.path}/snapshot`;
  const command = FROM_SOURCE.toSpliced(2, 0, "--preload", `${import.meta.dirname}/set_clock.ts`);
  // A count that is older than the step. Of a younger one the cache itself would see that the clock was set.
  const old = new Cache<string>({ ttlMs: 24 * HOUR_MS, maxEntries: 1 });
  old.set("/comments/count?token=t&url=/a/", '{"count":7}\n', Date.now() + 23 * HOUR_MS);
  await new Snapshot(old, { file: SnapshotFile, stacosys: stacosys.url, accepts: () => true }, () => {}).save();

  await using program = await startProgram({ Stacosys: stacosys.url, SnapshotFile, TtlSeconds: 86_400 }, command);
  const status = async () => (await ask(program, "/a/")).headers.get("cache-status") ?? "";
  assertMatch(await status(), /; hit$/);
  program.process.kill("SIGUSR2");
  await until(async () => /fwd=stale/.test(await status()), "it is stale");
  await until(() => program.stderr().endsWith("\n"), "that is told");
  assertMatch(program.stderr(), /^\S+ warning the clock was set back; all counts have expired\n$/);
  assertEquals(stacosys.requests.length, 1);
});
