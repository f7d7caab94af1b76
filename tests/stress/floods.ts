/**
 * Bytes without sense: headers without end, bodies that nobody reads, and what is no HTTP at all.
 *
 * @module
 */

import { connectMany } from "../system/connections.ts";
import type { Program } from "../system/program.ts";
import { until } from "../until.ts";
import { type Figure, growthDuring, HOME, setStage, slowestAnswerDuring } from "./measure.ts";

/** They are cut off. */
export function headers(): Promise<Figure[]> {
  const header = `X-Header: ${"x".repeat(1_000)}\r\n`;
  return flood("200 floods of headers", async (program) => {
    await using crowd = await connectMany(program, 200);
    await crowd.send("GET / HTTP/1.1\r\n");
    await until(async () => {
      await crowd.send(header.repeat(10));
      return crowd.open === 0;
    }, "all are cut off");
  });
}

/** They are taken, and forgotten at once. */
export function bodies(): Promise<Figure[]> {
  return flood("50 bodies of 10 MB", async (program) => {
    await using crowd = await connectMany(program, 50);
    await crowd.send(`GET ${HOME} HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000\r\n\r\n`);
    for (let i = 0; i < 10; i++) await crowd.send("x".repeat(1_000_000));
    await until(() => crowd.each.every(({ text }) => text.startsWith("HTTP/1.1 200 ")), "all are answered");
  });
}

/** It ends the connection. */
export function nonsense(): Promise<Figure[]> {
  const kinds = ["\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "\r\n".repeat(50_000), `${"A".repeat(100_000)} / `];
  return flood("200 connections that speak no HTTP", async (program) => {
    await using crowd = await connectMany(program, 200);
    await crowd.send((member) => `${kinds[member % kinds.length]}\r\n\r\n`);
    await until(() => crowd.open === 0, "all are ended");
  });
}

async function flood(what: string, attack: (program: Program) => Promise<void>): Promise<Figure[]> {
  await using stage = await setStage();
  const { program } = stage;
  let slowest = 0;
  const growth = await growthDuring(program, async () => {
    slowest = await slowestAnswerDuring(program, () => attack(program));
  });
  return [
    { what, seen: growth, unit: "MB more", atMost: 60 },
    { what: "  another reader's slowest answer meanwhile", seen: slowest, unit: "ms", atMost: 1_000 },
  ];
}
