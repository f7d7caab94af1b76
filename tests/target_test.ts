import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { articleOf } from "../upstream/target.ts";

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
