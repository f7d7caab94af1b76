/**
 * Debian's Firefox, without a window, driven over WebDriver BiDi.
 *
 * @module
 */

import { connect } from "./socket.ts";

/** A page in a browser that ends when it is disposed of. */
export interface Tab extends AsyncDisposable {
  /** Loads a URL. */
  load(url: string): Promise<void>;
  /** The value of an expression in the page, once the promise it may be is resolved. */
  evaluate(expression: string): Promise<unknown>;
}

/** Starts Firefox with a profile of its own. */
export async function startFirefox(): Promise<Tab> {
  const profile = await Deno.makeTempDir();
  const child = new Deno.Command("firefox-esr", {
    args: ["--headless", "--no-remote", "--profile", profile, "--remote-debugging-port=0"],
    env: { HOME: profile },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const { send, close } = await connect("Firefox", child.stderr, "/session");
  await send("session.new", { capabilities: {} });
  const { context } = await send("browsingContext.create", { type: "tab" });
  return {
    async load(url) {
      await send("browsingContext.navigate", { context, url, wait: "complete" });
    },
    async evaluate(expression) {
      const { type, result, exceptionDetails } = await send("script.evaluate", {
        expression: asJson(expression),
        target: { context },
        awaitPromise: true,
      });
      if (type !== "success") throw new Error(`${expression}: ${JSON.stringify(exceptionDetails)}`);
      return fromJson(Object(result).value);
    },
    async [Symbol.asyncDispose]() {
      await send("browser.close");
      await close();
      await child.status;
      await Deno.remove(profile, { recursive: true });
    },
  };
}

/** Each protocol has its own way of describing values, but all know texts. */
export function asJson(expression: string): string {
  return `(async () => JSON.stringify(await (${expression})))()`;
}

/** What {@linkcode asJson} made of a value. */
export function fromJson(text: unknown): unknown {
  return typeof text === "string" ? JSON.parse(text) : undefined;
}
