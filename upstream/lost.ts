/**
 * Requests that Stacosys has lost: it hung, answers others by now, and will never answer these, though their connections
 * are open.
 *
 * What has waited too long is asked for once more each second, beside the first request, until Stacosys answers. Such an
 * answer, as any other to a later request, tells which earlier ones are lost; they are sent anew.
 *
 * @module
 */

import type { Turns } from "./semaphore.ts";

/** Sends a request for a target. Rejects when it fails, and when `signal` aborts. */
export type Send<T> = (target: string, signal: AbortSignal) => Promise<T>;

/** How long a request may take, however often it is sent. */
export interface Limit {
  /** Aborts when that time is over. */
  readonly signal: AbortSignal;
  /** Aborts `signal` now, and has another one in its place. */
  renew(): void;
}

/** When a request counts as lost. All times are in milliseconds. */
export interface LostOptions {
  /** How old the oldest has to be to be asked for once more: 2,000 by default. At its busiest Flask takes some 90. */
  readonly oldMs?: number;
  /** How often it is, and how much later a request has to be that tells which are lost: 1,000 by default. */
  readonly probeMs?: number;
}

/** A request that has not been answered. */
interface Attempt<T> {
  readonly target: string;
  readonly sentAt: number;
  /** How much later a request has to be whose answer makes this one lost. */
  readonly patienceMs: number;
  readonly end: (by: End<T>) => void;
}

/** How an attempt ends: with its own answer, with that to another, or so that it is sent anew. */
type End<T> = { answer: T; own: true } | { answer: T } | { patienceMs: number };

/**
 * Returns a `send` that sends lost requests anew.
 *
 * @param isGood whether an answer shows that Stacosys is well.
 * @param turns of which each caller has one already, and of which the second request takes another.
 */
export function resendLost<T>(
  send: Send<T>,
  isGood: (answer: T) => boolean,
  turns: Turns,
  { oldMs = 2_000, probeMs = 1_000 }: LostOptions = {},
): (target: string, limit: Limit) => Promise<T> {
  const underWay = new Set<Attempt<T>>();
  let ticking: ReturnType<typeof setInterval> | undefined;
  let probing: AbortController | undefined;
  let probed = Promise.resolve();

  return async function resending(target, limit) {
    for (let patienceMs = probeMs;;) {
      const { promise: ended, resolve: end, reject } = Promise.withResolvers<End<T>>();
      const attempt = { target, sentAt: performance.now(), patienceMs, end };
      underWay.add(attempt);
      ticking ??= setInterval(tick, probeMs);
      const sent = send(target, limit.signal).then((answer) => end({ answer, own: true }), reject);
      let by: End<T>;
      try {
        by = await ended;
      } finally {
        underWay.delete(attempt);
        if (underWay.size === 0) rest();
      }
      if ("own" in by) {
        if (isGood(by.answer)) resendFrom(attempt.sentAt);
        return by.answer;
      }
      // Its connection is closed before there is another one.
      limit.renew();
      await sent;
      if ("answer" in by) return by.answer;
      ({ patienceMs } = by);
    }
  };

  function tick(): void {
    probing?.abort();
    probing = new AbortController();
    const { signal } = probing;
    probed = probed.then(() => probe(signal));
  }

  function rest(): void {
    clearInterval(ticking);
    ticking = undefined;
    probing?.abort();
    probing = undefined;
  }

  async function probe(signal: AbortSignal): Promise<void> {
    const [oldest] = underWay;
    const sentAt = performance.now();
    if (oldest === undefined || sentAt < oldest.sentAt + oldMs) return;
    // Then it is its own second request, of which an answer is expected before the next.
    if (!turns.takeFree()) return oldest.end({ patienceMs: probeMs / 2 });
    try {
      const answer = await send(oldest.target, signal);
      if (!isGood(answer)) return;
      oldest.end({ answer });
      resendFrom(sentAt);
    } catch {
      // The next one may be answered.
    } finally {
      turns.pass();
    }
  }

  /** Sends anew what had waited too long when a request was sent that has been answered by now. */
  function resendFrom(answeredSentAt: number): void {
    for (const { sentAt, patienceMs, end } of underWay) {
      // Twice as patient the next time: a count may just be slow.
      if (sentAt + patienceMs <= answeredSentAt) end({ patienceMs: 2 * patienceMs });
    }
  }
}
