"""The cost of one check, compared with a service's own lookups in Redis.

Replica: `Verifier.check`, from the claims set to the verdict, freshness and metric
included; each claims set names a token, a session, a user and a client, and was parsed
a moment ago, as in a request. `new` tokens were never asked about; `recurring` ones
were, as in sessions of many requests.
Today: `EXISTS` of a jti with redis-py, and a pipeline of 4 `GET` (jti, sid, user and a
global cut-off) with redis.asyncio. Remote: 64 tasks that check through
`RemoteVerifier`, beside 64 tasks with redis.asyncio's pool and that pipeline. Nobody is
revoked: that is the usual case. Alternating rounds against one Valkey, on another core
where there is one; the median of the rounds' medians counts, as other work on a shared
machine slows some of them.

Seen on two shared cores: recurring tokens 3.4 to 3.6 us from 10,000 to 1,000,000
entries, new ones 6.0 to 8.4 us, the pipeline 220 us (62 and 26 to 36 times as long);
remote 8.4 to 10.5 us, the pool 88 to 102 us (9.7 to 10.4 times). A million entries
loaded in 8 to 11 s with pauses of at most 37 ms. Other work slows all by up to two.

    python benchmarks/check.py [--entries 1000000] [--rounds 5] [--seconds 0.5]
        [--quick]
"""

import asyncio
import os
import random
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any, Final

import orjson
import uvloop
from _figures import Figure, report
from _identity import IDENTITY
from _options import parse, parser
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from revocation.claims.claim_names import ClaimNames
from revocation.decision import Rules, StalenessPolicy
from revocation.entries import (
    Entry,
    Kind,
    Limits,
    Offset,
    Position,
    Target,
    UnixMs,
    Version,
)
from revocation.local import Valkey
from revocation.store.batching_reader import BatchingReader
from revocation.store.contract import Batch, Mark, StoreReader
from revocation.store.layout import Layout
from revocation.store.redis_feed import RedisFeed
from revocation.store.redis_store import RedisStore
from revocation.verifier import RemoteVerifier, Verifier
from revocation.verifier.base_verifier import VerifierParts

MIN_OF_PIPELINE = 50
MIN_OF_POOL = 10
MAX_GROWTH = 3
_FILL: Final = 10_000
TASKS: Final = 64
_EACH: Final = 10
_ISSUER: Final = "https://idp.example/"
_PEPPER: Final = b"p" * 64
_HOUR_MS: Final = 3_600_000
_RULES: Final = Rules(longest_token_ms=_HOUR_MS, names=ClaimNames(version="ver"))
_PATIENT: Final = StalenessPolicy(fresh_ms=_HOUR_MS, max_staleness_ms=_HOUR_MS)
_POLICIES: Final = {"read": _PATIENT}
"""The region gets no pulses here."""

Claims = dict[str, Any]
Make = Callable[[], list[Claims]]


def now_ms() -> UnixMs:
    """Return the time."""
    return UnixMs(time.time_ns() // 1_000_000)


def payload(number: int) -> bytes:
    """Return the claims set of a token that nobody revoked."""
    seconds = now_ms() // 1_000
    return orjson.dumps(
        {
            "iss": _ISSUER,
            "aud": "https://api.example/",
            "sub": f"user-of-nobody-{number}",
            "client_id": "web",
            "jti": str(uuid.uuid4()),
            "sid": str(uuid.uuid4()),
            "iat": seconds - 60,
            "exp": seconds + 1_800,
            "ver": 3,
        }
    )


RECURRING: Final = [payload(number) for number in range(256)]


def parsed(payloads: Iterable[bytes]) -> list[Claims]:
    """Return the claims sets, each just parsed."""
    return [orjson.loads(each) for each in payloads]


def new_tokens() -> list[Claims]:
    """Return claims sets that nobody has seen."""
    return parsed([payload(random.randrange(10**9)) for _ in range(64)])


def recurring_tokens() -> list[Claims]:
    """Return claims sets that were seen before."""
    return parsed(random.sample(RECURRING, 64))


_MAKES: Final = {"recurring": recurring_tokens, "new": new_tokens}


def entry(number: int, now: UnixMs) -> Entry:
    """Return an entry about a token, a session or a user, in turns."""
    source = Position(0, Offset(number), now)
    kind = (Kind.TOKEN, Kind.SESSION, Kind.USER)[number % 3]
    target = Target(kind, _ISSUER, f"{kind}-{number}")
    if kind is Kind.USER:
        return Entry(target, source, Version(1), now)
    until = UnixMs(now + random.randrange(_HOUR_MS // 2, _HOUR_MS))
    return Entry(target, source, expires_at=until)


async def fill(store: RedisStore, size: int) -> None:
    """Make a region with so many entries."""
    await store.check_suitable()
    await store.begin("epoch", IDENTITY)
    now = now_ms()
    for first in range(0, size, _FILL):
        after = min(first + _FILL, size)
        entries = [entry(number, now) for number in range(first, after)]
        at = Offset(after)
        mark = Mark(at, at, now_ms(), at, rebuilt=True)
        await store.apply("epoch", Batch(entries, {0: mark}, {}))


def paced(seconds: float, act: Callable[[], object]) -> float:
    """Return the microseconds of what `act` does, the median of many."""
    slices, end = [], time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        act()
        slices.append(time.perf_counter() - began)
    return median(slices) * 1e6


async def paced_async(
    seconds: float, act: Callable[[], Awaitable[object]], times: int = 1
) -> float:
    """Return the same of a coroutine function that does it so many times."""
    slices, end = [], time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        await act()
        slices.append(time.perf_counter() - began)
    return median(slices) / times * 1e6


def replica_us(seconds: float, verifier: Verifier, make: Make) -> float:
    """Return the microseconds of a check, of tokens that `make` returns."""
    slices, check = [], verifier.check
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        tokens = make()
        began = time.perf_counter()
        for claims in tokens:
            check(claims)
        slices.append((time.perf_counter() - began) / len(tokens))
    return median(slices) * 1e6


class Today:
    """What services do: a plain client, and keys by name."""

    def __init__(self, url: str) -> None:
        """Prepare."""
        self.plain = Redis.from_url(url)
        self.pool = AsyncRedis.from_url(url)
        self._claims = cycle(parsed(RECURRING))

    def exists(self) -> bool:
        """Ask for a jti alone."""
        return bool(self.plain.exists(f"revoked:{next(self._claims)['jti']}"))

    async def pipeline(self) -> bool:
        """Ask for all four."""
        claims = next(self._claims)
        pipeline = self.pool.pipeline(transaction=False)
        pipeline.get(f"jti:{claims['jti']}")
        pipeline.get(f"sid:{claims['sid']}")
        pipeline.get(f"user:{claims['sub']}")
        pipeline.get("cut-off")
        return any(await pipeline.execute())

    async def stop(self) -> None:
        """Disconnect."""
        self.plain.close()
        await self.pool.aclose()


async def together(act: Callable[[], Awaitable[object]]) -> None:
    """Let 64 tasks do it, each several times."""

    async def one() -> None:
        for _ in range(_EACH):
            await act()

    await asyncio.gather(*[one() for _ in range(TASKS)])


def parts(store: StoreReader) -> VerifierParts:
    """Return what a verifier is made of here."""
    return VerifierParts(store=store, rules=_RULES, policies=_POLICIES)


async def longest_pause(over: asyncio.Event) -> float:
    """Return for how many ms the event loop served nobody, at worst, until `over`."""
    worst = 0.0
    while not over.is_set():
        began = time.perf_counter()
        await asyncio.sleep(0.001)
        worst = max(worst, time.perf_counter() - began - 0.001)
    return worst * 1_000


async def replicas(
    url: str, sizes: Sequence[int]
) -> tuple[dict[int, Verifier], list[Figure]]:
    """Return a verifier over a region of each size, and what loading them took."""
    started, loading = {}, []
    for size in sizes:
        layout = Layout(f"s{size}", (_PEPPER,))
        store = RedisStore(url, layout, limits=Limits(_HOUR_MS, _HOUR_MS, 0))
        await fill(store, size)
        feed = RedisFeed(url, layout)
        verifier = Verifier(parts(store), feed, peppers=(_PEPPER,))
        over = asyncio.Event()
        pause = asyncio.create_task(longest_pause(over))
        began = time.perf_counter()
        await verifier.start()
        await verifier.wait_ready()
        took = time.perf_counter() - began
        over.set()
        started[size] = verifier
        loading += [
            Figure(f"load.{size}", round(took, 2), None, None, "s"),
            Figure(f"load.pause.{size}", round(await pause, 1), None, None, "ms"),
        ]
    return started, loading


class Measured:
    """Microseconds by name, a value for each round."""

    def __init__(self, url: str, verifiers: dict[int, Verifier]) -> None:
        """Prepare."""
        self._today = Today(url)
        self._claims = cycle(parsed(RECURRING))
        self._verifiers = verifiers
        layout = Layout(f"s{min(verifiers)}", (_PEPPER,))
        store = RedisStore(url, layout, limits=Limits(_HOUR_MS, _HOUR_MS, 0))
        self._remote = RemoteVerifier(parts(BatchingReader(store)))
        self.rounds: dict[str, list[float]] = {}

    async def measure(self, rounds: int, seconds: float) -> None:
        """Alternate."""
        await self._remote.start()
        for number in range(rounds):
            self._note("exists", paced(seconds, self._today.exists))
            pipeline = self._today.pipeline
            self._note("pipeline", await paced_async(seconds, pipeline))
            for size, verifier in self._verifiers.items():
                for name, make in _MAKES.items():
                    self._note(f"{name} {size}", replica_us(seconds, verifier, make))
            pool = partial(together, self._today.pipeline)
            remote = partial(together, self._check_remote)
            for name, act in (("pool", pool), ("remote", remote)):
                self._note(name, await paced_async(seconds, act, TASKS * _EACH))
            print(f"round {number + 1} of {rounds}")
        await self._remote.stop()
        await self._today.stop()

    async def _check_remote(self) -> object:
        return await self._remote.check_async(next(self._claims))

    def _note(self, name: str, microseconds: float) -> None:
        self.rounds.setdefault(name, []).append(microseconds)


def figures(sizes: Sequence[int], rounds: dict[str, list[float]]) -> list[Figure]:
    """Return the medians, each beside what it is to be compared with."""
    took = {name: round(median(each), 3) for name, each in rounds.items()}
    pipeline, exists, pool = took["pipeline"], took["exists"], took["pool"]
    most = pipeline / MIN_OF_PIPELINE
    small, middle, large = sizes
    made = [Figure("check.exists", took[f"recurring {middle}"], exists, None, "us")]
    for size in sizes:
        for which in ("recurring", "new"):
            ours = took[f"{which} {size}"]
            name = f"check.replica.{which}.{size}"
            made.append(Figure(name, ours, pipeline, most, "us"))
    for which in ("recurring", "new"):
        few, many = took[f"{which} {small}"], took[f"{which} {large}"]
        limit = few * MAX_GROWTH
        made.append(Figure(f"check.growth.{which}", many, few, limit, "us"))
    made.append(Figure("check.remote", took["remote"], pool, pool / MIN_OF_POOL, "us"))
    return made


async def run(url: str, entries: int, rounds: int, seconds: float) -> None:
    """Fill, alternate, report."""
    sizes = entries // 100, entries // 10, entries
    verifiers, loading = await replicas(url, sizes)
    measured = Measured(url, verifiers)
    await measured.measure(rounds, seconds)
    for verifier in verifiers.values():
        await verifier.stop()
    report("One check", [*loading, *figures(sizes, measured.rounds)])


def main() -> None:
    """Start a store on another core, measure, end it."""
    options = parser(__doc__)
    options.add_argument("--entries", type=int, default=1_000_000, help="at most")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=0.5)
    asked = parse(options, entries=10_000, rounds=1, seconds=0.05)
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as name:
        os.sched_setaffinity(0, cores[1:2] or cores)
        with Valkey(Path(name) / "valkey") as store:
            os.sched_setaffinity(0, cores[:1])
            uvloop.run(run(store.url, asked.entries, asked.rounds, asked.seconds))


if __name__ == "__main__":
    main()
