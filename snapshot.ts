/**
 * The cache on disk, so that a restart costs Stacosys nothing.
 *
 * A line each: what the file is, then each entry as `[key, body, expiresAt]`, then how many entries there were, by which
 * a file that was cut short is known. It is written in portions and read at the start only, so that no reader waits.
 *
 * @module
 */

import type { Cache } from "./cache.ts";
import type { Log } from "./log.ts";

/** Where a snapshot is, and whose counts are in it. */
export interface SnapshotOptions {
  readonly file: string;
  /** The URL of Stacosys; the counts of another are not ours. */
  readonly stacosys: string;
}

const KIND = "httpfastcache snapshot";
const VERSION = 1;

/** Entries written at a time, some 100 KB. */
const PORTION = 1_000;

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
    await output.sync();
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
  let last = Promise.resolve();
  return function save() {
    // One at a time: a sweep may end while the last save has not.
    last = last.then(() => saveSnapshot(cache, options)).catch((error) => {
      log("error", `cannot save ${options.file}: ${error instanceof Error ? error.message : error}`);
    });
    return last;
  };
}

/** A file that holds something else, which is not to be replaced. */
class NotASnapshot extends Error {}

async function write(output: Deno.FsFile, text: string): Promise<void> {
  let bytes = new TextEncoder().encode(text);
  while (bytes.length > 0) bytes = bytes.subarray(await output.write(bytes));
}

/**
 * Puts the entries of a snapshot into `cache`, with the expiry times that they had, but for those whose key `accepts`
 * refuses. No file is an empty snapshot.
 *
 * @throws if the file cannot be read, is something else, was cut short, or is of another version or another Stacosys.
 * The cache is then as it was.
 */
function loadSnapshot(
  cache: Pick<Cache<string>, "set">,
  { file, stacosys }: SnapshotOptions,
  accepts: (key: string) => boolean,
): void {
  let text;
  try {
    text = Deno.readTextFileSync(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  for (const [key, body, expiresAt] of parseSnapshot(text, stacosys)) {
    if (accepts(key)) cache.set(key, body, expiresAt);
  }
}

type Row = [key: string, body: string, expiresAt: number];

function parseSnapshot(text: string, stacosys: string): Row[] {
  const lines = text.split("\n");
  const head: Partial<Record<string, unknown>> = Object(parse(lines[0]));
  if (text !== "" && head["kind"] !== KIND) throw new NotASnapshot(`expected a ${KIND}, got something else`);
  if (head["version"] !== VERSION) throw new Error(`expected version ${VERSION}, got ${head["version"] ?? "none"}`);
  if (head["stacosys"] !== stacosys) {
    throw new Error(`expected counts of ${stacosys}, got those of ${head["stacosys"]}`);
  }
  const rows = lines.slice(1, -2).map(parse);
  const foot: Partial<Record<string, unknown>> = Object(parse(lines.at(-2)));
  if (foot["entries"] !== rows.length) throw new Error("expected a whole snapshot, got one that was cut short");
  return rows.map((row, i) => {
    if (isRow(row)) return row;
    throw new Error(`line ${i + 2}: expected key, body and expiry, got something else`);
  });
}

function isRow(value: unknown): value is Row {
  if (!Array.isArray(value)) return false;
  const [key, body, expiresAt]: unknown[] = value;
  return typeof key === "string" && typeof body === "string" && parse(body) !== undefined &&
    typeof expiresAt === "number";
}

/** What a line of JSON says, nothing if it is none. */
function parse(line: string | undefined): unknown {
  try {
    return JSON.parse(line ?? "");
  } catch {
    return undefined;
  }
}

function line(value: unknown): string {
  return `${JSON.stringify(value)}\n`;
}
