// The panel of the demo page: what was asked, and where the answers came from. The counts themselves are filled in by
// counts.js, or the old way.

const { cache, ttl } = document.body.dataset;
const TTL_MS = Number(ttl) * 1000;

/** What became of all requests and counts, and of those that the story has not told of yet. */
const total = emptyTally();
let untold = emptyTally();
let telling;
/** When Stacosys was last asked for each count, in milliseconds since 1970; nothing if it is not the demo's. */
let askedAt = {};

watchRequests();
watchCounters();
setInterval(showLives, 500);
byId("again").addEventListener("click", () => self.stacosysCounts(document));
byId("crowd").addEventListener("click", beManyReaders);
byId("articles").addEventListener("click", chooseArticle);
byId("comment").addEventListener("submit", addComment);

function byId(id) {
  return document.getElementById(id);
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
  clearTimeout(telling);
  telling = setTimeout(tell, 100);
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

async function tell() {
  byId("requests").textContent = total.requests.toLocaleString("en");
  byId("hits").textContent = (total.hit + total.stale).toLocaleString("en");
  byId("misses").textContent = total.miss.toLocaleString("en");
  byId("story").textContent = story(untold);
  untold = emptyTally();
  await readLives();
}

function story({ requests, failed, hit, miss, stale, error, since, until }) {
  const asked = amount(requests, "request");
  if (failed > 0) return `${asked}, ${failed} of them without an answer for this page. Its counters stay as they were.`;
  const counts = hit + miss + stale + error;
  const told = `${asked} for ${amount(counts, "count")} in ${Math.ceil(until - since).toLocaleString("en")}\xa0ms.`;
  if (hit === counts) return `${told} All from the cache: Stacosys was left in peace.`;
  if (miss === counts) return `${told} None was cached: Stacosys was asked for each, once.`;
  const parts = [
    [hit, "from the cache"],
    [miss, "from Stacosys"],
    [stale, "the last known, as there is no new one yet"],
    [error, "not to be had"],
  ];
  return `${told} ${parts.filter(([count]) => count > 0).map((part) => part.join(" ")).join(", ")}.`;
}

function amount(n, noun) {
  return `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
}

/** Makes a counter that changes light up for a moment. */
function watchCounters() {
  for (const counter of document.querySelectorAll("[data-stacosys-url]")) {
    let before;
    new MutationObserver(() => {
      const now = counter.textContent;
      if (before !== undefined && before !== now) {
        counter.classList.add("changed");
        setTimeout(() => counter.classList.remove("changed"), 2000);
      }
      before = now;
    }).observe(counter, { childList: true });
  }
}

async function readLives() {
  askedAt = await (await fetch("/asked")).json();
  showLives();
}

/** How long the count of an article is still fresh, in milliseconds; nothing if that is not known. */
function lifeOf(url) {
  return askedAt[url] === undefined ? undefined : Math.max(0, askedAt[url] + TTL_MS - Date.now());
}

function showLives() {
  const lives = [];
  for (const element of document.querySelectorAll("[data-life]")) {
    const life = lifeOf(element.dataset.life);
    if (life === undefined) continue;
    element.textContent = life === 0 ? "expired" : `fresh ${minutes(life)}`;
    element.classList.toggle("expired", life === 0);
    lives.push(life);
  }
  if (lives.length > 0) byId("next").textContent = minutes(Math.min(...lives));
}

function minutes(ms) {
  const seconds = Math.ceil(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** The button is not disabled meanwhile, or whoever pressed it with the keyboard would be nowhere afterwards. */
async function beManyReaders() {
  const button = byId("crowd");
  if (button.ariaBusy === "true") return;
  button.ariaBusy = "true";
  await Promise.all(Array.from({ length: 100 }, () => self.stacosysCounts(document)));
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

async function addComment(event) {
  event.preventDefault();
  const say = (text) => byId("sent").textContent = text;
  const form = event.target;
  const url = byId("url").value;
  const counter = document.querySelector(`[data-stacosys-url="${CSS.escape(url)}"]`);
  const before = counter.textContent;
  try {
    const response = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) });
    if (!response.ok) return say(await response.text());
    await readLives();
  } catch {
    return say("The blog does not answer.");
  }
  const life = lifeOf(url);
  if (life === undefined) return say("Stacosys has it. Readers see it when the count has expired.");
  say(`Stacosys has it. The old count expires in ${minutes(life)}; then this page asks again.`);
  setTimeout(async () => {
    await self.stacosysCounts(document);
    const now = counter.textContent;
    say(now === before ? `Readers still see ${now}: there is no new count yet.` : `Readers see it now: ${now}.`);
  }, life + 50);
}
