"""Whatever arrives over a gRPC channel leads to a denial, and the server continues.

End to end: gRPC's own client and server, a real verifier over a store in memory.
"""

import contextlib

import grpc.aio
import pytest
from envoy.config.core.v3.base_pb2 import HeaderValue
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse
from hypothesis import given, settings, strategies as st
from structlog.testing import capture_logs

from revocation.entries import Kind
from revocation.sidecar.authorizer import Authorizer
from revocation.sidecar.ext_authz import SERVICE, ExtAuthz
from tests.fuzz.fuzz_ext_authz import MAX_DENIALS
from tests.stations.beside import beside
from tests.stations.sidecars import published, signed, verifier_of
from tests.stations.test_ext_authz import STEPS, Fixed, kind
from tests.stations.test_verifier import cut_off, store_as_of

names = st.sampled_from(
    [
        *("authorization", "Authorization", "cookie", "host", ":path", ":method"),
        *("upgrade", "sec-websocket-key", "x-auth-subject", "x_auth_subject"),
        *("content-length", "x-envoy-original-path", "origin", "", "é"),
    ]
) | st.text(max_size=12)
values = st.sampled_from(
    [
        *(b"Bearer eyJhbGciOiJub25lIn0.e30.", b"Bearer a.b.c", b"bearer  x"),
        *(b"Basic eDp5", b"websocket", b"__Host-token=a.b.c", b"https://api.example"),
        *(b"Bearer " + b"a" * 9_000, b"/health", b"GET", b"\xff\xfe", b"\r\nx: y"),
    ]
) | st.binary(max_size=40)
paths = st.sampled_from(
    [
        *("/datasets/7", "/health/../x", "/health/", "/HEALTH", "//health", "/healthz"),
        *("/health;x", "/health%2f", "/health%00", "/%2568ealth", "*", "", "health"),
    ]
) | st.text(max_size=40).filter(lambda path: "health" not in path)
methods = st.sampled_from(
    ["GET", "POST", "get", "", "WEBSOCKET", "CONNECT", "OPTIONS"]
) | st.text(max_size=12)


@st.composite
def messages(draw):
    """Check requests that Envoy's messages can express."""
    asked = CheckRequest()
    http = asked.attributes.request.http
    http.method, http.path = draw(methods), draw(paths)
    http.host, http.scheme = draw(st.text(max_size=12)), draw(st.text(max_size=6))
    http.query, http.fragment = draw(st.text(max_size=6)), draw(st.text(max_size=6))
    http.size, http.raw_body = draw(st.integers(-1, 9)), draw(st.binary(max_size=9))
    for name, value in draw(st.lists(st.tuples(names, values), max_size=4)):
        http.headers[name] = value.decode("utf-8", "replace")
    for name, value in draw(st.lists(st.tuples(names, values), max_size=4)):
        text = value.decode("utf-8", "replace")
        given = {"raw_value": value} if draw(st.booleans()) else {"value": text}
        http.header_map.headers.append(HeaderValue(key=name, **given))
    asked.attributes.context_extensions["public"] = draw(st.text(max_size=6))
    return asked.SerializeToString()


@st.composite
def spoiled(draw):
    """A check request with foreign bytes, truncated, or doubled."""
    message = bytearray(draw(messages()))
    places = st.integers(0, max(0, len(message) - 1))
    for place in draw(st.lists(places, max_size=6)):
        message[place : place + 1] = draw(st.binary(max_size=2))
    end = draw(st.none() | places)
    return bytes(message[:end]) * draw(st.integers(1, 2))


@contextlib.asynccontextmanager
async def serving(folder):
    """Start a service; yields a function that sends it a message."""
    (folder / "jwks.json").write_bytes(published())
    store = await store_as_of(0, cut_off(Kind.USER, "alice"))
    async with verifier_of(store, folder / "jwks.json") as verifier:
        service = ExtAuthz(Authorizer(verifier, Fixed(), steps=STEPS))
        address = f"unix:{folder}/grpc.sock"
        await service.start(address)
        async with grpc.aio.insecure_channel(address) as channel:
            check = channel.unary_unary(f"/{SERVICE}/Check")

            async def ask(message):
                return CheckResponse.FromString(await check(message))

            yield ask
        await service.stop(grace_seconds=0)


class Served:
    """One service for all examples, and its denials."""

    def __init__(self, ask, call):
        self._ask = ask
        self._call = call
        self.denials = set()

    def ask(self, message):
        return self._call(self._ask(message))


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with beside(serving(tmp_path_factory.mktemp("served"))) as given:
        served = Served(*given)
        yield served
        # After all these messages it still works.
        assert kind(served.ask(with_token("bob"))) == "ok_response"
        assert kind(served.ask(with_token("alice"))) == "denied_response"


def with_token(name):
    asked = CheckRequest()
    asked.attributes.request.http.method = "GET"
    asked.attributes.request.http.path = "/datasets/7"
    asked.attributes.request.http.headers["authorization"] = f"Bearer {signed(name)}"
    return asked.SerializeToString()


def is_refused(served, message):
    """Check for one of a few refusals, without an internal error."""
    with capture_logs() as logged:
        answer = served.ask(message)
    assert "ext_authz failed" not in [each["event"] for each in logged]
    assert kind(answer) == "denied_response"
    assert answer.status.code != 0
    assert 400 <= answer.denied_response.status.code < 500
    served.denials.add(answer.SerializeToString())
    assert len(served.denials) <= MAX_DENIALS


@settings(max_examples=300)
@given(messages())
def test_no_request_passes_without_an_active_token(served, message):
    is_refused(served, message)


@settings(max_examples=200)
@given(spoiled())
def test_no_corrupted_request_passes(served, message):
    is_refused(served, message)


@settings(max_examples=100)
@given(st.binary(max_size=200))
def test_no_bytes_pass(served, message):
    is_refused(served, message)


def test_a_good_token_passes_among_them(served):
    assert kind(served.ask(with_token("bob"))) == "ok_response"
