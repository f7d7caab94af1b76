import { assert, assertEquals } from "@std/assert";
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
  const known = new Set<string>();
  const timers: { readonly at: number; readonly callback: () => void }[] = [];
  const outage = new Outage(
    (level, text, always) => lines.push(`${always ?? ""} ${level} ${text}`.trim()),
    () => clock.now,
    (callback, ms) => timers.push({ at: clock.now + ms, callback }),
  );
  /** Lets time pass up to a second. */
  function pass(toSeconds: number): void {
    for (let due; (due = timers.findIndex(({ at }) => at <= toSeconds * 1000)) !== -1;) {
      const [timer] = timers.splice(due, 1);
      clock.now = timer?.at ?? 0;
      timer?.callback();
    }
    clock.now = toSeconds * 1000;
  }
  /** Takes note of an answer that came at a second. */
  function answered(atSeconds: number, target: string, answer: Answer, tookSeconds = 0): void {
    pass(atSeconds);
    outage.follow(target, answer, tookSeconds * 1000, known.has(target));
    if (answer.outcome === "ok") known.add(target);
  }
  return { pass, lines, outage, answered };
}

Deno.test("an outage is one line when it begins and one when it ends, whatever lies between", () => {
  const { answered, pass, lines, outage } = startOutage();
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
  pass(3_600);
  assertEquals([outage.stacosys, outage.since, outage.lastGoodAt], ["up", 13_500, 14_000]);
  assertEquals(lines, [
    "always warning Stacosys fails: Connection refused (os error 111), asked for /b",
    "always info Stacosys is back after 12.5 s; meanwhile 2 counts were stale and 1 missing",
  ]);
});

Deno.test("a failure that is no outage is one line a url, however often it fails among good answers", () => {
  const { answered, lines, outage } = startOutage();
  for (let i = 0; i < 1_000; i++) {
    answered(i, "/right", GOOD);
    answered(i + 0.3, "/500", status(500));
    answered(i + 0.6, "/reset", REFUSED);
    answered(i + 0.9, "/hangs", TIMEOUT, 10);
  }
  assertEquals([outage.stacosys, lines], ["up", [
    "warning Stacosys gave no count for /500: status 500",
    "warning Stacosys gave no count for /reset: Connection refused (os error 111)",
    "warning Stacosys gave no count for /hangs: no answer within 10 s",
  ]]);
});

Deno.test("urls that always fail are told of once, however seldom another one is asked for", () => {
  const { answered, lines, outage } = startOutage();
  for (let i = 0; i < 100; i++) {
    answered(i * 300, "/right", GOOD);
    for (let seconds = 10; seconds < 300; seconds += 10) {
      answered(i * 300 + seconds, "/500", status(500));
      answered(i * 300 + seconds, "/html", { outcome: "body", reason: "a body without a count", status: 200 });
    }
  }
  assertEquals(lines, [
    "warning Stacosys gave no count for /500: status 500",
    // With nothing good between the two that may be one.
    "always warning Stacosys fails: status 500, asked for /500",
    "always info Stacosys is back after 290.0 s; meanwhile 0 counts were stale and 0 missing",
    "warning Stacosys gave no count for /html: a body without a count",
  ]);
  assertEquals(outage.stacosys, "up");
});

Deno.test("a Stacosys that is stopped while somebody asks once in a while is told of at once, and is an outage when it fails again", () => {
  const { answered, pass, lines } = startOutage();
  answered(0, "/a", GOOD);
  answered(3_600, "/a", REFUSED);
  pass(3_602);
  const begin = ["warning Stacosys gave no count for /a: Connection refused (os error 111)"];
  assertEquals(lines, begin);
  answered(7_200, "/a", REFUSED);
  answered(9_000, "/a", GOOD);
  const outage = [
    ...begin,
    "always warning Stacosys fails: Connection refused (os error 111), asked for /a",
    "always info Stacosys is back after 5400.0 s; meanwhile 0 counts were stale and 0 missing",
  ];
  assertEquals(lines, outage);
  answered(10_000, "/a", REFUSED);
  pass(10_002);
  assertEquals(lines, [...outage, ...begin]);
});

Deno.test("a restart of Stacosys under load is one line, however many urls fail meanwhile", () => {
  const { answered, pass, lines } = startOutage();
  answered(0, "/a", GOOD);
  for (let i = 0; i < 500; i++) {
    answered(1 + i / 1000, `/${i}`, REFUSED);
    // Some answers were on their way when it stopped.
    if (i % 10 === 0 && i < 100) answered(1 + i / 1000, `/good-${i}`, GOOD);
  }
  for (let i = 0; i < 500; i++) answered(1.5 + i / 1000, `/${i}`, GOOD);
  pass(3_600);
  assertEquals(lines, ["warning Stacosys gave no count for /0: Connection refused (os error 111)"]);
});

Deno.test("a flood of made-up urls that all fail among good ones is a line every other second, which the log keeps few", () => {
  const { answered, pass, lines } = startOutage();
  for (let i = 0; i < 10_000; i++) {
    answered(i / 1000, `/made-up/${i}`, status(500));
    answered(i / 1000, "/a", GOOD);
  }
  pass(3_600);
  assertEquals(lines.length, 5);
  assert(lines.every((line) => line.startsWith("warning Stacosys gave no count for /made-up/")), lines[0]);
});

Deno.test("urls that have always failed are no outage when they fail again, without a connection they are", () => {
  const { answered, outage } = startOutage();
  answered(0, "/good", GOOD);
  for (const [i, bad] of [status(500), TIMEOUT].entries()) answered(1 + i / 10, `/bad/${i}`, bad);
  answered(3, "/good", GOOD);
  for (let i = 4; i < 100; i += 2) {
    answered(i, "/bad/0", status(500));
    answered(i + 1, "/bad/1", TIMEOUT);
  }
  assertEquals([outage.stacosys, outage.failingSince(97_000), outage.failingSince(98_000)], ["up", 2, 1]);
  for (let i = 100; i < 103; i++) answered(i, "/bad/0", REFUSED);
  assertEquals(outage.stacosys, "down");
  answered(104, "/bad/0", GOOD);
  assertEquals([outage.stacosys, outage.failingSince(0)], ["up", 0], "what failed in an outage that is over");
  answered(105, "/bad/1", TIMEOUT);
  assertEquals(outage.failingSince(0), 1);
});

for (const bad of [status(500), TIMEOUT]) {
  Deno.test(`when counts fail that were good before, that is an outage, whatever failed before: ${bad.outcome}`, () => {
    const { answered, lines, outage } = startOutage();
    answered(0, "/b", bad);
    for (let round = 0; round < 3; round++) {
      answered(10 * round + 1, "/a", GOOD);
      assertEquals(outage.stacosys, "up");
      for (let i = 2; i < 6; i++) for (const url of ["/a", "/b"]) answered(10 * round + i, url, bad);
      assertEquals(outage.stacosys, "down");
    }
    assertEquals(lines.filter((line) => line.includes("fails")).length, 3);
  });

  Deno.test(`one count that fails for ever is no outage, though it was good before: ${bad.outcome}`, () => {
    const { answered, outage } = startOutage();
    for (const url of ["/a", "/b"]) answered(0, url, GOOD);
    for (let i = 1; i < 100; i++) answered(i, "/a", bad);
    assertEquals(outage.stacosys, "up");
  });
}

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
  assertEquals([outage.stacosys, lines], ["up", ["warning Stacosys gave no count for /gone: status 404"]]);
});

Deno.test("when all urls are refused that were good before, that is an outage", () => {
  const { answered, pass, lines, outage } = startOutage();
  answered(0, "/a", GOOD);
  for (let i = 0; i < 10; i++) for (const url of ["/a", "/b", "/c"]) answered(1 + i, url, status(404));
  pass(3_600);
  assertEquals([outage.stacosys, lines], ["down", [
    "always warning Stacosys fails: status 404, asked for /a",
  ]]);
});

Deno.test("as long as there was no good answer, one 404 says that Paths may be wrong, and is no outage", () => {
  const { answered, lines, outage } = startOutage();
  for (let i = 0; i < 10; i++) for (const url of ["/a", "/b"]) answered(i, url, status(404));
  assertEquals(outage.stacosys, "unknown");
  assertEquals(lines, ["warning Stacosys gave no count for /a: status 404; Paths may be wrong for this Stacosys"]);
});

Deno.test("that Paths may be wrong is said also of a Stacosys that starts late", () => {
  const { answered, pass, lines } = startOutage();
  for (let i = 0; i < 10; i++) answered(i / 2, "/a", REFUSED);
  for (let i = 5; i < 10; i++) answered(i, "/a", status(404));
  pass(3_600);
  assertEquals(lines, [
    "always warning Stacosys fails: Connection refused (os error 111), asked for /a",
    "warning Stacosys gave no count for /a: status 404; Paths may be wrong for this Stacosys",
  ]);
});

Deno.test("a refusal other than 404 says nothing of Paths", () => {
  const { answered, pass, lines } = startOutage();
  answered(0, "/a", status(401));
  pass(2);
  assertEquals(lines, ["warning Stacosys gave no count for /a: status 401"]);
});

Deno.test("what others have written is told in 200 characters", () => {
  const { answered, lines } = startOutage();
  const long = `/${"x".repeat(8_000)}`;
  answered(0, "/first", { outcome: "redirect", reason: `a redirect to ${"y".repeat(300_000)}` });
  answered(1, long, { outcome: "redirect", reason: `a redirect to ${"y".repeat(300_000)}` });
  assertEquals(lines, [
    `always warning Stacosys fails: a redirect to ${"y".repeat(185)}…, asked for /${"x".repeat(198)}…`,
  ]);
});
