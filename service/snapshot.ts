/**
 * The cache on disk, so that counts are known after a restart.
 *
 * @module
 */

import type { Cache } from "../cache.ts";
import { HANGS, type InTime, inTime as byTimer } from "./in_time.ts";
import { type Log, reason } from "./log.ts";
import { type About, readSnapshot, removeLeftovers, type Row, whyNotSaved, writeSnapshot } from "./snapshot_file.ts";

/** Where a snapshot is, and whose counts are in it. */
export interface SnapshotOptions {
  readonly file: string;
  /** The URL of Stacosys; the counts of another are not ours. */
  readonly stacosys: string;
  /** Whether a row is a count of ours. Others are left out. */
  readonly accepts: (key: string, body: string) => boolean;
}

/** What the owner may know of it. */
export interface Saved {
  readonly file: string;
  /** Why counts are not being saved; undefined if they are. */
  readonly fault: string | undefined;
}

/** Keeps a cache in a file. What goes wrong is told to the log, once, and the service goes on. */
export class Snapshot implements Saved {
  readonly file: string;
  readonly #cache: Cache<string>;
  readonly #about: About;
  readonly #accepts: SnapshotOptions["accepts"];
  readonly #log: Log;
  readonly #inTime: InTime;
  #fault: string | undefined;
  /** How many rows were saved so far, in all saves. */
  #rows = 0;
  #running: Promise<unknown> = Promise.resolve();
  #next: Promise<string | undefined> | undefined;

  constructor(cache: Cache<string>, { file, stacosys, accepts }: SnapshotOptions, log: Log, inTime = byTimer) {
    this.file = file;
    this.#cache = cache;
    this.#about = { stacosys, ttlMs: cache.ttlMs };
    this.#accepts = accepts;
    this.#log = log;
    this.#inTime = inTime;
  }

  get fault(): string | undefined {
    return this.#fault;
  }

  /** Tells whether the cache can be saved, after 3 s at most, and tidies up what killed processes left of a save. */
  async check(): Promise<void> {
    this.#tell(await whyNotSaved(this.file, this.#inTime));
    if (this.#fault === undefined) await this.#inTime(removeLeftovers(this.file), undefined);
  }

  /**
   * Puts those counts of the file that are ours into the cache, or none if the file is damaged. A disk that hangs is not
   * asked for them.
   */
  load(): void {
    try {
      if (this.#fault === HANGS) throw new Error(HANGS);
      for (const row of readSnapshot(this.file, this.#about)) this.#take(row);
    } catch (error) {
      this.#log("warning", `cannot read ${this.file}: ${reason(error)}; starting cold`);
    }
  }

  /**
   * Saves what is in the cache now. A save that is under way may have passed a row that has changed since, so that
   * another one follows; all who call meanwhile share it.
   *
   * @returns why it is not on the disk, at the latest when that has taken 3 s without progress; nothing if it is.
   */
  async save(): Promise<string | undefined> {
    this.#next ??= this.#running.then(() => {
      this.#next = undefined;
      return this.#running = this.#save();
    });
    const fault = await this.#inTime(this.#next, HANGS, () => this.#rows);
    if (fault === HANGS) this.#tell(fault);
    return fault;
  }

  #take([key, body, expiresAt, purged]: Row): void {
    if (!this.#accepts(key, body)) return;
    this.#cache.set(key, body, expiresAt);
    // If the clock was set back, its expiry lies ahead.
    if (purged) this.#cache.expire(key);
  }

  async #save(): Promise<string | undefined> {
    const rows = this.#cache.entries().map(([key, { value, expiresAt, purged }]): Row => {
      this.#rows++;
      return [key, value, expiresAt, purged];
    });
    const fault = await writeSnapshot(this.file, this.#about, rows);
    this.#tell(fault);
    return fault;
  }

  #tell(fault: string | undefined): void {
    if (fault === this.#fault) return;
    this.#fault = fault;
    if (fault === undefined) this.#log("info", `${this.file} can be saved again`);
    else this.#log("warning", `cannot save ${this.file}: ${fault}; until it can be saved, a restart loses counts`);
  }
}
