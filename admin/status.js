const EVERY_MS = 2_000;
const LOOK_EVERY_MS = 10_000;
const MOST_ROWS = 100;
const purging = document.querySelector("#purge");
const counts = document.querySelector("#counts");
const searching = counts.querySelector("form");
const silence = document.querySelector("#silence");
const liveOf = (page) => [...page.querySelectorAll("[data-live]")];
const utc = (date) => `${date.toISOString().slice(11, 19)} UTC`;
let answeredAt = new Date();
let pause;

purging.hidden = false;
purging.onsubmit = async (event) => {
  event.preventDefault();
  await purge(event.submitter.value === "all" ? "" : `?${new URLSearchParams({ url: purging.url.value })}`);
  look();
};
counts.hidden = false;
counts.onclick = async ({ target }) => {
  if (target.value === "" || target.closest("tbody") === null) return;
  if (!await purge(`?${new URLSearchParams({ url: target.value })}`)) return;
  target.textContent = "Purged";
  target.setAttribute("aria-label", `Purged ${visible(target.value)}`);
};
searching.onsubmit = (event) => {
  event.preventDefault();
  look();
};
searching.oninput = () => {
  clearTimeout(pause);
  pause = setTimeout(look, 300);
};
look();
setTimeout(renew, EVERY_MS);
// A row must not move under the mouse, nor be taken from whoever is in it.
setInterval(() => counts.matches(":hover, :focus-within") || look(), LOOK_EVERY_MS);

async function renew() {
  try {
    show(new DOMParser().parseFromString(await ask("/", "GET"), "text/html"));
  } catch {
    showSilence();
  }
  setTimeout(renew, EVERY_MS);
}

async function ask(path, method) {
  const response = await fetch(path, { method, signal: AbortSignal.timeout(5_000) }).catch(() => {
    throw new Error("httpfastcache does not answer");
  });
  if (!response.ok) throw new Error(await response.text());
  return await response.text();
}

/** Leaves alone what is said already, so that nobody hears it twice. */
function show(page) {
  const shown = liveOf(document);
  const live = liveOf(page);
  // Another process may have more to say.
  if (live.length !== shown.length) return location.reload();
  for (const [i, { innerHTML }] of live.entries()) {
    if (shown[i].innerHTML !== innerHTML) shown[i].innerHTML = innerHTML;
  }
  answeredAt = new Date();
  silence.textContent = "";
  document.title = page.title;
  document.body.className = "";
}

function showSilence() {
  const text = `▲ httpfastcache has not answered since ${utc(answeredAt)}: it is not running, or the way to it is ` +
    "interrupted, such as your tunnel (ssh -L). Below is what was known then.";
  if (silence.textContent !== text) silence.textContent = text;
  document.title = "▲ no answer - httpfastcache";
  document.body.className = "silent";
}

async function purge(query) {
  const output = purging.querySelector("output");
  try {
    output.textContent = `counts purged: ${JSON.parse(await ask(`/purge${query}`, "POST")).purged}`;
    return true;
  } catch (error) {
    output.textContent = `▲ ${error.message}`;
    return false;
  }
}

async function look() {
  const search = searching.search.value;
  const output = searching.querySelector("output");
  try {
    const found = JSON.parse(await ask(`/counts?${new URLSearchParams({ search, limit: MOST_ROWS })}`, "GET"));
    // A later search may have been quicker.
    if (search !== searching.search.value) return;
    found.counts.sort((a, b) => (a.count !== 0) - (b.count !== 0) || (a.url ?? "").localeCompare(b.url ?? ""));
    counts.querySelector("tbody").replaceChildren(...found.counts.map(rowOf));
    const shown = `${found.counts.length} of ${found.found} counts, those of 0 first`;
    output.textContent = `${found.found === 0 ? "no count" : shown}, at ${utc(new Date())}`;
  } catch (error) {
    output.textContent = `▲ ${error.message}`;
  }
}

/** The target stands beside its url where that alone does not tell which count it is. */
function rowOf({ url, count, ageSeconds, fresh, target }, _, all) {
  const row = document.createElement("tr");
  const name = row.appendChild(document.createElement("th"));
  name.scope = "row";
  name.append(url === null ? "the whole site" : visible(url));
  if (!target.endsWith(`url=${url}`) || all.filter((other) => other.url === url).length > 1) {
    name.append(Object.assign(document.createElement("small"), { textContent: visible(target) }));
  }
  for (const text of [count, ageInWords(ageSeconds), fresh ? "fresh" : "stale"]) row.insertCell().append(text);
  // Without a url all would be purged. The count of the whole site is purged with that of any article.
  if (url === null) row.insertCell();
  else {
    const button = Object.assign(document.createElement("button"), { textContent: "Purge", value: url });
    button.setAttribute("aria-label", `Purge ${visible(url)}`);
    row.insertCell().append(button);
  }
  return row;
}

/** The same as `escapeInvisible` in service/invisible.ts, which the rest of the page has gone through. */
function visible(text) {
  const escape = (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return text.replace(
    /[\p{Cc}\p{Cf}\p{DI}\p{Zl}\p{Zp}\u2800]|[^\P{Zs} ]/gu,
    (found) => found.split("").map(escape).join(""),
  );
}

function ageInWords(seconds) {
  if (seconds === null) return "from before the start";
  if (seconds < 60) return `${seconds} s`;
  return seconds < 3_600 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3_600)} h`;
}
