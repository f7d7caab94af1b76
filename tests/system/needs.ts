/**
 * What a test may need of the machine, and not every machine has.
 *
 * @module
 */

/** Programs and folders, and the packages of Debian that have them. */
const PACKAGES = {
  bash: "bash",
  busybox: "busybox",
  chromium: "chromium",
  crontab: "cron",
  curl: "curl",
  dash: "dash",
  find: "findutils",
  "firefox-esr": "firefox-esr",
  flock: "util-linux",
  go: "golang-go",
  gzip: "gzip",
  logrotate: "logrotate",
  nginx: "nginx-light",
  openssl: "openssl",
  promtool: "prometheus",
  setpriv: "util-linux",
  "systemd-analyze": "systemd",
  tar: "tar",
  WebKitWebDriver: "webkit2gtk-driver",
  Xvfb: "xvfb",
  "/usr/share/gocode/src/github.com/patrickmn/go-cache": "golang-github-patrickmn-go-cache-dev",
} as const;

/** What no package brings: how to see whether it is there, and what to say if it is not. */
const OTHERS = {
  root: { isThere: () => Deno.uid() === 0, otherwise: "needs root" },
  mount: { isThere: canMount, otherwise: "needs root that may mount, and unshare" },
  "/dev/fuse": { isThere: hasFuse, otherwise: "needs /dev/fuse" },
  "run files": { isThere: canRunFiles, otherwise: "needs a TMPDIR that is not mounted noexec" },
  "::1": { isThere: hasIPv6, otherwise: "needs IPv6" },
} as const;

/** A program by its name, a folder by its path, a right of this user, or what else the machine has. */
export type Need = keyof typeof PACKAGES | keyof typeof OTHERS;

/** What the executable is made with, and unpacks itself with. */
export const FOR_THE_EXECUTABLE: readonly Need[] = ["find", "gzip", "tar", "run files"];

/** Where programs are. On Debian /usr/sbin is only in the path of root. */
const FOLDERS = [...(Deno.env.get("PATH") ?? "").split(":"), "/usr/sbin"];

/** Declares a test. Where something that it needs is missing, it is ignored, and its name says what to do about it. */
export function testWith(needs: readonly Need[], name: string, fn: () => Promise<void>): void {
  const others: string[] = [];
  const packages: string[] = [];
  for (const need of needs) {
    if (isOther(need)) {
      if (!OTHERS[need].isThere()) others.push(OTHERS[need].otherwise);
    } else if (!(need.startsWith("/") ? exists(need) : FOLDERS.some((folder) => exists(`${folder}/${need}`)))) {
      packages.push(PACKAGES[need]);
    }
  }
  const todo = [...others, ...packages.length > 0 ? [`apt install ${packages.join(" ")}`] : []];
  const ignore = todo.length > 0;
  Deno.test({ name: ignore ? `${name} (ignored: ${todo.join(", ")})` : name, ignore, fn });
}

function isOther(need: Need): need is keyof typeof OTHERS {
  return need in OTHERS;
}

function canMount(): boolean {
  try {
    return new Deno.Command("unshare", { args: ["--mount", "true"], stderr: "null" }).outputSync().success;
  } catch {
    return false;
  }
}

/** Whether a file that a test makes can be started. */
function canRunFiles(): boolean {
  const file = Deno.makeTempFileSync({ prefix: "httpfastcache-test-" });
  try {
    Deno.writeTextFileSync(file, "#!/bin/sh\n");
    Deno.chmodSync(file, 0o700);
    return new Deno.Command(file).outputSync().success;
  } catch {
    return false;
  } finally {
    Deno.removeSync(file);
  }
}

/** Deno itself looks at nothing below /dev. */
function hasFuse(): boolean {
  return new Deno.Command("test", { args: ["-c", "/dev/fuse"] }).outputSync().success;
}

function hasIPv6(): boolean {
  try {
    using _ = Deno.listen({ hostname: "::1", port: 0 });
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
