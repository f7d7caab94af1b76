import { assertEquals } from "@std/assert";
import { inTime } from "../service/in_time.ts";

Deno.test("work is waited for as long as it takes steps, and given up when it takes none", async () => {
  const never = new Promise<string>(() => {});
  let steps = 0;
  const stepsUpTo = (most: number) => () => Math.min(steps++, most);
  assertEquals([await inTime(never, "late", stepsUpTo(5), 1), steps], ["late", 7]);

  steps = 0;
  const { promise, resolve } = Promise.withResolvers<string>();
  const work = inTime(promise, "late", () => {
    if (steps === 4) resolve("done");
    return ++steps;
  }, 1);
  assertEquals(await work, "done");
  assertEquals(await inTime(never, "late", undefined, 1), "late");
});
