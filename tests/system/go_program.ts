/**
 * The Go program that is replaced.
 *
 * @module
 */

import { makeFolder } from "../folder.ts";
import type { Need } from "./needs.ts";
import { freePort } from "./program.ts";
import { until } from "../until.ts";

/** What it is built with. */
export const GO: readonly Need[] = ["go", "/usr/share/gocode/src/github.com/patrickmn/go-cache", "run files"];

/** The built program. Disposing of it removes the file; what was started has to be ended before. */
export interface GoProgram extends AsyncDisposable {
  /** Starts it with a configuration, and with more in the environment. */
  start(
    config: Readonly<Record<string, string>>,
    env?: Readonly<Record<string, string>>,
  ): Promise<AsyncDisposable & { readonly url: string }>;
}

export async function buildGo(): Promise<GoProgram> {
  const folder = await makeFolder();
  const program = `${folder.path}/counter-cache`;
  const { success, stderr } = await new Deno.Command("go", {
    args: ["build", "-o", program, `${import.meta.dirname}/../../bench/peers/go/main.go`],
    env: { GO111MODULE: "off", GOPATH: "/usr/share/gocode", GOCACHE: `${folder.path}/cache` },
  }).output();
  if (!success) throw new Error(`cannot build the Go program: ${new TextDecoder().decode(stderr)}`);

  return {
    async start(config, env = {}) {
      const port = freePort();
      const file = `${folder.path}/config.json`;
      await Deno.writeTextFile(file, JSON.stringify({ HostPort: `127.0.0.1:${port}`, ...config }));
      const args = ["--config", file];
      const process = new Deno.Command(program, { args, env, stdin: "null", stdout: "null", stderr: "null" }).spawn();
      async function dispose(): Promise<void> {
        try {
          process.kill("SIGKILL");
        } catch {
          // It has ended by itself.
        }
        await process.status;
      }
      try {
        await until(() => listens(port), "the Go program listens");
      } catch (error) {
        await dispose();
        throw error;
      }
      return { url: `http://127.0.0.1:${port}`, [Symbol.asyncDispose]: dispose };
    },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

async function listens(port: number): Promise<boolean> {
  try {
    using _ = await Deno.connect({ hostname: "127.0.0.1", port });
    return true;
  } catch {
    return false;
  }
}
