/**
 * The cache on disk, so that a restart costs Stacosys nothing.
 *
 * A line each: what the file is, then each entry as `[key, body, expiresAt]`, then how many entries there were, by which
 * a file that was cut short is known. It is written in portions and read at the start only, so that no reader waits.
 *
 * @module
 */

import type { Cache } from "../cache.ts";
import type { Log } from "./log.ts";

/** Where a snapshot is, and whose counts are in it. */
export interface SnapshotOptions {
  readonly file: string;
  /** The URL of Stacosys; the counts of another are not ours. */
  readonly stacosys: string;
}

const KIND = "httpfastcache snapshot";
const VERSION = 1;

/**
 * Entries written at a time, some 60 KB, each portion down to the disk before the next. With longer ones readers waited up
 * to 280 ms beside a million entries: for V8, which keeps such strings until it collects all of its memory, and for the
 * kernel, which writes what has piled up at once. With these it was 12 ms.
 */
const PORTION = 500;

/** What is written beside a snapshot and is as old as this belongs to a process that was killed in the middle of it. */
const ABANDONED_MS = 600_000;

/**
 * Writes what `cache` keeps, in place of the snapshot that was there: beside it first, so that at any time the file is
 * either the old one or the new one. Only the user of this process may read it.
 *
 * @throws if the file cannot be written.
 */
async function saveSnapshot(
  cache: Pick<Cache<string>, "entries">,
  { file, stacosys }: SnapshotOptions,
): Promise<void> {
  const beside = `${file}.${Deno.pid}.tmp`;
  try {
    using output = await Deno.open(beside, { write: true, create: true, truncate: true, mode: 0o600 });
    let portion = line({ kind: KIND, version: VERSION, stacosys });
    let entries = 0;
    for (const [key, { value, expiresAt }] of cache.entries()) {
      portion += line([key, value, expiresAt]);
      if (++entries % PORTION === 0) {
        await write(output, portion);
        portion = "";
      }
    }
    await write(output, portion + line({ entries }));
    await Deno.rename(beside, file);
  } catch (error) {
    await Deno.remove(beside).catch(() => {});
    throw error;
  }
}

/**
 * Fills `cache` from its snapshot, and returns a function that saves it. What goes wrong is told to `log`, and the
 * service goes on. A file that is no snapshot is somebody's: nothing is saved then.
 */
export function keepSnapshot(
  cache: Cache<string>,
  options: SnapshotOptions,
  accepts: (key: string) => boolean,
  log: Log,
): () => Promise<void> {
  try {
    loadSnapshot(cache, options, accepts);
  } catch (error) {
    const ours = !(error instanceof NotASnapshot);
    const consequence = ours
      ? "starting cold"
      : "starting cold, and leaving that file alone: no snapshot will be saved";
    log("warning", `cannot read ${options.file}: ${error instanceof Error ? error.message : error}; ${consequence}`);
    if (!ours) return () => Promise.resolve();
  }
  removeAbandoned(options.file);
  let last = Promise.resolve();
  let waiting = false;
  return function save() {
    // One at a time: a sweep may end while the last save has not. One that waits is enough for all that come meanwhile.
    if (waiting) return last;
    waiting = true;
    last = last.then(() => {
      waiting = false;
      return saveSnapshot(cache, options);
    }).catch((error) => {
      log("error", `cannot save ${options.file}: ${error instanceof Error ? error.message : error}`);
    });
    return last;
  };
}

function removeAbandoned(file: string): void {
  const [, folder = "", name = ""] = /^(.*\/)?([^/]*)$/.exec(file) ?? [];
  try {
    for (const { name: beside } of Deno.readDirSync(folder || ".")) {
      if (!beside.startsWith(`${name}.`) || !/^\.\d+\.tmp$/.test(beside.slice(name.length))) continue;
      const { mtime } = Deno.statSync(folder + beside);
      if (mtime !== null && mtime.getTime() + ABANDONED_MS < Date.now()) Deno.removeSync(folder + beside);
    }
  } catch {
    // They take room, but nobody waits for it. That the folder is not there, the first save will tell.
  }
}

/** A file that holds something else, which is not to be replaced. */
class NotASnapshot extends Error {}

async function write(output: Deno.FsFile, text: string): Promise<void> {
  let bytes = new TextEncoder().encode(text);
  while (bytes.length > 0) bytes = bytes.subarray(await output.write(bytes));
  await output.syncData();
}

/**
 * Puts the entries of a snapshot into `cache`, with the expiry times that they had, but for those whose key `accepts`
 * refuses. No file is an empty snapshot.
 *
 * @throws if the file cannot be read, is something else, was cut short, or is of another version or another Stacosys.
 * The cache is then empty.
 */
function loadSnapshot(
  cache: Pick<Cache<string>, "set" | "clear">,
  { file, stacosys }: SnapshotOptions,
  accepts: (key: string) => boolean,
): void {
  let input;
  try {
    input = Deno.openSync(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  using _ = input;
  try {
    for (const [key, body, expiresAt] of rowsOf(input, stacosys)) {
      if (accepts(key)) cache.set(key, body, expiresAt);
    }
  } catch (error) {
    cache.clear();
    throw error;
  }
}

type Row = [key: string, body: string, expiresAt: number];

function* rowsOf(input: Deno.FsFile, stacosys: string): Generator<Row> {
  const lines = linesOf(input);
  const { value: first, done: empty } = lines.next();
  const head: Partial<Record<string, unknown>> = Object(parse(first));
  if (!empty && head["kind"] !== KIND) throw new NotASnapshot(`expected a ${KIND}, got something else`);
  if (head["version"] !== VERSION) throw new Error(`expected version ${VERSION}, got ${head["version"] ?? "none"}`);
  if (head["stacosys"] !== stacosys) {
    throw new Error(`expected counts of ${stacosys}, got those of ${head["stacosys"]}`);
  }
  let rows = 0;
  for (const text of lines) {
    const row = parse(text);
    if (isRow(row)) {
      rows++;
      yield row;
      continue;
    }
    const foot: Partial<Record<string, unknown>> = Object(row);
    const { done: last } = lines.next();
    if (foot["entries"] === rows && last) return;
    if (typeof foot["entries"] === "number" || last) break;
    throw new Error(`line ${rows + 2}: expected key, body and expiry, got something else`);
  }
  throw new Error("expected a whole snapshot, got one that was cut short");
}

/** Reads lines when they are wanted, so that of a million entries nothing is left in memory but the entries. */
function* linesOf(input: Deno.FsFile): Generator<string, void> {
  const decoder = new TextDecoder();
  const bytes = new Uint8Array(64 * 1024);
  let rest = "";
  for (let length; (length = input.readSync(bytes)) !== null;) {
    const lines = (rest + decoder.decode(bytes.subarray(0, length), { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
  if (rest !== "") yield rest;
}

function isRow(value: unknown): value is Row {
  if (!Array.isArray(value)) return false;
  const [key, body, expiresAt]: unknown[] = value;
  return typeof key === "string" && typeof body === "string" && parse(body) !== undefined &&
    typeof expiresAt === "number";
}

/** What a line of JSON says, nothing if it is none. */
function parse(line: string | void): unknown {
  try {
    return JSON.parse(line ?? "");
  } catch {
    return undefined;
  }
}

function line(value: unknown): string {
  return `${JSON.stringify(value)}\n`;
}
