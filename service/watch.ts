/**
 * Whether the database of Stacosys has changed, so that a comment is counted seconds after it is published.
 *
 * It is looked at once a second: size, modification time and inode, of the file and of its write-ahead log. What the
 * system tells of changes by itself (`Deno.watchFs`) misses a file behind a link or a bind mount, and in WAL mode takes
 * reading for a change.
 *
 * @module
 */

import { HANGS, type InTime, inTime as byTimer } from "./in_time.ts";
import { type Log, reason } from "./log.ts";

/** What the owner may know of it. */
export interface Watched {
  readonly file: string;
  /** How many changes there were. */
  readonly changes: number;
  /** When the last one was, by the monotonic clock; nothing if there was none. */
  readonly changedAt: number | undefined;
  /** Why the file cannot be seen; undefined if it can. */
  readonly fault: string | undefined;
}

/** What can be seen of a file, or why nothing can. */
interface Look {
  readonly seen?: string;
  readonly fault?: string;
}

/** What a watch works with. */
export interface WatchOptions {
  /** A monotonic clock, in milliseconds; `performance.now` by default. */
  readonly monotonic?: () => number;
  /** Looks at a file; by what the system tells of it, by default. */
  readonly lookAt?: (file: string) => Promise<Look>;
  readonly inTime?: InTime;
}

const LOOK_EVERY_MS = 1_000;

/** How many equal looks end a change. Stacosys 3 writes more than once for one comment. */
export const EQUAL_LOOKS = 3;

/** After this many looks a change that still goes on is reported. */
const MOST_LOOKS = 10;

/**
 * In WAL mode, on a slow disk, the file looks changed some time before Stacosys can read the new comment. By then it can.
 */
export const ONCE_MORE_MS = 30_000;

/** Watches a file for changes. */
export class Watch implements Watched {
  readonly file: string;
  readonly #onChange: () => void;
  readonly #log: Log;
  readonly #options: Required<WatchOptions>;
  /** What was seen when all counts were right. */
  #settled: string | undefined;
  #change: { looks: number; equal: number; last: string } | undefined;
  #changes = 0;
  #changedAt: number | undefined;
  #onceMoreAt = Infinity;
  #fault: string | undefined;
  /** A look that has not ended. */
  #looking: Promise<Look> | undefined;

  /** @param onChange is called once for each change, and once more 30 s after the last of them and after the start. */
  constructor(file: string, onChange: () => void, log: Log, options: WatchOptions = {}) {
    this.file = file;
    this.#onChange = onChange;
    this.#log = log;
    this.#options = { monotonic: () => performance.now(), lookAt, inTime: byTimer, ...options };
  }

  get changes(): number {
    return this.#changes;
  }

  get changedAt(): number | undefined {
    return this.#changedAt;
  }

  get fault(): string | undefined {
    return this.#fault;
  }

  /**
   * Looks for the first time, and from then on once a second. It never keeps the process alive. If the disk hangs, it
   * is not waited for: what is seen when it answers counts as a change.
   */
  async start(): Promise<void> {
    const { seen, fault } = await this.#look();
    this.#settled = seen;
    // It may have changed just before.
    this.#onceMoreAt = this.#options.monotonic() + ONCE_MORE_MS;
    if (fault === undefined) this.#log("info", `WatchFile: ${this.file} is watched`);
    this.#tell(fault);
    const again = async () => {
      await this.look();
      Deno.unrefTimer(setTimeout(again, LOOK_EVERY_MS));
    };
    Deno.unrefTimer(setTimeout(again, LOOK_EVERY_MS));
  }

  /** Looks once; what it finds is compared with what it saw before. */
  async look(): Promise<void> {
    const { seen, fault } = await this.#look();
    this.#tell(fault);
    if (this.#options.monotonic() >= this.#onceMoreAt) {
      this.#onceMoreAt = Infinity;
      this.#onChange();
    }
    if (seen === undefined) {
      // What cannot be seen is no change, but one that was seen before counts.
      if (this.#change !== undefined) this.#changed(this.#change.last);
      return;
    }
    if (this.#change === undefined) {
      if (seen !== this.#settled) this.#change = { looks: 0, equal: 0, last: seen };
      return;
    }
    this.#change.looks++;
    this.#change.equal = seen === this.#change.last ? this.#change.equal + 1 : 0;
    this.#change.last = seen;
    if (this.#change.equal >= EQUAL_LOOKS || this.#change.looks >= MOST_LOOKS) this.#changed(seen);
  }

  #changed(settled: string): void {
    this.#change = undefined;
    this.#settled = settled;
    this.#changes++;
    this.#changedAt = this.#options.monotonic();
    this.#onceMoreAt = this.#changedAt + ONCE_MORE_MS;
    this.#log("info", `WatchFile: ${this.file} has changed; all counts have expired`);
    this.#onChange();
  }

  /** A look that hangs is waited for again, so that there is never more than one. */
  #look(): Promise<Look> {
    const { lookAt, inTime } = this.#options;
    this.#looking ??= lookAt(this.file).finally(() => this.#looking = undefined);
    return inTime(this.#looking, hanging(this.file));
  }

  #tell(fault: string | undefined): void {
    if (fault === this.#fault) return;
    this.#fault = fault;
    if (fault === undefined) this.#log("info", `WatchFile: ${this.file} can be seen now`);
    else this.#log("warning", `WatchFile: ${fault}; as long as that is so, only TtlSeconds counts`);
  }
}

/** Why a file cannot be watched; nothing if it can. */
export async function whyNotSeen(file: string): Promise<string | undefined> {
  return (await byTimer(lookAt(file), hanging(file))).fault;
}

function hanging(file: string): Look {
  return { fault: `${file} cannot be seen: ${HANGS}` };
}

async function lookAt(file: string): Promise<Look> {
  try {
    const path = await Deno.realPath(file);
    const info = await Deno.stat(path);
    if (!info.isFile) return { fault: `${file} is not a file; expected the SQLite file of Stacosys` };
    const log = await Deno.stat(`${path}-wal`).catch(() => undefined);
    // Readers leave an empty write-ahead log.
    return {
      seen: log === undefined || log.size === 0 ? fingerprintOf(info) : `${fingerprintOf(info)} ${fingerprintOf(log)}`,
    };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      return { fault: `${file} is not there, or hidden by the unit, as /home and /root are` };
    }
    if (error instanceof Deno.errors.PermissionDenied) {
      return { fault: `${file} cannot be seen: the user of this service has no right to pass through its folders` };
    }
    return { fault: `${file} cannot be seen: ${reason(error)}` };
  }
}

function fingerprintOf({ size, mtime, ino }: Deno.FileInfo): string {
  return `${ino}:${size}:${mtime?.getTime()}`;
}
