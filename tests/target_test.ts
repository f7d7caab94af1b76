import { setImmediate } from "node:timers";
import { assertEquals, assertLess } from "@std/assert";
import fc from "fast-check";
import { articleOf, targetsAbout } from "../upstream/target.ts";

Deno.test("the article of a target is the first that its parameters name, as a browser would parse them", () => {
  const piece = fc.constantFrom(
    "url",
    "u%72%6C",
    "%75rl",
    "URL",
    "a",
    "=",
    "==",
    "&",
    "?",
    "%",
    "%C3%A9",
    "+",
    "/b/",
    "é",
    "#",
  );
  const query = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(""));
  fc.assert(
    fc.property(query, (query) => {
      assertEquals(articleOf(`/comments/count?${query}`), new URLSearchParams(`?${query}`).get("url"));
    }),
    { numRuns: 5_000 },
  );
  assertEquals([articleOf("/comments/count"), articleOf("/comments/count?")], [null, null]);
});

Deno.test("readers pass while the targets of an article are looked for, however long targets are", async () => {
  let taken = 0;
  function* targets(): Generator<string> {
    for (; taken < 1_000; taken++) yield `?${taken}&`.padEnd(8_192, "a&");
  }
  let looking = true;
  const found = Array.fromAsync(targetsAbout("/a/", targets())).finally(() => looking = false);
  let most = 0;
  while (looking) {
    const before = taken;
    await new Promise((resolve) => setImmediate(resolve));
    most = Math.max(most, taken - before);
  }
  // None of them names an article, so that they count the whole site.
  assertEquals((await found).length, 1_000);
  // Some slices of 16 targets, and never all of them.
  assertLess(most, 100);
});
