"""Whether a request may pass, and what the service is told; `test_proxies.py` asks."""

import inspect
from types import SimpleNamespace
from urllib.parse import unquote

import pytest
from hypothesis import given, strategies as st

from revocation.decision import DEFAULT_POLICIES, Reason
from revocation.errors import SettingsError
from revocation.sidecar.authorizer import (
    IDENTITY,
    Authorizer,
    AuthzRequest,
    IdentityHeaders,
    write_value,
)
from revocation.sidecar.rule_set import RuleSet
from revocation.web.access_guard import AccessPolicy
from revocation.web.bearer import Refusals
from revocation.web.credentials import CredentialRules
from revocation.web.routes import RouteRule
from tests.stations.verifications import StubVerifier

API = "https://api.example/"
RULES = [
    RouteRule(path="/health", public=True),
    RouteRule(path="/datasets/{id}", methods={"GET"}, resources=("dataset:{id}",)),
    RouteRule(path="/datasets/{id}", scopes=("data",), audience=API),
]
BEARER = (b"authorization", b"Bearer token-1")
HOST = (b"host", b"api.example")
COOKIE = (b"cookie", b"__Host-token=token-2")


def authorizer(verifier, *, identity=None, cookie=None, **options):
    current = RuleSet(RULES, policies=DEFAULT_POLICIES, **options)
    steps = AccessPolicy(
        credentials=CredentialRules(cookie=cookie), refusals=Refusals(realm="data")
    )
    return Authorizer(
        verifier, SimpleNamespace(current=current), steps=steps, identity=identity
    )


def ask(verifier, method="GET", path="/x", *headers, websocket=False, **options):
    request = AuthzRequest(method, path, [HOST, *headers], websocket=websocket)
    return authorizer(verifier, **options).authorize(request)


def ask_as_alice(claims, **options):
    return ask(StubVerifier(**claims), "GET", "/x", BEARER, **options)


# Passing ------------------------------------------------------------------------------


def test_a_token_that_counts_passes_at_once():
    verifier = StubVerifier()
    answer = ask(verifier, "GET", "/datasets/42?x=//..;", BEARER)
    assert answer.status == 200
    assert verifier.calls == [("token-1", "read", ("dataset:42",))]
    assert answer.headers_to_client == ()


async def test_if_a_fallback_must_be_called_the_answer_is_awaited():
    class Behind(StubVerifier):
        def verify_or_await(self, token, **asked):
            return self.verify_async(token, **asked)

    for reason, status in ((Reason.ACTIVE, 200), (Reason.STALE, 503)):
        answer = ask(Behind(reason), "GET", "/x", BEARER)
        assert inspect.isawaitable(answer)
        assert (await answer).status == status


def test_the_service_receives_the_identity():
    claims = {"iss": "https://idp.example/", "client_id": "shop", "scope": "a b"}
    answer = ask_as_alice(claims)
    assert answer.headers_to_upstream == (
        ("x-auth-subject", "alice"),
        ("x-auth-issuer", "https://idp.example/"),
        ("x-auth-client", "shop"),
        ("x-auth-scope", "a b"),
    )
    assert answer.remove_from_upstream == ()


def test_unset_headers_are_removed_so_that_no_client_can_set_them():
    answer = ask_as_alice({})
    assert answer.headers_to_upstream == (("x-auth-subject", "alice"),)
    assert answer.remove_from_upstream == (
        *("x-auth-issuer", "x-auth-client", "x-auth-scope"),
    )


def test_a_public_path_checks_no_token_and_sets_no_identity():
    verifier = StubVerifier(Reason.TOKEN_REVOKED)
    answer = ask(verifier, "GET", "/health", BEARER)
    assert (answer.status, verifier.calls) == (200, [])
    assert answer.headers_to_upstream == ()
    assert answer.remove_from_upstream == tuple(IDENTITY)


def test_names_and_claims_are_configurable():
    identity = IdentityHeaders(
        headers={"x-user": "sub", "x-tenant": "tenant", "x-level": "acr"},
        remove=("authorization",),
    )
    answer = ask_as_alice({"tenant": "acme"}, identity=identity)
    assert answer.headers_to_upstream == (("x-user", "alice"), ("x-tenant", "acme"))
    assert answer.remove_from_upstream == ("x-level", "authorization")


@pytest.mark.parametrize(
    ("claims", "name", "told"),
    [
        ({"scp": ["a", "b"]}, "x-auth-scope", "a b"),
        ({"scp": "a b"}, "x-auth-scope", "a b"),
        ({"scope": ["a"], "scp": "b"}, "x-auth-scope", "a"),
        (
            {"scope": ["openid", "datasets:read"]},
            "x-auth-scope",
            "openid datasets:read",
        ),
        ({"scope": ["a", "b c", 7, "\u00e9"]}, "x-auth-scope", "a"),
        ({"scope": ["b c"]}, "x-auth-scope", None),
        ({"scope": {"a": 1}, "scp": "b"}, "x-auth-scope", None),
        ({"azp": "till"}, "x-auth-client", "till"),
        ({"azp": "till", "client_id": "shop"}, "x-auth-client", "shop"),
    ],
)
def test_scope_and_client_are_passed_on_as_they_are_judged(claims, name, told):
    assert dict(ask_as_alice(claims).headers_to_upstream).get(name) == told


# Refusing -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "status", "error"),
    [
        (Reason.TOKEN_REVOKED, 401, 'error="invalid_token"'),
        (Reason.EXPIRED, 401, 'error="invalid_token"'),
        (Reason.RESOURCE_DELETED, 401, 'error="invalid_token"'),
        (Reason.MALFORMED, 401, 'error="invalid_token"'),
        (Reason.STALE, 503, None),
        (Reason.NOT_READY, 503, None),
    ],
)
def test_a_token_that_does_not_count_is_refused(reason, status, error):
    answer = ask(StubVerifier(reason), "GET", "/x", BEARER)
    headers = dict(answer.headers_to_client)
    assert answer.status == status
    assert headers["cache-control"] == "no-store"
    assert ("retry-after" in headers) == (status == 503)
    assert (error or "") in headers.get("www-authenticate", "")
    assert answer.headers_to_upstream == answer.remove_from_upstream == ()
    assert b"token-1" not in answer.body


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 401),
        ([(b"authorization", b"Bearer a b")], 400),
        ([BEARER, BEARER], 400),
        ([(b"authorization", b"Bearer " + b"a" * 9_000)], 431),
        ([(b"authorization", b"Basic YTpi")], 401),
    ],
)
def test_malformed_credentials_are_not_verified(headers, status):
    verifier = StubVerifier()
    assert ask(verifier, "GET", "/x", *headers).status == status
    assert verifier.calls == []


def test_who_shows_no_token_learns_no_error_code():
    headers = dict(ask(StubVerifier()).headers_to_client)
    assert headers["www-authenticate"] == 'Bearer realm="data"'


def test_a_scope_that_is_missing_is_named():
    answer = ask(StubVerifier(aud=API), "PUT", "/datasets/42", BEARER)
    assert answer.status == 403
    assert 'scope="data"' in dict(answer.headers_to_client)["www-authenticate"]


@pytest.mark.parametrize(
    ("audience", "status"),
    [
        (API, 200),
        ([API, "other"], 200),
        ((API,), 200),
        ("other", 401),
        ([], 401),
        (None, 401),
        ({API: 1}, 401),
        (f"{API}x", 401),
    ],
)
def test_a_token_for_another_audience_is_refused(audience, status):
    answer = ask(
        StubVerifier(aud=audience, scope="data"), "PUT", "/datasets/42", BEARER
    )
    assert answer.status == status


@pytest.mark.parametrize("path", ["/a//b", "/%2e%2e/a", "/a;b", "*", "/a%2fb", ""])
def test_a_path_that_may_be_read_in_two_ways_is_refused(path):
    verifier = StubVerifier()
    assert ask(verifier, "GET", path, BEARER).status == 400
    assert verifier.calls == []


def test_an_answer_names_no_length():
    """The body is framed by whoever sends it."""
    answer = ask(StubVerifier(Reason.EXPIRED), "GET", "/x", BEARER)
    assert "content-length" not in dict(answer.headers_to_client)


@pytest.mark.parametrize(
    "name",
    [
        *(b"x_auth_subject", b"x-auth_subject", b"x_auth-scope", b"x_auth_client"),
        *(b"x.auth.subject", b"x-auth.subject", b"x!auth~subject", b"x-auth\xffscope"),
    ],
)
@pytest.mark.parametrize("path", ["/x", "/health"])
def test_a_header_that_a_gateway_would_take_for_ours_is_refused(name, path):
    """WSGI and CGI give `X_Auth_Subject` and `X-Auth-Subject` one name."""
    assert ask(StubVerifier(), "GET", path, BEARER, (name, b"root")).status == 400


def test_other_odd_header_names_are_ignored():
    odd = ((b"x_trace.id", b"1"), (b"x-auth-subject", b"root"), (b"x_auth", b"1"))
    assert ask(StubVerifier(), "GET", "/x", BEARER, *odd).status == 200


# Cookies ------------------------------------------------------------------------------

OWN = (b"sec-fetch-site", b"same-origin")
FOREIGN = (b"sec-fetch-site", b"cross-site")


@pytest.mark.parametrize(
    ("method", "more", "websocket", "status"),
    [
        ("GET", [], False, 200),
        ("GET", [FOREIGN], False, 200),
        ("POST", [], False, 403),
        ("POST", [FOREIGN], False, 403),
        ("POST", [OWN], False, 200),
        ("POST", [(b"origin", b"https://api.example")], False, 200),
        ("POST", [(b"origin", b"https://evil.example")], False, 403),
        ("GET", [], True, 403),
        ("GET", [(b"origin", b"https://evil.example")], True, 403),
        ("GET", [(b"origin", b"https://api.example")], True, 200),
    ],
)
def test_a_cookie_acts_for_the_services_own_pages_only(method, more, websocket, status):
    answer = ask(
        StubVerifier(),
        method,
        "/x",
        COOKIE,
        *more,
        websocket=websocket,
        cookie="__Host-token",
    )
    assert answer.status == status


def test_without_a_name_no_cookie_is_a_token():
    assert ask(StubVerifier(), "GET", "/x", COOKIE).status == 401


# Values -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("alice", "alice"),
        ("auth0|42", "auth0|42"),
        ("a b", "a b"),
        ("José", "Jos%C3%A9"),
        ("100%", "100%25"),
        (" a ", "%20a%20"),
        ("a\r\nx-admin: 1", "a%0D%0Ax-admin: 1"),
        ("a\x00", "a%00"),
        (["a", "b c"], "a b%20c"),
        (("a",), "a"),
        (7, "7"),
        (True, ""),
        (1.5, ""),
        (["a", 7], ""),
        ({"a": 1}, ""),
        (None, ""),
        ("", ""),
    ],
)
def test_how_a_claim_is_written(value, told):
    assert write_value(value) == told


@given(st.text())
def test_a_value_is_one_header_field_and_can_be_read_back(value):
    written = write_value(value)
    assert written.isascii()
    assert written == "" or written.isprintable()
    assert written == written.strip()
    assert unquote(written) == value


# Settings -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("X-User", "x_user", "subject", "", "x-", "-x", "x--y", "x-a-b-c-d-e", "x-é"),
        *("content-length", "www-authenticate", "x-envoy-auth-headers-to-remove"),
    ],
)
def test_a_name_that_could_be_taken_for_another_is_refused(name):
    with pytest.raises(SettingsError, match="cannot name an identity header"):
        IdentityHeaders(headers={name: "sub"})


@pytest.mark.parametrize("name", ["Host", "host", "X-A", "a,b", ":path", ""])
def test_what_cannot_be_removed_is_refused(name):
    with pytest.raises(SettingsError, match="cannot be removed"):
        IdentityHeaders(remove=(name,))


def test_there_is_an_end_to_headers():
    with pytest.raises(SettingsError, match="16"):
        IdentityHeaders(headers={f"x-{n}": "sub" for n in range(17)})


def test_a_request_does_not_show_in_logs():
    request = AuthzRequest("GET", "/users/zaphod", [BEARER])
    assert repr(request) == "AuthzRequest(method='GET')"
