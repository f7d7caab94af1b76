/**
 * The cache on disk, so that a restart costs Stacosys nothing.
 *
 * Lines of JSON: a header, each entry as `[key, body, expiresAt]`, and the number of entries, which tells whether the file
 * was cut short.
 *
 * @module
 */

import type { Cache } from "../cache.ts";
import { type Log, reason } from "./log.ts";

/** Where a snapshot is, and whose counts are in it. */
export interface SnapshotOptions {
  readonly file: string;
  /** The URL of Stacosys; the counts of another are not ours. */
  readonly stacosys: string;
  /** Whether a row is a count of ours. Others are left out. */
  readonly accepts: (key: string, body: string) => boolean;
}

const KIND = "httpfastcache snapshot";
const VERSION = 1;

/** How many rows are put together before readers are answered, about 0.5 ms of work. */
const PORTION = 500;

/** A file that holds something else, which is not to be replaced. */
class NotASnapshot extends Error {}

/**
 * Fills `cache` from its snapshot, and returns a function that saves it, or waits for a save that is under way. What goes
 * wrong is told to `log`, and the service goes on. A file that is no snapshot is somebody's: nothing is saved then.
 */
export function keepSnapshot(cache: Cache<string>, options: SnapshotOptions, log: Log): () => Promise<void> {
  const { file } = options;
  try {
    load(cache, options);
  } catch (error) {
    cache.clear();
    const ours = !(error instanceof NotASnapshot);
    const rest = ours ? "" : "; that file is left alone, and no snapshot is saved";
    log("warning", `cannot read ${file}: ${reason(error)}; starting cold${rest}`);
    if (!ours) return () => Promise.resolve();
  }
  const fault = whyNotSaved(file);
  if (fault !== undefined) log("warning", `cannot save ${file}: ${fault}`);

  let saving: Promise<void> | undefined;
  return function save() {
    // A sweep may end while the last save has not.
    saving ??= write(cache, options)
      .catch((error) => log("error", `cannot save ${file}: ${reason(error)}`))
      .finally(() => saving = undefined);
    return saving;
  };
}

/** Why a snapshot cannot be saved to `file`; nothing if it can. */
export function whyNotSaved(file: string): string | undefined {
  try {
    // A file of its own, since another process may be saving.
    Deno.removeSync(Deno.makeTempFileSync({ dir: file.replace(/[^/]*$/, "") || ".", prefix: "httpfastcache-" }));
  } catch (error) {
    return reason(error);
  }
}

/** A fixed name: the next save replaces what a killed process left. */
function temporary(file: string): string {
  return `${file}.tmp`;
}

/** Writes a temporary file first, so that at any time the snapshot is either the old one or the new one. */
async function write(cache: Cache<string>, { file, stacosys }: SnapshotOptions): Promise<void> {
  const to = temporary(file);
  try {
    // Not by Deno.writeTextFile, which does not tell when the disk is full.
    using written = await Deno.open(to, { write: true, create: true, truncate: true, mode: 0o600 });
    const encoder = new TextEncoder();
    for await (const portion of portions(cache, stacosys)) await writeAll(written, encoder.encode(portion));
    await written.syncData();
    await Deno.rename(to, file);
  } catch (error) {
    await Deno.remove(to).catch(() => {});
    throw error;
  }
}

/** The system may take less than it is given. */
async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await file.write(rest));
}

async function* portions(cache: Cache<string>, stacosys: string): AsyncGenerator<string> {
  let portion = line({ kind: KIND, version: VERSION, stacosys });
  let entries = 0;
  for (const [key, { value, expiresAt }] of cache.entries()) {
    portion += line([key, value, expiresAt]);
    if (++entries % PORTION > 0) continue;
    yield portion;
    portion = "";
    // However fast the disk is, readers are answered now.
    await new Promise((resolve) => setTimeout(resolve));
  }
  yield portion + line({ entries });
}

/** Puts the rows into `cache`, with the expiry that they had. A missing file is an empty snapshot. */
function load(cache: Cache<string>, { file, stacosys, accepts }: SnapshotOptions): void {
  let text;
  try {
    text = Deno.readTextFileSync(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  const lines = text.split("\n");
  const head = parse(lines.shift());
  if (text !== "" && head["kind"] !== KIND) throw new NotASnapshot(`expected a ${KIND}, got something else`);
  if (head["version"] !== VERSION) throw new Error(`expected version ${VERSION}, got ${head["version"] ?? "none"}`);
  if (head["stacosys"] !== stacosys) {
    throw new Error(`expected counts of ${stacosys}, got those of ${head["stacosys"]}`);
  }
  const foot = parse(lines.at(-2));
  if (lines.at(-1) !== "" || foot["entries"] !== lines.length - 2) {
    throw new Error("expected a whole snapshot, got one that was cut short");
  }
  for (const [i, text] of lines.slice(0, -2).entries()) {
    const [key, body, expiresAt]: unknown[] = Object.values(parse(text));
    if (typeof key !== "string" || typeof body !== "string" || typeof expiresAt !== "number") {
      throw new Error(`line ${i + 2}: expected key, body and expiry, got something else`);
    }
    if (accepts(key, body)) cache.set(key, body, expiresAt);
  }
}

/** What a line of JSON holds, nothing if it is none. */
function parse(line = ""): Partial<Record<string, unknown>> {
  try {
    return Object(JSON.parse(line));
  } catch {
    return {};
  }
}

function line(value: unknown): string {
  return `${JSON.stringify(value)}\n`;
}
