"""The requests of each proxy, and how it reads the responses."""

import orjson
import pytest

from revocation.errors import SettingsError
from revocation.http.messages import Request
from revocation.sidecar.authorizer import AuthzAnswer
from revocation.sidecar.proxies import STATUSES, Dialect, Proxy, check_statuses

HOST = (b"host", b"api.example")
NGINX = [(b"x-original-method", b"PUT"), (b"x-original-uri", b"/a%20b?c=1")]
TRAEFIK = [
    (b"x-forwarded-method", b"PUT"),
    (b"x-forwarded-uri", b"/a%20b?c=1"),
    (b"x-forwarded-host", b"api.example"),
    (b"x-forwarded-proto", b"https"),
]
SIDECAR = (b"host", b"sidecar:8181")


def request(path="/v1/authz/x", *headers, method="GET", query=""):
    return Request(method, path, query, list(headers), b"", "unix")


def asked(proxy):
    """The same request, as each proxy tells of it."""
    match proxy:
        case Proxy.NGINX:
            return request("/v1/authz/nginx", HOST, *NGINX)
        case Proxy.TRAEFIK:
            return request("/v1/authz/traefik", SIDECAR, *TRAEFIK)
        case Proxy.ENVOY:
            return request("/v1/authz/envoy/a%20b", HOST, method="PUT", query="c=1")


def plus(told, *headers):
    return told._replace(headers=[*told.headers, *headers])


# Asking -------------------------------------------------------------------------------


@pytest.mark.parametrize("proxy", Proxy)
def test_the_original_request_is_read(proxy):
    found = Dialect(proxy).read(asked(proxy))
    assert (found.method, found.path.partition("?")[0]) == ("PUT", "/a%20b")
    assert found.host == "api.example"
    assert [value for name, value in found.headers if name == b"host"] == [HOST[1]]
    assert not found.websocket


@pytest.mark.parametrize("proxy", Proxy)
def test_what_another_proxy_would_write_is_a_clients_word(proxy):
    """Only what the path names is looked at."""
    lies = {
        Proxy.NGINX: [(name, b"/public") for name, _ in TRAEFIK],
        Proxy.TRAEFIK: [(name, b"/public") for name, _ in NGINX],
        Proxy.ENVOY: [(name, b"/public") for name, _ in (*NGINX, *TRAEFIK)],
    }
    honest = Dialect(proxy).read(asked(proxy))
    found = Dialect(proxy).read(plus(asked(proxy), *lies[proxy]))
    assert found[:2] == honest[:2]
    assert found.host == honest.host


@pytest.mark.parametrize(
    ("proxy", "headers"), [(Proxy.NGINX, NGINX), (Proxy.TRAEFIK, TRAEFIK)]
)
def test_what_the_proxy_must_set_must_be_there_once(proxy, headers):
    for each in headers:
        without = [other for other in headers if other is not each]
        for wrong in (without, [*headers, each], [*without, (each[0], b"")]):
            assert isinstance(Dialect(proxy).read(request("/v1/x", *wrong)), str)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/v1/authz/envoy/", "/"),
        ("/v1/authz/envoy//a", "//a"),
        ("/v1/authz/envoy/../../v1/check", "/../../v1/check"),
        ("/v1/authz/envoy/v1/authz/envoy/a", "/v1/authz/envoy/a"),
    ],
)
def test_envoys_prefix_is_taken_off_once_and_nothing_else(path, found):
    assert Dialect(Proxy.ENVOY).read(request(path)).path == found


def test_without_the_prefix_it_is_not_envoy():
    assert isinstance(Dialect(Proxy.ENVOY).read(request("/health")), str)


@pytest.mark.parametrize("proxy", Proxy)
@pytest.mark.parametrize(
    "header",
    [
        (b"upgrade", b"WebSocket"),
        (b"upgrade", b"h2c, websocket"),
        (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
        (b"sec-websocket-version", b"13"),
        (b"sec-websocket-protocol", b"chat"),
    ],
)
def test_what_looks_like_a_handshake_is_treated_as_one(proxy, header):
    """Proxies take `Upgrade` out of what they ask us."""
    assert Dialect(proxy).read(plus(asked(proxy), header)).websocket


@pytest.mark.parametrize("proxy", Proxy)
def test_another_upgrade_is_no_websocket(proxy):
    assert not Dialect(proxy).read(plus(asked(proxy), (b"upgrade", b"h2c"))).websocket


# Answering ----------------------------------------------------------------------------

PASS = AuthzAnswer(
    200,
    headers_to_upstream=(("x-auth-subject", "alice"),),
    remove_from_upstream=("x-auth-scope", "authorization"),
)
CHALLENGE = ("www-authenticate", "Bearer")
DENY = (("content-type", "application/problem+json"), CHALLENGE)


@pytest.mark.parametrize("proxy", [Proxy.NGINX, Proxy.TRAEFIK])
def test_nginx_and_traefik_copy_what_there_is(proxy):
    """What the answer does not have they take out (tests/proxies/test_identity.py)."""
    answer = Dialect(proxy, {}, "x_auth_scope").write(PASS)
    assert answer.status == 200
    assert dict(answer.headers) == {
        "x-auth-subject": "alice",
        "cache-control": "no-store",
    }


def test_envoy_is_configured_to_remove_headers():
    answer = Dialect(Proxy.ENVOY, {}, "x_auth_scope").write(PASS)
    assert dict(answer.headers) == {
        "x-auth-subject": "alice",
        "x-envoy-auth-headers-to-remove": "x-auth-scope,authorization,x_auth_scope",
        "cache-control": "no-store",
    }


@pytest.mark.parametrize(
    ("removed", "lookalikes", "told"),
    [
        ((), "", ""),
        (("a",), "", "a"),
        ((), "b,c", "b,c"),
        (("a", "d"), "b,c", "a,d,b,c"),
    ],
)
def test_what_envoy_removes_is_a_list(removed, lookalikes, told):
    answer = AuthzAnswer(200, remove_from_upstream=removed)
    headers = dict(Dialect(Proxy.ENVOY, {}, lookalikes).write(answer).headers)
    assert headers["x-envoy-auth-headers-to-remove"] == told


@pytest.mark.parametrize("proxy", Proxy)
@pytest.mark.parametrize("status", [401, 403, 503])
def test_a_refusal_is_passed_on_whole(proxy, status):
    dialect = Dialect(proxy, STATUSES.get(proxy))
    told = dialect.write(AuthzAnswer(status, DENY, body=b"{}"))
    assert told == (status, DENY, b"{}")


@pytest.mark.parametrize("status", [400, 431])
def test_what_nginx_would_make_an_error_of_is_forbidden(status):
    body = orjson.dumps({"title": "header_too_large", "status": status})
    answer = AuthzAnswer(status, DENY, body=body)
    told = Dialect(Proxy.NGINX, STATUSES[Proxy.NGINX]).write(answer)
    assert told[:2] == (403, DENY)
    assert orjson.loads(told.body) == {"title": "header_too_large", "status": 403}
    assert Dialect(Proxy.TRAEFIK, {}).write(answer) == (status, DENY, body)


@pytest.mark.parametrize("wrong", [{503: 200}, {401: 302}, {200: 401}, {403: 600}])
def test_no_setting_makes_a_refusal_anything_else(wrong):
    with pytest.raises(SettingsError, match="not a refusal"):
        check_statuses({Proxy.NGINX: wrong})
    check_statuses(STATUSES)
