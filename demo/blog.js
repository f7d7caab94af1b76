// The panel of the demo page: what was asked, and where the answers came from. The counts themselves are filled in by
// counts.js, or the old way.

const { cache, watched } = document.body.dataset;

/** What became of all requests and counts, and of those that the story has not told of yet. */
const total = emptyTally();
let untold = emptyTally();
let telling;
/** Whether the story waits until something else than hits has come. */
let waiting = false;
/** What the blog's server knows: how Stacosys is, and how long each count is fresh yet, if it is the demo's. */
let state = { lives: {} };
/** Whether the file of Stacosys has changed since a count last came from there. */
let fileChanged = false;
/** A change of Stacosys ends the page's waiting for what the one before brings. */
let changes = 0;

watchRequests();
watchCounters();
// A changed config.json starts the blog again, too, and this page follows.
setInterval(() => readState().catch(() => {}), 500);
byId("again").addEventListener("click", askAgain);
byId("crowd").addEventListener("click", beManyReaders);
byId("stacosys").addEventListener("submit", changeStacosys);
byId("articles").addEventListener("click", chooseArticle);
byId("comment").addEventListener("submit", addComment);

function byId(id) {
  return document.getElementById(id);
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function emptyTally() {
  return { requests: 0, failed: 0, hit: 0, miss: 0, stale: 0, error: 0, since: Infinity };
}

/** Notes the end of each request for counts, whoever makes it. */
function watchRequests() {
  const { fetch } = globalThis;
  globalThis.fetch = async (url, options) => {
    if (!String(url).startsWith(cache)) return fetch(url, options);
    const since = performance.now();
    try {
      const response = await fetch(url, options);
      note(since, response.ok, response.url, response.headers.get("cache-status"));
      return response;
    } catch (error) {
      note(since, false);
      throw error;
    }
  };
  const { send } = XMLHttpRequest.prototype;
  XMLHttpRequest.prototype.send = function (...body) {
    const since = performance.now();
    this.addEventListener("load", () => {
      note(since, this.status === 200, this.responseURL, this.getResponseHeader("cache-status"));
    });
    this.addEventListener("error", () => note(since, false));
    send.apply(this, body);
  };
}

/** Without a URL there was no answer, or none that the page may read. */
function note(since, good, url, cacheStatus) {
  if (url !== undefined) byId("last").textContent = cacheStatus;
  const found = good ? outcomes(url, cacheStatus ?? "") : { failed: 1 };
  for (const tally of [total, untold]) {
    tally.requests++;
    for (const [outcome, count] of Object.entries(found)) tally[outcome] += count;
  }
  untold.since = Math.min(untold.since, since);
  untold.until = performance.now();
  byId("requests").textContent = total.requests.toLocaleString("en");
  byId("hits").textContent = (total.hit + total.stale).toLocaleString("en");
  byId("misses").textContent = total.miss.toLocaleString("en");
  clearTimeout(telling);
  if (!waiting || found.hit === undefined || Object.keys(found).length > 1) telling = setTimeout(tell, 100);
}

/** How many counts were hits, misses and so on; several at once are told in words: `detail="3 hit, 7 miss"`. */
function outcomes(url, cacheStatus) {
  const [, detail] = /detail="(.*)"/.exec(cacheStatus) ?? [];
  if (detail !== undefined) {
    return Object.fromEntries(detail.split(", ").map((part) => part.split(" ")).map(([n, name]) => [name, Number(n)]));
  }
  if (/detail=(stale|slow)/.test(cacheStatus)) return { stale: 1 };
  if (cacheStatus.includes("; stored")) return { miss: 1 };
  return { hit: new Set(new URL(url).searchParams.getAll("url")).size };
}

function tell() {
  byId("story").textContent = story(untold);
  if (untold.miss > 0) fileChanged = false;
  untold = emptyTally();
}

function story({ requests, failed, hit, miss, stale, error, since, until }) {
  const asked = amount(requests, "request");
  if (failed > 0) return `${asked}, ${failed} of them without an answer for this page. Its counters stay as they were.`;
  const counts = hit + miss + stale + error;
  const told = `${asked} for ${amount(counts, "count")} in ${Math.ceil(until - since).toLocaleString("en")}\xa0ms.`;
  if (hit === counts) return `${told} All from the cache: Stacosys was left in peace.`;
  if (stale === counts) return `${told} All are the last known, ${whyStale()}.`;
  if (miss > 0 && fileChanged) {
    return `${told} The file of Stacosys had changed, so the cache asked for ${miss} of them anew, before their time.`;
  }
  if (miss === counts) return `${told} None was fresh: Stacosys was asked for each, once.`;
  const parts = { "from the cache": hit, "from Stacosys": miss, "the last known": stale, "not to be had": error };
  const known = Object.entries(parts).filter(([, count]) => count > 0);
  return `${told} ${known.map(([what, count]) => `${count} ${what}`).join(", ")}.`;
}

function whyStale() {
  if (state.health === "stopped") return "as Stacosys is stopped: readers notice nothing";
  if (state.health === "slow") {
    return `as Stacosys takes ${state.slowSeconds} seconds, and nobody waits longer than one`;
  }
  return "as there is no new one yet";
}

function amount(n, noun) {
  return `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
}

/** Makes a counter that changes light up for a moment. */
function watchCounters() {
  const observer = new MutationObserver((records) => {
    for (const { target, removedNodes: [before] } of records) {
      if (["Comments", target.textContent].includes(before.data)) continue;
      target.classList.add("changed");
      setTimeout(() => target.classList.remove("changed"), 2000);
    }
  });
  for (const counter of document.querySelectorAll("[data-stacosys-url]")) {
    observer.observe(counter, { childList: true });
  }
}

async function readState() {
  state = await (await fetch("/state")).json();
  const lives = Object.values(state.lives);
  fileChanged ||= lives.some(({ changed }) => changed);
  byId("ttl").textContent = state.ttlSeconds;
  if (lives.length > 0) byId("next").textContent = minutes(Math.min(...lives.map(({ leftMs }) => leftMs)));
  for (const button of document.querySelectorAll("[name=health]")) {
    button.ariaPressed = String(button.value === state.health);
  }
  for (const element of document.querySelectorAll("[data-life]")) {
    const { leftMs, changed } = state.lives[element.dataset.life] ?? {};
    if (leftMs === undefined) continue;
    element.textContent = leftMs === 0 ? "expired" : changed ? "the file has changed" : `fresh ${minutes(leftMs)}`;
    element.classList.toggle("expired", leftMs === 0 || changed);
  }
}

function minutes(ms) {
  const seconds = Math.ceil(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** Asks for all counts again, and tells whether the cache had any of them. */
async function askAgain() {
  const { hit } = total;
  await self.stacosysCounts(document.body);
  return total.hit > hit;
}

/** Posts a form, and tells what went wrong, if anything did. */
async function post(form, fields) {
  try {
    const response = await fetch(form.action, { method: "POST", body: new URLSearchParams(fields) });
    if (!response.ok) return await response.text();
    await readState();
  } catch {
    return "The blog does not answer.";
  }
}

/** The button is not disabled meanwhile, or whoever pressed it with the keyboard would be nowhere afterwards. */
async function beManyReaders() {
  const button = byId("crowd");
  if (button.ariaBusy === "true") return;
  button.ariaBusy = "true";
  await Promise.all(Array.from({ length: 100 }, askAgain));
  button.ariaBusy = "false";
}

/** A counter leads to the form, with its article chosen. */
function chooseArticle(event) {
  const { stacosysUrl } = event.target.dataset;
  if (stacosysUrl === undefined) return;
  event.preventDefault();
  byId("url").value = stacosysUrl;
  byId("comment").scrollIntoView({ block: "nearest" });
  byId("message").focus({ preventScroll: true });
}

/** Stops Stacosys, starts it or makes it slow, and asks again when the counts have expired. */
async function changeStacosys(event) {
  event.preventDefault();
  const mine = ++changes;
  const say = (text) => byId("story").textContent = text;
  const health = event.submitter.value;
  const fault = await post(event.target, { health });
  if (fault !== undefined) return say(fault);
  say(`Stacosys is ${health}. When the counts have expired, this page asks again.`);
  // The cache leaves a Stacosys alone for a second that has failed.
  await pause(1100);
  for (; mine === changes; await pause(500)) {
    const expired = Object.values(state.lives).every(({ leftMs }) => leftMs === 0);
    if (expired && !await askAgain()) return;
  }
}

/**
 * Adds it, and asks again until it is counted: once a second, or when the count has expired if the file is not watched.
 */
async function addComment(event) {
  event.preventDefault();
  const say = (text) => byId("sent").textContent = text;
  const url = byId("url").value;
  const counter = document.querySelector(`[data-stacosys-url="${CSS.escape(url)}"]`);
  const before = counter.textContent;
  const fault = await post(event.target, new FormData(event.target));
  if (fault !== undefined) return say(fault);
  const life = state.lives[url];
  if (life === undefined) return say("Stacosys has it. Readers see it when it is approved and the count has expired.");
  say(
    watched === undefined
      ? `Stacosys has it. The old count expires in ${minutes(life.leftMs)}; then this page asks again.`
      : "Stacosys has it. The cache sees that the file has changed, and waits until it is still for three seconds.",
  );
  const start = performance.now();
  waiting = true;
  while (counter.textContent === before) {
    await pause(1000);
    if (watched === undefined && state.lives[url]?.leftMs > 0) continue;
    const hits = await askAgain();
    if (!hits && counter.textContent === before) say(`Readers still see ${before}: there is no new count yet.`);
  }
  waiting = false;
  const seconds = amount(Math.round((performance.now() - start) / 1000), "second");
  say(`Readers see it now: ${counter.textContent}, ${seconds} after it was added.`);
}
