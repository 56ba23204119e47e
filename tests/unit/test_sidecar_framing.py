"""What the sidecar refuses, so that no other server reads it differently (RFC 9112)."""

import json

import pytest
from hypothesis import given, strategies as st

from revocation.http import framing
from revocation.http.framing import RequestHead, find_head, read_head
from revocation.http.messages import ServerLimits
from tests.unit.wire import CHUNKED, GET, HEAD_OF_CHUNKED, POST, Wire, echo, get

SMUGGLED = {
    "both framings": get(b"content-length: 5", b"transfer-encoding: chunked"),
    "both, turned": get(b"transfer-encoding: chunked", b"content-length: 5"),
    "two lengths": get(b"content-length: 5", b"content-length: 6"),
    "two equal lengths": get(b"content-length: 5", b"content-length: 5"),
    "a list of lengths": get(b"content-length: 5, 5"),
    "a signed length": get(b"content-length: +5"),
    "a negative length": get(b"content-length: -1"),
    "a length in hex": get(b"content-length: 0x5"),
    "no length": get(b"content-length:"),
    "a spaced length": get(b"content-length: 1 2"),
    "a length beyond numbers": get(b"content-length: 18446744073709551621"),
    "two codings": get(b"transfer-encoding: chunked", b"transfer-encoding: chunked"),
    "chunked twice": get(b"transfer-encoding: chunked, chunked"),
    "not chunked last": get(b"transfer-encoding: chunked, identity"),
    "chunked in 1.0": get(b"transfer-encoding: chunked", line=b"POST / HTTP/1.0"),
    "vertical tab": get(b"transfer-encoding: \x0bchunked"),
    "space before colon": get(b"transfer-encoding : chunked"),
    "a folded line": get(b"x: a", b" content-length: 5"),
    "folded by a tab": get(b"x: a", b"\ttransfer-encoding: chunked"),
    "a line that begins with space": b"GET / HTTP/1.1\r\n host: x\r\n\r\n",
    "bare LF": get(b"x: a\ncontent-length: 5"),
    "bare LF throughout": get().replace(b"\r\n", b"\n"),
    "bare LF at the end": b"GET / HTTP/1.1\r\nhost: x\n\r\n",
    "bare CR": get(b"x: a\rcontent-length: 5"),
    "NUL": get(b"x: a\0b"),
    "NUL in a name": get(b"x\0: a"),
    "DEL": get(b"x: a\x7f"),
    "control": get(b"x: a\x01"),
    "no name": get(b": a"),
    "no colon": get(b"x"),
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": get(b"host: y"),
    "two spaces": get(line=b"GET  / HTTP/1.1"),
    "a tab": get(line=b"GET\t/ HTTP/1.1"),
    "a space in the target": get(line=b"GET /a b HTTP/1.1"),
    "more than ASCII in the target": get(line=b"GET /\xff HTTP/1.1"),
    "a fragment": get(line=b"GET /a#b HTTP/1.1"),
    "no target": get(line=b"GET HTTP/1.1"),
    "a relative target": get(line=b"GET a HTTP/1.1"),
    "an asterisk": get(line=b"GET * HTTP/1.1"),
    "an authority": get(line=b"CONNECT y:443 HTTP/1.1"),
    "somebody at a host": get(line=b"GET http://a@y/ HTTP/1.1"),
    "chunked and upgrading": get(
        b"transfer-encoding: chunked", b"connection: upgrade", b"upgrade: x"
    ),
    "the beginning of TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "the beginning of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a SOCKS greeting": b"\x05\x01\x00",
    "a chunk without a size": HEAD_OF_CHUNKED + b"\r\n\r\n",
    "a chunk of 0x1": HEAD_OF_CHUNKED + b"\r\n0x1\r\na\r\n0\r\n\r\n",
    "a chunk of +1": HEAD_OF_CHUNKED + b"\r\n+1\r\na\r\n0\r\n\r\n",
    "a spaced chunk": HEAD_OF_CHUNKED + b"\r\n1 \r\na\r\n0\r\n\r\n",
    "a chunk that is longer": HEAD_OF_CHUNKED + b"\r\n1\r\nab\r\n0\r\n\r\n",
    "a chunk that ends with LF": HEAD_OF_CHUNKED + b"\r\n1\na\r\n0\r\n\r\n",
    "an extension with LF": HEAD_OF_CHUNKED + b"\r\n1;a\nb\r\na\r\n0\r\n\r\n",
    "data that ends with LF": HEAD_OF_CHUNKED + b"\r\n1\r\na\n0\r\n\r\n",
    "a chunk of 9 digits": HEAD_OF_CHUNKED + b"\r\n000000001\r\na\r\n0\r\n\r\n",
    "a long extension": HEAD_OF_CHUNKED + b"\r\n1;" + b"a" * 300 + b"\r\na\r\n",
    "a trailer that is none": HEAD_OF_CHUNKED + b"\r\n0\r\nx : y\r\n\r\n",
    "a folded trailer": HEAD_OF_CHUNKED + b"\r\n0\r\nx: y\r\n z\r\n\r\n",
    "endless trailers": HEAD_OF_CHUNKED + b"\r\n0\r\n" + b"x: y\r\n" * 700,
}


@pytest.mark.parametrize("name", SMUGGLED)
@pytest.mark.parametrize("step", [0, 1])
async def test_what_two_servers_could_read_differently_is_refused(name, step):
    """And nothing after it is looked at."""
    served = []
    wire = Wire(lambda request: served.append(request) or echo(request))
    wire.send(SMUGGLED[name] + GET, step=step)
    answer = wire.answer
    assert answer.status in (400, 413, 501, 505)
    assert answer.headers["connection"] == "close"
    assert (served, wire.over) == ([], True)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (get(line=b"FOO / HTTP/1.1"), 501),
        (get(line=b"get / HTTP/1.1"), 501),
        (get(b"transfer-encoding: gzip, chunked"), 501),
        (get(b"expect: 200-ok"), 417),
        (get(line=b"GET / HTTP/2.0"), 505),
        (b"GET /\r\n\r\n", 505),
    ],
)
async def test_what_is_not_known_here_is_refused(request_, status):
    wire = Wire(echo)
    wire.send(request_ + GET)
    assert (wire.answer.status, wire.over) == (status, True)


LIMITS = ServerLimits(target_bytes=20, header_bytes=400, headers=4, body_bytes=8)


@pytest.mark.parametrize("step", [0, 1])
@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (get(line=b"GET /" + b"a" * 19 + b" HTTP/1.1"), 200),
        (get(line=b"GET /" + b"a" * 20 + b" HTTP/1.1"), 414),
        (b"GET /" + b"a" * 400, 414),
        (get(b"a: b", b"c: d", b"e: f"), 200),
        (get(b"a: b", b"c: d", b"e: f", b"g: h"), 431),
        (get(b"x: " + b"a" * 368), 200),
        (get(b"x: " + b"a" * 369), 431),
        (b"GET / HTTP/1.1\r\nx: " + b"a" * 400, 431),
        (get(b"content-length: 8") + b"a" * 8, 200),
        (get(b"content-length: 9"), 413),
        (get(b"content-length: 99999999999999999999"), 400),
        (HEAD_OF_CHUNKED + b"\r\n4\r\nabcd\r\n4\r\nefgh\r\n0\r\n\r\n", 200),
        (HEAD_OF_CHUNKED + b"\r\n4\r\nabcd\r\n5\r\n", 413),
        (HEAD_OF_CHUNKED + b"\r\nffffffff\r\n", 413),
        (HEAD_OF_CHUNKED + b"\r\n" + b"0" * 8 + b"\r\n\r\n", 200),
    ],
)
async def test_limits_are_kept_to_the_byte(request_, status, step):
    wire = Wire(echo, LIMITS)
    wire.send(request_, step=step)
    assert wire.answer.status == status
    assert wire.over is (status != 200)
    assert wire.shared.refused == ({} if status == 200 else {status: 1})


def in_chunks(count, size, *trailers):
    pieces = b"%x\r\n%b\r\n" % (size, b"a" * size)
    ended = b"".join(b"%b\r\n" % each for each in (b"0", *trailers, b""))
    return HEAD_OF_CHUNKED + b"\r\n" + pieces * count + ended


@pytest.mark.parametrize("step", [0, 1])
@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (in_chunks(31, 1), 200),
        (in_chunks(32, 1), 413),
        (in_chunks(100, 512), 200),
        (in_chunks(100, 256), 413),
        (in_chunks(1, 1, *[b"a: b"] * 31), 200),
        (in_chunks(1, 1, *[b"a: b"] * 32), 400),
    ],
)
async def test_a_body_comes_in_few_chunks_or_in_large_ones(request_, status, step):
    """Each costs as much as a hundred bytes of others, however short it is."""
    wire = Wire(echo)
    wire.send(request_, step=step)
    assert wire.answer.status == status


async def test_too_many_header_lines_are_not_parsed(monkeypatch):
    made = []
    monkeypatch.setattr(framing, "HttpRequestParser", made.append)
    wire = Wire(echo)
    wire.send(get(*[b"a:"] * 100))
    assert (wire.answer.status, made) == (431, [])


async def test_a_refusal_is_a_problem_and_tells_nothing_of_the_request():
    """RFC 9457."""
    wire = Wire(echo)
    wire.send(get(b"authorization: zaphod", b"x: \0", line=b"GET /zaphod HTTP/1.1"))
    answer = wire.answer
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert json.loads(answer.body) == {
        "type": "about:blank",
        "title": "malformed_request",
        "status": 400,
        "detail": "This is not HTTP/1.1",
    }


# Laws ---------------------------------------------------------------------------------

LINES = st.lists(
    st.sampled_from(
        b"host: x|content-length: 3|transfer-encoding: chunked|a: b|expect: a"
        b"| fold|x:\0|content-length: 3\r|x|connection: close".split(b"|")
    )
    | st.binary(max_size=12),
    max_size=5,
)


@given(
    st.sampled_from([b"GET / HTTP/1.1", b"POST /a?b HTTP/1.0", b"PUT * HTTP/1.1"])
    | st.binary(max_size=20),
    LINES,
    st.binary(max_size=20),
)
def test_whatever_comes_a_head_is_read_or_refused(line, fields, rest):
    """It never raises, and what is served is framed in one way."""
    buffer = bytearray(b"\r\n".join([line, *fields, b"", b""]) + rest)
    end = find_head(buffer, ServerLimits())
    if not isinstance(end, int):
        return
    head = read_head(bytes(buffer[:end]), ServerLimits())
    if isinstance(head, RequestHead):
        names = [name for name, _ in head.headers]
        lengths = names.count(b"content-length")
        codings = names.count(b"transfer-encoding")
        assert lengths + codings <= 1
        assert (head.chunked is not None) == bool(codings)
        assert names.count(b"host") == 1 or head.old


@given(st.lists(st.binary(min_size=1, max_size=9), max_size=9), st.integers(1, 30))
def test_a_body_in_chunks_is_what_was_sent(parts, step):
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    stream = bytearray(HEAD_OF_CHUNKED + b"\r\n")
    head = read_head(bytes(stream), ServerLimits())
    assert isinstance(head, RequestHead)
    assert head.chunked is not None
    stream, buffer = chunks + b"0\r\n\r\n" + GET, bytearray()
    for first in range(0, len(stream), step):
        buffer += stream[first : first + step]
        assert head.chunked.take(buffer) is None
    assert head.chunked.complete
    assert head.chunked.body == b"".join(parts)
    assert buffer == GET


STREAMS = st.lists(
    st.sampled_from([GET, *SMUGGLED.values()])
    | st.sampled_from([GET, POST, CHUNKED]).flatmap(
        lambda whole: st.tuples(
            st.integers(0, len(whole)), st.binary(max_size=3), st.integers(0, 3)
        ).map(lambda cut: whole[: cut[0]] + cut[1] + whole[cut[0] + cut[2] :])
    ),
    max_size=4,
).map(b"".join)


@given(STREAMS, st.integers(1, 40))
async def test_how_a_stream_is_cut_into_pieces_decides_nothing(stream, step):
    """What is served is the same, and whatever comes is answered."""

    def read(step):
        wire = Wire(echo)
        wire.send(stream, step=step)
        wire.sent[:] = wire.sent.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")
        answers = wire.answers()
        served = [answer.body for answer in answers if answer.status == 200]
        refused = [answer for answer in answers if answer.status >= 400]
        assert len(served) + len(refused) == len(answers)
        assert len(refused) <= 1
        assert wire.over or not refused
        return served, bool(refused)

    assert read(0) == read(step)
