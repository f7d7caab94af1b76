/**
 * Addresses that somebody makes up, to fill the memory or to have Stacosys asked.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { connectMany, request } from "../system/connections.ts";
import { memoryOf } from "../system/memory.ts";
import { type Program, startProgram } from "../system/program.ts";
import { ask } from "../system/reader.ts";
import { hang, startStandIn } from "../stand_in.ts";
import { until } from "../until.ts";
import { type Figure, growthDuring, setStage, slowestAnswerDuring } from "./measure.ts";

/** Without a bound 7 MB of the Go program grew to 115. */
export async function madeUpUrls(): Promise<Figure[]> {
  const stacosys = startFastStacosys();
  await using program = await startProgram({ Stacosys: stacosys.url, MaxEntries: 5_000 });
  await ask(program, "/");
  const slowest = await slowestAnswerDuring(program, async () => {
    {
      using _ = stacosys;
      await askForMadeUp(program, 0, 220_000);
    }
    await askForMadeUp(program, 220_000, 230_000);
  });
  const { peak } = await memoryOf(program.process);
  return [
    { what: "230,000 made-up URLs, the last of them of a Stacosys that is away", seen: peak, unit: "MB", atMost: 100 },
    { what: "  another reader's slowest answer meanwhile", seen: slowest, unit: "ms", atMost: 1_000 },
  ];
}

/** Each batch stands for a hundred requests, of which so many are waited for at once, and no more. */
export async function batchesInAHang(): Promise<Figure[]> {
  await using stage = await setStage({ TimeoutSeconds: 2 });
  const { program, stacosys } = stage;
  let slowest = 0;
  const growth = await growthDuring(program, async () => {
    slowest = await slowestAnswerDuring(program, async () => {
      stacosys.answer(hang);
      await using crowd = await connectMany(program, 1_000);
      const urls = Array.from({ length: 100 }, (_, i) => `&url=/made-up/${i}/`).join("");
      await crowd.send((member) => request(`/comments/counts?token=${member}${urls}`));
      await until(() => crowd.each.every(({ text }) => text.startsWith("HTTP/1.1 404 ")), "all are answered");
    });
  });
  return [
    { what: "1,000 batches of 100 made-up URLs, of a Stacosys that hangs", seen: growth, unit: "MB more", atMost: 120 },
    { what: "  another reader's slowest answer meanwhile", seen: slowest, unit: "ms", atMost: 5_000 },
  ];
}

/** The most memory that addresses can take: the cache is full of long ones, and as many wait as may. */
export async function longAddresses(): Promise<Figure[]> {
  await using stacosys = await startStandIn();
  await using program = await startProgram({ Stacosys: stacosys.url });
  await ask(program, "/");
  await using crowd = await connectMany(program, 100);
  for (let sent = 0, answers = 0; sent < 10_000; sent += 100) {
    answers++;
    await crowd.send((member) => request(longTarget(sent + member)));
    await until(() => crowd.each.every(({ text }) => text.split("HTTP/1.1 200 ").length > answers), "all are answered");
  }
  const kept = (await memoryOf(program.process)).peak;
  stacosys.answer(hang);
  await using others = await connectMany(program, 4_000);
  await others.send((member) => request(longTarget(10_000 + member)));
  await until(() => others.each.every(({ text }) => text.startsWith("HTTP/1.1 404 ")), "all are answered");
  const waiting = (await memoryOf(program.process)).peak;
  return [
    { what: "10,000 kept counts with addresses of 8 KiB", seen: kept, unit: "MB", atMost: 280 },
    { what: "  and 4,000 readers who wait for such, of a Stacosys that hangs", seen: waiting, unit: "MB", atMost: 512 },
  ];
}

/** Characters that take two bytes each in memory, and as many when they are sent. */
function longTarget(n: number): string {
  const target = `/comments/count?url=/${n}/`;
  return target + Buffer.from("я".repeat(4_096 - target.length)).toString("latin1");
}

/** Asks for the count of each made-up article from the `first` to before the `end`, a hundred in a batch. */
async function askForMadeUp(program: Program, first: number, end: number): Promise<void> {
  for (let i = first; i < end; i += 100) {
    const urls = Array.from({ length: 100 }, (_, j) => `&url=/made-up/${i + j}/`).join("");
    await (await fetch(`${program.url}/comments/counts?token=t${urls}`)).body?.cancel();
  }
}

/** A Stacosys that does nothing but answer, as fast as can be. */
function startFastStacosys(): Disposable & { readonly url: string } {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const body = '{"count":7}\n';
  const head = `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n`;
  const answer = new TextEncoder().encode(head + body);
  async function serve(): Promise<void> {
    for await (const connection of listener) reply(connection);
  }
  async function reply(connection: Deno.TcpConn): Promise<void> {
    using _ = connection;
    await connection.read(new Uint8Array(1_024));
    await connection.write(answer);
  }
  serve();
  return { url: `http://127.0.0.1:${listener.addr.port}`, [Symbol.dispose]: () => listener.close() };
}
