"""The least that can stand before a server: its requests are passed on and its replies are passed back.

    python bench/gateway/bare.py aiohttp http://127.0.0.1:8080/v1        prints its port
    python bench/gateway/bare.py starlette http://127.0.0.1:8080/v1

Both ask by aiohttp. It imports nothing of tcalloc, so that any environment that has the libraries can run it.
"""

import socket
import sys

import aiohttp


def session():
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False)


def by_aiohttp(upstream):
    from aiohttp import web

    async def passed(request):
        body = await request.read()
        headers = {"Content-Type": "application/json"}
        async with app["session"].post(f"{upstream}/chat/completions", data=body, headers=headers) as reply:
            return web.Response(status=reply.status, body=await reply.read(), content_type="application/json")

    async def started(app):
        app["session"] = session()
        yield
        await app["session"].close()

    app = web.Application()
    app.add_routes([web.post("/v1/chat/completions", passed)])
    app.cleanup_ctx.append(started)
    web.run_app(app, sock=listening(), print=None, access_log=None)


def by_starlette(upstream):
    import uvicorn
    from starlette.applications import Starlette
    from starlette.responses import Response
    from starlette.routing import Route

    one = []

    async def passed(request):
        if not one:
            one.append(session())
        body = await request.body()
        headers = {"Content-Type": "application/json"}
        async with one[0].post(f"{upstream}/chat/completions", data=body, headers=headers) as reply:
            return Response(await reply.read(), reply.status, media_type="application/json")

    app = Starlette(routes=[Route("/v1/chat/completions", passed, methods=["POST"])])
    config = uvicorn.Config(app, log_level="critical", access_log=False, lifespan="off")
    uvicorn.Server(config).run(sockets=[listening()])


def listening():
    """Return a socket at any free port, which is printed: connections wait there until the server takes them."""
    found = socket.create_server(("127.0.0.1", 0), backlog=128)
    print(found.getsockname()[1], flush=True)
    return found


if __name__ == "__main__":
    {"aiohttp": by_aiohttp, "starlette": by_starlette}[sys.argv[1]](sys.argv[2])
