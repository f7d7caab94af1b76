// Comment counts: docs/blog.md.
(function () {
  // Of two tags the first asks.
  if (self.stacosysCounts) return;
  const current = document.currentScript;
  /** By url: when it was asked for, the answer, the count. */
  const asked = new Map();
  /** By element: its url, its text, the text written. */
  const shown = new WeakMap();
  const page = {};
  const made = {};
  let round = 0;
  let path, tag;

  self.stacosysCounts = function (within) {
    const roots = Array.from(within instanceof Node ? [within] : within || []).filter((each) => each instanceof Node);
    for (const root of roots) watch(root.getRootNode());
    return roots[0] ? show(roots, () => false) : show([document], (known) => isFresh(known) && !known.failed);
  };

  const observer = new MutationObserver((records) => {
    const roots = new Set();
    for (const { attributeName, target, addedNodes } of records) {
      const element = target.closest ? target : target.parentElement;
      if (element) roots.add(attributeName ? element : element.closest("[data-stacosys-url]"));
      for (const node of addedNodes) roots.add(node);
    }
    if (path !== (path = location.pathname)) roots.add(document);
    round++;
    marksIn(roots).forEach(keep);
  });

  function watch(root) {
    observer.observe(root, {
      attributeFilter: ["data-stacosys-url", "href"],
      characterData: true,
      childList: true,
      subtree: true,
    });
  }

  function keep(url, element) {
    const { text } = ownOf(element, url);
    const known = asked.get(url) || {};
    if (text === undefined && !(isFresh(known) && known.count >= 0)) return showLater(element, page, 100);
    if (text === placeIn(element).textContent) return;
    // Whoever takes it away at once gets it ever more rarely.
    if (!known.later && known.round !== (known.round = round)) {
      known.wait = (performance.now() - known.last < 100 && known.wait * 2) || 1;
    }
    if (known.wait < 1000) write(element, url, known);
    else showLater(element.getRootNode(), known, known.wait, url);
  }

  function showLater(root, by, ms, only) {
    if (by.later) return by.later.add(root);
    by.later = new Set([root]);
    setTimeout(() => {
      show(by.later, isFresh, only);
      by.later = 0;
    }, ms);
  }

  function isFresh(known) {
    return performance.now() - known.at < 60000;
  }

  function ownOf(element, url) {
    const place = placeIn(element);
    let own = shown.get(element) || {};
    if (own.url !== url) {
      if (own.text === place.textContent) place.textContent = own.before;
      shown.set(element, own = { url, before: place.textContent });
    }
    return own;
  }

  function write(element, url, known) {
    const text = ownOf(element, url).text = textOf(element, known.count);
    known.last = performance.now();
    if (text !== placeIn(element).textContent) placeIn(element).textContent = text;
  }

  function placeIn(element) {
    const place = element.querySelector("[data-stacosys-count]") || element;
    const nodes = [...place.childNodes].filter(({ nodeType }) => nodeType !== 8);
    // The text may be a framework's.
    return nodes.length === 1 && "data" in nodes[0] ? nodes[0] : place;
  }

  async function show(roots, isGood, only) {
    if (!findTag()) {
      console.warn('No comment counts: no script tag has data-server="https://comments.example.org"');
      return {};
    }
    const urls = marksIn(roots, only);
    const wanted = [...new Set(urls.values())].filter((url) => !isGood(asked.get(url) || {}));
    const news = { at: performance.now(), answer: wanted.length > 0 && ask(wanted), failed: false };
    for (const url of wanted) asked.set(url, Object.assign(asked.get(url) || {}, news));
    const counts = {};
    await Promise.all(Array.from(urls, async ([element, url]) => {
      const known = asked.get(url);
      const count = (await known.answer)[url];
      known.failed = typeof count !== "number";
      counts[url] = known.failed ? null : known.count = count;
      if (known.count >= 0 && urlOf(element) === url) write(element, url, known);
    }));
    return counts;
  }

  function findTag() {
    return tag = tag || [current, ...document.scripts].find((each) =>
      each && (
        each.dataset.server !== undefined ||
        (each === current ? /s\.js([?#]|$)/ : /\/counts\.js([?#]|$)/).test(each.src)
      )
    );
  }

  function marksIn(roots, only) {
    const urls = new Map();
    for (const root of roots) {
      if (!root || !root.querySelectorAll) continue;
      for (const element of [root, ...root.querySelectorAll("[data-stacosys-url]")]) {
        const url = urlOf(element);
        // Without a url Stacosys counts the whole site.
        if (url && url === (only || url)) urls.set(element, url);
      }
    }
    return urls;
  }

  function urlOf(element) {
    const { stacosysUrl } = element.dataset || {};
    if (stacosysUrl === undefined) return "";
    const { host, pathname } = element.closest("[href]") || location;
    return (stacosysUrl.trim() || (host ? pathname : "")).replace(/[\ud800-\udfff]/gu, "\ufffd");
  }

  async function ask(all) {
    const { token, server } = tag.dataset;
    const address = server === undefined
      ? tag.src.replace(/\.js([?#].*)?$/, "")
      : server.replace(/\/$/, "") + "/comments/counts";
    let why;

    async function get(urls) {
      const parameters = urls.map((url) => "url=" + encode(url));
      if (token !== undefined) parameters.unshift("token=" + encode(token));
      const query = "?" + parameters.join("&");
      // The service takes 100, NginX 8 KB.
      if (urls.length > 1 && (urls.length > 100 || query.length > 6000)) return;
      try {
        const response = await fetch(address + query);
        if (response.ok) return Object((await response.json()).counts);
        why = "status " + response.status;
      } catch (error) {
        why = error.message;
        if (error instanceof TypeError) {
          why += ". If the server is up, see connect-src of the page's Content-Security-Policy, and CorsOrigin for " +
            self.origin;
        }
      }
      return null;
    }

    /** A content blocker refuses one address. */
    async function halve(urls, answer) {
      if (answer) return answer;
      const middle = urls.length / 2;
      const halves = urls.length > 1 ? [urls.slice(0, middle), urls.slice(middle)] : [];
      const answers = await Promise.all(halves.map(get));
      if (answers.some((each) => each !== null)) {
        return Object.assign({}, ...await Promise.all(halves.map((half, i) => halve(half, answers[i]))));
      }
      console.warn("No comment counts from " + address + ": " + why);
      return {};
    }
    return halve(all, await get(all));
  }

  function encode(text) {
    return encodeURIComponent(text).replace(/%2F/g, "/");
  }

  /** The first takes 30 ms. */
  function intl(what, language) {
    return made[what + language] = made[what + language] || new Intl[what]([language, "en"]);
  }

  function textOf(element, count) {
    const texts = Object.assign({}, tag.dataset, element.dataset);
    const { other = "{n} comments", many = other, one = "{n} comment" } = texts;
    const language = (tag.lang || document.documentElement.lang).replace(/_/g, "-");
    let number = count;
    let category = count === 1 ? "one" : "other";
    try {
      if (count > 999 || /^(\w{3}|a[rs]|bn|dz|f[af]|ks|m[ry]|ne|p[as]|s[ad]|u[rz])\b|-nu-/i.test(language)) {
        number = intl("NumberFormat", language).format(count);
      }
      if (!/^(de|en|es|it|nl)\b/i.test(language)) category = intl("PluralRules", language).select(count);
    } catch (_) {
      // As in English.
    }
    if (count === 0 && "none" in texts) category = "none";
    const text = texts[category];
    // 21 is not "one comment".
    const alone = { zero: 0, one: 1, two: 2 }[category];
    const fits = text !== undefined && (text.includes("{n}") || alone === undefined || alone === count);
    return (fits ? text : count === 1 ? one : many).replace(/\{n\}/g, number);
  }

  function start() {
    watch(document);
    self.stacosysCounts();
  }
  if (document.readyState === "loading") addEventListener("DOMContentLoaded", start);
  else start();
  addEventListener("pageshow", ({ persisted }) => persisted && self.stacosysCounts(document));
})();
