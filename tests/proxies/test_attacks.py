"""Attacks that would bypass the check; none of them reaches the service.

Each is sent byte by byte: other spellings of headers, headers that replace a path or a
method, requests in bodies, tunnels, lines inside of HTTP/2.
Simpler attacks: `test_paths.py`, `test_identity.py` and `test_websockets.py`.
"""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from examples.behind_proxies.proxies import KINDS, Proxy, program_of
from revocation.errors import PrerequisiteError
from revocation.local.process import free_ports
from tests.proxies.client import HOST, Client

pytestmark = pytest.mark.connected

REFUSED = {0, 400, 401, 403, 404}
OVERRIDES = (
    *("X-Original-URL", "X-Rewrite-URL"),
    *("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"),
)
ODD = "!#$%&'*+.^`|~"
"""Characters of a field's name beside letters, digits, `-` and `_` (RFC 9110)."""

HANDSHAKE = [
    *(("Connection", "Upgrade"), ("Upgrade", "websocket")),
    *(
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ),
]


def request(target, headers=(), method="GET", version="1.1"):
    lines = [f"{method} {target} HTTP/{version}", f"Host: {HOST}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, "", ""]).encode()


SMUGGLED = request("/smuggled", [("Connection", "close")])


def named(seen, name):
    """Return the values for a service that reads odd characters of a name as `-`."""
    return [
        value
        for each, value in seen.headers
        if re.sub(r"[^a-z0-9]", "-", each.lower()) == name and value
    ]


# Headers ------------------------------------------------------------------------------


@pytest.fixture(params=sorted(KINDS))
def stripped(request, values, careless, authority, tmp_path_factory):
    """A client of a proxy without the protective lines of its configuration.

    The sidecar passes every request.
    """
    folder = tmp_path_factory.mktemp("bare")
    try:
        program_of(KINDS[request.param])
    except PrerequisiteError as error:
        pytest.skip(str(error))
    others = {
        "PROXY_SIDECAR_SOCKET": str(careless.socket),
        "PROXY_SIDECAR_GRPC_SOCKET": str(careless.grpc_socket),
        "PROXY_SIDECAR_PORT": str(careless.port),
        "PROXY_LISTEN_PORT": str(free_ports(1)[0]),
    }
    proxy = Proxy(
        request.param,
        folder,
        {**values, **others},
        authority=authority.file,
        log=folder / "proxy.log",
    )
    removed = 0
    for each in proxy.kind.files:
        file = folder / Path(each).name
        text, count = LINES.subn("", file.read_text())
        file.write_text(text)
        removed += count
    assert removed
    with proxy:
        yield Client(proxy.port, str(authority.file))


LINES = re.compile(
    r"(?m)^ *- remove: x-.*\n"
    r"|^ *- remove_on_match:\n +key_matcher:\n +safe_regex: .*\n"
    r'|^ *proxy_set_header X-[\w-]+ "";\n'
    r"|only-what-is-judged, "
)


def test_without_the_protective_lines_a_service_is_misled(
    stripped, started_service, request
):
    """Without the protection, the attacks below succeed."""
    started_service.take()
    overrides = [(name, "/admin") for name in OVERRIDES]
    assert stripped.get("/datasets/7", overrides).status == 200
    (seen,) = started_service.take()
    assert all(seen.all(name) == ["/admin"] for name in OVERRIDES)
    if "envoy" in request.node.name:
        stripped.get("/datasets/7", [("X.Auth.Subject", "root")])
        (seen,) = started_service.take()
        assert named(seen, "x-auth-subject") == ["root"]


@pytest.mark.parametrize("spelled", [str, str.upper, str.lower])
def test_no_header_replaces_the_path_or_method(spelled, ask, service, alice):
    """Symfony, ASP.NET and others would serve it instead of the checked path."""
    headers = [(spelled(name), "/admin") for name in OVERRIDES]
    assert ask("/datasets/7", [*alice, *headers]).status == 200
    (seen,) = service.take()
    assert not any(seen.all(name) for name in OVERRIDES)


def test_no_odd_name_sets_the_identity(ask, service, alice):
    """Behind PHP or lighttpd `X.Auth.Subject` is the same variable."""
    for odd in ODD:
        response = ask("/datasets/7", [*alice, (f"x{odd}auth{odd}subject", "root")])
        seen = service.take()
        assert (response.status == 200) == (len(seen) == 1)
        assert response.status == 200 or response.status in REFUSED
        for each in seen:
            assert named(each, "x-auth-subject") == ["alice"], odd


def test_the_proxy_alone_removes_odd_names(careless_client, started_service):
    for odd in ODD:
        started_service.take()
        for ask in (careless_client.get, careless_client.h2):
            ask("/datasets/7", [(f"x-auth{odd}subject", "root")])
        for each in started_service.take():
            assert named(each, "x-auth-subject") == [], odd


def test_trailers_do_not_set_the_identity(client, service, region):
    """A service may read trailers as header fields (RFC 9110, 6.5.1)."""
    headers = [
        *region.bearer(client_id=...),
        *(("Transfer-Encoding", "chunked"), ("TE", "trailers")),
        ("Trailer", "X-Auth-Subject, X-Auth-Client"),
    ]
    trailers = b"X-Auth-Subject: root\r\nX-Auth-Client: root\r\n\r\n"
    response = client.get(
        "/datasets/7", headers, "POST", b"5\r\nhello\r\n0\r\n" + trailers
    )
    seen = service.take()
    assert len(seen) == (response.status == 200)
    for each in seen:
        assert each.all("x-auth-subject") == ["alice"]
        assert not any(each.all("x-auth-client"))


# Requests inside of requests ----------------------------------------------------------

LENGTH = ("Content-Length", str(len(SMUGGLED)))
CHUNKED = ("Transfer-Encoding", "chunked")
END = b"0\r\n\r\n"
FRAMINGS = {
    "a length and chunks": ([("Content-Length", "4"), CHUNKED], END),
    "a coding that is none": (
        [("Content-Length", "4"), ("Transfer-Encoding", "xchunked")],
        END,
    ),
    "two codings": ([CHUNKED, ("Transfer-Encoding", "identity")], END),
    "a coding before chunked": ([("Transfer-Encoding", "gzip, chunked")], END),
    "a name with a space": ([("Transfer-Encoding ", "chunked"), LENGTH], b""),
    "a name with an underscore": ([("Content_Length", "0"), LENGTH], b""),
    "two lengths": ([("Content-Length", "0"), LENGTH], b""),
    "a list of lengths": ([("Content-Length", f"0, {len(SMUGGLED)}")], b""),
    "a length with a sign": ([("Content-Length", f"+{len(SMUGGLED)}")], b""),
    "a chunk's size in C": ([CHUNKED], b"0x0\r\n\r\n"),
    "a body nobody may send": ([LENGTH], b""),
}


@pytest.mark.parametrize("name", FRAMINGS)
def test_no_body_is_read_as_a_request(name, client, service):
    """It would bypass the check; later bytes are a checked request, or a body."""
    headers, body = FRAMINGS[name]
    head = request("/health", headers, "POST")
    client.exchange(head + body + SMUGGLED, SMUGGLED)
    for seen in service.take():
        assert seen.target == "/health"
        assert not (seen.all("transfer-encoding") and seen.all("content-length"))


def test_the_body_of_a_refused_request_is_no_request(client, service):
    head = request("/datasets/7", [LENGTH], "POST")
    received = client.exchange(head + SMUGGLED, SMUGGLED)
    assert received.startswith(b"HTTP/1.1 401 ")
    assert b" 200 " not in received
    assert service.take() == []


def test_each_pipelined_request_is_checked(client, service):
    """A passing request does not admit the next one."""
    public = request("/health")
    received = client.exchange(public + request("/datasets/7") + public + SMUGGLED)
    statuses = re.findall(rb"HTTP/1\.1 (\d+) ", received)
    assert statuses == [b"200", b"401", b"200", b"401"]
    assert [seen.target for seen in service.take()] == ["/health", "/health"]


def test_a_refused_websocket_is_no_tunnel(client, service):
    """Early bytes wait until the service has switched, and it does not."""
    received = client.exchange(request("/broken", HANDSHAKE) + SMUGGLED)
    assert received.startswith(b"HTTP/1.1 500 ")
    assert [seen.target for seen in service.take()] == ["/broken"]


@pytest.mark.parametrize("upgrades", ["h2c websocket", "websocket h2c"])
def test_no_other_upgrade_beside_a_websocket_is_opened(upgrades, client, service):
    """Another protocol in a second field would be a tunnel."""
    headers = [
        ("Connection", "Upgrade, HTTP2-Settings"),
        *(("Upgrade", each) for each in upgrades.split()),
        ("HTTP2-Settings", "AAMAAABkAAQCAAAAAAIAAAAA"),
        *HANDSHAKE[2:],
    ]
    response = client.get("/health", headers)
    assert response.status != 101 or response.one("upgrade") == "websocket"
    for seen in service.take():
        assert not any("h2c" in each for each in seen.all("upgrade"))


# HTTP/2 -------------------------------------------------------------------------------

SPLIT = "\r\nX-Auth-Subject: root\r\nX-Smuggled: 1"
ODDITIES = {
    "a value with lines": ("/health", [("x-a", "b" + SPLIT)], "GET"),
    "a value with a line feed": (
        "/health",
        [("x-a", "b\nx-auth-subject: root")],
        "GET",
    ),
    "a value with NUL": ("/health", [("x-a", "b\0smuggled")], "GET"),
    "a name with lines": ("/health", [("x-a: b\r\nx-auth-subject", "root")], "GET"),
    "a name with a colon": ("/health", [("x-auth-subject:", "root")], "GET"),
    "a name with a space": ("/health", [("x-auth-subject ", "root")], "GET"),
    "a path with lines": (f"/health HTTP/1.1{SPLIT}\r\n\r\n", [], "GET"),
    "a path with spaces": ("/health HTTP/1.1 /smuggled", [], "GET"),
    "a path that is a URL": ("https://other.example/datasets/7", [], "GET"),
    "a path without a slash": ("datasets/7", [], "GET"),
    "no path": ("", [], "GET"),
    "two paths": ("/health", [(":path", "/datasets/7")], "GET"),
    "a method with lines": (
        "/health",
        [],
        f"GET /smuggled HTTP/1.1\r\nHost: {HOST}\r\n\r\nGET",
    ),
    "a method with a path": ("/health", [], "GET /smuggled"),
    "two methods": ("/health", [(":method", "DELETE")], "GET"),
    "a status": ("/health", [(":status", "200")], "GET"),
    "a coding": ("/health", [("transfer-encoding", "chunked")], "POST"),
    "a connection": ("/health", [("connection", "x-auth-subject")], "GET"),
    "another protocol": ("/health", [("upgrade", "h2c")], "GET"),
    "a protocol": ("/health", [(":protocol", "websocket")], "CONNECT"),
}


@pytest.mark.parametrize("name", ODDITIES)
def test_no_http_2_content_becomes_lines_of_http_1(name, client, service):
    """The service speaks HTTP/1.1, where these would be fields and requests."""
    target, headers, method = ODDITIES[name]
    response = client.h2(target, headers, method)
    assert response.status in REFUSED | {405, 501}
    assert service.take() == []


# Paths --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        *(
            "/datasets/%EF%BC%94%EF%BC%92",
            "/datasets/%D9%A4%D9%A2",
            "/datasets/4%D9%A2",
        ),
        *("/datasets/42.", "/datasets/42%2e", "/datasets/42.0", "/datasets/4_2"),
        *("/datasets/42%E2%80%8B", "/datasets/%EF%BB%BF42", "/datasets/42%C2%A0"),
        *("/datasets/42&x=1", "/datasets/42,7", "/datasets/42:", "/datasets/4%D9%A2"),
        *("/datasets/\uff14\uff12", "/datasets/%e0%80%af42", "/datasets/42%ff"),
    ],
)
def test_no_other_number_is_the_deleted_one(target, client, service, alice):
    """Services parse numbers leniently: digits of any script, points, signs."""
    target = target.encode().decode("latin-1")
    assert client.get(target, alice).status in REFUSED
    assert service.take() == []


# Concurrency --------------------------------------------------------------------------


def test_every_client_gets_its_own_answer(client, service, region):
    """Among many at once, some revoked: the sidecar writes answers in batches."""
    users = [f"user-{number}" for number in range(12)] * 4
    tokens = {each: region.bearer(each) for each in users}
    gone = region.bearer("logged-out")

    def go(number):
        user = users[number]
        revoked = number % 3 == 0
        response = client.get(f"/datasets/7?{user}", gone if revoked else tokens[user])
        return response.status, 401 if revoked else 200

    with ThreadPoolExecutor(8) as threads:
        for status, expected in threads.map(go, range(len(users))):
            assert status == expected
    seen = service.take()
    assert len(seen) == len([each for each in range(len(users)) if each % 3])
    for each in seen:
        assert each.all("x-auth-subject") == [each.target.partition("?")[2]]


def test_no_log_of_the_proxy_has_a_query_of_an_undecided_request(proxy, client, alice):
    """Also where the proxy itself refuses a client."""
    assert client.get("/fresh?secret=of-the-query", alice).status == 503
    client.get("/health?secret=of-the-query", [("X-Large", "eyJ" * 40_000)])
    client.get("/health?secret=of-the-query", [("Host", "twice")])
    log = proxy.log.read_text()
    assert "of-the-query" not in log
    assert "eyJ" not in log
