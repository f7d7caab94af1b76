/**
 * A folder for the files of a test.
 *
 * @module
 */

/** A folder. Disposing of it removes it and what is in it. */
export interface Folder extends AsyncDisposable {
  readonly path: string;
}

/** Makes an empty folder. */
export async function makeFolder(): Promise<Folder> {
  const path = await Deno.makeTempDir({ prefix: "httpfastcache-test-" });
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}
