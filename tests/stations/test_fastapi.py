"""The dependency in a FastAPI service, without a socket."""

from typing import Annotated

import httpx
import pytest
from fastapi import Depends, FastAPI, WebSocket

from revocation.decision import Reason
from revocation.errors import SettingsError
from revocation.verifier import Verification
from revocation.web.bearer import Refusals
from revocation.web.credentials import CredentialRules
from revocation.web.fastapi import Protected
from tests.stations.verifications import StubVerifier

BEARER = {"authorization": "Bearer token-1"}
REVOKED = (
    'Bearer realm="data", error="invalid_token", '
    'error_description="The access token was revoked"'
)
COOKIE = {"cookie": "__Host-token=token-2"}


def service(verifier, **options):
    """One path for reading and one for writing, each with every requirement."""
    app = FastAPI()
    reader = Protected(verifier, **options)
    writer = Protected(
        verifier,
        route="careful",
        resources=["dataset:{number:int}"],
        scopes=["data:write"],
        **options,
    )

    @app.get("/me")
    async def me(caller: Annotated[Verification, Depends(reader)]) -> dict[str, object]:
        return {"claims": caller.claims, "as_of": caller.verdict.as_of}

    @app.put("/datasets/{number}")
    async def replace(
        number: int, caller: Annotated[Verification, Depends(writer)]
    ) -> int:
        return number

    @app.post("/datasets", dependencies=[Depends(reader)])
    async def create() -> None: ...

    @app.websocket("/feed")
    async def feed(
        socket: WebSocket, caller: Annotated[Verification, Depends(reader)]
    ) -> None:
        await socket.accept()
        await socket.send_json(caller.claims)
        await socket.close()

    return app


async def ask(verifier, method, path, headers=BEARER, **options):
    transport = httpx.ASGITransport(service(verifier, **options))
    async with httpx.AsyncClient(
        transport=transport, base_url="https://api.example"
    ) as client:
        return await client.request(method, path, headers=headers)


async def test_the_operation_gets_the_verification():
    verifier = StubVerifier()
    answer = await ask(verifier, "GET", "/me")
    assert answer.json() == {"claims": {"sub": "alice"}, "as_of": 7}
    assert verifier.calls == [("token-1", "read", ())]


async def test_an_operation_can_state_its_requirements():
    verifier = StubVerifier(scope="data:read data:write")
    answer = await ask(verifier, "PUT", "/datasets/42")
    assert answer.json() == 42
    assert verifier.calls == [("token-1", "careful", ("dataset:42",))]


async def test_the_route_class_defaults_to_the_methods():
    verifier = StubVerifier()
    await ask(verifier, "POST", "/datasets")
    assert verifier.calls == [("token-1", "write", ())]


@pytest.mark.parametrize("number", ["042", "+42", "4_2", "42.0", "%34%32", "x"])
async def test_a_resource_comes_from_the_path_value(number):
    """Pydantic reads some of these as 42."""
    verifier = StubVerifier(scope="data:write")
    answer = await ask(verifier, "PUT", f"/datasets/{number}")
    if answer.status_code == 200:
        assert verifier.calls[0][2] == (f"dataset:{answer.json()}",)
    else:
        assert answer.status_code == 400
        assert verifier.calls == []


@pytest.mark.parametrize(
    ("reason", "status", "field", "expected"),
    [
        (Reason.SESSION_ENDED, 401, "www-authenticate", REVOKED),
        (Reason.STALE, 503, "retry-after", "2"),
        (Reason.NOT_READY, 503, "retry-after", "2"),
    ],
)
async def test_a_token_that_does_not_count_is_refused(reason, status, field, expected):
    answer = await ask(
        StubVerifier(reason), "GET", "/me", refusals=Refusals(realm="data")
    )
    assert answer.status_code == status
    assert answer.json().keys() == {"detail"}
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers[field] == expected


async def test_a_token_without_the_scope_is_told_which():
    answer = await ask(StubVerifier(scope="data:read"), "PUT", "/datasets/42")
    assert answer.status_code == 403
    assert 'scope="data:write"' in answer.headers["www-authenticate"]


async def test_no_token_and_a_malformed_one():
    missing = await ask(StubVerifier(), "GET", "/me", {})
    assert (missing.status_code, missing.headers["www-authenticate"]) == (
        401,
        'Bearer realm="api"',
    )
    malformed = await ask(StubVerifier(), "GET", "/me", {"authorization": "Bearer a b"})
    assert malformed.status_code == 400


async def test_a_cookie_needs_origin_evidence_for_unsafe_methods():
    options = {"credentials": CredentialRules(cookie="__Host-token")}
    own = {**COOKIE, "sec-fetch-site": "same-origin"}
    assert (
        await ask(StubVerifier(), "GET", "/me", COOKIE, **options)
    ).status_code == 200
    assert (
        await ask(StubVerifier(), "POST", "/datasets", COOKIE, **options)
    ).status_code == 403
    assert (
        await ask(StubVerifier(), "POST", "/datasets", own, **options)
    ).status_code == 200


async def open_websocket(app, headers):
    """Return the messages that the server gets to send."""
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "websocket",
        "path": "/feed",
        "query_string": b"",
        "headers": headers,
    }
    await app(scope, receive, send)
    return [message["type"] for message in sent], sent


async def test_a_websocket_is_checked_before_it_is_accepted():
    verifier = StubVerifier()
    app = service(verifier)
    types, _ = await open_websocket(app, [(b"authorization", b"Bearer token-1")])
    assert types == ["websocket.accept", "websocket.send", "websocket.close"]
    assert verifier.calls == [("token-1", "write", ())]
    types, (closed,) = await open_websocket(app, [])
    assert types == ["websocket.close"]
    assert closed["code"] == 1008


async def test_the_scheme_shows_in_the_openapi_document():
    document = service(StubVerifier()).openapi()
    assert document["components"]["securitySchemes"] == {
        "Bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    }
    for path, method in (("/me", "get"), ("/datasets", "post")):
        assert document["paths"][path][method]["security"] == [{"Bearer": []}]


def test_impossible_requirements_are_refused_at_construction():
    for wrong in ({"scopes": ["a b"]}, {"resources": ["{id}"]}):
        with pytest.raises(SettingsError):
            Protected(StubVerifier(), **wrong)


async def test_a_value_missing_from_the_path_is_a_programming_error():
    app = FastAPI()
    protected = Protected(StubVerifier(), resources=["dataset:{id}"])

    @app.get("/datasets", dependencies=[Depends(protected)])
    async def list_all() -> None: ...

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="https://a") as client:
        with pytest.raises(SettingsError, match="'id'"):
            await client.get("/datasets", headers=BEARER)
