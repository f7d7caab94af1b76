import { assertEquals, assertMatch } from "@std/assert";

const ROOT = `${import.meta.dirname}/../`;

Deno.test("whatever names a version of Deno names the one in README's table", async () => {
  const [, ours = ""] = /^\| Deno (\S+) /m.exec(await Deno.readTextFile(`${ROOT}README.md`)) ?? [];
  assertMatch(ours, /^\d+\.\d+\.\d+$/);
  const docs = Array.from(Deno.readDirSync(`${ROOT}docs`), ({ name }) => `docs/${name}`);
  for (const file of ["README.md", "CONTRIBUTING.md", ".ci/run", ...docs.filter((name) => name.endsWith(".md"))]) {
    const text = await Deno.readTextFile(ROOT + file);
    const named = Array.from(text.matchAll(/\bdeno[@` ]+(\d+\.\d+\.\d+)/gi), ([, version]) => version);
    assertEquals(named, named.map(() => ours), file);
  }
});

Deno.test("each key of the configuration has its row in README", async () => {
  const keys = (await Deno.readTextFile(`${ROOT}service/config.ts`)).matchAll(/\bread(?:Or)?\("(\w+)"/g);
  const cells = (await Deno.readTextFile(`${ROOT}README.md`)).matchAll(/^\| (`[A-Z][^|]*)\|/gm);
  const rows = Array.from(cells, ([, cell = ""]) => cell).join();
  assertEquals(Array.from(keys, ([, key]) => key).filter((key) => !rows.includes(`\`${key}\``)), []);
});
