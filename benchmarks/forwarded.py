"""The authority's cost of an event that another client's partitioner misplaced.

The same logouts twice, well placed and misplaced, each time for a new authority on its
own topics, in alternating rounds; the median counts. CPU is that of the authority's
process from when it waits for events until it has concluded on the last, so what else
runs on the machine is not in it. `conclude` alone is timed in this process. With
`--before FOLDER`, a checkout of an older version, that one's authority concludes on the
well-placed log as well.

On two shared cores, 6,000 logouts, medians of five: 370 us of CPU for a misplaced one,
292 for a well-placed one (ratio 1.27), 297 before there was a forwarded topic (0.98).
`conclude` alone: 95 us in all for a misplaced one, 54 for a well-placed one.

    python benchmarks/forwarded.py [--records 8000] [--rounds 5] [--before FOLDER]
        [--bootstrap-servers HOST:PORT] [--quick]
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final, Self

import orjson
import uvloop
from _figures import Figure, report
from _options import add_kafka, kafka, new_prefix, parse, parser

from revocation import events
from revocation.authority.conclude import Record, conclude, origin
from revocation.entries import Entry, Offset, Position, Target, UnixMs
from revocation.events import Event, UserLoggedOut, encode
from revocation.kafka.clients import new_consumer, new_producer
from revocation.kafka.provisioning import provision
from revocation.settings import AuthoritySettings
from revocation.topics import partition_of, record_key

MAX_RATIO: Final = 2.0
"""A misplaced event may cost as much as this many well-placed ones."""

MAX_BEFORE: Final = 1.05
"""A well-placed one may cost as much as before, but for what measuring cannot tell."""

PARTITIONS: Final = 4
_HERE: Final = Path(__file__).parent.parent
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_USERS: Final = 2_000
_PULSES: Final = 8 * PARTITIONS


def logout(number: int) -> Event:
    """Return the logout of one of many users."""
    return UserLoggedOut.new(
        source="/benchmark", issuer="https://idp.example/", user=f"u-{number % _USERS}"
    )


def home(event: Event) -> int:
    """Return the partition where an event belongs."""
    return partition_of(record_key(events.targets(event)[0]), PARTITIONS)


async def fill(settings: AuthoritySettings, records: int, away: int) -> None:
    """Write the log, each record so many partitions away from where it belongs."""
    producer = new_producer(settings, client_id="benchmark")
    await producer.start()
    sent = []
    for number in range(records):
        event = logout(number)
        at = (home(event) + away) % PARTITIONS
        topic = settings.topics.events
        sent.append(await producer.send(topic, encode(event), partition=at))
    await asyncio.gather(*sent)
    await producer.stop()


def cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    """Return the CPU time that a process has used."""
    stat = Path(f"/proc/{process.pid}/stat").read_text()
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / _TICKS


class Entries:
    """Reads the entries topic."""

    def __init__(self, settings: AuthoritySettings) -> None:
        topic = settings.topics.entries
        self._consumer = new_consumer(settings, topic, client_id="benchmark")

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def read(self) -> tuple[int, int]:
        """Return how many updates came, and how many entries were in them."""
        batches = (await self._consumer.getmany(timeout_ms=200)).values()
        updates = [orjson.loads(record.value) for each in batches for record in each]
        return len(updates), sum(len(each.get("entries", ())) for each in updates)


async def conclude_all(
    settings: AuthoritySettings,
    process: subprocess.Popen[bytes],
    records: int,
    away: int,
) -> tuple[float, float]:
    """Return CPU and wall clock for each event, in us, of an authority that runs."""
    async with Entries(settings) as entries:
        seen = 0
        while seen < _PULSES:
            seen += (await entries.read())[0]
        cpu, began, concluded = cpu_seconds(process), time.perf_counter(), 0
        filling = asyncio.create_task(fill(settings, records, away))
        while concluded < records:
            concluded += (await entries.read())[1]
        await filling
        each = 1e6 / records
        took = time.perf_counter() - began
        return (cpu_seconds(process) - cpu) * each, took * each


async def run(
    servers: str, folder: Path, records: int, *, away: int, tree: Path
) -> tuple[float, float]:
    """Have a new authority conclude on a new log."""
    name = new_prefix()
    settings = AuthoritySettings(
        bootstrap_servers=servers,
        topic_prefix=name,
        partitions=PARTITIONS,
        replication_factor=1,
    )
    await provision(settings)
    told = {
        "BOOTSTRAP_SERVERS": servers,
        "TOPIC_PREFIX": name,
        "PARTITIONS": str(PARTITIONS),
        "REPLICATION_FACTOR": "1",
        "DATA_DIR": str(folder),
    }
    env = {f"REVOCATION_{key}": value for key, value in told.items()}
    command = [sys.executable, "-m", "revocation", "authority"]
    process = subprocess.Popen(  # noqa: ASYNC220 - starts at once
        command, env={**os.environ, **env, "PYTHONPATH": str(tree)}, cwd=tree
    )
    try:
        return await conclude_all(settings, process, records, away)
    finally:
        process.terminate()
        process.wait()


def timed(records: Sequence[Record], use: Callable[[Record], Any]) -> float:
    """Return microseconds for each record."""
    began = time.perf_counter()
    for record in records:
        use(record)
    return (time.perf_counter() - began) * 1e6 / len(records)


def conclude_alone(count: int) -> tuple[float, float]:
    """Return microseconds of `conclude` for a well-placed and a misplaced event."""
    limits = AuthoritySettings().limits
    ledgers: list[dict[Target, Entry]] = [{} for _ in range(PARTITIONS)]

    def take(record: Record) -> Any:
        ledger = ledgers[record.partition]
        conclusion = conclude(record, ledger.get, limits, PARTITIONS)
        for entry in conclusion.changed:
            ledger[entry.target] = entry
        return conclusion

    def take_both(record: Record) -> None:
        for forward in take(record).forwards:
            at = origin(forward.headers, forward.partition)
            take(Record(forward.partition, forward.value, forward.headers, at))

    def log(away: int) -> list[Record]:
        placed = []
        for number in range(count):
            event = logout(number)
            at = (home(event) + away) % PARTITIONS
            place = Position(at, Offset(number), UnixMs(1_790_000_000_000 + number))
            placed.append(Record(at, encode(event), (), place))
        return placed

    well, misplaced = log(0), log(1)
    first = timed(well, take)
    for ledger in ledgers:
        ledger.clear()
    return first, timed(misplaced, take_both)


async def measure(
    servers: str, folder: Path, records: int, rounds: int, before: Path | None
) -> None:
    """Alternate, report."""
    ways = {"well_placed": (0, _HERE), "misplaced": (1, _HERE)}
    if before is not None:
        ways["before"] = (0, before)
    figures: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    for number in range(rounds):
        for name, (away, tree) in ways.items():
            place = folder / f"{name}-{number}"
            found = await run(servers, place, records, away=away, tree=tree)
            figures[name].append(found)
            print(f"{name} {number + 1} of {rounds}: {found[0]:.0f} us of CPU")
    cpu = {name: median(each for each, _ in all_) for name, all_ in figures.items()}
    wall = {name: median(each for _, each in all_) for name, all_ in figures.items()}
    well, misplaced = conclude_alone(records)
    most = MAX_RATIO * cpu["well_placed"]
    told = [
        Figure("forwarded.cpu", cpu["misplaced"], cpu["well_placed"], most, "us"),
        Figure("forwarded.wall", wall["misplaced"], wall["well_placed"], None, "us"),
        Figure("forwarded.conclude", misplaced, well, None, "us"),
    ]
    if before is not None:
        most = MAX_BEFORE * cpu["before"]
        told += [
            Figure("well_placed.cpu", cpu["well_placed"], cpu["before"], most, "us"),
            Figure("well_placed.wall", wall["well_placed"], wall["before"], None, "us"),
        ]
    report(f"One of {records:,} logouts, beside the alternative", told)


def main() -> None:
    """Start a broker, measure, end it."""
    options = parser(__doc__)
    options.add_argument("--records", type=int, default=8_000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--before", type=Path, help="an older checkout")
    add_kafka(options)
    asked = parse(options, records=200, rounds=1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with kafka(asked, folder) as servers:
            uvloop.run(
                measure(servers, folder, asked.records, asked.rounds, asked.before)
            )


if __name__ == "__main__":
    main()
