/**
 * Counters, their cache, batches and the snapshot, and a naive model of what readers may get of them. After each step
 * all that is promised is looked at.
 *
 * @module
 */

import { createAdmin } from "../admin/admin.ts";
import { Metrics } from "../admin/metrics.ts";
import { Recent } from "../admin/recent.ts";
import { lookUp, parseBatch } from "../blog/batch.ts";
import { Snapshot } from "../service/snapshot.ts";
import { Counters, type Result } from "../upstream/counters.ts";
import { Outage } from "../upstream/outage.ts";
import type { Answer } from "../upstream/stacosys.ts";

/** How long counts are fresh. */
export const TTL_MS = 10_000;
const TIMEOUT_MS = 10_000;
const SECOND_MS = 1_000;
const MAX_OPEN = 5_000;

/** How far time goes on at once. Whatever is due within it happens at its end. */
const STEP_MS = 250;

/** The articles. */
export const URLS = ["/a/", "/b/"];

/** How a run is set up. */
export interface Settings {
  readonly staleIfErrorMs: number;
  readonly staleWhileRevalidateMs: number;
  readonly maxEntries: number;
  /** Whether there is a watched file. */
  readonly watches: boolean;
}

/** A request that Stacosys has not answered. Requests are numbered in the order in which they came, from 1. */
interface Request {
  readonly id: number;
  readonly target: string;
  readonly sentAt: number;
  readonly answer: (answer: Answer) => void;
}

/** A good answer that is kept; the count is the number of its request. */
interface Kept {
  readonly id: number;
  readonly expiresAt: number;
  readonly purged: boolean;
  /** How many answers had come before it. */
  readonly came: number;
  /** When it came, by the monotonic clock. */
  readonly cameAt: number;
}

/** What a reader got of a count. */
interface Got {
  readonly result: Result;
  readonly count: number | undefined;
  readonly detail?: string | undefined;
}

/** A reader of one count, or of a page of them. */
interface Reader {
  readonly targets: readonly string[];
  /** For each target, the first request that is not from before a purge that he has to see. */
  readonly notBefore: readonly number[];
  /** What was known when he asked. */
  readonly known: readonly (Kept | undefined)[];
  /** How many answers had come when he asked. */
  readonly asked: number;
  /** When the request that he shares was sent, for each target. */
  readonly sentAts: readonly number[];
  /** By when he has his answer, by the monotonic clock. */
  readonly deadline: number;
  got: readonly Got[] | undefined;
}

/** Everything that has happened so far, and what has to be so. */
export class Page {
  readonly #settings: Settings;
  readonly #file: string;
  #counters: Counters;
  #snapshot: Snapshot;
  #admin: ReturnType<typeof createAdmin>;
  #now = 1_000_000;
  #monotonic = 0;
  #clockSetAt = 0;
  #lastId = 0;
  #madeUp = 0;
  readonly #sleepers = new Set<{ readonly until: number; readonly wake: (value: undefined) => void }>();
  #answers = 0;
  readonly #open = new Set<Request>();
  /** The last request for each target, as long as it is open. */
  readonly #latest = new Map<string, Request>();
  readonly #kept = new Map<string, Kept>();
  /** What was kept at the last save. */
  #saved = new Map<string, Kept>();
  /** The last request for each target that had a good answer. */
  readonly #newest = new Map<string, number>();
  readonly #firstAfterPurge = new Map<string, number>();
  #firstAfterPurgeOfAll = 1;
  readonly #failedAt = new Map<string, number>();
  readonly #readers = new Set<Reader>();
  readonly #broken = new Set<string>();

  /** @param file where the snapshot is. */
  constructor(settings: Settings, file: string) {
    this.#settings = settings;
    this.#file = file;
    [this.#counters, this.#snapshot, this.#admin] = this.#start();
  }

  #start(): [Counters, Snapshot, ReturnType<typeof createAdmin>] {
    const log = () => {};
    const outage = new Outage(log, () => this.#monotonic);
    const counters = new Counters({
      ...this.#settings,
      ttlMs: TTL_MS,
      ask: (target) => this.#asked(target),
      outage,
      now: () => this.#now,
      monotonic: () => this.#monotonic,
      sleep: (ms) => new Promise((wake) => this.#sleepers.add({ until: this.#monotonic + ms, wake })),
    });
    const { cache } = counters;
    const { maxEntries } = this.#settings;
    const snapshot = new Snapshot(cache, { file: this.#file, stacosys: "", accepts: () => true }, log);
    const metrics = new Metrics();
    const recent = new Recent({ cache, metrics, outage });
    const readers = { waiting: 0 };
    return [
      counters,
      snapshot,
      createAdmin({ cache, ttlMs: TTL_MS, maxEntries, counters, metrics, outage, recent, shutdown: readers, snapshot }),
    ];
  }

  /** A reader asks for one count, as the proxy does. */
  async readOne(url: string): Promise<void> {
    const target = targetOf(url);
    const entry = this.#counters.cache.get(target);
    const known = this.#known(target);
    const isInWindow = this.#mayRevalidate(target);
    const lookup = entry === undefined ? this.#counters.miss(target) : { result: "hit" as const, entry };
    const isThere = !(lookup instanceof Promise) && lookup.entry !== undefined;
    this.#isKept(isThere || !isInWindow, "within StaleWhileRevalidateSeconds an expired count is served at once");
    const reader = this.#reader([target], [known], known !== undefined);
    this.#readers.add(reader);
    Promise.resolve(lookup).then(({ result, entry, ...rest }) => {
      const detail = "detail" in rest ? rest.detail : undefined;
      reader.got = [{ result, count: entry && countIn(entry.value), detail }];
    });
    await this.#look();
  }

  /** A reader asks for a page of counts. */
  async readBatch(urls: readonly string[]): Promise<void> {
    const batch = parseBatch(`/comments/counts?${urls.map((url) => `url=${url}`).join("&")}`);
    const known = batch.targets.map((target) => this.#known(target));
    const isOneKnown = known.some((kept) => kept !== undefined);
    const page = lookUp(batch, this.#counters);
    const reader = this.#reader(batch.targets, known, isOneKnown);
    this.#readers.add(reader);
    Promise.resolve(page).then(({ result, entry }) => {
      const { counts } = JSON.parse(entry?.value ?? '{"counts":{}}');
      reader.got = batch.urls.map((url) => {
        const count = counts[url] ?? undefined;
        // The page says only whether one of them is stale.
        return { result: count === undefined ? "error" : result === "stale" ? "stale" : "miss", count, detail: "page" };
      });
    });
    await this.#look();
  }

  /** Many readers ask for counts that nobody has asked for. */
  async flood(): Promise<void> {
    for (let i = 0; i < 4_500; i++) this.#counters.miss(targetOf(`/made-up/${this.#madeUp++}/`));
    await this.#look();
  }

  /** Stacosys answers one of the requests that are open, whichever. */
  async answer(which: number, good: boolean): Promise<void> {
    const request = [...this.#open][which % Math.max(1, this.#open.size)];
    if (request === undefined) return;
    this.#answer(request, good);
    await this.#look();
  }

  /** Time passes. What has no answer then has none in time. */
  async pass(ms: number): Promise<void> {
    for (const end = this.#monotonic + ms; this.#monotonic < end;) {
      this.#now += STEP_MS;
      this.#monotonic += STEP_MS;
      for (const sleeper of this.#sleepers) {
        if (sleeper.until > this.#monotonic) continue;
        this.#sleepers.delete(sleeper);
        sleeper.wake(undefined);
      }
      for (const request of this.#open) {
        if (this.#monotonic - request.sentAt < TIMEOUT_MS) break;
        this.#answer(request, false);
      }
      await this.#look();
    }
  }

  /** Somebody sets the clock of the machine. */
  async setClock(byMs: number): Promise<void> {
    this.#now += byMs;
    this.#clockSetAt = this.#monotonic;
    await this.#look();
  }

  /** The owner purges an article, or all. */
  async purge(url?: string): Promise<void> {
    const query = url === undefined ? "" : `?url=${url}`;
    const answered = this.#admin(
      new Request(`http://127.0.0.1/purge${query}`, { method: "POST", headers: { host: "127.0.0.1" } }),
    );
    this.#purged(url);
    this.#isKept((await answered).status === 200, "a purge is answered");
    this.#saved = new Map(this.#kept);
    await this.#look();
  }

  /** The watched file changes. */
  async change(): Promise<void> {
    if (!this.#settings.watches) return;
    this.#counters.purge();
    this.#purged();
    await this.#look();
  }

  /** The snapshot is saved. */
  async save(): Promise<void> {
    await this.#snapshot.save();
    this.#saved = new Map(this.#kept);
    await this.#look();
  }

  /** The process is killed, and the next one starts. */
  async kill(): Promise<void> {
    this.#readers.clear();
    this.#open.clear();
    this.#latest.clear();
    this.#failedAt.clear();
    this.#sleepers.clear();
    this.#kept.clear();
    [this.#counters, this.#snapshot, this.#admin] = this.#start();
    this.#snapshot.load();
    for (const [target, kept] of this.#saved) {
      this.#kept.set(target, kept.purged ? { ...kept, expiresAt: Math.min(kept.expiresAt, this.#now) } : kept);
    }
    if (this.#settings.watches) {
      // Nobody knows whether it has changed since the save.
      this.#counters.cache.expireAll();
      this.#purged();
    }
    await this.#look();
  }

  /** The sweeper comes by. */
  async sweep(): Promise<void> {
    for (const _ of this.#counters.cache.sweep());
    for (const [target, { expiresAt }] of this.#kept) {
      if (expiresAt + this.#staleMs <= this.#now) this.#kept.delete(target);
    }
    await this.#look();
  }

  /** All that is open is answered, or given up; then nothing is left of it. */
  async end(): Promise<void> {
    await this.pass(TIMEOUT_MS + STEP_MS);
    this.#isKept(this.#readers.size === 0, "when all is quiet nobody waits");
    this.#isKept(this.#counters.oldestRequestMs === 0, "when all is quiet no request is open");
    await this.#look();
  }

  get #staleMs(): number {
    return Math.max(this.#settings.staleIfErrorMs, this.#settings.staleWhileRevalidateMs);
  }

  #purged(url?: string): void {
    for (const [target, kept] of this.#kept) {
      if (kept.purged || url !== undefined && target !== targetOf(url)) continue;
      this.#kept.set(target, { ...kept, expiresAt: Math.min(kept.expiresAt, this.#now), purged: true });
    }
    if (url === undefined) this.#firstAfterPurgeOfAll = this.#lastId + 1;
    else this.#firstAfterPurge.set(targetOf(url), this.#lastId + 1);
  }

  #asked(target: string): Promise<Answer> {
    const id = ++this.#lastId;
    const latest = this.#latest.get(target)?.id ?? 0;
    this.#isKept(latest < this.#notBefore(target), "a count is asked for once at a time");
    const failedAt = this.#failedAt.get(target) ?? -Infinity;
    this.#isKept(this.#monotonic - failedAt >= SECOND_MS, "after a failure a count is not asked for within a second");
    const { promise: answered, resolve } = Promise.withResolvers<Answer>();
    const request = { id, target, sentAt: this.#monotonic, answer: resolve };
    this.#open.add(request);
    this.#latest.set(target, request);
    this.#isKept(this.#open.size <= MAX_OPEN, `never more than ${MAX_OPEN} are open`);
    return answered;
  }

  #answer(request: Request, good: boolean): void {
    const { id, target, answer } = request;
    const isFromBefore = id < this.#notBefore(target);
    this.#open.delete(request);
    if (this.#latest.get(target) === request) this.#latest.delete(target);
    answer(good ? { outcome: "ok", body: `{"count":${id}}\n` } : { outcome: "timeout", reason: "no answer" });
    if (!good && !isFromBefore) this.#failedAt.set(target, this.#monotonic);
    // What was asked for earlier does not replace what was asked for later.
    if (!good || (this.#newest.get(target) ?? 0) > id) return;
    this.#newest.set(target, id);
    const expiresAt = this.#now + (isFromBefore ? 0 : TTL_MS);
    this.#kept.set(target, { id, expiresAt, purged: isFromBefore, came: this.#answers++, cameAt: this.#monotonic });
  }

  #notBefore(target: string): number {
    return Math.max(this.#firstAfterPurge.get(target) ?? 1, this.#firstAfterPurgeOfAll);
  }

  #isFresh(target: string, since = 0): boolean {
    const kept = this.#kept.get(target);
    if (kept === undefined || kept.came < since) return false;
    const left = kept.expiresAt - this.#now;
    return !kept.purged && left > 0 && left <= TTL_MS;
  }

  /** The count that a reader gets at once, or if Stacosys fails or is slow. */
  #known(target: string): Kept | undefined {
    const kept = this.#kept.get(target);
    if (this.#mayRevalidate(target)) return kept;
    if (kept === undefined || this.#now - kept.expiresAt >= this.#settings.staleIfErrorMs) return undefined;
    return this.#now < kept.expiresAt + this.#staleMs ? kept : undefined;
  }

  #mayRevalidate(target: string): boolean {
    const kept = this.#kept.get(target);
    if (kept === undefined || kept.purged) return false;
    const overdueMs = this.#now - kept.expiresAt;
    return overdueMs >= 0 && overdueMs < this.#settings.staleWhileRevalidateMs;
  }

  #reader(targets: readonly string[], known: Reader["known"], isOneKnown: boolean): Reader {
    const sentAts = targets.map((target) => this.#latest.get(target)?.sentAt ?? this.#monotonic);
    const deadline = Math.max(...sentAts) + (isOneKnown ? SECOND_MS : TIMEOUT_MS);
    const notBefore = targets.map((target) => this.#notBefore(target));
    return { targets, notBefore, known, asked: this.#answers, sentAts, deadline, got: undefined };
  }

  /** Takes note of a promise that is not kept. An error thrown here might reach only whom the promise is about. */
  #isKept(holds: boolean, sentence: string): void {
    if (!holds) this.#broken.add(sentence);
  }

  /** Lets all that can happen now happen, and looks whether every promise is kept. */
  async #look(): Promise<void> {
    for (let i = 0; i < 20; i++) await Promise.resolve();
    this.#forgetEvicted();
    for (const reader of this.#readers) {
      if (reader.got === undefined) this.#lookAtWaiting(reader);
      else {
        this.#readers.delete(reader);
        for (const [i, got] of reader.got.entries()) this.#lookAtGot(reader, i, got);
      }
    }
    const { cache, oldestRequestMs } = this.#counters;
    this.#isKept(cache.size <= this.#settings.maxEntries, "never more than MaxEntries are kept");
    const [oldest] = this.#open;
    const ageMs = oldest === undefined ? 0 : this.#monotonic - oldest.sentAt;
    this.#isKept(oldestRequestMs === ageMs, `the oldest request is ${ageMs} ms old, not ${oldestRequestMs}`);
    for (const [target, { value }] of cache.entries()) {
      const { id } = this.#kept.get(target) ?? {};
      this.#isKept(
        countIn(value) === id,
        `a good count is replaced only by a newer one: ${target} is ${value.trim()}, not ${id}`,
      );
    }
    if (this.#broken.size > 0) throw new Error(`not kept: ${[...this.#broken].join("; ")}`);
  }

  /** Which entry is evicted is the cache's own affair; without an eviction none is lost. */
  #forgetEvicted(): void {
    const { cache } = this.#counters;
    const left = new Set(cache.entries().map(([target]) => target));
    for (const [target, { expiresAt }] of this.#kept) {
      if (left.has(target)) continue;
      this.#isKept(
        cache.evictions > 0 || expiresAt + this.#staleMs <= this.#now,
        `a good count is lost only by expiry or eviction: ${target}`,
      );
      this.#kept.delete(target);
    }
  }

  #lookAtWaiting({ targets, asked, sentAts, deadline }: Reader): void {
    this.#isKept(this.#monotonic < deadline, "whoever has a known count waits a second, all others TimeoutSeconds");
    this.#isKept(!targets.every((target) => this.#isFresh(target, asked)), "nobody waits for a count that has come");
    const isLate = (target: string, i: number) => {
      const sentAt = sentAts[i] ?? 0;
      const { cameAt = 0 } = this.#kept.get(target) ?? {};
      // What is too old may be known again after the clock was set back.
      const lateAt = Math.max(sentAt, cameAt, this.#clockSetAt) + SECOND_MS;
      return this.#known(target) !== undefined && this.#monotonic > lateAt;
    };
    this.#isKept(!targets.every(isLate), "nobody waits for longer than a second if a count is known by then");
  }

  #lookAtGot(reader: Reader, i: number, { result, count, detail }: Got): void {
    const target = reader.targets[i] ?? "";
    const notBefore = reader.notBefore[i] ?? 0;
    const before = reader.known[i];
    if (count === undefined) {
      this.#isKept(
        before === undefined && this.#known(target) === undefined,
        `a known count is never missing: ${target}`,
      );
      return;
    }
    if (result === "stale") {
      this.#isKept(detail !== undefined, "who gets a stale count is told why");
      if (detail !== "stale-while-revalidate") return;
    }
    this.#isKept(
      count >= notBefore,
      `a count from before a purge is served only as stale: ${count}, asked for as ${result}`,
    );
    if (result === "hit") this.#isKept(this.#isFresh(target), "a hit is fresh");
  }
}

function targetOf(url: string): string {
  return `/comments/count?url=${url}`;
}

function countIn(body: string): number {
  return Number(JSON.parse(body).count);
}
