/**
 * A reader of the blog, for tests.
 *
 * @module
 */

/** What a reader gets. */
export interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers: Headers;
}

/**
 * Asks the program at `url` for the count of an article. Rejects once `signal` is aborted, as if the reader went away.
 */
export async function ask({ url }: { readonly url: string }, article: string, signal?: AbortSignal): Promise<Answer> {
  return await received(await fetch(`${url}/comments/count?token=t&url=${article}`, signal && { signal }));
}

/** Reads a response to its end. */
export async function received(response: Response): Promise<Answer> {
  return { status: response.status, text: await response.text(), headers: response.headers };
}

/** An answer in a few words: `200 {"count":7}`. */
export function brief({ status, text }: Answer): string {
  return `${status} ${text.trim()}`;
}
