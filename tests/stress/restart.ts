/**
 * The executable told to end and started anew, as systemd does it.
 *
 * @module
 */

import { executableCommand } from "../system/executable.ts";
import { memoryOf } from "../system/memory.ts";
import { freePort, startProgram } from "../system/program.ts";
import { ask } from "../system/reader.ts";
import { hang, startStandIn } from "../stand_in.ts";
import { until } from "../until.ts";
import { type Figure, pause } from "./measure.ts";

/** Readers see that gap where nothing stands before the program. */
export async function restart(): Promise<Figure[]> {
  const unit = await Deno.readTextFile(`${import.meta.dirname}/../../deploy/httpfastcache.service`);
  const pauseMs = Number(/^RestartSec=(\d+)ms$/m.exec(unit)?.[1]);
  await using stacosys = await startStandIn();
  const command = await executableCommand();
  const config = { Stacosys: stacosys.url, HostPort: `127.0.0.1:${freePort()}` };

  let memory = 0;
  async function gap(): Promise<number> {
    await using leaving = await startProgram(config, command);
    const start = performance.now();
    leaving.process.kill("SIGTERM");
    await leaving.ended;
    await pause(pauseMs);
    await using program = await startProgram(config, command);
    await ask(program, "/a/");
    const gapMs = performance.now() - start;
    memory = (await memoryOf(program.process)).now;
    return gapMs;
  }
  async function drain(): Promise<number> {
    await using program = await startProgram({ Stacosys: stacosys.url }, command);
    stacosys.answer(hang);
    const reader = ask(program, "/a/").catch(() => {});
    await until(() => stacosys.open === 1, "the reader is inside");
    const start = performance.now();
    program.process.kill("SIGTERM");
    await program.ended;
    await reader;
    return performance.now() - start;
  }
  // The first one unpacks.
  await gap();
  const gapMs = Math.max(await gap(), await gap(), await gap());
  return [
    {
      what: "from SIGTERM to the end, with a reader inside who gets no answer",
      seen: await drain(),
      unit: "ms",
      atMost: 6_000,
    },
    { what: "from SIGTERM to the first answer of the next start", seen: gapMs, unit: "ms", atMost: 1_000 },
    { what: "  memory at that answer", seen: memory, unit: "MB", atMost: 60 },
  ];
}
