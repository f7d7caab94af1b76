/**
 * Programs that a test may need, and that not every machine has.
 *
 * @module
 */

/** The programs, and the packages of Debian that have them. */
const PACKAGES = {
  chromium: "chromium",
  curl: "curl",
  find: "findutils",
  go: "golang-go golang-github-patrickmn-go-cache-dev",
  gzip: "gzip",
  openssl: "openssl",
  promtool: "prometheus",
  tar: "tar",
} as const;

/** The name of such a program. */
export type Need = keyof typeof PACKAGES;

/** What the executable is made with, and unpacks itself with. */
export const FOR_THE_EXECUTABLE: readonly Need[] = ["find", "gzip", "tar"];

/** Where programs are. On Debian /usr/sbin is only in the path of root. */
const FOLDERS = [...(Deno.env.get("PATH") ?? "").split(":"), "/usr/sbin"];

/**
 * Declares a test that needs programs. Without them it is ignored, and its name says what to install.
 *
 * @param absent those that are there, but not as the test needs them.
 */
export function testWith(
  programs: readonly Need[],
  name: string,
  fn: () => Promise<void>,
  absent: readonly Need[] = [],
): void {
  const missing = programs.filter((program) => absent.includes(program) || !isInstalled(program));
  const packages = missing.map((program) => PACKAGES[program]).join(" ");
  const ignore = missing.length > 0;
  Deno.test({ name: ignore ? `${name} (ignored: apt install ${packages})` : name, ignore, fn });
}

/** Whether a program is found. */
export function isInstalled(program: string): boolean {
  return FOLDERS.some((folder) => {
    try {
      return Deno.statSync(`${folder}/${program}`).isFile;
    } catch {
      return false;
    }
  });
}
