"""gRPC for Envoy: requests, answers, and that nothing passes unauthorised."""

import asyncio
import socket
from contextlib import closing
from random import Random

import grpc
import grpc.aio
import pytest
from envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse
from envoy.service.auth.v3.external_auth_pb2_grpc import AuthorizationStub
from hypothesis import given, strategies as st

from revocation.decision import DEFAULT_POLICIES, Reason
from revocation.errors import SettingsError
from revocation.sidecar.authorizer import Authorizer, AuthzAnswer
from revocation.sidecar.ext_authz import (
    MAX_MESSAGE_BYTES,
    SERVICE,
    ExtAuthz,
    read_request,
    write_answer,
)
from revocation.sidecar.rule_set import RuleSet
from revocation.web.access_guard import AccessPolicy
from revocation.web.bearer import Refusals
from revocation.web.credentials import BEARER_ONLY
from revocation.web.routes import RouteRule
from tests.stations.verifications import StubVerifier

STEPS = AccessPolicy(credentials=BEARER_ONLY, refusals=Refusals())
RULES = [
    RouteRule(path="/health", public=True),
    RouteRule(path="/datasets/{id:int}", resources=("dataset:{id}",)),
]


class Fixed:
    """Rules that never change."""

    current = RuleSet(RULES, policies=DEFAULT_POLICIES)


class Answering:
    """An authorizer that returns a configured answer, or raises it."""

    def __init__(self, answer):
        self.answer = answer
        self.calls = []

    def authorize(self, request):
        self.calls.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def question(headers=(), raw=(), **http):
    asked = CheckRequest()
    asked.attributes.request.http.CopyFrom(
        type(asked.attributes.request.http)(
            **{"method": "GET", "path": "/datasets/7", "host": "api.example", **http}
        )
    )
    asked.attributes.request.http.headers.update(dict(headers))
    for name, value in raw:
        field = HeaderValue(key=name, raw_value=value)
        asked.attributes.request.http.header_map.headers.append(field)
    return asked


def deciding(verifier):
    return ExtAuthz(Authorizer(verifier, Fixed(), steps=STEPS))


def kind(answer):
    return answer.WhichOneof("http_response")


def fields(options):
    assert all(
        each.append_action == HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
        for each in options
    )
    return {each.header.key: each.header.value for each in options}


# Reading ------------------------------------------------------------------------------


def test_the_original_request_is_read_completely():
    read = read_request(
        question(
            {":path": "/x", "Authorization": "Bearer a"},
            method="PUT",
            path="/datasets/7?x=1",
            scheme="https",
        )
    )
    assert (read.method, read.path) == ("PUT", "/datasets/7?x=1")
    assert (read.host, read.scheme) == ("api.example", "https")
    assert list(read.headers) == [
        (b"authorization", b"Bearer a"),
        (b"host", b"api.example"),
    ]
    assert not read.websocket


def test_header_fields_are_unchanged():
    """Two fields stay two, and bytes stay bytes."""
    raw = [("authorization", b"Bearer a"), ("authorization", b"Bearer \xff")]
    read = read_request(question(raw=[*raw, (":authority", b"api.example")]))
    assert [each for each in read.headers if each[0] == b"authorization"] == [
        (b"authorization", b"Bearer a"),
        (b"authorization", b"Bearer \xff"),
    ]


@pytest.mark.parametrize(
    ("headers", "websocket"),
    [
        ({}, False),
        ({"upgrade": "h2c"}, False),
        ({"upgrade": "websocket"}, True),
        ({"upgrade": "h2c, WebSocket"}, True),
        ({"sec-websocket-key": "x"}, True),
        ({"sec-websocket-version": "13"}, True),
    ],
)
def test_websocket_handshakes_are_recognised(headers, websocket):
    assert read_request(question(headers)).websocket is websocket


# Answering ----------------------------------------------------------------------------


def test_a_passing_request_gets_identity_and_loses_other_headers():
    answer = write_answer(
        AuthzAnswer(
            200,
            headers_to_upstream=(("x-auth-subject", "alice"),),
            remove_from_upstream=("x-auth-scope", "X-Auth-Subject", "authorization"),
        )
    )
    assert answer.status.code == grpc.StatusCode.OK.value[0]
    assert fields(answer.ok_response.headers) == {"x-auth-subject": "alice"}
    # Envoy removes headers last, so none that is set may be removed.
    assert list(answer.ok_response.headers_to_remove) == [
        "x-auth-scope",
        "authorization",
    ]


@pytest.mark.parametrize(
    ("status", "code"), [(401, "UNAUTHENTICATED"), (403, "PERMISSION_DENIED")]
)
def test_a_refusal_keeps_its_status(status, code):
    headers = (("www-authenticate", "Bearer"), ("content-length", "2"))
    answer = write_answer(AuthzAnswer(status, headers, body=b"no"))
    assert answer.status.code == grpc.StatusCode[code].value[0]
    assert answer.denied_response.status.code == status
    assert fields(answer.denied_response.headers) == {"www-authenticate": "Bearer"}
    assert answer.denied_response.body == "no"


@pytest.mark.parametrize("status", [0, 100, 201, 204, 299, 302, 399, 600, -1])
def test_any_other_status_becomes_503(status):
    answer = write_answer(AuthzAnswer(status))
    assert answer.denied_response.status.code == 503


async def test_an_answer_may_be_awaited():
    answers = asyncio.get_running_loop().create_future()
    answers.set_result(AuthzAnswer(200))
    answer = await ExtAuthz(Answering(answers)).check(question())
    assert kind(answer) == "ok_response"


@pytest.mark.parametrize(
    "answer",
    [
        RuntimeError("eyJ"),
        AuthzAnswer(200, headers_to_upstream=(("x-auth-subject", "a\r\nb: c"),)),
        AuthzAnswer(200, headers_to_upstream=(("x auth", "a"),)),
        AuthzAnswer(401, (("www-authenticate", "\x00"),)),
        AuthzAnswer("200"),
        None,
    ],
    ids=repr,
)
async def test_any_error_is_a_denial(answer, capsys):
    denial = await ExtAuthz(Answering(answer)).check(question())
    assert denial.denied_response.status.code == 503
    assert denial.status.code != 0
    assert fields(denial.denied_response.headers)["retry-after"] == "2"
    assert "eyJ" not in "".join(capsys.readouterr())


# Laws ---------------------------------------------------------------------------------

names = st.sampled_from(
    ["authorization", "Authorization", "cookie", "host", ":path", "upgrade", "", "é"]
) | st.text(max_size=20)
values = st.sampled_from(["Bearer a.b.c", "bearer  x", "Basic x", "websocket"]) | (
    st.text(max_size=60)
)
paths = st.sampled_from(
    ["/health", "/datasets/7", "/health/../datasets/7", "/health?", "", "*", "//health"]
) | st.text(max_size=60)
questions = st.builds(
    question,
    headers=st.dictionaries(names, values, max_size=5),
    raw=st.lists(st.tuples(names, st.binary(max_size=60)), max_size=5),
    method=st.sampled_from(["GET", "POST", "get", "", "WEBSOCKET"]) | st.text(),
    path=paths,
    host=st.text(max_size=20),
    scheme=st.text(max_size=8),
)


@given(questions)
async def test_without_an_active_token_only_public_paths_pass(asked):
    answer = await deciding(StubVerifier(Reason.TOKEN_REVOKED)).check(asked)
    if kind(answer) == "ok_response":
        assert asked.attributes.request.http.path.partition("?")[0] == "/health"
        assert not answer.ok_response.headers
    else:
        assert kind(answer) == "denied_response"
        assert 400 <= answer.denied_response.status.code < 500
        assert answer.status.code != 0


@given(questions)
async def test_a_passing_request_is_verified_or_public(asked):
    verifier = StubVerifier()
    answer = await deciding(verifier).check(asked)
    if kind(answer) == "ok_response" and answer.ok_response.headers:
        assert len(verifier.calls) == 1
        assert fields(answer.ok_response.headers)["x-auth-subject"] == "alice"


# The wire -----------------------------------------------------------------------------


@pytest.fixture
async def channel(tmp_path):
    service = deciding(StubVerifier())
    address = f"unix:{tmp_path}/grpc.sock"
    await service.start(address)
    async with grpc.aio.insecure_channel(address) as channel:
        yield channel
    await service.stop(grace_seconds=0)
    await service.stop()


async def test_a_grpc_client_is_answered(channel, tmp_path):
    asked = question({"authorization": "Bearer a.b.c"})
    answer = await AuthorizationStub(channel).Check(asked)
    assert fields(answer.ok_response.headers)["x-auth-subject"] == "alice"
    assert (tmp_path / "grpc.sock").stat().st_mode & 0o777 == 0o660


@pytest.mark.parametrize("seed", range(20))
async def test_arbitrary_bytes_neither_pass_nor_end_the_server(seed, channel):
    """Neither noise nor a valid message with noise in it."""
    random = Random(seed)
    good = question({"authorization": "Bearer"}).SerializeToString()
    check = channel.unary_unary(f"/{SERVICE}/Check")
    for _ in range(50):
        noise = bytearray(good if random.random() < 0.7 else random.randbytes(80))
        for _ in range(random.randrange(1, 6)):
            noise[random.randrange(len(noise))] = random.randrange(256)
        answer = CheckResponse.FromString(await check(bytes(noise)))
        assert kind(answer) == "denied_response"
        assert 400 <= answer.denied_response.status.code < 500
        assert answer.status.code != 0
    asked = question({"authorization": "Bearer a.b.c"})
    assert kind(await AuthorizationStub(channel).Check(asked)) == "ok_response"


async def test_a_message_that_is_too_large_is_refused(channel):
    asked = question({"authorization": "Bearer " + "a" * MAX_MESSAGE_BYTES})
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await AuthorizationStub(channel).Check(asked)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_an_unusable_address_is_reported(tmp_path):
    with pytest.raises(SettingsError, match="cannot listen"):
        await deciding(StubVerifier()).start(f"unix:{tmp_path}/nowhere/grpc.sock")


async def test_a_socket_in_use_is_not_replaced(channel, tmp_path):
    """Else the first to stop would remove the other's socket."""
    with pytest.raises(SettingsError, match="another process serves"):
        await deciding(StubVerifier()).start(f"unix:{tmp_path}/grpc.sock")
    asked = question({"authorization": "Bearer a.b.c"})
    assert kind(await AuthorizationStub(channel).Check(asked)) == "ok_response"


async def test_a_grpc_socket_of_a_killed_process_is_replaced(tmp_path):
    with closing(socket.socket(socket.AF_UNIX)) as left:
        left.bind(str(tmp_path / "grpc.sock"))
    service = deciding(StubVerifier())
    await service.start(f"unix:{tmp_path}/grpc.sock")
    await service.stop(grace_seconds=0)
