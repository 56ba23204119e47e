"""The middleware around a service, without a socket."""

import json

import httpx
import pytest
from hypothesis import given, strategies as st
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from revocation.decision import Reason
from revocation.errors import SettingsError
from revocation.web.asgi import RevocationMiddleware, RouteRule
from revocation.web.credentials import CredentialRules
from tests.stations.verifications import StubVerifier

RULES = [
    RouteRule(path="/health", public=True),
    RouteRule(path="/datasets/{id}/rows/{row:int}", resources=("row:{id}/{row}",)),
    RouteRule(path="/datasets/{id}", resources=("dataset:{id}",), scopes=("data",)),
]
BEARER = {"authorization": "Bearer token-1"}


async def echo(request):
    """Answer with the request as the service sees it."""
    verdict = request.state.verdict
    return JSONResponse(
        {
            "reason": verdict and verdict.reason,
            "claims": request.state.claims,
            "path": request.path_params,
            "body": (await request.body()).decode(),
        }
    )


METHODS = ["GET", "POST", "PUT", "DELETE"]
SERVICE = Starlette(
    routes=[
        Route("/health", echo, methods=METHODS),
        Route("/datasets/{id}/rows/{row:int}", echo, methods=METHODS),
        Route("/datasets/{id}", echo, methods=METHODS),
        Route("/{rest:path}", echo, methods=METHODS),
    ]
)


def protect(verifier, app=SERVICE, **options):
    return RevocationMiddleware(app, verifier, routes=RULES, **options)


def client_of(app, **options):
    transport = httpx.ASGITransport(app, **options)
    return httpx.AsyncClient(transport=transport, base_url="https://api.example")


async def ask(verifier, method, path, headers=BEARER, **options):
    async with client_of(protect(verifier, **options)) as client:
        return await client.request(method, path, headers=headers)


# Passing ------------------------------------------------------------------------------


async def test_an_active_token_passes_and_the_service_sees_its_claims():
    verifier = StubVerifier(scope="data")
    answer = await ask(verifier, "GET", "/datasets/42")
    assert answer.status_code == 200
    assert answer.json()["reason"] == "active"
    assert answer.json()["claims"] == {"sub": "alice", "scope": "data"}
    assert verifier.calls == [("token-1", "read", ("dataset:42",))]


async def test_a_public_route_reads_no_token():
    verifier = StubVerifier(Reason.TOKEN_REVOKED)
    answer = await ask(verifier, "GET", "/health")
    assert answer.json()["reason"] is answer.json()["claims"] is None
    assert verifier.calls == []


@pytest.mark.parametrize(
    ("method", "route"), [("GET", "read"), ("POST", "write"), ("DELETE", "write")]
)
async def test_a_path_without_a_rule_is_protected(method, route):
    verifier = StubVerifier()
    assert (await ask(verifier, method, "/new", headers={})).status_code == 401
    assert (await ask(verifier, method, "/new")).status_code == 200
    assert verifier.calls == [("token-1", route, ())]


async def test_without_rules_everything_is_protected():
    async with client_of(RevocationMiddleware(SERVICE, StubVerifier())) as client:
        assert (await client.get("/health")).status_code == 401


async def test_the_body_reaches_the_service_unchanged():
    async with client_of(protect(StubVerifier())) as client:
        answer = await client.post("/new", headers=BEARER, content=b"rows")
    assert answer.json()["body"] == "rows"


async def test_one_request_does_not_see_the_state_of_another():
    """Servers may share the lifespan's `state` between requests."""
    shared = {"pool": "database"}
    seen = []

    async def service(scope, receive, send):
        seen.append(scope["state"])

    app = protect(StubVerifier(), service)
    await app({**http("/x"), "state": shared}, None, None)
    await app({**http("/health"), "state": shared}, None, None)
    assert [each["pool"] for each in seen] == ["database", "database"]
    assert (seen[0]["claims"], seen[1]["claims"]) == ({"sub": "alice"}, None)
    assert shared == {"pool": "database"}


async def test_a_cookie_is_accepted_where_configured():
    cookie = {"cookie": "__Host-token=token-2"}
    rules = CredentialRules(cookie="__Host-token")
    verifier = StubVerifier()
    assert (await ask(verifier, "GET", "/x", cookie)).status_code == 401
    allowed = await ask(verifier, "GET", "/x", cookie, credentials=rules)
    assert allowed.status_code == 200
    forged = await ask(verifier, "POST", "/x", cookie, credentials=rules)
    assert (forged.status_code, forged.json()["title"]) == (403, "cross_site_request")
    assert verifier.calls == [("token-2", "read", ())]


# Refusing -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, "unauthorized"),
        ({"authorization": "Bearer a b"}, 400, "invalid_request"),
        ({"authorization": f"Bearer {'a' * 9_000}"}, 431, "header_too_large"),
    ],
)
async def test_malformed_credentials_are_not_verified(headers, status, code):
    verifier = StubVerifier()
    answer = await ask(verifier, "GET", "/x", headers)
    assert (answer.status_code, answer.json()["title"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert verifier.calls == []


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (Reason.TOKEN_REVOKED, 401),
        (Reason.EXPIRED, 401),
        (Reason.STALE, 503),
        (Reason.NOT_READY, 503),
    ],
)
async def test_a_rejected_token_never_reaches_the_service(reason, status):
    async def service(scope, receive, send):
        raise AssertionError

    async with client_of(
        protect(StubVerifier(reason), service, realm="data")
    ) as client:
        answer = await client.get("/x", headers=BEARER)
    assert answer.status_code == status
    assert ("retry-after" in answer.headers) == (status == 503)
    challenge = answer.headers.get("www-authenticate", "")
    assert ('realm="data", error="invalid_token"' in challenge) == (status == 401)


async def test_a_token_without_the_scope_is_told_which():
    answer = await ask(StubVerifier(scope="other"), "GET", "/datasets/42")
    assert answer.status_code == 403
    assert 'scope="data"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize(("audience", "status"), [("data", 200), ("other", 401)])
async def test_a_token_needs_the_audience_of_the_rule(audience, status):
    rule = RouteRule(path="/x", audience="data")
    app = RevocationMiddleware(SERVICE, StubVerifier(aud=[audience]), routes=[rule])
    async with client_of(app) as client:
        assert (await client.get("/x", headers=BEARER)).status_code == status


async def test_a_revoked_token_without_the_scope_is_revoked():
    answer = await ask(StubVerifier(Reason.USER_DISABLED), "GET", "/datasets/42")
    assert answer.status_code == 401


async def test_an_error_of_the_verifier_admits_no_one():
    class Broken(StubVerifier):
        async def verify_async(self, token, *, route="read", resources=()):
            raise SettingsError("no policy")

    with pytest.raises(SettingsError, match="no policy"):
        await ask(Broken(), "GET", "/x")


# Paths --------------------------------------------------------------------------------


def http(path, raw_path=None, **more):
    """Return a request as a server passes it."""
    headers = [(b"authorization", b"Bearer token-1")]
    scope = {"type": "http", "method": "GET", "path": path, "headers": headers}
    return {**scope, "raw_path": raw_path, "query_string": b"", **more}


async def answer_to(app, scope):
    """Return status and body of the answer to a scope."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    start, *rest = sent
    body = b"".join(message.get("body", b"") for message in rest)
    return start["status"], json.loads(body)


@pytest.mark.parametrize(
    ("path", "raw_path"),
    [
        ("//health", None),
        ("/./health", b"/%2e/health"),
        ("/datasets/../health", b"/datasets/../health"),
        ("/health;x", b"/health;x"),
        ("/health/../datasets/42", None),
        ("/datasets/4/2", b"/datasets/4%2F2"),
        ("/datasets/4%2F2", b"/datasets/4%252F2"),
        ("/datasets/42\x00", b"/datasets/42%00"),
        ("/datasets/4\\2", b"/datasets/4%5c2"),
        ("/datasets/42 ", b"/datasets/42%20"),
        ("/datasets/a/rows/042", None),
        ("health", None),
        ("*", b"*"),
    ],
)
async def test_a_path_with_two_readings_is_refused(path, raw_path):
    verifier = StubVerifier(scope="data")
    status, problem = await answer_to(protect(verifier), http(path, raw_path))
    assert (status, problem["title"]) == (400, "invalid_request")
    assert verifier.calls == []


@pytest.mark.parametrize(
    ("path", "root"),
    [("/v1/health", "/v1"), ("/health", "/v1"), ("/health", ""), ("/health", None)],
)
async def test_rules_apply_below_the_root_path(path, root):
    status, seen = await answer_to(
        protect(StubVerifier()), http(path, root_path=root or "")
    )
    assert (status, seen["reason"]) == (200, None)


@pytest.mark.parametrize("path", ["/v1x/health", "/v1health"])
async def test_a_root_path_is_whole_segments(path):
    verifier = StubVerifier()
    await answer_to(protect(verifier), http(path, root_path="/v1"))
    assert verifier.calls


async def test_a_mounted_service_is_protected_by_its_own_paths():
    verifier = StubVerifier(scope="data")
    outer = Starlette(routes=[Mount("/v1", protect(verifier))])
    async with client_of(outer) as client:
        public = await client.get("/v1/health")
        protected = await client.get("/v1/datasets/42", headers=BEARER)
    assert public.json()["reason"] is None
    assert protected.json()["path"]["id"] == "42"
    assert verifier.calls == [("token-1", "read", ("dataset:42",))]


PIECES = st.sampled_from(
    [
        *("/", "//", "/./", "/../", "/health", "/datasets", "/datasets/", "rows", "42"),
        *("042", "%2f", "%2F", "%252f", "%5c", "%20", "%00", ";a=1", "%64atasets", "."),
        *("/HEALTH", "a", "%3f", "%23", "%c3%a9", "%ff", "%EF%BC%94", "/rows/7", "+7"),
    ]
)


@given(st.lists(PIECES, min_size=1, max_size=6).map("".join))
async def test_the_service_gets_the_path_that_was_checked(written):
    """Starlette routes the same request, so a different reading would show."""
    raw_path = ("/" + written).encode()
    path = httpx.URL("https://a").copy_with(raw_path=raw_path).path
    verifier = StubVerifier(scope="data")
    status, seen = await answer_to(protect(verifier), http(path, raw_path))
    if status != 200:
        assert status == 400
        return
    if not verifier.calls:
        assert path == "/health"
        return
    ((_, _, resources),) = verifier.calls
    values = seen["path"]
    if "row" in values:
        assert resources == (f"row:{values['id']}/{values['row']}",)
    elif "id" in values:
        assert resources == (f"dataset:{values['id']}",)
