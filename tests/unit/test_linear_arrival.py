"""Byte-by-byte input costs no more than one block; nor do many keys."""

import pytest

from revocation.entries import UnixMs
from revocation.http.messages import ServerLimits
from revocation.jwt import fetch
from revocation.jwt.key_source import KeySource, Pace
from revocation.jwt.keys import KeySet, read_key_set
from tests.unit.growth import LARGE, SMALL, is_linear
from tests.unit.tokens import NOW, issuer, jwk, key_set
from tests.unit.wire import GET, HEAD_OF_CHUNKED, Wire, echo

MAX = 1 << 20
LIMITS = ServerLimits(target_bytes=MAX, header_bytes=MAX, headers=MAX, body_bytes=MAX)
START = b"GET / HTTP/1.1\r\nhost: x\r\n"
CHUNKS = HEAD_OF_CHUNKED + b"\r\n"

STREAMS = {
    "a target": lambda size: b"GET /" + b"a" * size,
    "a header": lambda size: START + b"a: " + b"b" * size,
    "headers": lambda size: START + b"a: b\r\n" * (size // 6),
    "headers without an end": lambda size: START + b"a: b\r\n\r" * (size // 7),
    "returns": lambda size: START + b"\r" * size,
    "empty lines": lambda size: b"\r\n" * (size // 2),
    "empty lines and a request": lambda size: b"\r\n" * (size // 2) + GET,
    "requests": lambda size: GET * (size // len(GET)),
    "a body": lambda size: (
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % size + b"a" * size
    ),
    "a chunk": lambda size: CHUNKS + b"%x\r\n" % size + b"a" * size,
    "chunks": lambda size: CHUNKS + b"1\r\na\r\n" * (size // 6),
    "chunks with extensions": lambda size: CHUNKS + b"1;b=c\r\na\r\n" * (size // 10),
    "trailers": lambda size: CHUNKS + b"0\r\n" + b"a: b\r\n" * (size // 6),
}


class Searched(bytearray):
    """Counts the bytes that are looked at, or moved."""

    steps = 0

    def find(self, what, start=0, end=None):
        found = super().find(what, start, len(self) if end is None else end)
        self.steps += max(0, (len(self) if found < 0 else found) - start)
        return found

    def count(self, what, start=0):
        self.steps += len(self) - start
        return super().count(what, start)

    def __getitem__(self, key):
        got = super().__getitem__(key)
        self.steps += len(got) if isinstance(key, slice) else 1
        return got

    def __contains__(self, what):
        self.steps += len(self)
        return super().__contains__(what)


async def searched(data, step):
    wire = Wire(echo, LIMITS)
    wire.connection._buffer = buffer = Searched()
    wire.send(data, step=step)
    return buffer.steps


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("step", [1, 7])
async def test_each_byte_is_looked_at_a_few_times_only(name, step):
    """However much there is, and in however small pieces it comes."""
    costs = [
        await searched(STREAMS[name](size), step) / size
        for size in (2_048, 4_096, 8_192, 16_384)
    ]
    assert max(costs) <= 1.3 * costs[0] + 4


class Dripping:
    """An answer in pieces of one byte, and the client that gets it."""

    status_code = 200

    def __init__(self, size):
        self.headers = {}
        self._size = size

    async def send(self, request, *, stream):
        return self

    async def aiter_raw(self):
        for _ in range(self._size):
            yield b"a"

    async def aclose(self):
        """Nothing is open."""


def run(coroutine):
    """Run what waits for nobody."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits")


def test_an_answer_in_small_pieces_is_copied_once():
    def asking(size):
        return lambda: run(fetch._ask(Dripping(8 * size), None, MAX))

    assert len(asking(100)()) == 800
    assert is_linear(asking)


class Named:
    """A key as far as it is compared."""

    algorithm, names = "ES256", frozenset({"ES256"})

    def __init__(self, kid):
        self.kid = self.thumbprint = str(kid)
        self.usable_until = 0


@pytest.mark.parametrize("kept", [0, 1])
def test_adopting_keys_compares_each_with_few(kept):
    """Whether they stay or others come in their place."""

    def adopting(size):
        source = KeySource(issuer(), Pace(), lambda: UnixMs(NOW))
        one, other = (
            KeySet(tuple(Named(first + n) for n in range(size // 16)), {})
            for first in (0, 0 if kept else size)
        )

        def adopt():
            source._adopt(one)
            source._adopt(other)
            source.drop("nobody")

        return adopt

    assert is_linear(adopting)


@pytest.mark.parametrize("options", [{}, {"kid": "same"}, {"d": "AAAA"}, {"alg": "x"}])
def test_reading_a_set_takes_each_key_once(options):
    def reading(size):
        many = [jwk("ES256", **{"kid": str(n), **options}) for n in range(size // 256)]
        raw = key_set(*many)
        return lambda: read_key_set(raw, issuer())

    assert SMALL // 256 == 16
    assert LARGE // 256 == 128
    assert is_linear(reading)
