"""What a question to the sidecar costs, beside "aiohttp + redis.asyncio GET".

Ours: `POST /v1/check` with a token, and forward-auth as Traefik asks it. The whole
question: HTTP, the ES256 token verified (its signature by the cache, as in sessions of
many requests), rules, 100,000 entries that came through a real Valkey and the feed, the
answer. `aiohttp`: the `jti` is taken from the token, which nobody verifies, and one
`GET` of redis.asyncio decides; `aiohttp-jwt` verifies the token with PyJWT first. All
serve with uvloop in one process on one core; the load generator, with 1 or 32
connections, and the store are on another. Alternating rounds; the median counts. `cpu`
is the server's time for one question, the kernel's for it included: what a core can
bear, and what others on the machine disturb least.

    python benchmarks/sidecar.py [--rounds 3] [--seconds 3] [--entries 100000]
        [--generator wrk] [--tried] [--quick]

The generator is wrk where it is installed (`apt-get install wrk`), and else `_ask.py`,
which may reach its own limit before ours does; `cpu` is sound with either. `--tried`
also asks the servers that were tried, as far as they are installed (granian is no
dependency), each with the same handler.

Measured at 32 in flight on two cores of an AMD EPYC with little beside it (load 1 to
2), Python 3.11, uvloop 0.23, aiohttp 3.14, PyJWT 2.15, uvicorn 0.54, granian 2.8;
medians of three rounds of two seconds with wrk:

                      check: 1/s   p99 ms  cpu us   authz: 1/s   p99 ms  cpu us
    ours                  23,490      3.9      41       21,324      5.6      39
    granian, RSGI         13,305      5.3      73       17,870      4.7      55
    granian, ASGI         10,082      6.5      88       15,677      5.5      63
    uvicorn, bare ASGI    13,542      6.2      72       13,911      5.3      71
    uvicorn, Starlette     7,587     10.1     119        9,239      7.0     107
    aiohttp                7,399     14.0     132        7,028      8.5     136
    aiohttp-jwt            3,097     24.4     316        3,333     15.0     297

Ours beside aiohttp's alone, rounds of three seconds, an hour apart:

    check: 24,682/s, p99 2.7 ms (aiohttp 7,447, 7.4); 23,603/s, 3.3 ms (6,950, 8.2)
    authz: 26,432/s, p99 3.2 ms (aiohttp 8,588, 6.6); 23,083/s, 3.3 ms (9,527, 6.1)

So the bar, 4 times aiohttp's rate and a p99 of 3 ms, is missed: 3.2 to 3.4 times at
`check`, 2.4 to 3.1 at `authz`, with the p99 at its edge when it is quiet. aiohttp
believes any token there; if it verifies them as ours does, ours is 7 times as fast.

What it takes, alone in a process and in us: reading the request and writing the answer
8, the handler 9 (`check`) and 12 (`authz`, whose path names a resource). The kernel
takes 7. Until answers to what arrived together left together (`write_batcher.py`), ours
took 63 and 88 us and was 2.6 and 1.4 times as fast as aiohttp: each answer woke wrk on
the other core, and each request found the caches cold.

The server is our own for what it refuses and how it ends, too, which can be read and
tested here: framing that two parsers agree on, limits to the byte, unix sockets with a
mode, certificates that are read again. granian was not tried for those.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import orjson
import uvloop
from _cores import ALL_CORES, on_cores
from _figures import Figure, report
from _load import OWN, Load, available
from _options import parse, parser
from _sidecars import AUDIENCE, ISSUER, JWKS, PREFIX, SERVERS
from check import _HOUR_MS, _PEPPER, fill
from joserfc import jwt
from joserfc.jwk import ECKey

from revocation.entries import Kind, Limits as Lifetimes
from revocation.local import Valkey
from revocation.store.layout import Layout
from revocation.store.redis_store import RedisStore

MIN_OF_AIOHTTP: Final = 4
MAX_P99_MS: Final = 3.0
TOKENS: Final = 256
_HERE: Final = Path(__file__).parent
_QUESTIONS: Final = ("check", "authz")
_IN_FLIGHT: Final = (1, 32)
_ALWAYS: Final = ("ours", "aiohttp", "aiohttp-jwt")
_NEEDS: Final = {"uvicorn": "uvicorn", "granian": "granian", "aiohttp": "aiohttp"}


class Took(NamedTuple):
    """Questions a second and ms, by the generator; the server's us of CPU for each."""

    rate: float
    p50: float
    p99: float
    cpu: float


class Running(NamedTuple):
    """A server's process."""

    port: int
    pid: int

    def cpu_seconds(self) -> float:
        """Return what it took so far, all threads, the kernel for it included."""
        stat = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


def sign(key: ECKey, sid: str, number: int) -> str:
    """Return an access token of a session."""
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": f"user-of-nobody-{number}",
        "client_id": "web",
        "jti": f"4f1e6d0c-{number:08}-8f42-65a12843ea02",
        "sid": sid,
        "scope": "openid profile",
        "iat": now - 60,
        "exp": now + 1_800,
    }
    header = {"alg": "ES256", "typ": "at+jwt", "kid": "key-1"}
    return jwt.encode(header, claims, key, algorithms=["ES256"])


def write_tokens(folder: Path) -> tuple[Path, str]:
    """Write the issuer's key and tokens; return the tokens' file and a revoked one."""
    key = ECKey.generate_key("P-256", {"kid": "key-1", "alg": "ES256", "use": "sig"})
    jwks = {"keys": [key.as_dict(private=False)]}
    (folder / JWKS).write_bytes(orjson.dumps(jwks))
    file = folder / "tokens"
    tokens = [sign(key, f"session-of-nobody-{each}", each) for each in range(TOKENS)]
    file.write_text("\n".join(tokens) + "\n")
    # The fill's entry number 1 is about a session.
    return file, sign(key, f"{Kind.SESSION}-1", TOKENS)


@contextlib.contextmanager
def serving(name: str, folder: Path, url: str) -> Iterator[Running]:
    """Run a server on this process' core."""
    command = [sys.executable, str(_HERE / "_sidecars.py"), name, str(folder), url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Running(int(process.stdout.readline()), process.pid)
        finally:
            process.kill()


def status(port: int, token: str) -> int:
    """Return the status of forward-auth."""
    headers = {
        "authorization": f"Bearer {token}",
        "x-forwarded-method": "GET",
        "x-forwarded-uri": "/datasets/42",
        "x-forwarded-host": "api.example",
        "x-forwarded-proto": "https",
    }
    url = f"http://127.0.0.1:{port}/v1/authz/traefik"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as it:
            return int(it.status)
    except urllib.error.HTTPError as error:
        return error.code


def ask(load: Load, server: Running, question: str, in_flight: int) -> Took:
    """Ask a server from another core."""
    before = server.cpu_seconds()
    with on_cores(ALL_CORES[1:] or ALL_CORES):
        answers = load.ask(server.port, question, in_flight)
    cpu = server.cpu_seconds() - before
    return Took(
        rate=round(answers.rate),
        p50=round(answers.p50, 3),
        p99=round(answers.p99, 3),
        cpu=round(cpu / answers.requests * 1e6, 1),
    )


Key = tuple[str, str, int]


def measure(servers: dict[str, Running], load: Load, rounds: int) -> dict[Key, Took]:
    """Alternate between the servers; return the medians."""
    found: dict[Key, list[Took]] = {}
    for number in range(rounds):
        for question in _QUESTIONS:
            for in_flight in _IN_FLIGHT:
                for name, server in servers.items():
                    took = ask(load, server, question, in_flight)
                    found.setdefault((name, question, in_flight), []).append(took)
        print(f"round {number + 1} of {rounds}")
    return {
        key: Took(*(median(each) for each in zip(*all_, strict=True)))
        for key, all_ in found.items()
    }


def figures(took: dict[Key, Took]) -> list[Figure]:
    """Return ours beside aiohttp's, then the others' beside ours."""
    made = []
    for name in dict.fromkeys(each[0] for each in took):
        for question in _QUESTIONS:
            for in_flight in _IN_FLIGHT:
                it = took[name, question, in_flight]
                beside = "aiohttp" if name == "ours" else "ours"
                other = took[beside, question, in_flight]
                limits = Limits()
                if name == "ours" and in_flight > 1:
                    limits = Limits(other.rate * MIN_OF_AIOHTTP, MAX_P99_MS)
                place = f"sidecar.{name}.{question}.{in_flight}"
                made += [
                    Figure(f"{place}.rate", it.rate, other.rate, limits.rate, "1/s"),
                    Figure(f"{place}.p50", it.p50, other.p50, None, "ms"),
                    Figure(f"{place}.p99", it.p99, other.p99, limits.p99, "ms"),
                    Figure(f"{place}.cpu", it.cpu, other.cpu, None, "us"),
                ]
    return made


class Limits(NamedTuple):
    """The least rate and the longest p99, where there are such."""

    rate: float | None = None
    p99: float | None = None


async def fill_region(url: str, entries: int) -> None:
    """Fill a region with so many."""
    store = RedisStore(
        url, Layout(PREFIX, (_PEPPER,)), limits=Lifetimes(_HOUR_MS, _HOUR_MS, 0)
    )
    await fill(store, entries)
    await store.stop()


def servers_of(*, tried: bool) -> list[str]:
    """Return the names of the servers to ask, as far as they are installed."""
    return [
        name
        for name in SERVERS
        if find_spec(_NEEDS.get(name.split("-")[0], "os")) is not None
        and (tried or name in _ALWAYS)
    ]


def main() -> None:
    """Start the store and the servers, measure, end them."""
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=float, default=3)
    options.add_argument("--entries", type=int, default=100_000)
    options.add_argument("--generator", choices=available(), default=available()[0])
    options.add_argument("--tried", action="store_true")
    asked = parse(options, rounds=1, seconds=0.1, entries=1_000, generator=OWN)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        with on_cores(ALL_CORES[1:2] or ALL_CORES):
            store = stack.enter_context(Valkey(folder / "valkey"))
        os.sched_setaffinity(0, ALL_CORES[:1])
        uvloop.run(fill_region(store.url, asked.entries))
        tokens, revoked = write_tokens(folder)
        servers = {
            name: stack.enter_context(serving(name, folder, store.url))
            for name in servers_of(tried=asked.tried)
        }
        accepted = tokens.read_text().split()[0]
        for name, server in servers.items():
            statuses = (status(server.port, accepted), status(server.port, revoked))
            if not name.startswith("aiohttp") and statuses != (200, 401):
                raise SystemExit(f"{name} answers {statuses}")
        load = Load(asked.generator, tokens, asked.seconds)
        took = measure(servers, load, asked.rounds)
    report(f"One question to the sidecar, asked by {asked.generator}", figures(took))


if __name__ == "__main__":
    main()
