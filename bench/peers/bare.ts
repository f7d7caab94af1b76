/**
 * A `Deno.serve` that looks at nothing and makes each answer anew, with the headers of a hit. A program that clones
 * answers which it keeps ready can cost a little less.
 */
const init = {
  headers: {
    "content-type": "application/json",
    "cache-status": "httpfastcache; hit",
    "access-control-allow-origin": "https://blog.example.org",
  },
};
Deno.serve({ hostname: "127.0.0.1", port: Number(Deno.args[0]) }, () => new Response('{"count":7}\n', init));
