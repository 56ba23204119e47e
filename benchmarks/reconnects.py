"""What 1,000 sidecars do to a store that was killed and comes back, and how soon.

Real feeds, 500 in each of two processes, follow one real Valkey, which is killed with
SIGKILL and started again after three seconds: with its data, and without any, when a
projector fills it again. Side by side: as it is, and with the protection taken out, so
that all wait equally long, connect again at once and load their snapshots at once.

Times count from when the store answers again or, without data, is complete again. Fresh
is who knows of a heartbeat after that. `busiest`: the share of the 1,000 that connected
in one tenth of a second. `write`: the longest that a projector waited for one.

    python benchmarks/reconnects.py [--sidecars 1000] [--entries 2000] [--away 3]
        [--picture FILE] [--quick]

Seen on two cores of an AMD EPYC that others used as well (load 4 to 5), Python 3.11,
Valkey 9.1, 2,000 entries; docs/images/reconnects.svg is this run:

                              with its data        back empty, filled again
                              ours    neither      ours    neither
    busiest, of 1,000         0.12       0.45      0.10       0.51
    connections              1,003      1,042     1,000      3,057
    half fresh after          0.75       1.71      9.18      16.34 s
    99 % fresh after          1.83       1.87     16.35      20.20 s
    all fresh after           1.91       1.87     17.35      23.31 s
    the store's CPU           0.25       0.13      6.66      10.93 s
    write                     0.06       0.01      0.15       1.01 s

A write of 1.01 s is one that was given up: the projector stood still as well.

With data all were fresh after 1.9 to 3.3 s in four runs, and the others after 1.9 to
2.5 s. The three earlier runs had four heartbeats a second, and, but for the one with
5,000 entries, 10 ms where `pacing.py` now has 25:

- 2,000: all fresh after 12.3 s; without admission 681 were after a minute.
- 5,000: after a minute 720 were fresh and 712 without it, half of all after 58 and
  32 s: here admission was slower.
- 10,000: 307 and 185.

In the last two the store took 14 and 11 s of CPU in that minute with it, so it was
not what they waited for; probably it was the two processes that the feeds share. Feeds
with a core of their own were not measured. With it nobody lost a connection; without
they made 5,662 and 9,433.

A snapshot took 3.8 us of the store's CPU for each entry: 3.8 s for a million.
"""

import asyncio
import contextlib
import multiprocessing
import os
import resource
import shutil
import tempfile
import time
from bisect import bisect_right
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Final, NamedTuple

import uvloop
from _figures import Figure, report
from _identity import IDENTITY
from _options import parse, parser
from _reconnecting import LAYOUT, Outcome, follow
from _reconnects_picture import Line, draw
from _soak_picture import require_matplotlib
from check import entry, now_ms

from revocation.entries import Limits, Offset
from revocation.errors import StoreError
from revocation.local import Valkey
from revocation.store.contract import Batch, Mark
from revocation.store.redis_store import RedisStore

BIN_SECONDS: Final = 0.1
_PROCESSES: Final = 2
_COLD_SECONDS: Final = 2
_BEAT_SECONDS: Final = 0.5
_WATCH_SECONDS: Final = 60.0
_HOUR_MS: Final = 3_600_000
_FILES_EACH: Final = 2
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass
class Run:
    """What was seen after one return; seconds since then."""

    connected: list[float]
    fresh: list[float]
    cpu: list[tuple[float, float]]
    slowest_write: float

    @property
    def busiest(self) -> int:
        """How many connected in the busiest tenth of a second."""
        times = self.connected
        ends = (bisect_right(times, at + BIN_SECONDS) for at in times)
        return max((end - first for first, end in enumerate(ends)), default=0)

    def fresh_after(self, share: float, of: int) -> float:
        """Return when so many were fresh again; the longest watched, if never."""
        at = int(share * of) - 1
        return self.fresh[at] if at < len(self.fresh) else _WATCH_SECONDS

    @property
    def cpu_seconds(self) -> float:
        """How much of a core the store took until the last was fresh."""
        until = self.fresh[-1] if self.fresh else _WATCH_SECONDS
        spent = [spent for at, spent in self.cpu if at <= until + BIN_SECONDS]
        return spent[-1] - spent[0] if spent else 0.0


class Runs(NamedTuple):
    """One variant: the store came back with its data, and without."""

    with_data: Run
    without_data: Run


class Projector:
    """Fills the store, and tells twice a second that nothing was missed."""

    def __init__(self, store: RedisStore, entries: int) -> None:
        """Prepare."""
        self._store = store
        self._entries = entries
        self._epoch = 0
        self._at = Offset(0)
        self.slowest = 0.0

    async def fill(self) -> None:
        """Make the region complete, in a new epoch if it is cold."""
        store = self._store
        await store.check_suitable()
        self._epoch += 1
        await store.begin(f"epoch-{self._epoch}", IDENTITY)
        entries = [entry(number, now_ms()) for number in range(self._entries)]
        await store.apply(f"epoch-{self._epoch}", Batch(entries, self._mark(), {}))

    async def beat(self) -> None:
        """Go on for ever, through every outage."""
        while True:
            began = time.monotonic()
            with contextlib.suppress(StoreError):
                epoch = f"epoch-{self._epoch}"
                await self._store.apply(epoch, Batch([], self._mark(), {}))
            self.slowest = max(self.slowest, time.monotonic() - began)
            await asyncio.sleep(_BEAT_SECONDS)

    def _mark(self) -> dict[int, Mark]:
        self._at = Offset(self._at + 1)
        return {0: Mark(self._at, self._at, now_ms(), self._at, rebuilt=True)}


@contextlib.contextmanager
def fleet(url: str, count: int, *, protected: bool) -> Iterator[list[Pipe]]:
    """Run that many feeds; yields a pipe to each process."""
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe() for _ in range(_PROCESSES)]
    processes = [
        context.Process(
            target=follow,
            args=(far, url, count // _PROCESSES),
            kwargs={"protected": protected},
            daemon=True,
        )
        for _, far in pipes
    ]
    for process, (_, far) in zip(processes, pipes, strict=True):
        process.start()
        # So that a process that ends is an EOFError here, and not an endless wait.
        far.close()
    ours = [near for near, _ in pipes]
    for pipe in ours:
        pipe.recv()
    yield ours
    for pipe in ours:
        pipe.send(None)
    for process in processes:
        process.join()


async def watch(
    pipes: Sequence[Pipe], server: Valkey, projector: Projector, *, killed_at: float
) -> Run:
    """Watch from now on until all are fresh again, or a minute is over."""
    since, projector.slowest = time.time(), 0.0
    for pipe in pipes:
        pipe.send((since, _WATCH_SECONDS))
    receiving = asyncio.gather(*(asyncio.to_thread(pipe.recv) for pipe in pipes))
    cpu = []
    while not receiving.done():
        cpu.append((time.time() - since, cpu_seconds(server)))
        await asyncio.sleep(BIN_SECONDS)
    outcomes: list[Outcome] = await receiving
    connected = sorted(at for each in outcomes for at in each.connected)
    return Run(
        [at - since for at in connected if at > killed_at],
        sorted(at - since for each in outcomes for at in each.fresh),
        cpu,
        projector.slowest,
    )


def cpu_seconds(server: Valkey) -> float:
    """Return how much of a core the server has taken since its start."""
    assert server.process is not None
    stat = Path(f"/proc/{server.process.pid}/stat").read_text()
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / _TICKS


@contextlib.asynccontextmanager
async def projecting(server: Valkey, entries: int) -> AsyncIterator[Projector]:
    """Run a projector beside the rest."""
    async with RedisStore(
        server.url, LAYOUT, limits=Limits(_HOUR_MS, _HOUR_MS, 0)
    ) as store:
        projector = Projector(store, entries)
        await projector.fill()
        beating = asyncio.create_task(projector.beat())
        yield projector
        beating.cancel()


async def measure(
    count: int, entries: int, away_seconds: float, *, protected: bool
) -> Runs:
    """Kill the store twice, and see what its followers do."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Valkey(Path(folder) / "store", persistent=True) as server,
    ):
        async with projecting(server, entries) as projector:
            with fleet(server.url, count, protected=protected) as pipes:
                at = await restart(server, away_seconds)
                with_data = await watch(pipes, server, projector, killed_at=at)
                data = server.folder / "appendonlydir"
                at = await restart(server, away_seconds, losing=data)
                await asyncio.sleep(min(_COLD_SECONDS, away_seconds))
                await projector.fill()
                without = await watch(pipes, server, projector, killed_at=at)
    return Runs(with_data, without)


async def restart(
    server: Valkey, away_seconds: float, *, losing: Path | None = None
) -> float:
    """Kill the store and start it again; returns when it was killed."""
    server.kill()
    killed_at = time.time()
    if losing is not None:
        shutil.rmtree(losing)
    await asyncio.sleep(away_seconds)
    await asyncio.to_thread(server.launch)
    return killed_at


def figures(ours: Runs, bare: Runs, count: int) -> list[Figure]:
    """Return what to report: ours beside what the protection was taken out of."""
    made = []
    for name in Runs._fields:
        one, other = getattr(ours, name), getattr(bare, name)

        def add(what: str, mine: float, theirs: float, unit: str) -> None:
            label = f"reconnects.{name}.{what}"  # noqa: B023 - called in this turn
            made.append(Figure(label, round(mine, 2), round(theirs, 2), None, unit))

        add("busiest", one.busiest / count, other.busiest / count, "of all")
        add("connections", len(one.connected), len(other.connected), "connections")
        for label, share in (("half", 0.5), ("p99", 0.99), ("all", 1.0)):
            mine, theirs = (each.fresh_after(share, count) for each in (one, other))
            add(f"fresh.{label}", mine, theirs, "s")
        add("fresh", len(one.fresh), len(other.fresh), "sidecars")
        add("cpu", one.cpu_seconds, other.cpu_seconds, "s")
        add("write", one.slowest_write, other.slowest_write, "s")
    return made


def panels(ours: Runs, bare: Runs) -> dict[str, list[Line]]:
    """Return what to draw."""
    variants = {"jitter and admission": ours, "neither": bare}
    titles = {
        "with_data": "back with its data",
        "without_data": "back empty, and filled again",
    }
    drawn = {}
    for name, title in titles.items():
        runs = {label: getattr(each, name) for label, each in variants.items()}
        drawn[title] = [
            Line(label, run.connected, run.fresh) for label, run in runs.items()
        ]
    return drawn


def allow_files(wanted: int) -> None:
    """Raise this process' limit of open files, and so that of all it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise SystemExit(
            f"{wanted} open files are needed and {hard} allowed; `ulimit -Hn` says "
            "how many, or ask for fewer --sidecars"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def main() -> None:
    """Measure and report."""
    options = parser(__doc__)
    options.add_argument("--sidecars", type=int, default=1_000)
    options.add_argument("--entries", type=int, default=2_000)
    options.add_argument("--away", type=float, default=3, help="in seconds")
    options.add_argument("--picture", type=Path, help="where to draw it, as SVG")
    asked = parse(options, sidecars=20, entries=200, away=0.5)
    if asked.picture is not None:
        require_matplotlib()
    allow_files(_FILES_EACH * asked.sidecars + 1_000)
    ours, bare = (
        uvloop.run(
            measure(asked.sidecars, asked.entries, asked.away, protected=protected)
        )
        for protected in (True, False)
    )
    count = asked.sidecars
    title = f"{count} sidecars come back; alternative: the protection taken out"
    report(title, figures(ours, bare, count))
    if asked.picture is not None:
        draw(panels(ours, bare), count, asked.picture)


if __name__ == "__main__":
    main()
