/** What this project uses of `@std/http/etag`; the npm copy brings no declarations. */
export function eTag(
  entity: string | Uint8Array,
  options?: { weak?: boolean },
): Promise<string | undefined>;
export function ifNoneMatch(value: string | null, etag: string | undefined): boolean;
