"""Middleware for any ASGI service that only admits requests whose token still counts.

    app = RevocationMiddleware(
        app,
        verifier,
        routes=[
            RouteRule(path="/health", public=True),
            RouteRule(path="/datasets/{id}", resources=("dataset:{id}",)),
        ],
    )

Paths without a rule are protected. A refusal is sent before the body is read. Place the
middleware inside the one that answers CORS preflights, which carry no token, and start
the verifier in the service's lifespan. Services find the verdict and the claims in
`request.state`; both are None on public routes. A WebSocket is checked when it opens: a
long-lived one should check its claims again with `Verifier.check`.
"""

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Final

from revocation.errors import SettingsError
from revocation.verifier.verification import TokenVerifier, Verification
from revocation.web.access_guard import POLICY_VIOLATION, AccessGuard
from revocation.web.bearer import AccessRefusal, Refusals
from revocation.web.credentials import BEARER_ONLY, CredentialRules
from revocation.web.routes import (
    WEBSOCKET,
    AccessNeeds,
    RouteRule,
    Routes,
    is_canonical,
)

__all__ = ["RevocationMiddleware", "RouteRule", "TokenVerifier"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
"""An ASGI 3 application."""

_DENIAL: Final = "websocket.http.response"


class RevocationMiddleware:
    """Protects an ASGI application: HTTP and WebSockets; passes the lifespan through.

    Args:
        app: the application.
        verifier: a `Verifier`, started before the first request.
        routes: what paths need; the first match applies. Paths are those that the
            application sees, without its `root_path`.
        credentials: where to look for tokens, besides the `Authorization` header.
        realm: names the service in challenges.
        resource_metadata: the URL of the service's metadata (RFC 9728).

    Raises:
        SettingsError: names the argument that is wrong.
    """

    def __init__(  # noqa: PLR0913 - one keyword for each option of a service
        self,
        app: App,
        verifier: TokenVerifier,
        *,
        routes: Sequence[RouteRule] = (),
        credentials: CredentialRules = BEARER_ONLY,
        realm: str = "api",
        resource_metadata: str | None = None,
    ) -> None:
        self._app = app
        self._routes = Routes(routes)
        self._refusals = Refusals(realm=realm, resource_metadata=resource_metadata)
        self._guard = AccessGuard(
            verifier=verifier, credentials=credentials, refusals=self._refusals
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        match scope["type"]:
            case "lifespan":
                await self._app(scope, receive, send)
            case "http" | "websocket":
                await self._serve(scope, receive, send)
            case other:
                raise SettingsError(
                    f"the server uses {other!r}, which the middleware cannot protect; "
                    "disable it in the server"
                )

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._judge(scope)
        if isinstance(answer, AccessRefusal):
            return await _refuse(answer, scope, receive, send)
        # A copy, as the server may share it between requests.
        state = {**scope.get("state", {}), "verdict": None, "claims": None}
        if answer is not None:
            state |= {"verdict": answer.verdict, "claims": answer.claims}
        return await self._app({**scope, "state": state}, receive, send)

    async def _judge(self, scope: Scope) -> Verification | AccessRefusal | None:
        """Return the verification or the refusal; None on a public route."""
        method = WEBSOCKET if scope["type"] == "websocket" else scope["method"]
        path = _path_of(scope)
        needs: AccessNeeds | None = None
        if is_canonical(path, scope.get("raw_path")):
            needs = self._routes.find(method, path)
        if needs is None:
            return self._refusals.invalid_request("The path is not in canonical form")
        if needs.public:
            return None
        return await self._guard.judge(method, scope["headers"], needs)


def _path_of(scope: Scope) -> str:
    """Return the path as frameworks route it: below the `root_path`."""
    path, root = str(scope["path"]), str(scope.get("root_path") or "")
    below = path.removeprefix(root)
    return below if below == "" or below.startswith("/") else path


async def _refuse(
    refusal: AccessRefusal, scope: Scope, receive: Receive, send: Send
) -> None:
    kind = "http.response"
    if scope["type"] == "websocket":
        await receive()
        if _DENIAL not in (scope.get("extensions") or {}):
            # Not accepted yet: servers answer the handshake with 403.
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
            return
        kind = _DENIAL
    headers = [(name.encode(), value.encode()) for name, value in refusal.headers]
    start = {"type": f"{kind}.start", "status": refusal.status, "headers": headers}
    await send(start)
    await send({"type": f"{kind}.body", "body": refusal.body})
