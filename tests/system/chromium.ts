/**
 * Debian's Chromium, without a window, driven over its DevTools protocol.
 *
 * @module
 */

import { isThere, testWith } from "./needs.ts";
import { until } from "../until.ts";

/** Its name, if it is there. */
export const CHROMIUM = isThere("chromium") ? "chromium" : undefined;

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
  /** A PNG of what is seen, or of the whole page. */
  screenshot(whole?: boolean): Promise<Uint8Array>;
}

/** A browser that ends when it is disposed of. */
export interface Browser extends AsyncDisposable {
  open(view?: View): Promise<Page>;
}

type Result = Record<string, unknown>;

/** Declares a test that needs a browser. */
export function inBrowser(name: string, test: (open: Browser["open"]) => Promise<void>): void {
  testWith(["chromium"], name, async () => {
    await using browser = await startChromium();
    await test(browser.open);
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
  const { send, close } = await connect(child.stderr);

  async function open({ width = 1280, height = 900, dark = false }: View = {}): Promise<Page> {
    const { targetId } = await send("Target.createTarget", { url: "about:blank" });
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
    async function screenshot(whole = false): Promise<Uint8Array> {
      const { data } = await tell("Page.captureScreenshot", { format: "png", captureBeyondViewport: whole });
      return Uint8Array.fromBase64(String(data));
    }
    return { load, evaluate, until: untilTrue, press, screenshot };
  }

  return {
    open,
    async [Symbol.asyncDispose]() {
      await send("Browser.close");
      await close();
      await child.status;
      await Deno.remove(profile, { recursive: true });
    },
  };
}

/** Connects to the browser, which says on stderr where it can be reached. */
async function connect(stderr: ReadableStream<Uint8Array<ArrayBuffer>>) {
  let url = "";
  const said = stderr.pipeThrough(new TextDecoderStream());
  const { promise: found, resolve: find } = Promise.withResolvers<void>();
  const ended = (async () => {
    for await (const text of said) {
      url ||= /ws:\/\/\S+/.exec(text)?.[0] ?? "";
      if (url !== "") find();
    }
  })();
  await Promise.race([found, ended]);
  if (url === "") throw new Error("Chromium did not start");

  const socket = new WebSocket(url);
  await new Promise((resolve) => socket.onopen = resolve);
  const waiting = new Map<number, { resolve: (result: Result) => void; reject: (error: Error) => void }>();
  socket.onmessage = ({ data }) => {
    const { id, result, error } = JSON.parse(data);
    const { resolve, reject } = waiting.get(id) ?? {};
    waiting.delete(id);
    if (error === undefined) resolve?.(result);
    else reject?.(new Error(error.message));
  };
  let last = 0;
  return {
    send(method: string, params: Result = {}, sessionId?: unknown): Promise<Result> {
      const id = ++last;
      socket.send(JSON.stringify({ id, method, params, sessionId }));
      return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
    },
    async close(): Promise<void> {
      socket.close();
      await ended;
    },
  };
}
