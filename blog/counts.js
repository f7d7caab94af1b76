/*
 * Shows how many comments each article has, with one request for a whole page. It needs its tag (and the end tag, which
 * must not stand here) anywhere in the page, and a mark on each element that shows a count:
 *
 *   <script src="https://comments.example.org/comments/counts.js" data-token="TOKEN" async>
 *
 *   <a href="/2017/some-article/#comments" data-stacosys-url="/2017/some-article/">Comments</a>
 *
 * Attributes of the tag:
 *
 *   data-token   the token of the site, if Stacosys wants one
 *   data-none    the text for no comments; that of data-many if not given
 *   data-one     the text for one comment, {n} being the number: "{n} comment" if not given
 *   data-many    the text for all else: "{n} comments" if not given
 *   data-two, data-few, data-other
 *                other plurals, as the language has them; data-one and data-many are then those of the language too
 *   lang         the language of the texts, if it is not that of the page
 *   data-server  what comes before /comments/counts, if the script is not loaded from there
 *
 * Attributes of the page's elements:
 *
 *   data-stacosys-url    the url that the comment form sends; without a value the path of the element's href
 *   data-stacosys-count  on an element within: the text goes there, and all around it stays
 *
 * A count that cannot be had leaves its element as it is. stacosysCounts() asks for marked elements that have no count
 * yet, and may be a listener of any event. stacosysCounts(element), or a list of elements, asks again for all within.
 * Both return a promise of the numbers by url, null for one that could not be had; it never fails.
 */
(function () {
  "use strict";
  // In a module there is none.
  const current = document.currentScript;
  /** For each element the url asked for and the promise of its answer. */
  const asked = new WeakMap();

  self.stacosysCounts = async function (within) {
    const tag = findTag();
    if (tag === undefined) {
      console.warn(
        'No comment counts: no script tag says where to ask. Write <script src="https://comments.example.org/comments/counts.js">, ' +
          'or data-server="https://comments.example.org" on the tag of the script that holds or imports counts.js.',
      );
      return {};
    }
    const roots = Array.from(within instanceof Node ? [within] : within || [])
      .filter((each) => each instanceof Node && "querySelectorAll" in each);
    const again = roots.length > 0;
    const urls = markedIn(again ? roots : [document]);
    const wanted = new Set();
    for (const [element, url] of urls) {
      if (again || (asked.get(element) || {}).url !== url) wanted.add(url);
    }
    const answers = new Map();
    for (const portion of portions(wanted)) {
      const answer = ask(tag, portion);
      for (const url of portion) answers.set(url, answer);
    }

    const inWords = wordsOf(tag);
    const counts = {};
    await Promise.all([...urls].map(async ([element, url]) => {
      const isNew = answers.has(url);
      if (isNew) asked.set(element, { url, answer: answers.get(url) });
      const own = asked.get(element);
      const count = (await own.answer)[url];
      const known = typeof count === "number";
      counts[url] = known ? count : null;
      if (!known && asked.get(element) === own) asked.delete(element);
      if (known && isNew && urlOf(element) === url) {
        (element.querySelector("[data-stacosys-count]") || element).textContent = inWords(count);
      }
    }));
    return counts;
  };

  /** A loader or a bundle hides the script's own tag; then it is one that names the script or the server. */
  function findTag() {
    const namesServer = (tag) => tag.dataset.server !== undefined;
    if (current !== null && (namesServer(current) || /s\.js([?#]|$)/.test(current.src))) return current;
    const tags = Array.from(document.scripts);
    return tags.find((tag) => /\/counts\.js([?#]|$)/.test(tag.src)) || tags.find(namesServer);
  }

  /** The marked elements, each with its url. */
  function markedIn(roots) {
    const urls = new Map();
    for (const root of roots) {
      for (const element of [root, ...root.querySelectorAll("[data-stacosys-url]")]) {
        const url = urlOf(element);
        // Without a url Stacosys counts the whole site.
        if (url !== "") urls.set(element, url);
      }
    }
    return urls;
  }

  function urlOf(element) {
    const { stacosysUrl } = element.dataset || {};
    if (stacosysUrl === undefined) return "";
    const path = /^http/.test(element.protocol) ? element.pathname : "";
    // Half a character cannot be encoded; a form sends this in its place.
    return (stacosysUrl.trim() || path).replace(/[\ud800-\udfff]/gu, "\ufffd");
  }

  /** The service takes 100 articles at once, and NginX some 8 KB, so each article takes its share of room at least. */
  function portions(urls) {
    const room = 6000;
    const found = [];
    let left = 0;
    for (const url of urls) {
      const share = Math.max(encode(url).length, room / 100);
      if (share > left) {
        found.push([]);
        left = room;
      }
      found[found.length - 1].push(url);
      left -= share;
    }
    return found;
  }

  /** A promise of the counts by url, of none if the request fails. */
  async function ask(tag, urls) {
    const { token, server } = tag.dataset;
    const address = server === undefined
      ? tag.src.replace(/\.js([?#].*)?$/, "")
      : server.replace(/\/$/, "") + "/comments/counts";
    try {
      const parameters = urls.map((url) => "url=" + encode(url));
      if (token !== undefined) parameters.unshift("token=" + encode(token));
      const response = await fetch(address + "?" + parameters.join("&")).catch((error) => {
        throw new Error(
          error.message + ". If the server is up, compare its CorsOrigin with the origin of this page: " + self.origin,
        );
      });
      if (!response.ok) throw new Error("status " + response.status);
      return Object((await response.json()).counts);
    } catch (error) {
      console.warn("No comment counts from " + address + ": " + error.message);
      return {};
    }
  }

  /** A slash stays a slash, so that a count is the same entry of the cache as when it was asked for alone. */
  function encode(text) {
    return encodeURIComponent(text).replace(/%2F/g, "/");
  }

  /** What turns a number into the text of the tag. */
  function wordsOf(tag) {
    const { other = "{n} comments", many = other, one = "{n} comment", none = many } = tag.dataset;
    let language = (tag.lang || document.documentElement.lang).replace(/_/g, "-");
    try {
      Intl.getCanonicalLocales(language);
    } catch (_) {
      // No language, or none that is one: that of the browser.
      language = undefined;
    }
    const numbers = new Intl.NumberFormat(language);
    // Safari has it since September 2019.
    const plurals = Intl.PluralRules && new Intl.PluralRules(language);

    return function (count) {
      const category = plurals && plurals.select(count);
      const text = tag.dataset[category];
      // "One comment" is not true of 21, even where its plural is that of 1.
      const alone = { one: 1, two: 2 }[category];
      const fits = text !== undefined && (alone === undefined || alone === count || text.includes("{n}"));
      return (count === 0 ? none : fits ? text : count === 1 ? one : many).replace(/\{n\}/g, numbers.format(count));
    };
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", self.stacosysCounts);
  else self.stacosysCounts();
})();
