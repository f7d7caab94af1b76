/*
 * Shows how many comments each article has, with one request for a whole page:
 *
 *   <script src="https://blog.example.org/comments/counts.js" data-token="TOKEN" async></script>
 *
 *   <a href="/2017/some-article/#comments" data-stacosys-url="/2017/some-article/">Comments</a>
 *
 * The tag may stand anywhere. Its attributes:
 *
 *   data-token   the token of the site, if Stacosys wants one
 *   data-many    the text, {n} being the number: "{n} comments" if not given
 *   data-one     the text for one comment: "{n} comment" if not given
 *   data-none    the text for no comments; that of data-many if not given
 *   data-server  what comes before /comments/counts, if the script is not loaded from there
 *
 * A count that cannot be had leaves its element as it is. For elements that come later, or to ask again, call
 * stacosysCounts(), or stacosysCounts(element) for those within an element; it returns a promise of the end.
 */
(function () {
  "use strict";
  const tag = document.currentScript;
  const { token, server, many = "{n} comments", one = "{n} comment", none = many } = tag.dataset;
  const address = server === undefined
    ? tag.src.replace(/\.js([?#].*)?$/, "")
    : server.replace(/\/$/, "") + "/comments/counts";

  self.stacosysCounts = async function (within = document) {
    const elements = new Map();
    for (const element of within.querySelectorAll("[data-stacosys-url]")) {
      const url = element.dataset.stacosysUrl;
      elements.set(url, (elements.get(url) || []).concat(element));
    }
    await Promise.all(queriesFor([...elements.keys()]).map((query) => fill(elements, query)));
  };

  async function fill(elements, query) {
    try {
      const response = await fetch(address + "?" + query);
      if (!response.ok) throw new Error("status " + response.status);
      const { counts } = await response.json();
      for (const url of Object.keys(counts)) {
        if (typeof counts[url] !== "number") continue;
        for (const element of elements.get(url)) element.textContent = inWords(counts[url]);
      }
    } catch (error) {
      console.warn("No comment counts from " + address + ": " + error.message);
    }
  }

  /** The service takes 100 articles at once, and NginX some 8 KB, so each article takes its share of room at least. */
  function queriesFor(urls) {
    const room = 6000;
    const queries = [];
    let left = 0;
    for (const url of urls) {
      const parameter = "url=" + encode(url);
      const share = Math.max(parameter.length, room / 100);
      if (share > left) {
        queries.push(token === undefined ? [] : ["token=" + encode(token)]);
        left = room;
      }
      queries[queries.length - 1].push(parameter);
      left -= share;
    }
    return queries.map((parameters) => parameters.join("&"));
  }

  /** A slash stays a slash, so that a count is the same entry of the cache as when it was asked for alone. */
  function encode(text) {
    return encodeURIComponent(text).replace(/%2F/g, "/");
  }

  function inWords(count) {
    const text = count === 0 ? none : count === 1 ? one : many;
    return text.replace(/\{n\}/g, count);
  }

  if (document.readyState === "loading") {
    document.addEventListener("DOMContentLoaded", () => self.stacosysCounts());
  } else {
    self.stacosysCounts();
  }
})();
