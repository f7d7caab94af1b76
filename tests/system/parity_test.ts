/**
 * The program beside the Go program that it replaces: the same requests over the same wire, compared in all that a
 * reader's script and Stacosys can notice. What differs differs on purpose, and is listed here with its reason.
 *
 * What takes time (a hung Stacosys, a storm, a count that expires in an outage) is in faults_test.ts.
 *
 * @module
 */

import { assertEquals, assertNotEquals } from "@std/assert";
import { buildGo, GO } from "./go_program.ts";
import { testWith } from "./needs.ts";
import { startProgram } from "./program.ts";
import * as stand from "../stand_in.ts";

const CorsOrigin = "https://blog.example.org";

/** A request, what Stacosys does about it, and what comes of it. */
interface Case {
  /** Method and target, each character a byte. With a version after them, no Host is sent. */
  readonly request: string;
  /** Further headers, and a body after an empty line. */
  readonly more?: readonly string[];
  /** What Stacosys does if it is asked; it counts 7 by default. */
  readonly stacosys?: stand.Behaviour | "refuses";
  readonly outcome: Outcome;
}

/** What a reader gets, and what Stacosys is asked for it. */
interface Outcome {
  readonly answer: Answer;
  readonly asked: readonly string[];
}

interface Answer {
  readonly status: number;
  readonly body: string;
  /** Of the headers, those that scripts and browsers act upon. */
  readonly type?: string;
  readonly cors?: string;
  readonly nosniff?: string;
}

/** A case in which the Go program does otherwise. */
interface Difference extends Case {
  readonly goes: Outcome;
  readonly why: string;
}

const A = "/comments/count?token=T&url=/a/";

const COUNT: Answer = { status: 200, body: '{"count":7}\n', type: "application/json", cors: CorsOrigin };
const NOT_SERVED: Answer = {
  status: 404,
  body: "404 page not found\n",
  type: "text/plain; charset=utf-8",
  nosniff: "nosniff",
};
const NOT_HAD: Answer = { ...NOT_SERVED, cors: CorsOrigin };

/** Run in this order: what is a hit was a miss before. */
const ALIKE: Readonly<Record<string, Case>> = {
  "a miss": miss(A),
  "a hit": hit(A),
  "another article": miss("/comments/count?token=T&url=/b/"),
  "another token": miss("/comments/count?token=U&url=/a/"),
  "another order": miss("/comments/count?url=/a/&token=T"),
  "another spelling": miss("/comments/count?token=T&url=%2Fa%2F"),
  "another spelling, in lower case": miss("/comments/count?token=T&url=%2fa%2f"),
  "another spelling, again": hit("/comments/count?token=T&url=%2Fa%2F"),
  "another spelling of a letter": miss("/comments/count?token=T&url=/%61/"),
  "a parameter more": miss(`${A}&_=1`),
  "two urls": miss(`${A}&url=/b/`),
  "no query": miss("/comments/count"),
  "no query, again": hit("/comments/count"),
  "an empty query": miss("/comments/count?"),
  "a query of a question mark": miss("/comments/count??"),
  "a query without url": miss("/comments/count?token=T"),
  "a query without a value": miss("/comments/count?token=T&url="),
  "an empty parameter": miss(`${A}&`),
  "a plus and a blank": miss("/comments/count?token=T&url=/a+b%20c/"),
  "a line break": miss("/comments/count?token=T&url=/%0d%0a/"),
  "a per cent sign that is none": miss("/comments/count?token=T&url=/%zz/"),
  "unicode": miss("/comments/count?token=T&url=/2017/%C3%A9t%C3%A9-%F0%9F%90%B9/"),
  "dots and slashes in the query": miss("/comments/count?token=T&url=//a/../b/./"),
  "a whole URL in the query": miss("/comments/count?token=T&url=https://blog.example.org/a/?x=1%26y"),
  "brackets and the like": miss("/comments/count?token=T&url=/[a]{b}|c\\^`~!$()*,:@/"),

  "Range": hit(A, "Range: bytes=0-1"),
  "If-Modified-Since": hit(A, "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT"),
  "If-None-Match": hit(A, "If-None-Match: *"),
  "Cache-Control: no-cache": hit(A, "Cache-Control: no-cache", "Pragma: no-cache"),
  "Cache-Control: only-if-cached": miss("/comments/count?token=T&url=/only/", "Cache-Control: only-if-cached"),
  "Range, on a miss": miss("/comments/count?token=T&url=/range/", "Range: bytes=0-1"),
  "If-None-Match, on a miss": miss("/comments/count?token=T&url=/match/", "If-None-Match: *"),
  "Origin: the blog": hit(A, `Origin: ${CorsOrigin}`),
  "Origin: another": hit(A, "Origin: https://elsewhere.example"),
  "Origin: another, on a miss": miss("/comments/count?token=T&url=/origin/", "Origin: https://elsewhere.example"),
  "Accept: text/html": hit(A, "Accept: text/html"),
  "Accept-Encoding: gzip": hit(A, "Accept-Encoding: gzip, br"),
  "a cookie and a password": hit(A, "Cookie: a=b", "Authorization: Basic YTpi"),
  "X-Forwarded-For": hit(A, "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https"),
  "HTTP/1.0 without Host": hit(`${A} HTTP/1.0`),
  "HTTP/1.0 without Host, on a miss": {
    request: "GET /comments/count?url=/1.0/ HTTP/1.0",
    outcome: { answer: COUNT, asked: ["GET /comments/count?url=/1.0/"] },
  },
  "X-HTTP-Method-Override": hit(A, "X-HTTP-Method-Override: DELETE"),
  "a GET with a body": hit(A, "Content-Length: 3", "", "a=b"),

  "HEAD": { request: `HEAD ${A}`, outcome: { answer: { ...NOT_SERVED, body: "" }, asked: [] } },
  "POST": notServed(`POST ${A}`, "Content-Length: 3", "", "a=b"),
  "POST without a body": notServed(`POST ${A}`, "Content-Length: 0"),
  "PUT": notServed(`PUT ${A}`, "Content-Length: 3", "", "a=b"),
  "PATCH": notServed(`PATCH ${A}`, "Content-Length: 3", "", "a=b"),
  "DELETE": notServed(`DELETE ${A}`),
  "OPTIONS": notServed(`OPTIONS ${A}`),
  "OPTIONS before a request of another site": notServed(
    `OPTIONS ${A}`,
    `Origin: ${CorsOrigin}`,
    "Access-Control-Request-Method: GET",
  ),
  "TRACE": notServed(`TRACE ${A}`),
  "a method that nobody knows": notServed(`BREW ${A}`),
  "get": notServed(`get ${A}`),
  "POST of what is not in the cache": notServed("POST /comments/count?token=T&url=/post/", "Content-Length: 0"),

  "the root": notServed("GET /"),
  "POST to the root": notServed("POST /", "Content-Length: 0"),
  "the folder above": notServed("GET /comments"),
  "a slash at the end": notServed("GET /comments/count/?token=T&url=/a/"),
  "capitals": notServed("GET /Comments/Count?token=T&url=/a/"),
  "a letter more": notServed("GET /comments/countx?token=T&url=/a/"),
  "a letter less": notServed("GET /comments/coun?token=T&url=/a/"),
  "a blank at the end": notServed("GET /comments/count%20?token=T&url=/a/"),
  "a semicolon at the end": notServed("GET /comments/count;a=b?token=T&url=/a/"),
  "an ampersand for the question mark": notServed("GET /comments/count&url=/a/"),
  "a backslash": notServed("GET /comments\\count?token=T&url=/a/"),
  "another call of Stacosys": notServed("GET /comments?token=T&url=/a/"),
  "a robot": notServed("GET /robots.txt"),

  "an article that Stacosys does not know": had("unknown", stand.count(0), '{"count":0}\n'),
  "many comments": had("many", stand.count(123_456), '{"count":123456}\n'),
  "another spelling of JSON": written("spaces", ' { "count" : 7 }\r\n'),
  "JSON with more in it": written("more", '{"count":7,"url":"/a/"}'),
  "JSON with unicode": written("unicode", '{"count":7,"title":"été 🐹"}\n', "application/json; charset=utf-8"),
  "JSON that is said to be a page": written("page", '{"count":7}\n', "text/html"),
  "gzip": had("gzip", stand.gzip(7)),
  "chunks": had("chunks", stand.chunked(7)),
  "a slow answer": had("slow", stand.slowly(300, 7)),
  "a connection that stays open": had("open", stand.keptOpen(7)),
  "a connection that stays open, the next time": had("open-again", stand.keptOpen(7)),
  "a redirect": moved("302 FOUND"),
  "a redirect for ever": moved("301 MOVED PERMANENTLY"),
  "a redirect to see other": moved("303 SEE OTHER"),
  "a redirect that keeps the method": moved("307 TEMPORARY REDIRECT"),
  "a redirect that keeps the method for ever": moved("308 PERMANENT REDIRECT"),
  "a redirect, again": hit(targetOf("302")),

  "Stacosys refuses": notHad("refuses", "refuses"),
  "Stacosys refuses, but the count is in the cache": { ...hit(A), stacosys: "refuses" },
  "Stacosys resets at once": notHad("reset", ({ reset }) => Promise.resolve(reset())),
  "Stacosys closes at once": notHad("close", () => Promise.resolve()),
  "Stacosys resets in the header": notHad("header", stand.resetInHeader),
  "Stacosys resets in the body": notHad("body", stand.resetInBody),
  "Stacosys cuts its body short": notHad("short", stand.cutShort),
  "Stacosys cuts a chunk short": notHad("chunk", ({ send }) => {
    return send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{"count":7}\n');
  }),
  "Stacosys does not speak HTTP": notHad("ssh", ({ send }) => send("SSH-2.0-OpenSSH_9.2p1\r\n")),
  "Stacosys says gzip of what is none": notHad("no-gzip", ({ send }) => {
    return send('HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 12\r\n\r\n{"count":7}\n');
  }),
  "a redirect loop": {
    request: `GET ${targetOf("loop")}`,
    stacosys: stand.redirectLoop,
    outcome: { answer: NOT_HAD, asked: Array<string>(10).fill(`GET ${targetOf("loop")}`) },
  },
  "Stacosys redirects to nowhere that listens": notHad(
    "nowhere",
    stand.redirectTo("http://127.0.0.1:1/comments/count"),
  ),
};

const DIFFERENT: Readonly<Record<string, Difference>> = {
  "status 500": keptByGo("500", stand.status("500 INTERNAL SERVER ERROR"), ""),
  "status 404": keptByGo("404", stand.status("404 NOT FOUND"), ""),
  "a page with status 200": keptByGo("html", stand.html, "<!doctype html><title>Maintenance</title>"),
  "an empty body": keptByGo("empty", stand.empty, ""),
  "half a JSON": keptByGo("half", stand.halfJson, '{"count":'),
  "a body that is not UTF-8": keptByGo("latin-1", stand.notUtf8, '"\ufffd"'),
  "a doubled slash before the path": redirectedByGo("//comments/count?token=T&url=/a/"),
  "a doubled slash in the path": redirectedByGo("/comments//count?token=T&url=/a/"),
  "a dot in the path": redirectedByGo("/comments/./count?token=T&url=/a/"),
  "dots in the path": redirectedByGo("/comments/../comments/count?token=T&url=/a/"),
  "dots in the path, in another spelling": redirectedByGo("/x/%2e%2e/comments/count?token=T&url=/a/"),
  "a dot at the end of the path": redirectedByGo("/comments/count/.?token=T&url=/a/"),
  "another spelling of the path": {
    ...notServed("GET /comments/coun%74?token=T&url=/a/"),
    goes: { answer: COUNT, asked: ["GET /comments/coun%74?token=T&url=/a/"] },
    why: "a path is compared as it was sent, and so is the key of the cache; no browser sends it otherwise",
  },
  "a per cent sign that is none, in the path": {
    ...notServed("GET /%zz"),
    goes: { answer: { status: 400, body: "400 Bad Request", type: "text/plain; charset=utf-8" }, asked: [] },
    why: "any other path is 404",
  },
  "the path of Stacosys 3": {
    ...miss("/api/comments/count?url=/a/"),
    goes: { answer: NOT_SERVED, asked: [] },
    why: "a Stacosys from 3.0 on works without a word of configuration",
  },
  "a number alone": keptByGo("number", stand.body("1"), "1"),
  "a list": keptByGo("list", stand.body("[1,2]"), "[1,2]"),
  "a count below zero": keptByGo("negative", stand.body('{"count":-5}'), '{"count":-5}'),
  "a count in a string": keptByGo("string", stand.body('{"count":"7"}'), '{"count":"7"}'),
  "a Host with a path in it": {
    request: "GET /comments/count?url=/host/",
    more: ["Host: x/comments/count?url=/evil&y="],
    outcome: {
      answer: {
        status: 400,
        body: "400 Bad Request: malformed Host header\n",
        type: "text/plain; charset=utf-8",
        nosniff: "nosniff",
      },
      asked: [],
    },
    goes: {
      answer: { status: 400, body: "400 Bad Request: malformed Host header", type: "text/plain; charset=utf-8" },
      asked: [],
    },
    why: "the same refusal, in the form of all others",
  },
  "HTTP/1.1 without Host": {
    ...hit(`${A} HTTP/1.1`),
    goes: {
      answer: { status: 400, body: "400 Bad Request: missing required Host header", type: "text/plain; charset=utf-8" },
      asked: [],
    },
    why: "the runtime does not tell HTTP/1.1 from 1.0, where a request such as a health check may have none",
  },
  "the path of a batch": {
    request: "GET /comments/counts?token=T&url=/a/",
    outcome: { answer: { ...COUNT, body: '{"counts":{"/a/":7}}\n' }, asked: [] },
    goes: { answer: NOT_SERVED, asked: [] },
    why: "the counts of a whole page in one request",
  },
  "the path of a batch, without url": {
    request: "GET /comments/counts",
    outcome: {
      answer: { ...COUNT, status: 400, body: '{"error":"expected 1 to 100 urls, got 0"}\n' },
      asked: [],
    },
    goes: { answer: NOT_SERVED, asked: [] },
    why: "whoever asks for a batch is told what is wrong with it",
  },

  "an address longer than 8 KiB": {
    request: `GET ${A}${"x".repeat(8_192)}`,
    outcome: { answer: { ...NOT_HAD, status: 414, body: "414 URI too long\n" }, asked: [] },
    goes: { answer: COUNT, asked: [`GET ${A}${"x".repeat(8_192)}`] },
    why: "made-up addresses do not fill the memory",
  },
  "UTF-8 as it is": {
    request: "GET /comments/count?token=T&url=/\xc3\xa9/",
    outcome: { answer: COUNT, asked: ["GET /comments/count?token=T&url=/%C3%A9/"] },
    goes: { answer: COUNT, asked: ["GET /comments/count?token=T&url=/\xc3\xa9/"] },
    why: "fetch escapes what a URL may not contain; Stacosys reads the same",
  },
  "quotes as they are": {
    request: "GET /comments/count?token=T&url=/<\"'>/",
    outcome: { answer: COUNT, asked: ["GET /comments/count?token=T&url=/%3C%22%27%3E/"] },
    goes: { answer: COUNT, asked: ["GET /comments/count?token=T&url=/<\"'>/"] },
    why: "fetch escapes what browsers do; Stacosys reads the same",
  },
  "Latin-1 as it is": {
    request: "GET /comments/count?token=T&url=/\xe9/",
    outcome: { answer: { status: 400, body: "" }, asked: [] },
    goes: { answer: COUNT, asked: ["GET /comments/count?token=T&url=/\xe9/"] },
    why: "the runtime refuses a target that is not UTF-8; no browser sends it",
  },
  "a target with the name of the server": {
    request: "GET http://blog.example.org/comments/count?token=T&url=/absolute/",
    outcome: { answer: COUNT, asked: ["GET /comments/count?token=T&url=/absolute/"] },
    goes: { answer: NOT_HAD, asked: [] },
    why: "HTTP says that it is the same target; Go puts Stacosys' URL before it and asks nobody",
  },
  "CONNECT": {
    request: `CONNECT ${A}`,
    outcome: { answer: { status: 400, body: "" }, asked: [] },
    goes: { answer: NOT_SERVED, asked: [] },
    why: "the runtime refuses a CONNECT to a path before the program sees it",
  },
  "OPTIONS *": {
    ...notServed("OPTIONS *"),
    goes: { answer: { status: 200, body: "" }, asked: [] },
    why: "any method but GET is 404",
  },
};

Deno.test("each kind of request is answered, and each kind of answer passed on, as the table says", async () => {
  await using stacosys = await stand.startStandIn();
  await using program = await startProgram({ Stacosys: stacosys.url, CorsOrigin });
  assertEquals(await runAll(ALIKE, program, stacosys), mapped(ALIKE, ({ outcome }) => outcome));
  assertEquals(await runAll(DIFFERENT, program, stacosys), mapped(DIFFERENT, ({ outcome }) => outcome));
});

testWith(
  GO,
  "the Go program and this one answer and ask alike, but for the differences that have a reason",
  async () => {
    await using behindGo = await stand.startStandIn();
    await using behindOurs = await stand.startStandIn();
    await using built = await buildGo();
    await using go = await built.start({ Stacosys: behindGo.url, CorsOrigin });
    await using ours = await startProgram({ Stacosys: behindOurs.url, CorsOrigin });

    assertEquals(await runAll(ALIKE, ours, behindOurs), await runAll(ALIKE, go, behindGo));

    const expected = mapped(DIFFERENT, ({ goes }) => goes);
    assertEquals(await runAll(DIFFERENT, go, behindGo), expected);
    for (const [name, outcome] of Object.entries(await runAll(DIFFERENT, ours, behindOurs))) {
      assertNotEquals(outcome, expected[name], `${name} is no difference any more`);
    }
  },
);

// Cases.

function miss(target: string, ...more: string[]): Case {
  return { request: `GET ${target}`, more, outcome: { answer: COUNT, asked: [`GET ${target}`] } };
}

function hit(target: string, ...more: string[]): Case {
  return { request: `GET ${target}`, more, outcome: { answer: COUNT, asked: [] } };
}

function notServed(request: string, ...more: string[]): Case {
  return { request, more, outcome: { answer: NOT_SERVED, asked: [] } };
}

function had(article: string, stacosys: stand.Behaviour, body = '{"count":7}\n'): Case {
  const request = `GET ${targetOf(article)}`;
  return { request, stacosys, outcome: { answer: { ...COUNT, body }, asked: [request] } };
}

/** Any body that is JSON, of any type. */
function written(article: string, body: string, type = "application/json"): Case {
  const { length } = new TextEncoder().encode(body);
  const answer = `HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\nContent-Length: ${length}\r\n\r\n${body}`;
  return had(article, ({ send }) => send(answer), body);
}

function notHad(article: string, stacosys: stand.Behaviour | "refuses"): Case {
  const request = `GET ${targetOf(article)}`;
  return { request, stacosys, outcome: { answer: NOT_HAD, asked: stacosys === "refuses" ? [] : [request] } };
}

function moved(status: string): Case {
  const target = targetOf(status.slice(0, 3));
  return {
    request: `GET ${target}`,
    stacosys: (exchange) => {
      if (exchange.target !== target) return stand.count(7)(exchange);
      return stand.status(status, `Location: ${target}&moved`)(exchange);
    },
    outcome: { answer: COUNT, asked: [`GET ${target}`, `GET ${target}&moved`] },
  };
}

function keptByGo(article: string, stacosys: stand.Behaviour, body: string): Difference {
  const { request, outcome } = notHad(article, stacosys);
  const goes = { answer: { ...COUNT, body }, asked: outcome.asked };
  return { request, stacosys, outcome, goes, why: "only a 200 whose body is JSON is a count" };
}

function redirectedByGo(target: string): Difference {
  const body = `<a href="${A.replace("&", "&amp;")}">Moved Permanently</a>.\n\n`;
  return {
    ...notServed(`GET ${target}`),
    goes: { answer: { status: 301, body, type: "text/html; charset=utf-8" }, asked: [] },
    why: "any other path is 404; Go tidies a path up, and redirects without the CORS header",
  };
}

function targetOf(article: string): string {
  return `/comments/count?token=T&url=/${article}/`;
}

// Running them.

async function runAll(
  cases: Readonly<Record<string, Case>>,
  program: { readonly url: string },
  stacosys: stand.StandIn,
): Promise<Record<string, Outcome>> {
  const outcomes: Record<string, Outcome> = {};
  for (const [name, { request, more = [], stacosys: behaviour = stand.count(7) }] of Object.entries(cases)) {
    const before = stacosys.requests.length;
    if (behaviour === "refuses") await stacosys.stop();
    else stacosys.answer(behaviour);
    const answer = await exchange(program.url, request, more);
    if (behaviour === "refuses") await stacosys.start();
    outcomes[name] = {
      answer,
      asked: stacosys.requests.slice(before).map(({ method, target }) => `${method} ${target}`),
    };
  }
  return outcomes;
}

/** Sends a request byte for byte, since a client would tidy it up, and reads what comes until the connection closes. */
async function exchange(url: string, request: string, more: readonly string[]): Promise<Answer> {
  const { hostname, port, host } = new URL(url);
  const hosts = more.some((line) => line.startsWith("Host:")) ? [] : [`Host: ${host}`];
  const first = / HTTP\/1\.\d$/.test(request) ? [request] : [`${request} HTTP/1.1`, ...hosts];
  let text = [...first, "Connection: close", ...more].join("\r\n");
  if (!text.includes("\r\n\r\n")) text += "\r\n\r\n";
  using connection = await Deno.connect({ hostname, port: Number(port) });
  const writer = connection.writable.getWriter();
  await writer.write(Uint8Array.from(text, (character) => character.charCodeAt(0)));
  return parse(await new Response(connection.readable).text());
}

function parse(text: string): Answer {
  const end = text.indexOf("\r\n\r\n");
  const [first = "", ...lines] = text.slice(0, end).split("\r\n");
  const headers = new Headers(lines.map((line): [string, string] => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon), line.slice(colon + 1).trim()];
  }));
  const type = headers.get("content-type");
  const cors = headers.get("access-control-allow-origin");
  const nosniff = headers.get("x-content-type-options");
  return {
    status: Number(first.split(" ")[1]),
    body: text.slice(end + "\r\n\r\n".length),
    ...type !== null && { type },
    ...cors !== null && { cors },
    ...nosniff !== null && { nosniff },
  };
}

function mapped<From, To>(record: Readonly<Record<string, From>>, to: (from: From) => To): Record<string, To> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, to(value)]));
}
