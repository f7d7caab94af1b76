/**
 * Debian's Chromium, without a window, driven over its DevTools protocol.
 *
 * @module
 */

import { testWith } from "./needs.ts";
import { connect, type Result } from "./socket.ts";
import { until } from "../until.ts";

/** How a page is looked at. */
export interface View {
  readonly width?: number;
  readonly height?: number;
  readonly dark?: boolean;
}

/** A page in the browser. */
export interface Page {
  /** Loads a URL. */
  load(url: string): Promise<void>;
  /** The value of an expression in the page, once the promise it may be is resolved. */
  evaluate(expression: string): Promise<unknown>;
  /** Waits until an expression is true in the page; fails after a minute. */
  until(expression: string): Promise<void>;
  /** Presses a key, such as `Tab` or `Enter`. */
  press(key: string): Promise<void>;
}

/** A browser that ends when it is disposed of. */
export interface Browser extends AsyncDisposable {
  /** A user of it, who has nothing of what others have seen. */
  user(): Promise<User>;
}

/** Disposing of it closes all pages. */
export interface User extends AsyncDisposable {
  open(view?: View): Promise<Page>;
}

let browser: Promise<Browser> | undefined;
Deno.test.afterAll(async () => await (await browser)?.[Symbol.asyncDispose]());

/** Declares a test that needs a browser. Those of a file share one. */
export function inBrowser(name: string, test: (open: User["open"]) => Promise<void>): void {
  testWith(["chromium"], name, async () => {
    await using user = await (await (browser ??= startChromium())).user();
    await test(user.open);
  });
}

/** Starts a browser with a profile of its own. */
export async function startChromium(): Promise<Browser> {
  const profile = await Deno.makeTempDir();
  const child = new Deno.Command("chromium", {
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--disable-dev-shm-usage",
      "--remote-debugging-port=0",
      `--user-data-dir=${profile}`,
      "about:blank",
    ],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const { send, close } = await connect("Chromium", child.stderr);

  async function open(browserContextId: unknown, { width = 1280, height = 900, dark = false }: View): Promise<Page> {
    const { targetId } = await send("Target.createTarget", { url: "about:blank", browserContextId });
    const { sessionId } = await send("Target.attachToTarget", { targetId, flatten: true });
    const tell = (method: string, params: Result = {}) => send(method, params, sessionId);
    await tell("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: width < 600 });
    const features = [{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }];
    await tell("Emulation.setEmulatedMedia", { features });
    await tell("Page.enable");

    async function evaluate(expression: string): Promise<unknown> {
      const { result, exceptionDetails } = await tell("Runtime.evaluate", {
        expression,
        awaitPromise: true,
        returnByValue: true,
      });
      if (exceptionDetails !== undefined) throw new Error(`${expression}: ${JSON.stringify(exceptionDetails)}`);
      return Object(result).value;
    }
    async function untilTrue(expression: string): Promise<void> {
      try {
        await until(async () => await evaluate(expression) === true, `${expression} is true`);
      } catch (error) {
        throw new Error(`the page says ${await evaluate("document.body.innerText")}`, { cause: error });
      }
    }
    async function load(url: string): Promise<void> {
      await tell("Page.navigate", { url });
      await untilTrue(`document.readyState === "complete" && location.href !== "about:blank"`);
    }
    async function press(key: string): Promise<void> {
      const text = key === "Enter" ? { text: "\r" } : {};
      const windowsVirtualKeyCode = { Tab: 9, Enter: 13, Space: 32 }[key];
      await tell("Input.dispatchKeyEvent", { type: "keyDown", key, code: key, windowsVirtualKeyCode, ...text });
      await tell("Input.dispatchKeyEvent", { type: "keyUp", key, code: key, windowsVirtualKeyCode });
    }
    return { load, evaluate, until: untilTrue, press };
  }

  return {
    async user() {
      const { browserContextId } = await send("Target.createBrowserContext");
      return {
        open: (view = {}) => open(browserContextId, view),
        [Symbol.asyncDispose]: async () => void await send("Target.disposeBrowserContext", { browserContextId }),
      };
    },
    async [Symbol.asyncDispose]() {
      await send("Browser.close");
      await close();
      await child.status;
      await Deno.remove(profile, { recursive: true });
    },
  };
}
