"""The demo's protected service, one in each region: verifies ES256, asks the sidecar.

`GET /data` is a read, `GET /datasets/{id}` touches a resource. Run with the variables
DEMO_JWKS, DEMO_SIDECAR_URL and DEMO_PORT.
"""

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import uvicorn
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from revocation.local.demo_issuer import AUDIENCE, ISSUER

_REGISTRY = jwt.JWTClaimsRegistry(
    iss={"essential": True, "value": ISSUER},
    aud={"essential": True, "value": AUDIENCE},
    exp={"essential": True},
)


def create_app(jwks: Path, sidecar_url: str) -> Starlette:
    """Return the service; one call to the sidecar is all it has of revocation."""
    keys = KeySet.import_key_set(orjson.loads(jwks.read_bytes()))

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with httpx.AsyncClient(base_url=sidecar_url) as client:
            app.state.sidecar = client
            yield

    async def data(request: Request) -> JSONResponse:
        name = request.path_params.get("name")
        resources = [] if name is None else [f"dataset:{name}"]
        try:
            token = jwt.decode(_bearer(request), keys, algorithms=["ES256"])
            _REGISTRY.validate(token.claims)
        except (JoseError, ValueError) as error:
            return JSONResponse({"reason": str(error)}, status_code=401)
        asked = {"claims": token.claims, "kid": token.header.get("kid")}
        answer = await request.app.state.sidecar.post(
            "/v1/check", json={**asked, "resources": resources}
        )
        verdict: dict[str, Any] = answer.json()
        return JSONResponse(verdict, status_code=200 if verdict.get("active") else 401)

    return Starlette(
        lifespan=lifespan,
        routes=[Route("/data", data), Route("/datasets/{name}", data)],
    )


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise ValueError("no bearer token")
    return token


if __name__ == "__main__":
    uvicorn.run(
        create_app(Path(os.environ["DEMO_JWKS"]), os.environ["DEMO_SIDECAR_URL"]),
        port=int(os.environ["DEMO_PORT"]),
        log_config=None,
        access_log=False,
    )
