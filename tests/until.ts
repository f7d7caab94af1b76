/** So long that only what never comes about takes it, however busy the machine is. */
const LIMIT_MS = 60_000;

/**
 * Waits for what comes about, instead of for a time in which it should have.
 *
 * @param what names the condition, should it not come true within `limitMs`; the promise then rejects.
 */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  limitMs = LIMIT_MS,
): Promise<void> {
  for (const end = performance.now() + limitMs; !await condition();) {
    if (performance.now() > end) throw new Error(`expected within ${limitMs / 1000} s that ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
