/**
 * Debian's WebKitGTK, on a screen that nobody sees, driven over WebDriver.
 *
 * @module
 */

import { until } from "../until.ts";
import { asJson, fromJson, type Tab } from "./firefox.ts";
import { freePort } from "./program.ts";

/** Its small browser, which is in no PATH. The folder is that of the machine's architecture. */
const MINI_BROWSER = `/usr/lib/${Deno.build.arch}-linux-gnu/webkit2gtk-4.1/MiniBrowser`;

/** Starts WebKitGTK's small browser with a home of its own. */
export async function startWebKit(): Promise<Tab> {
  const home = await Deno.makeTempDir();
  const screen = new Deno.Command("Xvfb", {
    args: ["-displayfd", "1", "-screen", "0", "1280x900x24", "-nolisten", "tcp"],
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const said = screen.stdout.pipeThrough(new TextDecoderStream()).values();
  const { value: display = "" } = await said.next();
  if (display === "") throw new Error("Xvfb did not start");

  const port = freePort();
  const driver = new Deno.Command("WebKitWebDriver", {
    args: [`--port=${port}`],
    env: {
      HOME: home,
      XDG_CACHE_HOME: home,
      XDG_DATA_HOME: home,
      XDG_CONFIG_HOME: home,
      DISPLAY: `:${display.trim()}`,
    },
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();

  async function tell(method: string, path: string, body?: unknown): Promise<unknown> {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, {
      method,
      body: body === undefined ? null : JSON.stringify(body),
    });
    const { value } = await response.json();
    if (!response.ok) throw new Error(`${path}: ${value.message}`);
    return value;
  }

  await until(() => tell("GET", "/status").then(() => true, () => false), "WebKitWebDriver answers");
  const options = { binary: MINI_BROWSER, args: ["--automation"] };
  const alwaysMatch = { "webkitgtk:browserOptions": options };
  const session = `/session/${Object(await tell("POST", "/session", { capabilities: { alwaysMatch } })).sessionId}`;
  return {
    async load(url) {
      await tell("POST", `${session}/url`, { url });
    },
    async evaluate(expression) {
      return fromJson(
        await tell("POST", `${session}/execute/sync`, { script: `return ${asJson(expression)}`, args: [] }),
      );
    },
    async [Symbol.asyncDispose]() {
      await tell("DELETE", session);
      driver.kill();
      await driver.status;
      screen.kill();
      await said.return?.();
      await screen.status;
      await Deno.remove(home, { recursive: true });
    },
  };
}
