"""Any request gets an answer, without an internal error, and none passes."""

from hypothesis import given, settings, strategies as st

from revocation.decision import Reason
from revocation.http.messages import Request, encode
from revocation.sidecar.introspect import Caller
from revocation.verifier.snapshot_waiter import LoadProgress
from tests.stations.sidecars import endpoints_of
from tests.stations.verifications import StubVerifier


class Refusing(StubVerifier):
    """Rejects every token."""

    freshness = (False, 0)
    progress = LoadProgress(0, 0)
    problem = ""
    disagreement = None

    def __init__(self):
        super().__init__(Reason.MALFORMED)

    def check_or_await(self, claims, *, route, resources, kid, introspect):
        return self.verify("").verdict


WHO = {"callers": [Caller(b"n" * 32, b"s" * 32)], "scope": "introspect"}
HANDLE = endpoints_of(Refusing(), **WHO).handle
NAMES = st.sampled_from(
    [
        *(b"host", b"authorization", b"cookie", b"origin", b"upgrade", b"connection"),
        *(b"x-original-uri", b"x-original-method", b"x-forwarded-uri"),
        *(b"x-forwarded-method", b"x-forwarded-host", b"x-forwarded-proto"),
        *(b"x-auth-subject", b"x_auth_subject", b"sec-websocket-key", b"max-forwards"),
        *(b"content-type", b"x-envoy-original-path", b"x-rewrite-url"),
    ]
)
PIECES = st.sampled_from(
    [
        *("/", "//", "/health", "/HEALTH", "/health/", "health", "/datasets/42", "/.."),
        *("%2e%2e", "%2f", ";", "?", "#", "%00", "\\", "*", "/v1/authz/envoy", "."),
    ]
)
TARGETS = st.lists(PIECES, max_size=4).map("".join)
WORDS = st.sampled_from(
    [
        *(b"GET", b"POST", b"get", b"WEBSOCKET", b"https", b"websocket", b"0"),
        *(b"Bearer eyJ", b"Bearer ", b"Basic eDp5", b"__Host-token=eyJ", b"a.example"),
        *(b"application/x-www-form-urlencoded", b"\xff\xfe", b""),
    ]
)
VALUES = WORDS | TARGETS.map(str.encode) | st.binary(max_size=20)
PATHS = st.sampled_from(
    [
        *("/v1/check", "/introspect", "/readyz", "/healthz", "/metrics", "/x"),
        *("/v1/authz/nginx", "/v1/authz/traefik"),
    ]
)
BODIES = st.sampled_from(
    [b"", b"{}", b'{"claims": {}}', b'{"token": "a"}', b"token=a", b"\xff"]
) | st.binary(max_size=30)
METHODS = st.sampled_from(["GET", "POST", "PUT", "HEAD", "OPTIONS", "QUERY", "get"])


@settings(max_examples=1_000, deadline=None)
@given(
    METHODS,
    PATHS | TARGETS.map("/v1/authz/envoy{}".format),
    st.lists(st.tuples(NAMES, VALUES), max_size=8),
    BODIES,
)
def test_no_one_passes_without_a_token(method, path, headers, body):
    path, _, query = path.partition("?")
    response = HANDLE(Request(method, path, query, headers, body, "unix"))
    assert encode(response, connection=None, headless=False)
    assert response.status in {200, 400, 401, 403, 404, 405, 431, 503}
    assert response.status != 503 or path == "/readyz"
    if path.startswith("/v1/authz/") and response.status == 200:
        asked = {
            "/v1/authz/nginx": dict(headers).get(b"x-original-uri"),
            "/v1/authz/traefik": dict(headers).get(b"x-forwarded-uri"),
        }.get(path, path.removeprefix("/v1/authz/envoy").encode())
        assert asked.partition(b"?")[0] == b"/health"
    if path == "/introspect":
        assert response.status in {401, 405}
