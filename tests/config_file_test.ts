import { assertEquals, assertMatch } from "@std/assert";
import fc from "fast-check";
import { parseConfig, readConfigFile } from "../service/config.ts";
import { makeFolder } from "./folder.ts";

const REQUIRED = { HostPort: ":8101", Stacosys: "http://127.0.0.1:8100" };

function read(values: Record<string, unknown>) {
  return parseConfig(JSON.stringify({ ...REQUIRED, ...values }), "c.json");
}

Deno.test("all faults are reported in one go", () => {
  assertEquals(parseConfig('{"HostPort":"nonsense","TtlSeconds":"soon","MaxEntries":0}', "c.json").faults, [
    'c.json: HostPort: expected "host:port" or ":port" with a port from 1 to 65535, got "nonsense"',
    'c.json: Stacosys: expected a URL such as "http://127.0.0.1:8100", without query or fragment, got nothing',
    'c.json: TtlSeconds: expected a number of seconds greater than 0, up to 1000000000, got "soon"',
    "c.json: MaxEntries: expected a whole number from 1 to 100000, got 0",
  ]);
});

Deno.test("what is no JSON object is one fault that says where", () => {
  for (
    const [text, what] of [
      ['{\n  "HostPort": ,\n}', "Unexpected token ',' in line 2"],
      ['{\n  "HostPort": ":8101",\n  "Stacosys": \'http://h\'\n}', "Unexpected token ''' in line 3"],
      [
        '{\n  "HostPort": ":8101"\n  "Stacosys": 1 }',
        "Expected ',' or '}' after property value in JSON at position 26 (line 3 column 3)",
      ],
      ["", "Unexpected end of JSON input"],
    ]
  ) {
    assertEquals(parseConfig(text ?? "", "c.json").faults, [`c.json: expected JSON, got something else: ${what}`]);
  }
  for (const [text, got] of [["[]", "a list"], ["null", "null"], ["7", "a number"], ['"x"', "a string"]]) {
    assertEquals(parseConfig(text ?? "", "c.json").faults, [`c.json: expected a JSON object, got ${got}`]);
  }
});

Deno.test("what does not show is named in a fault", () => {
  const fault = (text: string) => parseConfig(text, "c.json").faults[0] ?? "";
  assertMatch(
    fault('{\u00a0"HostPort": ":1"}'),
    /^c\.json: expected JSON, got something else: .*; U\+00A0 is no blank in JSON$/,
  );
  assertMatch(fault('{"HostPort":\u200b":1"}'), /'\\u200b' in line 1; U\+200B is no blank in JSON$/);
  assertEquals(fault('{"HostPort": "a \u00a0').includes("no blank"), false);
  assertMatch(fault(JSON.stringify({ ...REQUIRED, HostPort: ":1\u00a0\u009b" })), /, got ":1\\u00a0\\u009b"$/);
});

for (const order of ["little", "big"]) {
  for (const mark of ["", "\ufeff"]) {
    Deno.test(`a file in UTF-16, ${order} endian, with${mark ? "" : "out"} a byte order mark, is named as such`, async () => {
      await using folder = await makeFolder();
      const file = `${folder.path}/c.json`;
      const text = mark + JSON.stringify(REQUIRED);
      const bytes = new DataView(new ArrayBuffer(2 * text.length));
      for (let i = 0; i < text.length; i++) bytes.setUint16(2 * i, text.charCodeAt(i), order === "little");
      await Deno.writeFile(file, new Uint8Array(bytes.buffer));
      assertEquals(parseConfig(readConfigFile(file), "c.json").faults, [
        "c.json: expected JSON in UTF-8, got UTF-16; save the file as UTF-8",
      ]);
    });
  }
}

Deno.test("the user and the password of a URL are shown nowhere, whatever key it is under", () => {
  const url = "http://me:secret@127.0.0.1:8100";
  for (const values of [{ HostPort: url, Stacosys: ":8101" }, { Old: url }, { CorsOrigin: [url] }]) {
    const { text, faults, warnings } = read(values);
    for (const said of [text, ...faults, ...warnings]) assertEquals(/me:|secret/.test(said), false, said);
  }
});

Deno.test("an unknown name is warned about, with the nearest known one if it looks like a slip", () => {
  assertEquals(read({ TtlSecond: 5, Ttl: 5, timeout: 5, TlsKerFile: "k", Colour: "red", "a\nb": 1 }).warnings, [
    "c.json: TtlSecond: unknown, ignored; did you mean TtlSeconds?",
    "c.json: Ttl: unknown, ignored; did you mean TtlSeconds?",
    "c.json: timeout: unknown, ignored; did you mean TimeoutSeconds?",
    "c.json: TlsKerFile: unknown, ignored; did you mean TlsKeyFile?",
    "c.json: Colour: unknown, ignored",
    "c.json: a\\nb: unknown, ignored",
  ]);
});

Deno.test("a name given twice counts as it was given last, with a warning", () => {
  const { config, warnings } = read({ TtlSeconds: 1, ttlseconds: 2 });
  assertEquals(config?.ttlMs, 2_000);
  assertEquals(warnings, ["c.json: ttlseconds: given more than once, the last one counts"]);
});

Deno.test("a name given twice to the letter is warned about, but not one within a value", () => {
  const text =
    `{"HostPort":":1","Stacosys":"http://h","Ttl\\u0053econds":1,"TtlSeconds":2,"X":{"a":1,"a":["}",{"a":2}]}}`;
  const { config, warnings } = parseConfig(text, "c.json");
  assertEquals(config?.ttlMs, 2_000);
  assertEquals(warnings, [
    "c.json: TtlSeconds: given more than once, the last one counts",
    "c.json: X: unknown, ignored",
  ]);
});

Deno.test("whatever the file holds, there is a configuration or a fault, and each fault is one line", () => {
  const key = fc.oneof(
    fc.constantFrom("HostPort", "Stacosys", "CorsOrigin", "Paths", "TtlSeconds", "MaxEntries", "AdminHostPort"),
    fc.string({ unit: "binary" }),
  );
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.json(),
    fc.dictionary(key, fc.oneof(fc.jsonValue(), fc.string({ unit: "binary" }))).map((values) => JSON.stringify(values)),
    fc.dictionary(key, fc.jsonValue()).map((values) => JSON.stringify({ ...REQUIRED, ...values })),
  );
  fc.assert(
    fc.property(text, (text) => {
      const { config, faults, warnings } = parseConfig(text, "c.json");
      assertEquals(config === undefined, faults.length > 0);
      for (const line of [...faults, ...warnings]) assertMatch(line, /^c\.json: [^\p{Cc}\p{Zl}\p{Zp}]+$/u);
    }),
    // What cannot be made a string.
    { numRuns: 2_000, examples: [['{"CorsOrigin":[{"toString":0}]}']] },
  );
});
