"""A dependency for FastAPI services: `Depends(Protected(verifier, route="write"))`.

The scheme appears in the service's OpenAPI document. FastAPI reads the body before it
calls dependencies; `RevocationMiddleware` answers earlier, and protects paths without a
rule as well. Install FastAPI in addition to this package.
"""

from collections.abc import Sequence
from typing import Final

from fastapi import HTTPException
from fastapi.exceptions import WebSocketException
from fastapi.openapi.models import HTTPBearer as HTTPBearerModel
from fastapi.requests import HTTPConnection
from fastapi.security.base import SecurityBase

from revocation.verifier.verification import TokenVerifier, Verification
from revocation.web.access_guard import POLICY_VIOLATION, AccessGuard
from revocation.web.bearer import AccessRefusal, Refusals, check_scopes
from revocation.web.credentials import BEARER_ONLY, CredentialRules
from revocation.web.routes import (
    WEBSOCKET,
    AccessNeeds,
    ResourceTemplate,
    route_class_of,
)

__all__ = ["Protected"]

_BODY_FIELDS: Final = frozenset({"content-type", "content-length"})
"""FastAPI writes the body itself."""


class Protected(SecurityBase):
    """Requires a token that counts; passes its `Verification` to the path operation.

        Writer = Annotated[
            Verification, Depends(Protected(verifier, resources=["dataset:{id}"]))
        ]

        @app.put("/datasets/{id}")
        async def replace(id: str, caller: Writer) -> None: ...

    Args:
        verifier: a `Verifier`, started before the first request.
        route: the route class; None for `read` with a safe method, else `write`.
        resources: what the request touches, with values of the path. They are filled in
            as written in the path: if the operation takes an `int` or a `UUID`, write
            `dataset:{id:int}` or `dataset:{id:uuid}`, or `042` would name another
            resource than 42.
        scopes: the token needs all of them.
        credentials: where to look for tokens, besides the `Authorization` header.
        refusals: realm and metadata in answers.

    Raises:
        SettingsError: names the argument that is wrong.
    """

    def __init__(  # noqa: PLR0913 - one keyword for each need of a route
        self,
        verifier: TokenVerifier,
        *,
        route: str | None = None,
        resources: Sequence[str] = (),
        scopes: Sequence[str] = (),
        credentials: CredentialRules = BEARER_ONLY,
        refusals: Refusals | None = None,
    ) -> None:
        check_scopes(scopes)
        self.model = HTTPBearerModel(bearerFormat="JWT")
        self.scheme_name = "Bearer"
        self._route = route
        self._resources = [ResourceTemplate(each) for each in resources]
        self._scopes = tuple(scopes)
        self._refusals = refusals or Refusals()
        self._guard = AccessGuard(
            verifier=verifier, credentials=credentials, refusals=self._refusals
        )

    async def __call__(self, connection: HTTPConnection) -> Verification:
        """Return the verification of the request's token.

        Raises:
            HTTPException: 400, 401, 403, 431 or 503, as in RFC 6750.
            WebSocketException: the same before a WebSocket is accepted.
        """
        websocket = connection.scope["type"] == "websocket"
        method = WEBSOCKET if websocket else connection.scope["method"]
        answer = await self._judge(method, connection)
        if isinstance(answer, Verification):
            return answer
        if websocket:
            raise WebSocketException(POLICY_VIOLATION, answer.detail)
        headers = {
            name: value for name, value in answer.headers if name not in _BODY_FIELDS
        }
        raise HTTPException(answer.status, answer.detail, headers)

    async def _judge(
        self, method: str, connection: HTTPConnection
    ) -> Verification | AccessRefusal:
        filled = [each.fill(connection.path_params) for each in self._resources]
        resources = tuple(each for each in filled if each is not None)
        if len(resources) < len(filled):
            return self._refusals.invalid_request("The path is not in canonical form")
        route = self._route or route_class_of(method)
        needs = AccessNeeds(False, route, resources, self._scopes)  # noqa: FBT003 - a tuple
        return await self._guard.judge(method, connection.scope["headers"], needs)
