/**
 * Readers who take their time: idle ones, slow ones, and those who never read what they asked for.
 *
 * @module
 */

import { connectMany, request } from "../system/connections.ts";
import { type Figure, growthDuring, HOME, pause, setStage, slowestAnswerDuring } from "./measure.ts";

/**
 * As many at once overflow the queue of connections that wait to be accepted, which holds 511; who finds it full comes
 * again after a second, says Linux. So a second is no fault of the program.
 */
export async function idleConnections(): Promise<Figure[]> {
  await using stage = await setStage();
  const { program } = stage;
  let open = 0;
  const slowest = await slowestAnswerDuring(program, async () => {
    await using crowd = await connectMany(program, 1_000);
    await pause(1_000);
    open = crowd.open;
  });
  return [
    { what: "1,000 idle connections: those that were closed", seen: 1_000 - open, unit: "", atMost: 0 },
    { what: "  another reader's slowest answer meanwhile", seen: slowest, unit: "ms", atMost: 2_000 },
  ];
}

/** They fill the slots of servers that give each reader one. */
export async function byteASecond(): Promise<Figure[]> {
  await using stage = await setStage();
  const { program } = stage;
  const slowest = await slowestAnswerDuring(program, async () => {
    await using crowd = await connectMany(program, 500);
    for (const byte of "GET") {
      await crowd.send(byte);
      await pause(1_000);
    }
  });
  return [{
    what: "500 readers who send a byte a second: another one's slowest answer",
    seen: slowest,
    unit: "ms",
    atMost: 1_000,
  }];
}

/** Their answers have to be kept somewhere, or not be made. */
export async function neverReading(): Promise<Figure[]> {
  await using stage = await setStage();
  const { program } = stage;
  const requests = request(HOME).repeat(1_000);
  let slowest = 0;
  const growth = await growthDuring(program, async () => {
    slowest = await slowestAnswerDuring(program, async () => {
      await using crowd = await connectMany(program, 100, { reading: false });
      for (let i = 0; i < 100; i++) {
        crowd.send(requests);
        await pause(10);
      }
    });
  });
  return [
    { what: "100 readers who ask without end and never read", seen: growth, unit: "MB more", atMost: 60 },
    { what: "  another reader's slowest answer meanwhile", seen: slowest, unit: "ms", atMost: 1_000 },
  ];
}
