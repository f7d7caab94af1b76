/**
 * What a test may need of the machine, and not every machine has.
 *
 * @module
 */

/** Programs and folders, and the packages of Debian that have them. */
const PACKAGES = {
  chromium: "chromium",
  curl: "curl",
  find: "findutils",
  go: "golang-go",
  gzip: "gzip",
  openssl: "openssl",
  promtool: "prometheus",
  tar: "tar",
  "/usr/share/gocode/src/github.com/patrickmn/go-cache": "golang-github-patrickmn-go-cache-dev",
} as const;

/** A program by its name, a folder by its path, or an address of the loopback interface. */
export type Need = keyof typeof PACKAGES | "::1";

/** What the executable is made with, and unpacks itself with. */
export const FOR_THE_EXECUTABLE: readonly Need[] = ["find", "gzip", "tar"];

/** Where programs are. On Debian /usr/sbin is only in the path of root. */
const FOLDERS = [...(Deno.env.get("PATH") ?? "").split(":"), "/usr/sbin"];

/** Declares a test. Where something that it needs is missing, it is ignored, and its name says what to do about it. */
export function testWith(needs: readonly Need[], name: string, fn: () => Promise<void>): void {
  const missing = needs.filter((need) => !isThere(need));
  const packages = missing.filter((need) => need !== "::1").map((need) => PACKAGES[need]);
  const todo = [
    ...packages.length > 0 ? [`apt install ${packages.join(" ")}`] : [],
    ...missing.includes("::1") ? ["switch IPv6 on"] : [],
  ];
  const ignore = missing.length > 0;
  Deno.test({ name: ignore ? `${name} (ignored: ${todo.join(", ")})` : name, ignore, fn });
}

/** Whether the machine has it. */
export function isThere(need: Need): boolean {
  if (need === "::1") return canListenAt(need);
  return need.startsWith("/") ? exists(need) : FOLDERS.some((folder) => exists(`${folder}/${need}`));
}

function canListenAt(hostname: string): boolean {
  try {
    using _ = Deno.listen({ hostname, port: 0 });
    return true;
  } catch {
    return false;
  }
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}
