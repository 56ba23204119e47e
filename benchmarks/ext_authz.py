"""The cost of a gRPC request by Envoy, compared with a gRPC server that does nothing.

Ours: `envoy.service.auth.v3.Authorization/Check` with a token, as Envoy asks with
`encode_raw_headers`: the ES256 token verified (its signature by the cache, as in
sessions of many requests), rules, 100,000 entries that came through a real Valkey and
the feed, identity headers. `bare`: the same method on grpc.aio, which reads nothing of
the question and always answers the same bytes. `messages`: it parses the question and
writes that answer, as generated code does. Each serves on a unix socket with uvloop in
one process on one core; `_http2.py`, with 1 or 32 questions at a time on one connection
as Envoy has it, and the store are on another. Every answer must be the one that the
first question of its token got. Alternating rounds; the median counts. `cpu` is the
server's time for one question, the kernel's for it included; `own` is what of it is not
that of `bare`, beside the whole.

    python benchmarks/ext_authz.py [--rounds 5] [--seconds 2] [--entries 100000]
        [--quick]

Seen on two cores of an AMD EPYC, Python 3.11, grpcio 1.85, uvloop 0.23; medians of five
rounds, four runs, of which others used the machine as well in three (load 3 to 6, so
rates and p99 say little) and hardly in the last (load 1 to 2.5):

                   ours                     bare                     messages
    1 at a time
      cpu us     386   388   402   389    273   280   275   289    288   299   300   300
      own us     113   108   127   100                              15    18    25    11
      1/s      1,517 2,506 1,986 2,530  2,295 3,498 2,899 3,171  2,018 3,107 2,357 3,205
      p99 ms     5.5   0.8   3.4   0.6    4.4   0.4   2.4   0.5    4.3   0.5   2.9   0.5
    32 at a time
      cpu us     321   348   310   415    195   206   218   277    202   262   218   290
      own us     126   142    92   138                               8    56     0    13
      1/s      2,982 2,856 3,030 2,396  4,641 4,408 4,507 3,596  4,360 3,799 4,364 3,423
      p99 ms    20.2  14.7  17.1  16.9   15.6  11.5  11.9  11.7   15.6  13.3  12.5  12.0

So ours has 0.64 to 0.80 of the bare server's rate, and 26 to 41 % of its time is not
gRPC's. Question after question in a loop of one process, without gRPC, takes 26 us: 1
to parse, 6 to read, 10 to decide, 5 to write, 4 around them; and 47 to 50 us where
other memory was written before each. What the rest of `own` is was not measured by
itself. No option of gRPC's that was tried made `bare` cheaper (optimization_target,
bdp_probe, minimal_stack).
"""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles
from typing import Final

import uvloop
from _cores import ALL_CORES, on_cores
from _ext_authz import SERVERS, address_of
from _figures import Figure, report
from _http2 import Connection
from _options import parse, parser
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse
from sidecar import Running, Took, fill_region, write_tokens

from revocation.local import Valkey
from revocation.sidecar.ext_authz import SERVICE

_HERE: Final = Path(__file__).parent
_METHOD: Final = f"/{SERVICE}/Check"
_IN_FLIGHT: Final = (1, 32)
_UNAUTHORIZED: Final = 401
_HEADERS: Final = {
    ":authority": "api.example",
    ":path": "/datasets/42",
    ":method": "GET",
    ":scheme": "https",
    "user-agent": "curl/8.5.0",
    "accept": "*/*",
    "x-forwarded-proto": "https",
    "x-request-id": "5cd2e9a4-6a55-4d7a-9f0e-3a2d0c6b7f10",
}

Key = tuple[str, int]


def question(token: str) -> bytes:
    """Return what Envoy asks about a request with this token."""
    asked = CheckRequest()
    attributes = asked.attributes
    for peer, host in (
        (attributes.source, "10.0.0.7"),
        (attributes.destination, "10.0.0.8"),
    ):
        peer.address.socket_address.address = host
        peer.address.socket_address.port_value = 44_321
    attributes.request.time.GetCurrentTime()
    http = attributes.request.http
    http.id, http.method, http.path = "9127344105421", "GET", "/datasets/42"
    http.host, http.scheme, http.protocol = "api.example", "https", "HTTP/2"
    fields = {**_HEADERS, "authorization": f"Bearer {token}"}
    for name, value in fields.items():
        http.header_map.headers.add(key=name, raw_value=value.encode())
    return asked.SerializeToString()


@contextlib.contextmanager
def serving(name: str, folder: Path, url: str) -> Iterator[Running]:
    """Run a server on this process' core."""
    command = [sys.executable, str(_HERE / "_ext_authz.py"), name, str(folder), url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            if not process.stdout.readline():
                raise SystemExit(f"{name} did not start")
            yield Running(0, process.pid)
        finally:
            process.kill()


class Asking:
    """Asks one server, and knows its answers."""

    def __init__(self, server: Running, connection: Connection) -> None:
        """Prepare; nothing is asked yet."""
        self._server = server
        self._connection = connection

    def learn(self, messages: list[bytes], revoked: bytes, *, decides: bool) -> None:
        """Ask each question once, and see that the answers are right.

        Raises:
            SystemExit: one is wrong.
        """
        self._messages = messages
        self._answers = [self._connection.ask_once(each) for each in messages]
        told = CheckResponse.FromString(self._connection.ask_once(revoked)[5:])
        passes = [CheckResponse.FromString(each[5:]) for each in self._answers]
        right = all(each.HasField("ok_response") for each in passes)
        if decides:
            right &= all(len(each.ok_response.headers) > 0 for each in passes)
            right &= told.denied_response.status.code == _UNAUTHORIZED
        if not right:
            raise SystemExit("the answers are wrong")

    def ask(self, in_flight: int, seconds: float) -> Took:
        """Ask for so long."""
        before = self._server.cpu_seconds()
        each, took = self._connection.ask(
            self._messages,
            expected=self._answers,
            in_flight=in_flight,
            seconds=seconds,
        )
        cpu = self._server.cpu_seconds() - before
        cuts = quantiles(each, n=100, method="inclusive")
        return Took(
            rate=round(len(each) / took),
            p50=round(cuts[49] * 1e3, 3),
            p99=round(cuts[98] * 1e3, 3),
            cpu=round(cpu / len(each) * 1e6, 1),
        )


def measure(asking: dict[str, Asking], rounds: int, seconds: float) -> dict[Key, Took]:
    """Alternate between the servers; return the medians."""
    found: dict[Key, list[Took]] = {}
    for number in range(rounds):
        for in_flight in _IN_FLIGHT:
            for name, each in asking.items():
                took = each.ask(in_flight, seconds)
                found.setdefault((name, in_flight), []).append(took)
        print(f"round {number + 1} of {rounds}")
    return {
        key: Took(*(median(each) for each in zip(*all_, strict=True)))
        for key, all_ in found.items()
    }


def figures(took: dict[Key, Took]) -> list[Figure]:
    """Return ours and the parsing alone beside the bare server's."""
    made = []
    for name in SERVERS:
        for in_flight in _IN_FLIGHT:
            it, bare = took[name, in_flight], took["bare", in_flight]
            place = f"ext_authz.{name}.{in_flight}"
            own = round(it.cpu - bare.cpu, 1)
            made += [
                Figure(f"{place}.rate", it.rate, bare.rate, None, "1/s"),
                Figure(f"{place}.p50", it.p50, bare.p50, None, "ms"),
                Figure(f"{place}.p99", it.p99, bare.p99, None, "ms"),
                Figure(f"{place}.cpu", it.cpu, bare.cpu, None, "us"),
                # What is not gRPC's: its ratio to the whole is our share.
                Figure(f"{place}.own", own, it.cpu, None, "us"),
            ]
    return made


def main() -> None:
    """Start the store and the servers, measure, end them."""
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=2)
    options.add_argument("--entries", type=int, default=100_000)
    asked = parse(options, rounds=1, seconds=0.1, entries=1_000)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        os.sched_setaffinity(0, ALL_CORES[1:2] or ALL_CORES)
        store = stack.enter_context(Valkey(folder / "valkey"))
        with on_cores(ALL_CORES[:1]):
            uvloop.run(fill_region(store.url, asked.entries))
        tokens, revoked = write_tokens(folder)
        with on_cores(ALL_CORES[:1]):
            servers = {
                name: stack.enter_context(serving(name, folder, store.url))
                for name in SERVERS
            }
        messages = [question(each) for each in tokens.read_text().split()]
        asking = {
            name: Asking(
                server,
                stack.enter_context(Connection(address_of(name, folder), _METHOD)),
            )
            for name, server in servers.items()
        }
        for name, each in asking.items():
            each.learn(messages, question(revoked), decides=name == "ours")
        took = measure(asking, asked.rounds, asked.seconds)
    report("One question of Envoy", figures(took))


if __name__ == "__main__":
    main()
