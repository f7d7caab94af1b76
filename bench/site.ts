/**
 * The site of deploy/nginx.conf at home in a folder, for an NginX that this machine otherwise knows nothing of.
 *
 * @module
 */

/** Where the site is to be at home. */
export interface Home {
  /** Where `fullchain.pem` and `privkey.pem` are. */
  readonly certificate: string;
  /** Where NginX keeps what it caches. */
  readonly ownCache: string;
  /** Where it answers on 127.0.0.1, over HTTPS and over plain HTTP. */
  readonly port: number;
  readonly plainPort: number;
}

/** The site with its addresses and files replaced, all but the addresses of the cache and of Stacosys. */
export function siteAt(site: string, { certificate, ownCache, port, plainPort }: Home): string {
  const changes = [
    ["/etc/letsencrypt/live/comments.example.org", certificate],
    ["comments.example.org", "127.0.0.1"],
    ["listen 80;", `listen 127.0.0.1:${plainPort};`],
    ["listen [::]:80;", ""],
    ["listen 443 ", `listen 127.0.0.1:${port} `],
    ["listen [::]:443 ssl http2;", ""],
    ["/var/cache/nginx-comments", ownCache],
  ] as const;
  return changes.reduce((text, [what, by]) => replaced(text, what, by), site);
}

/** The site with NginX's own cache off. */
export function withoutOwnCache(site: string): string {
  return replaced(site, "proxy_cache comments;", "proxy_cache off;");
}

/** `text` with each `what` replaced, of which there must be one at least: the files in `deploy/` may change. */
export function replaced(text: string, what: string, by: string): string {
  if (!text.includes(what)) throw new Error(`expected ${what} in the file, got none`);
  return text.replaceAll(what, by);
}
