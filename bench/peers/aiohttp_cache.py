"""A counter cache on asyncio, as the article had one on Sanic before its Go program: one process, one thread, one dict.

    /usr/bin/python3 aiohttp_cache.py PORT STACOSYS TTL_SECONDS

needs Debian's python3-aiohttp and python3-uvloop, both of which have their hot paths in C.
"""

import sys
import time

import uvloop
from aiohttp import ClientError, ClientSession, ClientTimeout, web

HEADERS = {"Content-Type": "application/json", "Access-Control-Allow-Origin": "https://blog.example.org"}


class CounterCache:
    def __init__(self, stacosys, ttl_seconds):
        self.stacosys = stacosys
        self.ttl_seconds = ttl_seconds
        self.counts = {}
        self.session = None

    async def open_session(self, _app):
        # One session, which keeps its connections to Stacosys open.
        self.session = ClientSession(timeout=ClientTimeout(total=10))
        yield
        await self.session.close()

    async def count(self, request):
        target = request.raw_path
        known = self.counts.get(target)
        if known is not None and known[1] > time.monotonic():
            return web.Response(body=known[0], headers=HEADERS)
        try:
            # Readers who miss at the same time each ask, as in the Go program.
            async with self.session.get(self.stacosys + target) as answer:
                if answer.status != 200:
                    raise web.HTTPNotFound()
                body = await answer.read()
        except (ClientError, TimeoutError):
            raise web.HTTPNotFound() from None
        self.counts[target] = (body, time.monotonic() + self.ttl_seconds)
        return web.Response(body=body, headers=HEADERS)


def main():
    if len(sys.argv) != 4:
        sys.exit(f"Usage: {sys.argv[0]} PORT STACOSYS TTL_SECONDS")
    cache = CounterCache(sys.argv[2], float(sys.argv[3]))
    app = web.Application()
    app.cleanup_ctx.append(cache.open_session)
    app.router.add_get("/comments/count", cache.count)
    web.run_app(
        app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None, loop=uvloop.new_event_loop()
    )


if __name__ == "__main__":
    main()
