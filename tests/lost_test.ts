import { assertEquals, assertLessOrEqual, assertRejects } from "@std/assert";
import { resendLost } from "../upstream/lost.ts";
import { createTurns } from "../upstream/semaphore.ts";
import { until } from "./until.ts";

interface Sent {
  readonly target: string;
  readonly answer: (answer: string) => void;
  readonly fail: () => void;
}

/** A Stacosys that answers when a test says so, 100 ms standing for a second. */
function stacosys({ oldMs = 200, probeMs = 100, spareTurns = 60 } = {}) {
  const sent: Sent[] = [];
  const open = new Set<Sent>();
  let mostOpen = 0;
  async function exchange(target: string, signal: AbortSignal): Promise<string> {
    const { promise, resolve: answer, reject } = Promise.withResolvers<string>();
    const fail = () => reject(new Error("failed"));
    const request = { target, answer, fail };
    sent.push(request);
    open.add(request);
    mostOpen = Math.max(mostOpen, open.size);
    signal.addEventListener("abort", fail);
    if (signal.aborted) fail();
    try {
      return await promise;
    } finally {
      open.delete(request);
    }
  }
  const turns = createTurns(spareTurns);
  const send = resendLost(exchange, (answer) => answer !== "bad", turns, { oldMs, probeMs });
  const limits: AbortController[] = [];
  function ask(target: string): Promise<string> {
    let controller = new AbortController();
    limits.push(controller);
    return send(target, {
      get signal() {
        return controller.signal;
      },
      renew() {
        controller.abort();
        controller = new AbortController();
        limits.push(controller);
      },
    });
  }
  return {
    sent,
    open,
    most: () => mostOpen,
    ask,
    end: () => limits.forEach((controller) => controller.abort()),
    targets: () => sent.map(({ target }) => target),
  };
}

Deno.test("who is answered soon is asked for once", async () => {
  const { ask, sent, targets } = stacosys({ oldMs: 2_000, probeMs: 1_000 });
  const [a, b] = [ask("/a/"), ask("/b/")];
  sent[1]?.answer("8");
  assertEquals(await b, "8");
  sent[0]?.answer("7");
  assertEquals(await a, "7");
  assertEquals(targets(), ["/a/", "/b/"]);
});

Deno.test("an answer that is slow is waited for, though it is asked for once more meanwhile", async () => {
  const { ask, sent, open } = stacosys();
  const a = ask("/a/");
  await until(() => sent.length === 4, "it is asked for three times more");
  assertEquals(open.size, 2);
  sent[0]?.answer("7");
  assertEquals(await a, "7");
  await until(() => open.size === 0, "nothing is left under way");
});

Deno.test("a request that is lost is answered by the one that is sent once more, and all others are sent anew", async () => {
  const { ask, sent, open, targets } = stacosys();
  const lost = ["/a/", "/b/", "/c/"].map(ask);
  await until(() => sent.length === 4, "the oldest is asked for once more");
  sent[3]?.answer("7");
  await until(() => sent.length === 6, "the others are sent anew");
  assertEquals(targets(), ["/a/", "/b/", "/c/", "/a/", "/b/", "/c/"]);
  sent[4]?.answer("8");
  sent[5]?.answer("9");
  assertEquals(await Promise.all(lost), ["7", "8", "9"]);
  assertEquals(open.size, 0);
});

Deno.test("an answer to another request shows what is lost, but a bad one does not", async () => {
  const { ask, sent, targets } = stacosys({ oldMs: 10_000 });
  const lost = ask("/a/");
  const sentAt = performance.now();
  await until(() => performance.now() > sentAt + 100, "it is old");
  const [bad, good] = [ask("/bad/"), ask("/good/")];
  sent[1]?.answer("bad");
  await bad;
  assertEquals(sent.length, 3);
  sent[2]?.answer("8");
  await good;
  await until(() => sent.length === 4, "it is sent anew");
  assertEquals(targets().at(-1), "/a/");
  sent[3]?.answer("7");
  assertEquals(await lost, "7");
});

Deno.test("a count that is slow while others are not is sent anew less and less often", async () => {
  const { ask, end, sent, targets } = stacosys({ oldMs: 10_000 });
  const slow = ask("/slow/");
  const start = performance.now();
  await until(async () => {
    const other = ask("/other/");
    sent.at(-1)?.answer("8");
    await other;
    return performance.now() > start + 1_400;
  }, "1,400 ms are over");
  // At the start, and after 100, 300, 700 and 1,500 ms.
  assertLessOrEqual(targets().filter((target) => target === "/slow/").length, 4);
  end();
  await assertRejects(() => slow);
});

Deno.test("without a turn for a second request, the oldest is sent anew in its own turn", async () => {
  const { ask, sent, most, open } = stacosys({ spareTurns: 0 });
  const lost = ["/a/", "/b/"].map(ask);
  await until(() => sent.length === 4, "both are sent anew");
  assertEquals([most(), open.size], [2, 2]);
  for (const request of open) request.answer(request.target);
  assertEquals(await Promise.all(lost), ["/a/", "/b/"]);
});

Deno.test("a request that fails has failed, also while it is asked for once more", async () => {
  const { ask, sent, open, end } = stacosys();
  const a = ask("/a/");
  const b = ask("/b/");
  await until(() => sent.length > 2, "the oldest is asked for once more");
  sent[0]?.fail();
  await assertRejects(() => a);
  end();
  await assertRejects(() => b);
  await until(() => open.size === 0, "nothing is left under way");
});
