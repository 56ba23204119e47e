"""Requests that are answered from their head, whatever is said of a body.

Nothing that follows may be taken for a request (RFC 9112 section 11.2): whoever writes
the body would ask in the proxy's name.
"""

import asyncio

import pytest
from structlog.testing import capture_logs

from revocation import metrics
from revocation.http.messages import Response, ServerLimits
from revocation.http.server_state import ServerState
from tests.installation import eventually
from tests.unit.wire import CHUNKED, POST, Wire, echo, get

LIMITS = ServerLimits(body_bytes=1_024)
ASKED = b"GET /auth HTTP/1.1"
ANNOUNCED = {
    "length": get(b"content-length: 5", line=ASKED),
    "more than any body may have": get(b"content-length: 100000000", line=ASKED),
    "absurd": get(b"content-length: 1000000000000000000", line=ASKED),
    "chunked": get(b"transfer-encoding: chunked", line=ASKED),
    "expecting": get(b"content-length: 5", b"expect: 100-continue", line=ASKED),
    "HTTP/1.0": get(b"content-length: 5", line=b"POST /auth HTTP/1.0"),
}
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n"


def forward_auth(handler=echo):
    return Wire(
        handler, shared=ServerState(handler, LIMITS, lambda path: path == "/auth")
    )


def missing():
    return metrics.PROXY_MISCONFIGURED.labels("body")._value.get()


@pytest.mark.parametrize("head", ANNOUNCED.values(), ids=ANNOUNCED)
async def test_the_answer_waits_for_no_body(head):
    """And it is the last: what comes next would be the body."""
    wire, before = forward_auth(), missing()
    with capture_logs() as logs:
        wire.send(head)
        answer = wire.answer
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert answer.body.endswith(b" /auth  ")
        assert wire.ended
        wire.close()
    assert missing() == before + 1
    (line,) = logs
    assert line["event"] == "proxy misconfigured"
    assert 'proxy_set_header Content-Length "";' in line["detail"]


@pytest.mark.parametrize("head", ANNOUNCED.values(), ids=ANNOUNCED)
@pytest.mark.parametrize("at_once", [True, False])
async def test_what_follows_is_never_a_request(head, at_once):
    asked = []

    def handler(request):
        asked.append(request.path)
        return echo(request)

    wire = forward_auth(handler)
    first = 4 if at_once else 0
    wire.send(head + SMUGGLED[:first])
    wire.send(SMUGGLED[first:] + SMUGGLED * 40)
    wire.close()
    assert set(asked) == {"/auth"}
    assert len(asked) == len(wire.answers()) == 1


async def test_what_follows_an_awaited_answer_is_no_request_either():
    asked, ready = [], asyncio.Event()

    async def slow(request):
        asked.append(request.path)
        await ready.wait()
        return Response(200, (), b"")

    wire = forward_auth(slow)
    wire.send(ANNOUNCED["length"])
    wire.send(SMUGGLED)
    ready.set()
    await eventually(lambda: wire.over, pause=0)
    assert (asked, wire.answer.status) == (["/auth"], 200)


async def test_a_body_that_comes_with_the_head_is_taken_as_ever():
    """Envoy sends one where it is told to; its connection is kept."""
    wire, before = forward_auth(), missing()
    asked = POST.replace(b"/p", b"/auth")
    wire.send(asked + asked)
    assert [answer.body[-5:] for answer in wire.answers()] == [b"hello"] * 2
    assert not wire.over
    wire.close()
    assert missing() == before


@pytest.mark.parametrize("follows", [b"hel", b"hello" * 99])
async def test_a_body_that_comes_late_is_not_missed(follows):
    """It is read for a while, so that the proxy gets its answer and no reset."""
    wire, before = forward_auth(), missing()
    wire.send(ANNOUNCED["more than any body may have"])
    wire.send(follows)
    assert wire.answer.status == 200
    wire.close()
    assert missing() == before


@pytest.mark.parametrize("asked", [POST, CHUNKED])
async def test_other_paths_wait_for_their_bodies(asked):
    wire = forward_auth()
    wire.send(asked[:-3])
    assert not wire.sent
    wire.send(asked[-3:])
    assert wire.answer.body.endswith(b"hello")
    wire = forward_auth()
    wire.send(get(b"content-length: 1025", line=b"POST /p HTTP/1.1"))
    assert wire.answer.status == 413
