import { assert, assertEquals } from "@std/assert";
import { Watch } from "../service/watch.ts";
import { Counters } from "../upstream/counters.ts";
import type { Answer } from "../upstream/stacosys.ts";
import { makeFolder } from "./folder.ts";

const HOUR_MS = 3_600_000;

/** How long a request for a count takes, and one that sends a mail besides. */
const REQUEST_MS = 100;
const MAIL_MS = 1_500;

/**
 * A Stacosys from 3.0 on: it answers one request at a time, and each request for a count first sends the mails that
 * could not be sent before, and writes to the database when one is sent.
 */
class StacosysThree {
  requests = 0;
  mails = 0;
  #pending = 0;
  #comments = 0;
  #writes = 0;
  readonly #queue: { left: number; sends: number; answer: (answer: Answer) => void }[] = [];

  constructor(readonly file: string) {
    this.#write();
  }

  readonly ask = (): Promise<Answer> => {
    this.requests++;
    return new Promise((answer) => this.#queue.push({ left: 0, sends: 0, answer }));
  };

  publish(): void {
    this.#comments++;
    this.#pending++;
    this.#write();
  }

  pass(ms: number): void {
    const [request] = this.#queue;
    if (request === undefined) return;
    if (request.left === 0) {
      request.sends = this.#pending;
      request.left = REQUEST_MS + this.#pending * MAIL_MS;
    }
    request.left -= ms;
    if (request.left > 0) return;
    this.#queue.shift();
    if (request.sends > 0) {
      this.mails += request.sends;
      this.#pending -= request.sends;
      this.#write();
    }
    request.answer({ outcome: "ok", body: `{"count":${this.#comments}}` });
  }

  #write(): void {
    Deno.writeTextFileSync(this.file, "x".repeat(this.#writes));
    const time = 1_700_000_000 + this.#writes++;
    Deno.utimeSync(this.file, time, time);
  }
}

Deno.test("a comment is one mail of Stacosys 3 and three requests for each count, and counted soon", async () => {
  await using folder = await makeFolder();
  const clock = { ms: 0 };
  const now = () => clock.ms;
  const stacosys = new StacosysThree(`${folder.path}/db.sqlite`);
  const sleepers = new Set<{ at: number; wake: (value: undefined) => void }>();
  const counters = new Counters({
    ask: stacosys.ask,
    outage: { countServed: () => {} },
    ttlMs: HOUR_MS,
    staleIfErrorMs: HOUR_MS,
    staleWhileRevalidateMs: 0,
    maxEntries: 100,
    now,
    monotonic: now,
    sleep: (ms) => new Promise((wake) => sleepers.add({ at: clock.ms + ms, wake })),
  });
  const { cache } = counters;
  const watch = new Watch(stacosys.file, () => counters.purge(), () => {}, { monotonic: now });
  await watch.start();
  const targets = Array.from({ length: 10 }, (_, i) => `/api/comments/count?url=/${i}/`);

  /** Readers ask for ten counts, ten times a second. */
  async function read(seconds: number): Promise<void> {
    for (let tenth = 0; tenth < 10 * seconds; tenth++) {
      for (const target of targets) if (cache.get(target) === undefined) counters.miss(target);
      clock.ms += 100;
      stacosys.pass(100);
      for (const { at, wake } of sleepers) if (at <= clock.ms) wake(undefined);
      // Whoever waits for an answer has it before time goes on.
      for (let i = 0; i < 5; i++) await Promise.resolve();
      if (tenth % 10 === 9) await watch.look();
    }
  }

  await read(10);
  const before = stacosys.requests;
  stacosys.publish();
  await read(10);
  assert(targets.every((target) => cache.get(target)?.value === '{"count":1}'));
  await read(60);
  assertEquals([stacosys.mails, stacosys.requests - before, watch.changes], [1, 30, 2]);
});
