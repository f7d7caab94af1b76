import { assertEquals } from "@std/assert";
import { Outage } from "../upstream/outage.ts";
import type { Answer } from "../upstream/stacosys.ts";

const GOOD: Answer = { outcome: "ok", body: "7" };
const TIMEOUT: Answer = { outcome: "timeout", reason: "no answer within 10 s" };
const REFUSED: Answer = { outcome: "network", reason: "Connection refused (os error 111)" };

function status(status: number): Answer {
  return { outcome: "status", reason: `status ${status}`, status };
}

function startOutage() {
  const clock = { now: 0 };
  const lines: string[] = [];
  const outage = new Outage(
    (level, text, always) => lines.push(`${always ?? ""} ${level} ${text}`.trim()),
    () => clock.now,
  );
  /** Takes note of an answer that came at a second. */
  function answered(atSeconds: number, target: string, answer: Answer, tookSeconds = 0): void {
    clock.now = atSeconds * 1000;
    outage.answered(target, answer, tookSeconds * 1000);
  }
  return { clock, lines, outage, answered };
}

Deno.test("an outage is one line when it begins and one when it ends, whatever lies between", () => {
  const { answered, lines, outage } = startOutage();
  assertEquals([outage.stacosys, outage.lastFailure], ["unknown", undefined]);
  answered(0, "/a", GOOD);
  assertEquals([outage.stacosys, lines], ["up", []]);
  answered(1, "/a", REFUSED);
  outage.countServed("stale");
  outage.countServed("error");
  answered(2, "/b", REFUSED);
  outage.countServed("stale");
  for (let i = 3; i < 13; i++) answered(i, "/c", REFUSED);
  assertEquals([outage.stacosys, outage.since], ["down", 1_000]);
  assertEquals(outage.lastFailure, { ...REFUSED, status: undefined, target: "/c", at: 12_000 });
  answered(13.5, "/b", GOOD);
  answered(14, "/a", GOOD);
  assertEquals([outage.stacosys, outage.since, outage.lastGoodAt], ["up", 13_500, 14_000]);
  assertEquals(lines, [
    "always warning Stacosys fails: Connection refused (os error 111), asked for /b",
    "always info Stacosys is back after 12.5 s; meanwhile 2 requests were answered with a stale count and 1 with none",
  ]);
});

Deno.test("failures with good answers between them are no outage", () => {
  const { answered, lines, outage } = startOutage();
  for (let i = 0; i < 1_000; i++) {
    answered(i, "/right", GOOD);
    answered(i + 0.3, "/500", status(500));
    answered(i + 0.6, "/reset", REFUSED);
    answered(i + 0.9, "/hangs", TIMEOUT, 10);
  }
  assertEquals([outage.stacosys, lines], ["up", []]);
});

Deno.test("urls that failed before the last good answer are no outage when they fail again, without a connection they are", () => {
  const { answered, outage } = startOutage();
  answered(0, "/good", GOOD);
  for (const [i, bad] of [status(500), TIMEOUT].entries()) answered(1 + i / 10, `/bad/${i}`, bad);
  answered(3, "/good", GOOD);
  for (let i = 4; i < 100; i += 2) {
    answered(i, "/bad/0", status(500));
    answered(i + 1, "/bad/1", TIMEOUT);
  }
  assertEquals([outage.stacosys, outage.badSince(97_000), outage.badSince(98_000)], ["up", 2, 1]);
  for (let i = 100; i < 103; i++) answered(i, "/bad/0", REFUSED);
  assertEquals(outage.stacosys, "down");
  answered(104, "/bad/0", GOOD);
  assertEquals([outage.stacosys, outage.badSince(0)], ["up", 1]);
});

Deno.test("the cause is steadily one of two that take turns, until it is ten seconds old or there is a good answer", () => {
  const { answered, outage } = startOutage();
  const cause = () => outage.cause?.reason;
  answered(0, "/a", status(500));
  for (let i = 1; i < 30; i++) answered(i, `/${i}`, i % 2 === 0 ? status(500) : TIMEOUT);
  assertEquals(cause(), "status 500");
  for (let i = 30; i < 40; i++) answered(i, `/${i}`, TIMEOUT);
  assertEquals(cause(), "no answer within 10 s");
  answered(40, "/a", GOOD);
  assertEquals(cause(), undefined);
  answered(41, "/a", status(500));
  assertEquals(cause(), "status 500");
});

Deno.test("one failure is no outage, however long nobody asks", () => {
  const { answered, lines } = startOutage();
  answered(0, "/a", GOOD);
  answered(3_600, "/a", REFUSED);
  answered(7_200, "/a", GOOD);
  assertEquals(lines, []);
});

Deno.test("requests that were never answered are an outage since they were sent", () => {
  const { answered, lines, outage } = startOutage();
  answered(0, "/a", GOOD);
  answered(15, "/a", TIMEOUT, 10);
  answered(15, "/b", TIMEOUT, 10);
  assertEquals([lines.length, outage.since], [1, 5_000]);
});

Deno.test("a url that is refused is told of once, and is no outage", () => {
  const { answered, lines, outage } = startOutage();
  answered(0, "/a", GOOD);
  for (let i = 1; i < 100; i++) answered(i, "/gone", status(404));
  assertEquals([outage.stacosys, lines], ["up", ["warning Stacosys refuses /gone: status 404"]]);
});

Deno.test("when all urls are refused that were good before, that is an outage", () => {
  const { answered, outage } = startOutage();
  answered(0, "/a", GOOD);
  answered(1, "/a", status(404));
  answered(3, "/b", status(404));
  assertEquals(outage.stacosys, "down");
});

Deno.test("as long as there was no good answer, one 404 says that Paths may be wrong, and is no outage", () => {
  const { answered, lines, outage } = startOutage();
  for (let i = 0; i < 10; i++) for (const url of ["/a", "/b"]) answered(i, url, status(404));
  assertEquals(outage.stacosys, "unknown");
  assertEquals(lines, ["warning Stacosys refuses /a: status 404; Paths may be wrong for this Stacosys"]);
});

Deno.test("a refusal other than 404 says nothing of Paths", () => {
  const { answered, lines } = startOutage();
  answered(0, "/a", status(401));
  assertEquals(lines, ["warning Stacosys refuses /a: status 401"]);
});

Deno.test("what others have written is told in 200 characters", () => {
  const { answered, lines } = startOutage();
  const long = `/${"x".repeat(8_000)}`;
  answered(0, long, { outcome: "redirect", reason: `a redirect to ${"y".repeat(300_000)}` });
  answered(1, long, { outcome: "redirect", reason: `a redirect to ${"y".repeat(300_000)}` });
  assertEquals(lines, [
    `always warning Stacosys fails: a redirect to ${"y".repeat(185)}…, asked for /${"x".repeat(198)}…`,
  ]);
});
