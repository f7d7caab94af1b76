/**
 * Which requests go through a proxy, as Go's `http.ProxyFromEnvironment` has it. Deno reads the same variables by
 * itself, but heeds `ALL_PROXY`, too, and in `NO_PROXY` knows no ports, no `*.` and no capitals.
 *
 * @module
 */

/** Hosts that are never asked through a proxy. */
const LOOPBACK = ["localhost", "127.0.0.0/8", "::1"];

/** Changes the environment so that Deno asks the host of `url` as Go would. Call it before any `fetch`. */
export function proxyAsGo(url: string): void {
  const listed = Deno.env.get("NO_PROXY") || Deno.env.get("no_proxy") || "";
  const entries = listed.split(",").map((entry) => forDeno(entry.trim().toLowerCase(), new URL(url)));
  Deno.env.set("NO_PROXY", [...entries.filter((entry) => entry !== ""), ...LOOPBACK].join());
  Deno.env.delete("ALL_PROXY");
  Deno.env.delete("all_proxy");
}

/** An entry of `NO_PROXY` as Deno understands it; empty if it is none for this host and port. */
function forDeno(entry: string, { protocol, hostname, port }: URL): string {
  const [, bracketed, name = entry, only = ""] = /^(?:\[(.*)\]|([^:]*)):(\d*)$/.exec(entry) ?? [];
  if (only !== "" && only !== (port || (protocol === "https:" ? "443" : "80"))) return "";
  const host = (bracketed ?? name).replace(/^\*\./, ".");
  // A leading dot is for what is below the domain alone.
  return host === `.${hostname}` ? "" : host;
}
