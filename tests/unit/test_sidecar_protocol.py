"""HTTP/1.1 as the sidecar speaks it (RFC 9110, RFC 9112), without a socket."""

import asyncio
import json

import pytest
from structlog.testing import capture_logs

from revocation.http.messages import Request, Response, ServerLimits, encode, problem
from revocation.http.server_state import ServerState
from tests.installation import eventually
from tests.unit.wire import CHUNKED, GET, POST, Wire, echo, get

# What is served -----------------------------------------------------------------------


@pytest.mark.parametrize("step", [0, 1, 7])
async def test_requests_are_answered_in_their_order_however_they_arrive(step):
    wire = Wire(echo)
    wire.send(GET + POST + b"\r\n" + CHUNKED + GET, step=step)
    bodies = [answer.body for answer in wire.answers()]
    post = b"POST /p  hello"
    assert bodies == [b"GET /a b=c ", post, post, b"GET /a b=c "]
    assert not wire.over


async def test_a_handler_receives_all_of_a_request_but_its_trailers():
    asked = []

    def handler(request):
        asked.append(request)
        return Response(204, (), b"")

    Wire(handler).send(
        CHUNKED.replace(b"host: x", b"Host:  x \t\r\nX-Two: a\r\nx-two:")
    )
    assert asked == [
        Request(
            "POST",
            "/p",
            "",
            [
                (b"host", b"x"),
                (b"x-two", b"a"),
                (b"x-two", b""),
                (b"transfer-encoding", b"chunked"),
            ],
            b"hello",
            "192.0.2.1:4711",
        )
    ]


async def test_paths_are_passed_on_as_they_are():
    """What they mean is for whoever protects them."""
    path = b"//a/%2e%2E/..;x=1/%00%c3%28"
    wire = Wire(echo)
    wire.send(b"GET " + path + b"?q?%0a HTTP/1.1\r\nhost: x\r\n\r\n")
    assert wire.answer.body == b"GET " + path + b" q?%0a "


@pytest.mark.parametrize(
    ("target", "told"),
    [
        (b"http://y:8/a?b", b"y:8 /a b"),
        (b"HTTPS://y", b"y / "),
        (b"http://y?b", b"y / b"),
    ],
)
async def test_the_host_of_an_absolute_target_counts(target, told):
    """RFC 9112 section 3.2.2."""

    def handler(request):
        host = dict(request.headers)[b"host"].decode()
        return Response(200, (), f"{host} {request.path} {request.query}".encode())

    wire = Wire(handler)
    wire.send(get(line=b"GET " + target + b" HTTP/1.1"))
    assert wire.answer.body == told


async def test_the_answer_to_head_has_no_body_and_its_length():
    wire = Wire(echo)
    wire.send(GET.replace(b"GET", b"HEAD") * 2)
    first, second = wire.answers(head=True)
    assert first == second
    assert (first.status, first.headers["content-length"]) == (200, "12")


@pytest.mark.parametrize(
    ("request_", "connection", "over"),
    [
        (get(), None, False),
        (get(b"connection: close"), "close", True),
        (get(b"connection: a", b"Connection: b ,\tClose"), "close", True),
        (get(line=b"GET / HTTP/1.0"), "close", True),
        (get(b"Connection: Keep-Alive", line=b"GET / HTTP/1.0"), "keep-alive", False),
        (get(b"connection: upgrade", b"upgrade: websocket"), None, False),
    ],
)
async def test_a_connection_is_kept_as_both_sides_want(request_, connection, over):
    wire = Wire(echo)
    wire.send(request_)
    assert wire.answer.headers.get("connection") == connection
    assert wire.over is over


async def test_what_follows_the_last_request_is_not_looked_at():
    wire = Wire(echo)
    wire.send(get(b"connection: close") + GET)
    wire.send(GET)
    assert wire.answer.status == 200


@pytest.mark.parametrize(
    "framing", [b"content-length: 5", b"transfer-encoding: chunked"]
)
async def test_a_waiting_client_receives_100_continue(framing):
    """RFC 9110 section 10.1.1."""
    wire = Wire(echo)
    wire.send(get(framing, b"expect: 100-Continue", line=b"POST / HTTP/1.1"))
    assert wire.sent == b"HTTP/1.1 100 Continue\r\n\r\n"
    wire.sent.clear()
    wire.send(b"hello" if b"5" in framing else b"5\r\nhello\r\n0\r\n\r\n")
    assert wire.answer.body == b"POST /  hello"


async def test_a_body_that_is_too_large_is_refused_before_it_is_sent():
    wire = Wire(echo, ServerLimits(body_bytes=4))
    wire.send(get(b"content-length: 5", b"expect: 100-continue"))
    assert (wire.answer.status, wire.over) == (413, True)


# Handlers -----------------------------------------------------------------------------


async def test_what_is_known_at_once_is_answered_without_a_task():
    before = asyncio.all_tasks()
    wire = Wire(echo)
    wire.connection.data_received(GET)
    assert wire.answer.status == 200
    assert asyncio.all_tasks() == before


async def test_what_must_be_awaited_is_answered_in_order():
    first = asyncio.get_running_loop().create_future()

    def handler(request):
        return first if request.path == "/a" else echo(request)

    wire = Wire(handler)
    wire.send(GET + POST + POST)
    assert not wire.sent
    first.set_result(Response(200, (), b"late"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [answer.body for answer in wire.answers()] == [
        b"late",
        b"POST /p  hello",
        b"POST /p  hello",
    ]


def _raises(_):
    raise ValueError("zaphod")


async def _raises_late(_):
    raise ValueError("zaphod")


async def _is_cancelled(_):
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    "handler",
    [
        _raises,
        _raises_late,
        _is_cancelled,
        lambda _: None,
        lambda _: Response(99, (), b""),
        lambda _: Response(200, (("x", "a\r\nset-cookie: b"),), b""),
        lambda _: Response(200, (("x", "a\nb"),), b""),
        lambda _: Response(200, (("x", "a\0"),), b""),
        lambda _: Response(200, (("x", "zaphod \u20ac"),), b""),
        lambda _: Response(200, (("x", "a"),), "zaphod"),
    ],
)
async def test_a_handler_that_fails_ends_no_connection(handler):
    """Neither the client nor the log learns what was in the request."""
    failing = [True]

    def first_fails(request):
        return handler(request) if failing else echo(request)

    wire = Wire(first_fails)
    with capture_logs() as logs:
        wire.send(GET)
        for _ in range(3):
            await asyncio.sleep(0)
    failing.clear()
    wire.send(GET)
    failed, served = wire.answers()
    assert (failed.status, served.status) == (500, 200)
    assert json.loads(failed.body)["title"] == "internal_error"
    (line,) = logs
    assert line["event"] == "handler failed"
    assert line["error"]
    assert "zaphod" not in str(logs) + str(failed)


async def test_a_client_that_goes_away_is_not_answered():
    over = asyncio.Event()

    async def handler(_):
        try:
            await asyncio.Event().wait()
        finally:
            over.set()

    wire = Wire(handler)
    wire.send(GET)
    await asyncio.sleep(0)
    wire.close()
    await over.wait()
    assert not wire.sent


async def test_a_half_closed_client_gets_its_response():
    answer = asyncio.get_running_loop().create_future()
    wire = Wire(lambda _: answer)
    wire.send(GET)
    wire.end()
    assert not wire.closed
    answer.set_result(Response(200, (), b""))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert wire.answer.status == 200
    assert wire.closed


@pytest.mark.parametrize("request_", [b"", GET[:9], POST[:-1], GET])
async def test_a_client_that_closes_its_side_and_waits_for_nothing_is_let_go(request_):
    wire = Wire(echo)
    wire.send(request_)
    wire.end()
    assert wire.closed


# Back-pressure ------------------------------------------------------------------------


async def test_a_client_that_does_not_read_is_neither_served_nor_read_from():
    wire = Wire(echo)
    wire.connection.pause_writing()
    wire.send(GET * 3_000)
    assert not wire.sent
    assert wire.reading_paused
    wire.connection.resume_writing()
    await eventually(lambda: not wire.reading_paused, pause=0)
    assert len(wire.answers()) == 3_000


async def test_a_client_that_asks_for_much_at_once_leaves_others_their_turn():
    shared = ServerState(echo, ServerLimits())
    greedy, other = Wire(echo, shared=shared), Wire(echo, shared=shared)
    greedy.send(GET * 100)
    other.send(GET)
    assert len(greedy.answers()) < 100
    assert other.answer.status == 200
    for _ in range(4):
        await asyncio.sleep(0)
    assert len(greedy.answers()) == 100


async def test_an_excess_connection_is_refused_with_a_response():
    shared = ServerState(echo, ServerLimits(connections=1))
    first, second = Wire(echo, shared=shared), Wire(echo, shared=shared)
    answer = second.answer
    assert (answer.status, answer.headers["connection"]) == (503, "close")
    assert answer.headers["retry-after"] == "1"
    first.close()
    second.close()
    third = Wire(echo, shared=shared)
    third.send(GET)
    assert third.answer.status == 200


async def test_a_flood_of_connections_is_cut_off_unanswered():
    shared = ServerState(echo, ServerLimits(connections=1))
    wires = [Wire(echo, shared=shared) for _ in range(300)]
    assert wires[-1].aborted
    assert len(shared.connections) < 300


# Values -------------------------------------------------------------------------------


def test_a_request_that_is_printed_shows_nothing_of_anybody():
    headers = [(b"authorization", b"zaphod")]
    request = Request("GET", "/zaphod", "zaphod", headers, b"zaphod", "zaphod")
    assert "zaphod" not in f"{request} {request!r}"


def test_the_framing_of_an_answer_is_the_servers():
    headers = (("Content-Length", "7"), ("Connection", "close"), ("x-a", "b"))
    sent = encode(Response(200, headers, b"abc"), connection=None, headless=False)
    line, date, *rest = sent.split(b"\r\n")
    assert line == b"HTTP/1.1 200 OK"
    assert date.startswith(b"date: ")
    assert date.endswith(b" GMT")
    assert rest == [b"x-a: b", b"content-length: 3", b"", b"abc"]


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_that_may_have_no_body_has_none(status):
    sent = encode(Response(status, (), b"abc"), connection=None, headless=False)
    assert sent.endswith(b"\r\n\r\n")
    assert b"content-length" not in sent


def test_a_problem_may_have_headers():
    answer = problem(401, "invalid_token", "no", ("www-authenticate", "Bearer"))
    assert answer.headers[-1] == ("www-authenticate", "Bearer")
