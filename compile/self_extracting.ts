/**
 * A file that unpacks and runs itself: `launcher.sh`, then an archive of the Deno runtime and the program.
 *
 * @module
 */

import launcher from "./launcher.sh" with { type: "text" };

/** What a self-extracting file is made of. */
export interface Parts {
  /** The file with the Deno runtime. */
  readonly runtime: string;
  /** The machine that the runtime is for, as `uname -m` names it. */
  readonly machine: string;
  /** Options of the runtime, such as `--allow-net`. */
  readonly options: readonly string[];
  /** The file with the program, a module that imports no other. */
  readonly program: string;
}

/**
 * Writes a self-extracting file to `output`. The same parts make the same file.
 *
 * @throws if a part cannot be read, if `output` cannot be written, or without tar and gzip.
 */
export async function writeSelfExtracting(parts: Parts, output: string): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const archive = await pack(parts, folder);
    const head = launcher
      .replaceAll("@HASH@", await hash(archive))
      .replaceAll("@SIZES@", await sizes(parts.runtime, parts.program))
      .replaceAll("@LINE@", String(launcher.split("\n").length))
      .replaceAll("@MACHINE@", parts.machine)
      .replaceAll("@OPTIONS@", parts.options.map(quote).join(" "));
    await Deno.writeFile(output, new Blob([head, archive]).stream(), { mode: 0o755 });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** The archive: the runtime, under the name that the process is to have, and the program. */
async function pack({ runtime, program }: Parts, folder: string): Promise<Uint8Array<ArrayBuffer>> {
  await Deno.copyFile(runtime, `${folder}/httpfastcache`);
  await Deno.copyFile(program, `${folder}/program.js`);
  await Deno.chmod(`${folder}/httpfastcache`, 0o755);
  await Deno.chmod(`${folder}/program.js`, 0o644);
  const { success, stdout, stderr } = await new Deno.Command("tar", {
    args: [
      ...["--create", "--gzip", "--directory", folder, "--owner=0", "--group=0", "--mtime=@0"],
      ...["httpfastcache", "program.js"],
    ],
  }).output();
  if (!success) throw new Error(`cannot pack ${runtime} and ${program}: ${new TextDecoder().decode(stderr)}`);
  return stdout;
}

async function hash(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return digest.toHex().slice(0, 16);
}

/** The sizes of files, as the launcher has them of what it unpacked. */
async function sizes(...files: string[]): Promise<string> {
  return (await Promise.all(files.map(async (file) => (await Deno.stat(file)).size))).join(" ");
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
