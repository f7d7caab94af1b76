/**
 * The file of a snapshot: replaced by a whole one or not at all, and never in the place of somebody else's file.
 *
 * Lines of JSON: a header, a line for each row, and the number of rows, which tells whether the file was cut short.
 *
 * @module
 */

import { inWords } from "./checks.ts";
import { HANGS, inTime as byTimer } from "./in_time.ts";
import { reason } from "./log.ts";

/** A count: its key, its body, when it expires or has expired, and whether it is stale whatever that says. */
export type Row = readonly [key: string, body: string, expiresAt: number, purged: boolean];

/** What the counts of a snapshot are. */
export interface About {
  /** The URL of the Stacosys whose counts they are. */
  readonly stacosys: string;
  /** How long they are fresh, in milliseconds. */
  readonly ttlMs: number;
}

const KIND = "httpfastcache snapshot";
const VERSION = 1;

const NOT_OURS = `expected a ${KIND}, got something else, which is left alone`;
const NO_FILE = `expected a ${KIND}, got what is not a file`;

/** More than a header takes. */
const LONGEST_HEADER = 64 * 1024;

/** How the name of a file ends that is to replace a snapshot. */
const TEMPORARY = ".tmp";

/** Nobody writes any longer to a file that has not been written to for this long. */
const ABANDONED_AFTER_MS = 60_000;

/** How many characters are put together before readers are answered, some 3 ms of work at most. */
const PORTION = 256 * 1024;

/**
 * All rows of a file, none if it is empty or not there. If counts were fresh for longer when it was written, they
 * expire sooner than it says. If it was written later than now, the clock was set back, and all of them are expired.
 *
 * @throws {Error} if it is not ours, or not whole.
 */
export function readSnapshot(file: string, { stacosys, ttlMs }: About): Row[] {
  let text;
  try {
    // A pipe may never end.
    if (!Deno.statSync(file).isFile) throw new Error(NO_FILE);
    text = Deno.readTextFileSync(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
  // Its owner may have made it to set its rights.
  if (text === "") return [];
  const lines = text.split("\n");
  const head = parse(lines.shift());
  if (head["kind"] !== KIND) throw new Error(NOT_OURS);
  if (head["version"] !== VERSION) throw new Error(`expected version ${VERSION}, got ${inWords(head["version"])}`);
  if (head["stacosys"] !== stacosys) {
    // Up to 1.1 a password was part of the URL there.
    throw new Error(`expected counts of ${stacosys}, got those of another URL`);
  }
  const foot = parse(lines.at(-2));
  if (lines.at(-1) !== "" || foot["entries"] !== lines.length - 2) {
    throw new Error("expected a whole snapshot, got one that was cut short");
  }
  const { ttlMs: ttlThen, savedAt } = head;
  const isSavedLater = typeof savedAt === "number" && savedAt > Date.now();
  const tooLongMs = typeof ttlThen === "number" ? Math.max(0, ttlThen - ttlMs) : 0;
  return lines.slice(0, -2).map((text, i) => {
    const [key, body, expiresAt, purged]: unknown[] = Object.values(parse(text));
    if (typeof key !== "string" || typeof body !== "string" || typeof expiresAt !== "number") {
      throw new Error(`line ${i + 2}: expected key, body and expiry, got something else`);
    }
    // Version 1.1 said neither the time to live nor whether a row was purged; if it was, it is over.
    const isPurged = purged === undefined ? expiresAt <= Date.now() : purged === true;
    return [key, body, expiresAt - tooLongMs, isPurged || isSavedLater];
  });
}

/**
 * Replaces a file by one with these rows. At any time it is either the old one or the new one.
 *
 * @returns why the new one is not on the disk; nothing if it is.
 */
export function writeSnapshot(file: string, about: About, rows: Iterable<Row>): Promise<string | undefined> {
  return faultOf(replace(file, about, rows));
}

/** Why a snapshot cannot be saved to `file`; nothing if it can. */
export function whyNotSaved(file: string, inTime = byTimer): Promise<string | undefined> {
  return inTime(faultOf(tryToSave(file)), HANGS);
}

/** What the system says, but not of which file in particular: the fault is the same. */
function faultOf(work: Promise<void>): Promise<string | undefined> {
  return work.then(() => undefined, (error) => reason(error).replace(/( \(os error \d+\)).*/, "$1"));
}

async function replace(file: string, about: About, rows: Iterable<Row>): Promise<void> {
  await expectOurs(file);
  const temporary = await makeTemporary(file);
  try {
    await write(temporary, textOf(about, rows));
    await Deno.rename(temporary, file);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw error;
  }
  await syncFolder(file);
}

/** Until then a power cut could bring the old file back. */
async function syncFolder(file: string): Promise<void> {
  using folder = await Deno.open(folderOf(file));
  await folder.sync();
}

async function tryToSave(file: string): Promise<void> {
  await expectOurs(file);
  const probe = await makeTemporary(file);
  try {
    // A later start knows it by that, should it be left.
    await Deno.writeTextFile(probe, line({ kind: KIND }));
    await syncFolder(file);
  } finally {
    await Deno.remove(probe);
  }
}

/** A file of its own for each save: another process may be saving to the same place. */
function makeTemporary(file: string): Promise<string> {
  return Deno.makeTempFile({ dir: folderOf(file), prefix: `${nameOf(file)}.`, suffix: TEMPORARY });
}

/** Removes what processes left that were killed while they saved to `file`. What cannot be removed stays. */
export async function removeLeftovers(file: string): Promise<void> {
  const folder = folderOf(file);
  for (const { name } of await Array.fromAsync(Deno.readDir(folder)).catch(() => [])) {
    if (!name.startsWith(`${nameOf(file)}.`) || !name.endsWith(TEMPORARY)) continue;
    const leftover = `${folder}/${name}`;
    try {
      const { mtime } = await Deno.lstat(leftover);
      if (Date.now() - (mtime?.getTime() ?? 0) < ABANDONED_AFTER_MS) continue;
      await expectOurs(leftover);
      await Deno.remove(leftover);
    } catch {
      // It is somebody else's, or gone already.
    }
  }
}

/** What is not known as a snapshot of ours is somebody's, and stays as it is. An empty file, or none, is nobody's. */
async function expectOurs(file: string): Promise<void> {
  try {
    const { isFile, size } = await Deno.stat(file);
    if (!isFile) throw new Error(NO_FILE);
    if (size === 0) return;
    using there = await Deno.open(file);
    const start = new Uint8Array(LONGEST_HEADER);
    const length = await there.read(start) ?? 0;
    const [header] = new TextDecoder().decode(start.subarray(0, length)).split("\n", 1);
    if (parse(header)["kind"] !== KIND) throw new Error(NOT_OURS);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

function folderOf(file: string): string {
  return file.slice(0, file.length - nameOf(file).length) || ".";
}

function nameOf(file: string): string {
  return file.slice(file.lastIndexOf("/") + 1);
}

/** Has all of it on the disk in the end. `Deno.writeTextFile` would not tell that a disk is full. */
async function write(file: string, texts: AsyncIterable<string>): Promise<void> {
  using to = await Deno.open(file, { write: true });
  const encoder = new TextEncoder();
  for await (const text of texts) {
    for (let rest = encoder.encode(text); rest.length > 0;) rest = rest.subarray(await to.write(rest));
  }
  await to.syncData();
}

async function* textOf(about: About, rows: Iterable<Row>): AsyncGenerator<string> {
  let text = line({ kind: KIND, version: VERSION, savedAt: Date.now(), ...about });
  let entries = 0;
  for (const row of rows) {
    text += line(row);
    entries++;
    if (text.length < PORTION) continue;
    yield text;
    text = "";
    // However fast the disk is, readers are answered now.
    await new Promise((resolve) => setTimeout(resolve));
  }
  yield text + line({ entries });
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
