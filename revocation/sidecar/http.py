"""The sidecar's HTTP interface: check, health, readiness, metrics."""

import contextlib
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated, Any, Final

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from revocation.errors import SettingsError
from revocation.verifier import Verifier
from revocation.verifier.web_sources import ASK_NOBODY_ELSE

MAX_BODY_BYTES: Final = 65_536
_MAX_RESOURCES: Final = 64


_UNCACHED: Final = {"cache-control": "no-store"}


class CheckRequest(BaseModel):
    """The body of `POST /v1/check`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    claims: dict[str, Any]
    kid: str | None = None
    route: str = "read"
    resources: Annotated[list[str], Field(max_length=_MAX_RESOURCES)] = []


class _Json(Response):
    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)


class _Problem(_Json):
    """RFC 9457."""

    media_type = "application/problem+json"

    def __init__(self, status: int, code: str, detail: str) -> None:
        body = {"type": "about:blank", "status": status, "title": code}
        body["detail"] = detail
        super().__init__(body, status_code=status, headers=_UNCACHED)


def create_app(verifier: Verifier, *, region: str) -> Starlette:
    """Return the ASGI application; it starts and stops the verifier."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await verifier.start()
        yield
        await verifier.stop()

    async def check(request: Request) -> Response:
        body = await _read(request)
        if body is None:
            limit = f"the body may have {MAX_BODY_BYTES} bytes at most"
            return _Problem(413, "body_too_large", limit)
        try:
            asked = CheckRequest.model_validate_json(body)
            verdict = await verifier.check_async(
                asked.claims,
                route=asked.route,
                kid=asked.kid,
                resources=asked.resources,
                # Two that are behind and each other's fallback would ask for ever.
                introspect=ASK_NOBODY_ELSE not in request.headers.items(),
            )
        except ValidationError as error:
            return _Problem(400, "invalid_request", _explain(error))
        except SettingsError as error:
            return _Problem(400, "unknown_route_class", str(error))
        return _Json({**verdict.to_json(), "region": region}, headers=_UNCACHED)

    async def ready(_: Request) -> Response:
        is_ready, as_of = verifier.freshness
        body = {
            "ready": is_ready,
            "region": region,
            "as_of": as_of,
            **verifier.progress._asdict(),
        }
        return _Json(body, status_code=200 if is_ready else 503, headers=_UNCACHED)

    return Starlette(
        lifespan=lifespan,
        routes=[
            Route("/v1/check", check, methods=["POST"]),
            Route("/healthz", _healthy),
            Route("/readyz", ready),
            Route("/metrics", _metrics),
        ],
        exception_handlers={HTTPException: _refused},
    )


async def _read(request: Request) -> bytes | None:
    """Return the body, or None as soon as it is too large."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return None
    return bytes(body)


async def _refused(request: Request, error: Exception) -> Response:
    """Answer a wrong path or method as any other wrong request."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for no other
    code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
    detail = f"{request.method} {request.url.path} is not served here"
    problem = _Problem(error.status_code, code, detail)
    problem.headers.update(error.headers or {})
    return problem


async def _healthy(_: Request) -> Response:
    return PlainTextResponse("ok\n")


async def _metrics(_: Request) -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def _explain(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"])) or "the body"
    return f"{place}: {first['msg']}"
