"""The middleware and connections other than requests. Sibling: test_asgi.py."""

import httpx
import pytest

from revocation.decision import Reason
from revocation.errors import SettingsError
from revocation.web.asgi import RevocationMiddleware, RouteRule
from revocation.web.credentials import CredentialRules
from revocation.web.routes import WEBSOCKET
from tests.stations.verifications import StubVerifier


def protect(verifier, app, **options):
    return RevocationMiddleware(app, verifier, **options)


async def open_websocket(app, path="/feed", *, headers=(), **more):
    """Return the answers to the first event of a WebSocket."""
    sent = []
    scope = {"type": "websocket", "path": path, "headers": list(headers), **more}

    events = [{"type": "websocket.connect"}]

    async def receive():
        return events.pop()

    async def send(message):
        assert not events, "the server's event comes before any answer"
        sent.append(message)

    await app(scope, receive, send)
    return sent


async def accepting(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept", "claims": scope["state"]["claims"]})


TOKEN = [(b"authorization", b"Bearer token-1")]


async def test_a_websocket_opens_with_an_active_token():
    verifier = StubVerifier()
    (accepted,) = await open_websocket(protect(verifier, accepting), headers=TOKEN)
    assert accepted == {"type": "websocket.accept", "claims": {"sub": "alice"}}
    assert verifier.calls == [("token-1", "write", ())]


async def test_a_websocket_is_closed_before_it_is_accepted():
    for headers in ([], TOKEN):
        app = protect(StubVerifier(Reason.SESSION_ENDED), accepting)
        (closed,) = await open_websocket(app, headers=headers, extensions=None)
        assert closed == {"type": "websocket.close", "code": 1008}


async def test_a_websocket_gets_a_response_where_the_server_can():
    app = protect(StubVerifier(Reason.STALE), accepting)
    start, body = await open_websocket(
        app, headers=TOKEN, extensions={"websocket.http.response": {}}
    )
    assert start["type"] == "websocket.http.response.start"
    assert start["status"] == 503
    assert (b"retry-after", b"2") in start["headers"]
    assert body["type"] == "websocket.http.response.body"
    assert b"temporarily_unavailable" in body["body"]


async def test_another_origin_cannot_open_a_websocket_with_the_cookie():
    """Cross-site WebSocket hijacking."""
    rules = CredentialRules(cookie="__Host-token")
    app = protect(StubVerifier(), accepting, credentials=rules)
    cookie, host = (b"cookie", b"__Host-token=a"), (b"host", b"api.example")
    for origin, kind in (
        (b"https://evil.example", "close"),
        (b"https://api.example", "accept"),
    ):
        headers = [cookie, host, (b"origin", origin)]
        (first,) = await open_websocket(app, headers=headers)
        assert first["type"] == f"websocket.{kind}"


async def test_a_rule_for_websockets_does_not_apply_to_requests():
    rule = RouteRule(path="/feed", methods={WEBSOCKET}, public=True)
    app = RevocationMiddleware(accepting, StubVerifier(), routes=[rule])
    (accepted,) = await open_websocket(app)
    assert accepted["type"] == "websocket.accept"
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="https://a") as client:
        assert (await client.get("/feed")).status_code == 401


async def test_lifespan_events_reach_the_service():
    seen = []

    async def service(*arguments):
        seen.append(arguments)

    scope = {"type": "lifespan"}
    await protect(StubVerifier(), service)(scope, "receive", "send")
    assert seen == [(scope, "receive", "send")]


async def test_an_unknown_connection_type_is_an_error():
    with pytest.raises(SettingsError, match="telepathy"):
        await protect(StubVerifier(), accepting)({"type": "telepathy"}, None, None)
