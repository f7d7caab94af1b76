import { assertEquals } from "@std/assert";
import { watchClock } from "../service/clock.ts";

Deno.test("a clock that is set back is told of once, also if it was little by little; one that is set forward is not", () => {
  let now = 1_000_000;
  let monotonic = 0;
  let told = 0;
  let look = () => {};
  watchClock(() => told++, { now: () => now, monotonic: () => monotonic }, (again) => look = again);
  /** A second passes, in which somebody sets the clock. */
  function second(step: number): number {
    monotonic += 1_000;
    now += 1_000 + step;
    look();
    return told;
  }
  assertEquals([0, -3_600_000, 0, 3_600_000, 0, -999, 0].map(second), [0, 1, 1, 1, 1, 1, 1]);
  assertEquals([-1, -500, -500].map(second), [2, 2, 3]);
});
