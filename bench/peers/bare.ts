/** The floor: what `Deno.serve` costs that looks at nothing and answers with the headers of a hit. */
const init = {
  headers: {
    "content-type": "application/json",
    "cache-status": "httpfastcache; hit",
    "access-control-allow-origin": "https://blog.example.org",
  },
};
Deno.serve({ hostname: "127.0.0.1", port: Number(Deno.args[0]) }, () => new Response('{"count":7}\n', init));
