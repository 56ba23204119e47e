"""What the fuzzer of cost judges: tokens that nobody signed, and requests."""

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from revocation.http.framing import RequestHead, find_head, read_head
from revocation.http.messages import ServerLimits
from revocation.jwt.authenticator import Authenticated, Authenticator, Refusal
from tests.unit.tokens import (
    ISSUER,
    NOW,
    RULES,
    FixedKeys,
    encode,
    header_of,
    issuer,
    jwk,
    key_set,
    mint,
)

_TRUSTED = issuer("ES256", max_token_bytes=65_536)
_KEYS = FixedKeys(key_set(jwk("ES256")), _TRUSTED)
_JUDGE = Authenticator({ISSUER: _TRUSTED}, RULES, _KEYS, cache_size=0)
_LIMITS = ServerLimits()
_HEADER = encode(json.dumps(header_of()).encode())
_CHUNKED = b"POST /v1/check HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"


class Genome(NamedTuple):
    """Input of any size: what begins it, what is repeated in it, what ends it."""

    before: bytes
    repeated: bytes
    behind: bytes

    def made(self, size: int) -> bytes:
        """Return the input of about this size."""
        left = max(0, size - len(self.before) - len(self.behind))
        times = left // max(1, len(self.repeated))
        return self.before + self.repeated * times + self.behind

    def written(self) -> list[str]:
        """Return it as JSON has it."""
        return [each.decode("latin-1") for each in self]

    @classmethod
    def read(cls, parts: list[str]) -> "Genome":
        """Return what `written` made."""
        return cls(*(each.encode("latin-1") for each in parts))


class Target(NamedTuple):
    """What is judged: how, in which sizes, what is usual, and where to begin.

    `wrap` makes the input of a size of what a genome makes.
    """

    judge: Callable[[bytes], object]
    wrap: Callable[[Genome, int], bytes]
    sizes: tuple[int, ...]
    ordinary: Callable[[int], Iterator[bytes]]
    starts: tuple[Genome, ...]


def as_payload(genome: Genome, size: int) -> bytes:
    """A token with the payload, that nobody signed."""
    payload = encode(genome.made(_payload_of(size)))
    return f"{_HEADER}.{payload}.{'A' * 86}".encode()


def _payload_of(size: int) -> int:
    return (size - len(_HEADER) - 88) * 3 // 4


def in_chunks(genome: Genome, size: int) -> bytes:
    """A request with such a body."""
    return _CHUNKED + genome.made(size - len(_CHUNKED))


def judge_token(token: bytes) -> Authenticated | Refusal:
    """A token as it came."""
    return _JUDGE.authenticate(token.decode("latin-1"), NOW)


def judge_request(data: bytes) -> object:
    """One request: its head and its body; what comes after it is another's."""
    buffer = bytearray(data)
    end = find_head(buffer, _LIMITS)
    if not isinstance(end, int):
        return end
    raw = bytes(buffer[:end])
    del buffer[:end]
    head = read_head(raw, _LIMITS)
    if isinstance(head, RequestHead) and head.chunked is not None:
        return head.chunked.take(buffer) or head.chunked.body
    return bytes(buffer[: head.length]) if isinstance(head, RequestHead) else head


def _genuine(size: int) -> Iterator[bytes]:
    """Tokens that count: what issuers put into long ones."""
    left = max(30, _payload_of(size) - 200)
    groups = [f"cn=team-{n:04},ou=engineering,dc=example" for n in range(left // 46)]
    roles = {f"service-{n}": {"roles": ["reader", "writer"]} for n in range(left // 52)}
    numbers = [n + 10_000 for n in range(left // 7)]
    words = " ".join(f"service:{n}:read" for n in range(left // 19))
    more: list[dict[str, Any]] = [
        {"groups": groups},
        {"resource_access": roles},
        {"ids": numbers},
        {"scope": words},
        {"pad": "x" * left},
    ]
    for claims in more:
        token = mint("ES256", **claims)
        assert isinstance(_JUDGE.authenticate(token, NOW), Authenticated)
        yield token.encode()


def _requests(size: int) -> Iterator[bytes]:
    """What proxies ask, with cookies or a token, and checks."""
    asked = (
        b"GET /v1/authz/nginx HTTP/1.1\r\nhost: api.example\r\n"
        b"x-original-method: GET\r\nx-original-uri: /datasets/42?page=2\r\n"
        b"accept: application/json\r\n"
        b"user-agent: Mozilla/5.0 (X11; Linux x86_64)\r\naccept-language: en\r\n"
    )
    left = max(1, size - len(asked) - 40)
    yield asked + b"authorization: Bearer " + b"a" * left + b"\r\n\r\n"
    cookies = b"; ".join(b"cookie-%d=%s" % (n, b"c" * 40) for n in range(left // 54))
    yield asked + b"cookie: " + cookies + b"\r\n\r\n"
    fields = b"".join(
        b"x-forwarded-%d: %s\r\n" % (n, b"v" * max(1, left // 30)) for n in range(20)
    )
    yield asked + fields + b"\r\n"
    body = b'{"token": "' + b"a" * left + b'"}'
    head = b"POST /v1/check HTTP/1.1\r\nhost: api.example\r\ncontent-type: a/b\r\n"
    yield head + b"content-length: %d\r\n\r\n" % len(body) + body


def _bodies(size: int) -> Iterator[bytes]:
    """Bodies in chunks of the buffers that clients have, the smallest of them."""
    for chunk in (512, 1_024, 2_048, 4_096):
        data = b"a" * min(chunk, size)
        pieces = b"%x\r\n%s\r\n" % (len(data), data)
        yield _CHUNKED + pieces * max(1, size // len(pieces)) + b"0\r\n\r\n"


_IN_JSON = tuple(
    Genome(before, piece, behind)
    for before, behind in ((b"[", b"0]"), (b'{"a":[', b"0]}"), (b"", b""))
    for piece in (b"1,", b"{},", b'{"":0},', b"[],", b'"",', b"1e9,", b"-9e-9,")
)
_IN_HEADS = tuple(
    Genome(b"GET / HTTP/1.1\r\nhost: x\r\n", piece, b"\r\n\r\n")
    for piece in (b"a:\r\n", b"a: b\r\n", b"connection: a\r\n", b"a")
)
_IN_CHUNKS = (
    Genome(b"", b"1\r\na\r\n", b"0\r\n\r\n"),
    Genome(b"", b"80\r\n" + b"a" * 128 + b"\r\n", b"0\r\n\r\n"),
    Genome(b"0\r\n", b"a:\r\n", b"\r\n"),
)
_TOKENS, _REQUESTS = (512, 4_096, 16_384, 60_000), (512, 4_096, 32_000)
TARGETS = {
    "payload": Target(judge_token, as_payload, _TOKENS, _genuine, _IN_JSON),
    "token": Target(
        judge_token, Genome.made, _TOKENS, _genuine, (Genome(b"", b"a.", b""),)
    ),
    "request": Target(judge_request, Genome.made, _REQUESTS, _requests, _IN_HEADS),
    "chunks": Target(
        judge_request, in_chunks, (1_024, 8_192, 60_000), _bodies, _IN_CHUNKS
    ),
}
