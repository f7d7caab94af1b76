import { assert, assertEquals } from "@std/assert";
import { isLoopback } from "../service/checks.ts";
import { parseConfig } from "../service/config.ts";

const REQUIRED = { HostPort: "127.0.0.1:8101", Stacosys: "http://127.0.0.1:8100" };

function read(values: Record<string, unknown>) {
  return parseConfig(JSON.stringify({ ...REQUIRED, ...values }), "c.json");
}

function accepts(values: Record<string, unknown>) {
  const { config, faults } = read(values);
  assertEquals(faults, []);
  assert(config);
  return config;
}

function faultsOf(values: Record<string, unknown>): readonly string[] {
  const { config, faults } = read(values);
  assertEquals(config, undefined);
  return faults;
}

Deno.test("the Go program's configuration is all that is needed; the rest has defaults", () => {
  assertEquals(accepts({ CorsOrigin: "https://blog.example.org" }), {
    listen: { hostname: "127.0.0.1", port: 8101 },
    stacosys: { url: "http://127.0.0.1:8100", authorization: undefined },
    corsOrigin: "https://blog.example.org",
    paths: undefined,
    ttlMs: 300_000,
    staleIfErrorMs: 86_400_000,
    staleWhileRevalidateMs: 0,
    sweepMs: 600_000,
    timeoutMs: 10_000,
    maxEntries: 10_000,
    snapshotFile: undefined,
    watchFile: undefined,
    reusePort: false,
    tls: undefined,
    admin: undefined,
    cacheControl: false,
  });
});

Deno.test("names may be in any case, and a byte order mark is no fault", () => {
  const { config, faults, warnings } = parseConfig(
    '\uFEFF{"hostport":":1","STACOSYS":"http://h","ttlSECONDS":1.5}',
    "c.json",
  );
  assertEquals([faults, warnings], [[], []]);
  assertEquals(config?.ttlMs, 1_500);
});

Deno.test("HostPort is host:port, :port or [v6]:port", () => {
  assertEquals(accepts({ HostPort: ":1" }).listen, { hostname: undefined, port: 1 });
  assertEquals(accepts({ HostPort: "[::1]:65535" }).listen, { hostname: "::1", port: 65535 });
  assertEquals(accepts({ HostPort: "localhost:80" }).listen, { hostname: "localhost", port: 80 });
  assertEquals(accepts({ HostPort: "LocalHost:80" }).listen, { hostname: "localhost", port: 80 });
  assertEquals(accepts({ HostPort: "127.1:80" }).listen, { hostname: "127.0.0.1", port: 80 });
  assertEquals(accepts({ HostPort: "[::ffff:127.0.0.1]:80" }).listen, { hostname: "127.0.0.1", port: 80 });
  for (
    const wrong of [
      "8101",
      "127.0.0.1",
      "h:0",
      "h:65536",
      "h:x",
      "[::1:80",
      "::1:80",
      "a b:80",
      "300.1.1.1:80",
      1,
      null,
    ]
  ) {
    assertEquals(faultsOf({ HostPort: wrong }), [
      `c.json: HostPort: expected "host:port" or ":port" with a port from 1 to 65535, got ${JSON.stringify(wrong)}`,
    ]);
  }
});

Deno.test("Stacosys is an http or https URL, with a path if it has one, without slashes at the end", () => {
  assertEquals(accepts({ Stacosys: "https://example.org/stacosys//" }).stacosys.url, "https://example.org/stacosys");
  assertEquals(accepts({ Stacosys: "http://[::1]:8100/" }).stacosys.url, "http://[::1]:8100");
  const kinds = [[7, "a number"], [true, "a boolean"], [null, "null"], [[], "a list"], [{}, "an object"]] as const;
  for (const [wrong, kind] of kinds) {
    assertEquals(faultsOf({ Stacosys: wrong }), [
      `c.json: Stacosys: expected a URL such as "http://127.0.0.1:8100", without query or fragment, got ${kind}`,
    ]);
  }
  for (const wrong of ["", "127.0.0.1:8100", "ftp://h", "http://", "http://h/?", "http://h/?a=1", "http://h/#"]) {
    assertEquals(faultsOf({ Stacosys: wrong }), [
      'c.json: Stacosys: expected a URL such as "http://127.0.0.1:8100", without query or fragment, got another ' +
      "string, not shown as it may hold a password",
    ]);
  }
});

Deno.test("the user and the password of Stacosys are kept apart from its URL, byte for byte", () => {
  for (
    const [user, bytes] of [
      ["me:secret@", "me:secret"],
      ["me@", "me:"],
      [":secret@", ":secret"],
      ["me:sec@ret@", "me:sec@ret"],
      ["me:%73ecret@", "me:secret"],
      ["me:%zz@", "me:%zz"],
      ["é:ü@", "\xc3\xa9:\xc3\xbc"],
      ["%ff:@", "\xff:"],
    ] as const
  ) {
    const authorization = `Basic ${btoa(bytes)}`;
    assertEquals(accepts({ Stacosys: `https://${user}h/a/` }).stacosys, { url: "https://h/a", authorization });
  }
  assertEquals(accepts({ Stacosys: "http://@h" }).stacosys, { url: "http://h", authorization: undefined });
});

Deno.test("the text of the file is kept as it is, but for the user and the password of Stacosys", () => {
  const plain = '{ "HostPort": ":1",\r\n\t"stacosys": "http:/h", "X": 1 }\n';
  assertEquals(parseConfig(plain, "c.json").text, plain);
  const { text } = parseConfig(plain.replace("/h", "/me:secret@h"), "c.json");
  assertEquals(text, '{\n  "HostPort": ":1",\n  "stacosys": "http://h/",\n  "X": 1\n}');
});

Deno.test("no fault shows the password of a Stacosys, even of one that nobody can read", () => {
  const texts = ["ftp://", "http://h/?", "h:/", "//", "http//", ""].flatMap((begin) => {
    const value = JSON.stringify(`${begin}me:secret@h`);
    return [value, `[${value}]`, `{"url":${value}}`].map((value) => `{"HostPort":":1","Stacosys":${value}}`);
  });
  texts.push(
    `{"HostPort":":1","Stacosys":"http://me:secret@h/?a"}`,
    `{"HostPort":":1","Stacosys":"http://me:secret"}`,
    `{"HostPort":":1","Stacosys":"http://me:secret@h`,
    `{"HostPort":":1","Stacosys":'http://me:secret@h'}`,
    `{"HostPort":":1","Stacosys":http://me:secret@h}`,
    `{"HostPort":":1","Stacosys":'secret@h'}`,
    `{"HostPort":":1","Stacosys":"http://me:secret"@h"}`,
    `{"HostPort":":1","Stacosys":"http://me:se\ncret@h"}`,
    `'http://me:secret@h'`,
    `me:secret`,
    `"http://me:secret@h"`,
    `["http://me:secret@h"]`,
  );
  for (const text of texts) {
    const { faults, warnings } = parseConfig(text, "c.json");
    assertEquals([faults.length, warnings], [1, []], text);
    assert(!/secr|cret/.test(faults[0] ?? ""), faults[0]);
  }
});

Deno.test("CorsOrigin is none, *, an origin or a list of origins", () => {
  assertEquals(accepts({}).corsOrigin, undefined);
  assertEquals(accepts({ CorsOrigin: "" }).corsOrigin, undefined);
  assertEquals(accepts({ CorsOrigin: null }).corsOrigin, undefined);
  assertEquals(accepts({ CorsOrigin: "*" }).corsOrigin, "*");
  const list = ["https://a.example", "http://127.0.0.1:8102"];
  assertEquals(accepts({ CorsOrigin: list }).corsOrigin, list);
  assertEquals(faultsOf({ CorsOrigin: ["*", 7, { toString: 0 }, "a\u0000b", "https://a, https://b"] }), [
    'c.json: CorsOrigin: expected an origin such as "https://blog.example.org", got "*"',
    'c.json: CorsOrigin: expected an origin such as "https://blog.example.org", got 7',
    'c.json: CorsOrigin: expected an origin such as "https://blog.example.org", got {"toString":0}',
    'c.json: CorsOrigin: expected an origin such as "https://blog.example.org", got "a\\u0000b"',
    'c.json: CorsOrigin: expected an origin such as "https://blog.example.org", got "https://a, https://b"',
  ]);
  assertEquals(faultsOf({ CorsOrigin: [] }), [
    'c.json: CorsOrigin: expected "*", an origin or a list of origins, got []',
  ]);
  assertEquals(faultsOf({ CorsOrigin: "a\r\nb" }), [
    'c.json: CorsOrigin: expected "*" or an origin such as "https://blog.example.org", got "a\\r\\nb"',
  ]);
});

Deno.test("an origin that no browser has is sent as it stands, with a warning that says what to write", () => {
  for (
    const [given, better] of [
      ["blog.example.org", "https://blog.example.org"],
      ["https://blog.example.org/", "https://blog.example.org"],
      ["https://Blog.example.org:443", "https://blog.example.org"],
      ["http://blog.example.org/a", "http://blog.example.org"],
      ["htps://blog.example.org", "https://blog.example.org"],
    ]
  ) {
    const { config, warnings } = read({ CorsOrigin: given });
    assertEquals(config?.corsOrigin, given);
    assertEquals(warnings, [
      `c.json: CorsOrigin: no browser sends "${given}" as its origin, so counters will not show; write "${better}"`,
    ]);
  }
});

Deno.test("an origin with an asterisk in it is told apart from the asterisk alone", () => {
  const { config, warnings } = read({ CorsOrigin: "https://*.example.org" });
  assertEquals(config?.corsOrigin, "https://*.example.org");
  assertEquals(warnings, [
    'c.json: CorsOrigin: no browser sends "https://*.example.org" as its origin, so counters will not show; ' +
    'write each origin, or "*" alone',
  ]);
});

Deno.test("an origin that is not ASCII is a fault that says how browsers write it", () => {
  assertEquals(faultsOf({ CorsOrigin: "https://été.example.org" }), [
    'c.json: CorsOrigin: expected "https://xn--t-9fab.example.org", as browsers write it, got "https://été.example.org"',
  ]);
});

Deno.test("Stacosys is not the service itself, however its address is spelled", () => {
  for (
    const [HostPort, hosts] of [
      ["127.0.0.1:8101", ["127.0.0.1", "127.1", "0x7f.1", "2130706433", "0.0.0.0", "localhost", "LOCALHOST"]],
      ["127.0.0.1:8101", ["[::ffff:127.0.0.1]", "[::FFFF:7f00:1]", "[::ffff:0.0.0.0]"]],
      ["127.1:8101", ["127.0.0.1"]],
      ["[::ffff:127.0.0.1]:8101", ["127.0.0.1"]],
      ["localhost:8101", ["127.0.0.1", "localhost"]],
      ["Localhost:8101", ["127.0.0.1"]],
      ["[::1]:8101", ["[::1]", "[0:0:0:0:0:0:0:1]", "[::]", "localhost"]],
      ["[0:0:0:0:0:0:0:1]:8101", ["[::1]"]],
      ["0.0.0.0:8101", ["127.0.0.1", "127.0.0.2", "0.0.0.0", "localhost", "[::ffff:127.0.0.2]"]],
      [":8101", ["127.0.0.1", "127.0.0.2", "[::1]", "[::]", "0.0.0.0", "localhost"]],
      ["[::]:8101", ["127.0.0.1", "[::1]", "localhost"]],
      ["192.0.2.1:8101", ["192.0.2.1", "192.0.513"]],
      ["Blog.example.org:8101", ["blog.EXAMPLE.org"]],
    ] as const
  ) {
    for (const host of hosts) {
      assertEquals(
        faultsOf({ HostPort, Stacosys: `http://${host}:8101/stacosys` }),
        ["c.json: Stacosys: expected the URL of Stacosys, got this service's own HostPort"],
        `${HostPort} ${host}`,
      );
    }
  }
  for (const [HostPort, Stacosys] of [[":80", "http://127.0.0.1"], [":443", "https://localhost"]]) {
    assertEquals(faultsOf({ HostPort, Stacosys }).length, 1);
  }
});

Deno.test("Stacosys is not the service itself at another address of this machine, if that listens on all", () => {
  const own = Deno.networkInterfaces().map(({ family, address }) => family === "IPv6" ? `[${address}]` : address);
  for (const host of own) {
    const fault = "c.json: Stacosys: expected the URL of Stacosys, got this service's own HostPort";
    assertEquals(faultsOf({ HostPort: ":8101", Stacosys: `http://${host}:8101` }), [fault], host);
    assertEquals(accepts({ HostPort: ":8102", Stacosys: `http://${host}:8101` }).listen.port, 8102);
  }
});

Deno.test("Stacosys may have the port of the service at another address", () => {
  for (
    const [HostPort, hosts] of [
      ["127.0.0.1:8100", ["127.0.0.2", "[::1]", "[::]", "192.0.2.1", "[::ffff:127.0.0.2]", "127.0.0.1.example.org"]],
      ["127.0.0.2:8100", ["127.0.0.1", "localhost", "0.0.0.0"]],
      ["localhost:8100", ["[::1]", "127.0.0.2"]],
      ["[::1]:8100", ["127.0.0.1", "0.0.0.0"]],
      ["0.0.0.0:8100", ["[::1]", "[::]", "192.0.2.1", "127.example.org"]],
      [":8100", ["192.0.2.1", "stacosys.example.org"]],
      ["[::]:8100", ["[2001:db8::1]"]],
    ] as const
  ) {
    for (const host of hosts) accepts({ HostPort, Stacosys: `http://${host}:8100` });
  }
  accepts({ HostPort: ":80", Stacosys: "https://127.0.0.1" });
});

Deno.test("Paths is a list of paths", () => {
  assertEquals(accepts({ Paths: ["/api/comments/count", "/c"] }).paths, ["/api/comments/count", "/c"]);
  for (const wrong of ["/comments/count", [], {}, 1]) {
    assertEquals(faultsOf({ Paths: wrong }), [
      `c.json: Paths: expected a list of paths such as ["/comments/count"], got ${JSON.stringify(wrong)}`,
    ]);
  }
  assertEquals(faultsOf({ Paths: ["/good", "bad", "/a?b", "/a#b", "/a b", 7] }).length, 5);
});

Deno.test("seconds are numbers greater than 0, or 0 where that means none", () => {
  for (const key of ["TtlSeconds", "SweepSeconds", "TimeoutSeconds"]) {
    for (const wrong of [0, -1, "5", null, [], true, 1e10]) {
      assertEquals(faultsOf({ [key]: wrong }), [
        `c.json: ${key}: expected a number of seconds greater than 0, up to 1000000000, got ${JSON.stringify(wrong)}`,
      ]);
    }
  }
  for (const key of ["StaleIfErrorSeconds", "StaleWhileRevalidateSeconds"]) {
    for (const wrong of [-1, "5", null, 1e10]) {
      assertEquals(faultsOf({ [key]: wrong }), [
        `c.json: ${key}: expected a number of seconds from 0 to 1000000000, got ${JSON.stringify(wrong)}`,
      ]);
    }
  }
  assertEquals(accepts({ StaleIfErrorSeconds: 0, StaleWhileRevalidateSeconds: 0.5 }).staleWhileRevalidateMs, 500);
});

Deno.test("MaxEntries is a whole number, and no more than a machine can hold", () => {
  for (const right of [1, 1e5]) assertEquals(accepts({ MaxEntries: right }).maxEntries, right);
  for (const wrong of [0, 1.5, -3, "9", 2 ** 53]) {
    assertEquals(faultsOf({ MaxEntries: wrong }), [
      `c.json: MaxEntries: expected a whole number from 1 to 100000, got ${JSON.stringify(wrong)}`,
    ]);
  }
});

Deno.test("more than 100,000 entries count as 100,000, with a warning", () => {
  const { config, warnings } = read({ MaxEntries: 1_000_000 });
  assertEquals(config?.maxEntries, 100_000);
  assertEquals(warnings, ["c.json: MaxEntries: 1000000 is reduced to 100000, the maximum"]);
});

Deno.test("what is longer than timers can count is as long as they can, with a warning, and what else is long stays", () => {
  const seconds = { SweepSeconds: 2_147_484, TimeoutSeconds: 1e9, TtlSeconds: 1e9, StaleIfErrorSeconds: 1e9 };
  const { config, warnings } = read(seconds);
  assertEquals([config?.sweepMs, config?.timeoutMs], [2_147_483_000, 2_147_483_000]);
  assertEquals([config?.ttlMs, config?.staleIfErrorMs], [1e12, 1e12]);
  assertEquals(warnings, [
    "c.json: SweepSeconds: 2147484 is reduced to 2147483, the maximum",
    "c.json: TimeoutSeconds: 1000000000 is reduced to 2147483, the maximum",
  ]);
  assertEquals(accepts({ TimeoutSeconds: 2_147_483 }).timeoutMs, 2_147_483_000);
});

Deno.test("switches are true or false, and files have names", () => {
  const { reusePort, cacheControl, snapshotFile } = accepts({ ReusePort: true, CacheControl: true, SnapshotFile: "s" });
  assertEquals([reusePort, cacheControl, snapshotFile], [true, true, "s"]);
  assertEquals(faultsOf({ ReusePort: 1, CacheControl: "yes", SnapshotFile: "" }), [
    'c.json: SnapshotFile: expected a file name, got ""',
    "c.json: ReusePort: expected true or false, got 1",
    'c.json: CacheControl: expected true or false, got "yes"',
  ]);
});

Deno.test("AdminHostPort is a loopback address, nothing that others reach", () => {
  assertEquals(accepts({ AdminHostPort: "127.0.0.1:8109" }).admin, { hostname: "127.0.0.1", port: 8109 });
  assertEquals(accepts({ AdminHostPort: "[::1]:8109" }).admin, { hostname: "::1", port: 8109 });
  assertEquals(accepts({ AdminHostPort: "[0:0:0:0:0:0:0:1]:8109" }).admin, { hostname: "::1", port: 8109 });
  assertEquals(accepts({ AdminHostPort: "localhost:8109" }).admin, { hostname: "localhost", port: 8109 });
  for (const wrong of [":8109", "0.0.0.0:8109", "[::]:8109", "192.168.0.1:8109", "127.example.org:80", 8109]) {
    assertEquals(faultsOf({ AdminHostPort: wrong }), [
      `c.json: AdminHostPort: expected "127.0.0.1:port" or another loopback address, got ${JSON.stringify(wrong)}`,
    ]);
  }
  assertEquals(isLoopback("127.0.0.1.example.org"), false);
});

Deno.test("AdminHostPort is never the port that readers come to", () => {
  for (const HostPort of ["127.0.0.1:8109", ":8109", "192.168.0.1:8109"]) {
    assertEquals(faultsOf({ HostPort, AdminHostPort: "127.0.0.1:8109", ReusePort: true }), [
      'c.json: AdminHostPort: expected another port than that of HostPort, got "127.0.0.1:8109"',
    ]);
  }
});

Deno.test("a certificate needs its key, and a key its certificate", () => {
  assertEquals(accepts({ TlsCertFile: "c.pem", TlsKeyFile: "k.pem" }).tls, { cert: "c.pem", key: "k.pem" });
  assertEquals(faultsOf({ TlsCertFile: "c.pem" }), [
    "c.json: TlsKeyFile: expected a file name, as TlsCertFile has one, got nothing",
  ]);
  assertEquals(faultsOf({ TlsKeyFile: "k.pem" }), [
    "c.json: TlsCertFile: expected a file name, as TlsKeyFile has one, got nothing",
  ]);
});
