"""Searches for input whose bytes cost more than a customer's; pytest does so briefly.

    python -m tests.fuzz.fuzz_cost --minutes 10

What is judged: tokens that nobody signed, and requests to the sidecar, whole or in
chunks. Cost is the CPU time of the thread, by byte, in relation to the median of
ordinary input of the same size: what a customer sends. Worst and median are printed for
each size. The worst that were found are kept in `seeds-cost/`, where the next search
begins; and in tests they are judged again, by the calls that Python makes: these are
the same on every machine.
"""

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from revocation.jwt.authenticator import Authenticated, Authenticator, Refusal
from revocation.sidecar.framing import Head, find_head, read_head
from revocation.sidecar.messages import Limits
from tests.unit.growth import PIECES
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

SEEDS = Path(__file__).parent / "seeds-cost"
MOST_RATIO = 5.0
"""An adversary's byte may cost so many times a customer's."""
_POOL = 24
_LONGEST = 160

_TRUSTED = issuer("ES256", max_token_bytes=65_536)
_KEYS = FixedKeys(key_set(jwk("ES256")), _TRUSTED)
_JUDGE = Authenticator({ISSUER: _TRUSTED}, RULES, _KEYS, cache_size=0)
_LIMITS = Limits()
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


class Found(NamedTuple):
    """The worst of a target and size."""

    target: str
    size: int
    worst: float
    median: float
    genome: Genome

    @property
    def ratio(self) -> float:
        """How many times the usual."""
        return self.worst / self.median


# Targets ------------------------------------------------------------------------------


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
    if isinstance(head, Head) and head.chunked is not None:
        return head.chunked.take(buffer) or head.chunked.body
    return bytes(buffer[: head.length]) if isinstance(head, Head) else head


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
    for chunk in (256, 512, 1_024, 4_096):
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


# Measures -----------------------------------------------------------------------------


def seconds(judge: Callable[[bytes], object], data: bytes, *, times: int = 2) -> float:
    """The CPU time of this thread, the least of several."""
    best = float("inf")
    for _ in range(times):
        began = time.thread_time()
        judge(data)
        best = min(best, time.thread_time() - began)
    return best


def calls(judge: Callable[[bytes], object], data: bytes, **_: int) -> float:
    """The calls of Python and C: the same each time."""
    count = 0

    def note(*_: object) -> None:
        nonlocal count
        count += 1

    judge(data)  # what is remembered is remembered
    before = sys.getprofile()
    sys.setprofile(note)
    try:
        judge(data)
    finally:
        sys.setprofile(before)
    return float(count)


Measure = Callable[..., float]


class Search:
    """Looks for the worst of one target and size."""

    def __init__(self, name: str, size: int, measure: Measure, rng: random.Random):
        self._name, self._size = name, size
        self._target, self._measure, self._rng = TARGETS[name], measure, rng
        self.median = statistics.median(
            measure(self._target.judge, data, times=9) / len(data)
            for data in self._target.ordinary(size)
        )
        starts = [*self._target.starts, *read_seeds(name)]
        self._pool = sorted(((self._cost(each), each) for each in starts), reverse=True)

    @property
    def found(self) -> Found:
        """The worst so far."""
        worst, genome = self._pool[0]
        return Found(self._name, self._size, worst, self.median, genome)

    def step(self) -> None:
        """Try one more."""
        genome = self._mutated()
        cost = self._cost(genome)
        if cost > self._pool[-1][0] or len(self._pool) < _POOL:
            # Noise only adds: what is to stay is measured again.
            cost = min(cost, self._cost(genome, times=5))
            kept = {each: value for value, each in self._pool}
            kept[genome] = min(cost, kept.get(genome, cost))
            self._pool = sorted(
                ((value, each) for each, value in kept.items()), reverse=True
            )[:_POOL]

    def settle(self) -> None:
        """Measure all that was kept once more."""
        costs = [(self._cost(each, times=9), each) for _, each in self._pool]
        self._pool = sorted(costs, reverse=True)

    def _cost(self, genome: Genome, **options: int) -> float:
        data = self._target.wrap(genome, self._size)
        if len(data) < self._size // 2:
            return 0.0
        return self._measure(self._target.judge, data, **options) / len(data)

    def _mutated(self) -> Genome:
        rng = self._rng
        parts = list(rng.choice(self._pool)[1])
        for _ in range(rng.randint(1, 3)):
            which = rng.choice((0, 1, 1, 1, 2))
            parts[which] = self._changed(parts[which])[:_LONGEST]
        return Genome(parts[0], parts[1] or b"a", parts[2])

    def _changed(self, part: bytes) -> bytes:
        rng = self._rng
        at, to = sorted(rng.randint(0, len(part)) for _ in range(2))
        other = rng.choice(rng.choice(self._pool)[1])
        new = rng.choice(
            (
                *(rng.choice(PIECES), rng.choice(PIECES) * 2, b"", other),
                *(bytes([rng.randrange(256)]), part[at:to] * 2),
            )
        )
        return part[:at] + new + part[rng.choice((at, to)) :]


def read_seeds(name: str) -> list[Genome]:
    """What was kept of a target."""
    path = SEEDS / f"{name}.json"
    return [Genome.read(each) for each in json.loads(path.read_text())]


def keep(found: list[Found]) -> None:
    """Begin there the next time."""
    for name in TARGETS:
        worst = [each.genome.written() for each in found if each.target == name]
        unique = [each for at, each in enumerate(worst) if each not in worst[:at]]
        (SEEDS / f"{name}.json").write_text(json.dumps(unique, indent=1) + "\n")


def search(
    measure: Measure, rng: random.Random, goes_on: Callable[[int], bool]
) -> list[Found]:
    """Search all targets and sizes by turns; `goes_on` is asked before each turn."""
    searches = [
        Search(name, size, measure, rng)
        for name, target in TARGETS.items()
        for size in target.sizes
    ]
    turn = 0
    while goes_on(turn):
        for each in searches:
            each.step()
        turn += 1
    for each in searches:
        each.settle()
    return [each.found for each in searches]


def main() -> None:
    """Search for some minutes, print and keep the worst."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--minutes", type=float, default=10.0)
    options.add_argument("--seed", type=int, default=None)
    given = options.parse_args()
    until = time.monotonic() + 60 * given.minutes
    rng = random.Random(given.seed)
    found = search(seconds, rng, lambda _: time.monotonic() < until)
    for each in found:
        print(  # noqa: T201 - for who searches
            f"{each.target:8} {each.size:6} B  worst {each.worst * 1e9:7.1f} ns/B  "
            f"median {each.median * 1e9:7.1f} ns/B  {each.ratio:4.1f}  {each.genome}"
        )
    keep(found)
    worst = max(each.ratio for each in found)
    print(f"worst: {worst:.1f} times the median, of {MOST_RATIO}")  # noqa: T201
    sys.exit(worst > MOST_RATIO)


if __name__ == "__main__":
    main()
