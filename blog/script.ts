/**
 * The script for blogs, handed out so that a blog needs nothing but its tag.
 *
 * @module
 */

import { eTag, ifNoneMatch } from "@std/http/etag";
import source from "./counts.js" with { type: "text" };

/** Returns a handler that answers with `counts.js`, or says that the reader's copy is still good. */
export async function createScript(): Promise<(request: Request, cors: Readonly<Record<string, string>>) => Response> {
  const etag = await eTag(source) ?? "";
  const headers = {
    etag,
    "content-type": "text/javascript; charset=utf-8",
    // A new version is asked for after an hour, while the page uses the copy of the browser: no reader waits for it.
    "cache-control": "public, max-age=3600, stale-while-revalidate=604800",
    // Isolated pages (Cross-Origin-Embedder-Policy) load only scripts with this header.
    "cross-origin-resource-policy": "cross-origin",
    "cache-status": "httpfastcache; hit",
  };
  return (request, cors) =>
    ifNoneMatch(request.headers.get("if-none-match"), etag)
      ? new Response(source, { headers: { ...headers, ...cors } })
      : new Response(null, { status: 304, headers: { ...headers, ...cors } });
}
