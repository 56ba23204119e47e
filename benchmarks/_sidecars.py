"""The servers that benchmarks/sidecar.py asks: ours, others around ours, and Redis'.

All but `aiohttp` have the same handler, so that only the server differs.

    python benchmarks/_sidecars.py NAME FOLDER STORE_URL
"""

import asyncio
import base64
import gc
import importlib
import logging
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import jwt
import orjson
import structlog
import uvloop
from check import _PEPPER, _POLICIES, _RULES
from redis.asyncio import Redis

from revocation.entries import Limits
from revocation.http.http_server import Handler, Request, Response, Server, Tcp
from revocation.jwt.authenticator import Authenticator
from revocation.jwt.jwks import KeyRing
from revocation.jwt.trust import TrustedIssuer
from revocation.local.process import free_ports
from revocation.sidecar.authorizer import Authorizer
from revocation.sidecar.checks import Checker
from revocation.sidecar.endpoints import Endpoints
from revocation.sidecar.rule_set import RuleSet
from revocation.store.layout import Layout
from revocation.store.redis_feed import RedisFeed
from revocation.store.redis_store import RedisStore
from revocation.verifier import Verifier
from revocation.verifier.base_verifier import VerifierParts
from revocation.verifier.tokens import Tokens
from revocation.web.access_guard import AccessPolicy
from revocation.web.bearer import Refusals
from revocation.web.credentials import BEARER_ONLY
from revocation.web.routes import RouteRule

ISSUER: Final = "https://idp.example/"
AUDIENCE: Final = "https://api.example/"
PREFIX: Final = "bench"
JWKS: Final = "jwks.json"
_HOUR_MS: Final = 3_600_000


class _Ruled:
    def __init__(self) -> None:
        rule = RouteRule(path="/datasets/{id}", resources=("dataset:{id}",))
        self.current = RuleSet([rule], policies=_POLICIES)


async def loaded(folder: Path, url: str) -> Verifier:
    """Return a verifier that has loaded everything."""
    trusted = TrustedIssuer(
        jwks_file=str(folder / JWKS), algorithms=("ES256",), audiences=(AUDIENCE,)
    )
    issuers = {ISSUER: trusted}
    keys = KeyRing(issuers)
    layout = Layout(PREFIX, (_PEPPER,))
    parts = VerifierParts(
        store=RedisStore(url, layout, limits=Limits(_HOUR_MS, _HOUR_MS, 0)),
        rules=_RULES,
        policies=_POLICIES,
        tokens=Tokens(Authenticator(issuers, _RULES, keys), keys),
    )
    verifier = Verifier(parts, RedisFeed(url, layout), peppers=(_PEPPER,))
    await verifier.start()
    await verifier.wait_ready()
    return verifier


def authorizer(verifier: Verifier) -> Authorizer:
    """Return what answers proxies, with a rule."""
    steps = AccessPolicy(credentials=BEARER_ONLY, refusals=Refusals())
    return Authorizer(verifier, _Ruled(), steps=steps)


async def handler(folder: Path, url: str) -> Handler:
    """Return the sidecar's own handler over such a verifier."""
    verifier = await loaded(folder, url)
    routes = frozenset(_POLICIES)
    endpoints = Endpoints(
        verifier,
        region="eu",
        checker=Checker(verifier, region="eu", routes=routes, verifies=True),
        authorizer=authorizer(verifier),
    )
    return endpoints.handle


async def ours(folder: Path, url: str, port: int) -> None:
    """Serve with ours."""
    await Server(await handler(folder, url), [Tcp(port=port)]).start()


# Others around our handler ------------------------------------------------------------


async def _answer(handle: Handler, *asked: Any) -> Response:
    answer = handle(Request(*asked))
    return answer if isinstance(answer, Response) else await answer


def asgi(handle: Handler) -> Callable[..., Awaitable[None]]:
    """Return the handler as an ASGI application without a framework."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while scope["method"] == "POST":
            message = await receive()
            body += message["body"]
            if not message.get("more_body"):
                break
        query = scope["query_string"].decode()
        path, headers = scope["path"], [tuple(each) for each in scope["headers"]]
        answer = await _answer(handle, scope["method"], path, query, headers, body, "")
        sent = [(name.encode(), value.encode()) for name, value in answer.headers]
        sent.append((b"content-length", b"%d" % len(answer.body)))
        start = {"type": "http.response.start", "status": answer.status}
        await send({**start, "headers": sent})
        await send({"type": "http.response.body", "body": answer.body})

    return app


async def uvicorn(folder: Path, url: str, port: int, *, framework: bool) -> None:
    """Serve with uvicorn; in a Starlette application, if `framework`."""
    server = importlib.import_module("uvicorn")
    handle = await handler(folder, url)
    app: Any = asgi(handle)
    if framework:
        app = _starlette(handle)
    config = server.Config(
        app, port=port, http="httptools", log_config=None, access_log=False
    )
    asyncio.get_running_loop().create_task(server.Server(config).serve())


def _starlette(handle: Handler) -> Any:
    applications = importlib.import_module("starlette.applications")
    responses = importlib.import_module("starlette.responses")
    routing = importlib.import_module("starlette.routing")

    async def endpoint(request: Any) -> Any:
        asked = request.method, request.url.path, request.url.query
        body = await request.body() if request.method == "POST" else b""
        answer = await _answer(handle, *asked, request.headers.raw, body, "")
        headers = dict(answer.headers)
        return responses.Response(answer.body, answer.status, headers)

    paths = ("/v1/check", "/v1/authz/traefik")
    return applications.Starlette(
        routes=[
            routing.Route(path, endpoint, methods=["GET", "POST"]) for path in paths
        ]
    )


async def granian(folder: Path, url: str, port: int, *, rsgi: bool) -> None:
    """Serve with granian, by ASGI or by its own RSGI, one worker in this loop."""
    embedded = importlib.import_module("granian.server.embed")
    constants = importlib.import_module("granian.constants")
    handle = await handler(folder, url)

    async def app(scope: Any, protocol: Any) -> None:
        body = await protocol() if scope.method == "POST" else b""
        headers = [
            (name.encode(), each.encode()) for name, each in scope.headers.items()
        ]
        asked = scope.method, scope.path, scope.query_string, headers, body, ""
        answer = await _answer(handle, *asked)
        protocol.response_bytes(answer.status, list(answer.headers), answer.body)

    interface = constants.Interfaces.RSGI if rsgi else constants.Interfaces.ASGINL
    target = app if rsgi else asgi(handle)
    server = embedded.Server(target, port=port, interface=interface, log_access=False)
    asyncio.get_running_loop().create_task(server.serve())


# What services do today ---------------------------------------------------------------


async def aiohttp(folder: Path, url: str, port: int, *, verifies: bool) -> None:
    """Ask Redis for the jti of each token, and for nothing else.

    The token is verified with PyJWT if `verifies`, and else only taken apart.
    """
    web = importlib.import_module("aiohttp.web")
    redis = Redis.from_url(url)
    (key,) = orjson.loads((folder / JWKS).read_bytes())["keys"]
    public = jwt.PyJWK(key).key

    def read(token: str) -> Any:
        if verifies:
            return jwt.decode(
                token, public, ["ES256"], audience=AUDIENCE, issuer=ISSUER
            )
        return orjson.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))

    async def revoked(token: str) -> bool:
        return await redis.get(f"revoked:{read(token)['jti']}") is not None

    async def check(request: Any) -> Any:
        asked = orjson.loads(await request.read())
        body = orjson.dumps({"active": not await revoked(asked["token"])})
        return web.Response(body=body, content_type="application/json")

    async def authz(request: Any) -> Any:
        token = request.headers["authorization"].removeprefix("Bearer ")
        return web.Response(status=401 if await revoked(token) else 200)

    app = web.Application()
    app.router.add_post("/v1/check", check)
    app.router.add_get("/v1/authz/traefik", authz)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()


SERVERS: Final[dict[str, Callable[[Path, str, int], Awaitable[None]]]] = {
    "ours": ours,
    "aiohttp": lambda *asked: aiohttp(*asked, verifies=False),
    "aiohttp-jwt": lambda *asked: aiohttp(*asked, verifies=True),
    "uvicorn": lambda *asked: uvicorn(*asked, framework=False),
    "uvicorn-starlette": lambda *asked: uvicorn(*asked, framework=True),
    "granian-asgi": lambda *asked: granian(*asked, rsgi=False),
    "granian-rsgi": lambda *asked: granian(*asked, rsgi=True),
}


async def stay(starting: Awaitable[object], said: str) -> None:
    """Start a server, say so once it serves, and go on until killed."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    logging.disable()
    server = await starting
    # As `revocation sidecar` does: what was loaded stays.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    print(said, flush=True)
    await asyncio.Event().wait()
    del server


async def main() -> None:
    """Serve until killed; say the port once there is one."""
    name, folder, url = sys.argv[1:]
    (port,) = free_ports(1)
    await stay(SERVERS[name](Path(folder), url, port), str(port))


if __name__ == "__main__":
    uvloop.run(main())
