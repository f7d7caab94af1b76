import { assertEquals } from "@std/assert";
import { createLog } from "../service/log.ts";

function logAt(time: string) {
  const clock = { now: Date.parse(time), monotonic: 0 };
  const lines: string[] = [];
  const clocks = { now: () => clock.now, monotonic: () => clock.monotonic };
  function pass(ms: number): void {
    clock.now += ms;
    clock.monotonic += ms;
  }
  return { clock, pass, lines, log: createLog((line) => lines.push(line), clocks) };
}

Deno.test("a line has time and level", () => {
  const { lines, log } = logAt("2026-11-23T08:11:27Z");
  log("info", "all is well");
  assertEquals(lines, ["2026-11-23T08:11:27.000Z info all is well"]);
});

Deno.test("control characters are escaped, so that nobody can forge a line", () => {
  const { lines, log } = logAt("2026-11-23T08:11:27Z");
  log("warning", "a\nb\r\x1b[31m\x7f\u2028é");
  assertEquals(lines, ["2026-11-23T08:11:27.000Z warning a\\u000ab\\u000d\\u001b[31m\\u007f\\u2028é"]);
});

Deno.test("lines never flood: after thirty there is one a minute, which tells how many were left out", () => {
  const { pass, lines, log } = logAt("2026-11-23T08:00:00Z");
  for (let i = 0; i < 1_000; i++) log("info", `line ${i}`);
  assertEquals(lines.length, 30);
  pass(60_000);
  log("info", "after a minute");
  log("info", "at once");
  assertEquals(lines.slice(30), ["2026-11-23T08:01:00.000Z info after a minute (970 lines left out before this one)"]);
  pass(3_600_000);
  for (let i = 0; i < 1_000; i++) log("info", `line ${i}`);
  assertEquals(lines.length, 31 + 30);
});

Deno.test("a line that cannot be written fails nobody", () => {
  const log = createLog(() => {
    throw new Error("No space left on device (os error 28)");
  });
  log("info", "all is well");
});

Deno.test("what has to be known is never left out, whatever came before", () => {
  const { lines, log } = logAt("2026-11-23T08:00:00Z");
  for (let i = 0; i < 1_000; i++) log("info", `line ${i}`);
  log("warning", "Stacosys fails", "always");
  assertEquals(lines.at(-1), "2026-11-23T08:00:00.000Z warning Stacosys fails (970 lines left out before this one)");
});

Deno.test("where the clock is set back a day, the log goes on", () => {
  const { clock, lines, log } = logAt("2026-11-23T08:00:00Z");
  for (let i = 0; i < 1_000; i++) log("info", `line ${i}`);
  clock.now -= 86_400_000;
  clock.monotonic += 60_000;
  log("info", "all is well");
  assertEquals(lines.at(-1), "2026-11-22T08:00:00.000Z info all is well (970 lines left out before this one)");
});
