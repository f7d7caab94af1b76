import { assertEquals } from "@std/assert";
import { createLog } from "../service/log.ts";
import { createOutage } from "../upstream/outage.ts";
import type { Answer } from "../upstream/stacosys.ts";

function logAt(time: string) {
  const clock = { now: Date.parse(time) };
  const lines: string[] = [];
  return { clock, lines, log: createLog((line) => lines.push(line), () => clock.now) };
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
  const { clock, lines, log } = logAt("2026-11-23T08:00:00Z");
  for (let i = 0; i < 1_000; i++) log("info", `line ${i}`);
  assertEquals(lines.length, 30);
  clock.now += 60_000;
  log("info", "after a minute");
  log("info", "at once");
  assertEquals(lines.slice(30), ["2026-11-23T08:01:00.000Z info after a minute (970 lines left out before this one)"]);
  clock.now += 3_600_000;
  for (let i = 0; i < 1_000; i++) log("info", `line ${i}`);
  assertEquals(lines.length, 31 + 30);
});

Deno.test("a line that cannot be written fails nobody", () => {
  const log = createLog(() => {
    throw new Error("No space left on device (os error 28)");
  });
  log("info", "all is well");
});

Deno.test("an outage is one line when it begins and one when it ends, whatever lies between", () => {
  const clock = { now: 0 };
  const lines: string[] = [];
  const outage = createOutage((level, text) => lines.push(`${level} ${text}`), () => clock.now);
  const good: Answer = { outcome: "ok", body: "7" };
  const bad: Answer = { outcome: "timeout", reason: "no answer within 10 s" };
  assertEquals([outage.stacosys, outage.lastError], ["unknown", undefined]);

  outage.answered("/a", good);
  assertEquals([outage.stacosys, lines], ["up", []]);
  clock.now = 1_000;
  outage.answered("/a", bad);
  outage.felt("stale");
  outage.felt("stale");
  outage.felt("error");
  clock.now = 2_000;
  outage.answered("/b", bad);
  assertEquals([outage.stacosys, outage.lastError], ["down", { reason: "no answer within 10 s", at: 2_000 }]);
  clock.now = 13_500;
  outage.answered("/b", good);
  outage.answered("/a", good);
  assertEquals(outage.stacosys, "up");
  assertEquals(lines, [
    "warning Stacosys fails: no answer within 10 s, asked for /a",
    "info Stacosys is back after 12.5 s; meanwhile 2 requests were answered with a stale count and 1 with none",
  ]);

  outage.answered(`/${"x".repeat(8_000)}`, bad);
  assertEquals(lines[2], `warning Stacosys fails: no answer within 10 s, asked for /${"x".repeat(198)}…`);
  outage.answered("/a", good);
  outage.answered("/a", { outcome: "redirect", reason: `a redirect to ${"y".repeat(300_000)}` });
  assertEquals(lines[4], `warning Stacosys fails: a redirect to ${"y".repeat(185)}…, asked for /a`);
});
