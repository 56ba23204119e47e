"""A real server on this machine, and the fallbacks that use it."""

import asyncio
import contextlib
import socket

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from revocation.verifier.fallback import IssuerFallback, SidecarFallback
from tests.installation import eventually
from tests.stations.fallback.checks import PATIENT
from tests.traffic import ISSUER


class Quiet(uvicorn.Server):
    """Leaves signals alone: it starts and stops inside two runs of a loop."""

    @contextlib.contextmanager
    def capture_signals(self):
        yield


class Server:
    """Returns a configured answer, and records the requests."""

    def __init__(self):
        self.answer = JSONResponse({})
        self.requests = []
        self.url = ""
        self.meanwhile = lambda: None
        self.hang = asyncio.Event()
        self.hang.set()

    async def handle(self, request):
        self.requests.append((request.url.path, request.headers, await request.body()))
        self.meanwhile()
        await self.hang.wait()
        return self.answer


@contextlib.asynccontextmanager
async def serving(app, lifespan="off"):
    """Serve an application on a free port of this machine; yields its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(app, lifespan=lifespan, ws="none", log_level="error")
        running = Quiet(config)
        serve = asyncio.ensure_future(running.serve(sockets=[listening]))
        await eventually(lambda: running.started, pause=0.001)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        running.should_exit = True
        await serve


@pytest.fixture
def serve():
    return serving


@pytest.fixture
async def server():
    played = Server()
    app = Starlette(routes=[Route("/{path:path}", played.handle, methods=["POST"])])
    async with serving(app) as played.url:
        yield played
        played.hang.set()


@pytest.fixture
async def started():
    """Starts fallbacks; they stop when the test ends."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(fallback):
            await fallback.start()
            stack.push_async_callback(fallback.stop)
            return fallback

        yield start


@pytest.fixture
async def sidecar(server, started):
    return await started(SidecarFallback(server.url, **PATIENT))


@pytest.fixture
async def issuer(server, started):
    url = f"{server.url}/introspect?tenant=one"
    return await started(
        IssuerFallback(url, "our id", "s:cr%t+é", issuer=ISSUER, **PATIENT)
    )


@pytest.fixture(params=["sidecar", "issuer"])
def asked_by_http(request):
    return request.getfixturevalue(request.param)
