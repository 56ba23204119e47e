"""Ten minutes of load while the store, its feed and the rules break or change.

A real sidecar process, asked 5,000 times a second over 32 connections of its unix
socket, as Traefik's forwardAuth asks. Revocations take the whole way, three a second:
Kafka, authority, projector, a Valkey that keeps its data, feed. Two things do not: the
100,000 entries that are there at first, and the two records that the feed is to lose.
These are written to the store as the projector would.

    python benchmarks/soak.py [--minutes 10] [--rate 5000] [--entries 100000]
        [--picture FILE.svg] [--record FILE.json] [--bootstrap-servers HOST:PORT]
        [--broken] [--quick]

After a fifth of the time the store is killed (SIGKILL), and 10 s later started again
with its data. Later the feed twice loses a record: a revocation is written and cut off
in one transaction, so everything must be loaded anew. Between and after, the rules file
is written anew: a path becomes public and another needs a scope, and back.

Of thirteen kinds of questions, each answer is judged (`_soak_oracle.py`):

- A good token always passes, and the service is told whose it is. Only writes may get
  503: while the store is away or everything is loaded anew, and only past the 5 s of
  the policy. Past them they must, while the store is away.
- A revoked token may pass until a second after the store has applied the revocation; if
  the store was away or a record lost, until 10 s after that. Never later.
- Expired tokens and those that expire meanwhile, none, forged, another audience, a
  scope missing, deleted data: always refused, with their status.
- New rules are in force within 3 s (the documentation says about 2).

A wrong answer, or a connection that the sidecar closes, makes the exit code 1;
`--broken` makes all paths public, to see that. Questions are asked on time whatever
became of those before, and latency counts from when they were due (`_soak_asker.py`).
The sidecar has one core, all else the others, so figures need a machine where nothing
else runs. `asked late` is the delay of the asker itself; the latency contains it.

Measured for 10 minutes at 5,000/s on two cores of an AMD EPYC, Python 3.11, Valkey 9.1,
while others ran tests now and then (load 0.4 to 2.3): 3,000,222 answers, none wrong, no
connection lost; the sidecar took 63 % of its core. In ms, `quiet` without the events
and the 10 s after each:

                        p50     p99   p99.9     max
    latency           0.247   8.703    61.4   116.6
    quiet             0.247   5.759    13.3    59.1
    asked late        0.030   2.175     8.1    52.2
    revoked            19.1    41.1           244.7    (1,660, published to refused)

While the store was away 3,709 writes got 503; 2.3 s after its start was ordered, none
did any more. A revocation published as it was killed was refused 12.5 s later. What a
lost record held was known within 2.1 s, and new rules were in force within 1.2 s.

Memory is flat between the events: 118.2 MB when warm, then 5.2 MB/h until the first
lost record, 0.9 until the second and 0.4 after it. The first takes 17 MB more for good,
as two replicas are there while one is loaded, the second 0.7 MB more: 136.5 MB at the
end. `docs/images/soak.svg` shows that run.
"""

import argparse
import os
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from statistics import mean, quantiles
from typing import Final

import orjson
import uvloop
from _cores import on_cores
from _figures import Figure, report
from _options import add_kafka, kafka, parse, parser
from _soak_asker import Load
from _soak_asking import Asking
from _soak_picture import draw, require_matplotlib
from _soak_questions import MIX, Issuer, gone_before, make
from _soak_record import Buckets, add_up, memory, quantile_ms, quiet
from _soak_run import (
    BACK_SECONDS,
    GAP_SECONDS,
    LOSS,
    REVOCATIONS_PER_SECOND,
    RULES_SECONDS,
    Outcome,
    Pace,
    Run,
)
from _soak_system import REGION, System, running
from rich.console import Console
from rich.table import Table

from revocation.local.process import terminable
from revocation.publisher import Publisher
from revocation.receipts import wait_applied

_MIN_MINUTES: Final = 1.0


async def soak(
    system: System, issuer: Issuer, asked: argparse.Namespace, cores: list[int]
) -> Outcome:
    """Prepare the region, and run."""
    pace = Pace(asked.minutes * 60)
    if asked.quick:
        pace = pace._replace(warm_up=2, outage=6, hurries=True, patience=3)
    await system.until_complete()
    await system.fill(asked.entries)
    async with Publisher() as publisher:
        receipts = [
            receipt
            for event in gone_before()
            for receipt in await publisher.publish(event)
        ]
    await wait_applied(receipts, {REGION: system.store}, timeout_seconds=60)
    with on_cores(cores[:1]):
        system.start_sidecar()
    await system.until_ready()
    questions = make(
        issuer,
        revocable=int(pace.seconds * REVOCATIONS_PER_SECOND) + 10,
        begin=time.monotonic(),
        seconds=pace.seconds + pace.warm_up,
    )
    asking = Asking(Load(system.socket, asked.rate, cores[1:] or cores, questions))
    try:
        return await Run(system, asking, questions, pace).run(asked.rate)
    finally:
        asking.kill()
        await system.stop()


# Reporting ----------------------------------------------------------------------------


def figures(outcome: Outcome) -> list[Figure]:
    """Return all figures."""
    record, told = outcome.record, outcome.told
    every = add_up(each.latencies for each in told)
    calm = [each for each in told if quiet(each.at, record.events)]
    undisturbed = add_up(each.latencies for each in calm)
    late = add_up(each.late for each in told)
    answers = sum(each.answers for each in told)
    loaded = [each.since for each in record.events if each.name == LOSS]
    memories = memory(record.seconds, loaded)
    cpu = mean(each.cpu for each in record.seconds)
    made = [
        ("wrong", told[-1].wrong, 0, "answers"),
        ("lost", told[-1].lost, 0, "questions"),
        ("answers", answers, None, "answers"),
        ("rate", round(mean(each.answers for each in record.seconds), 1), None, "1/s"),
        ("cpu", round(cpu * 100, 1), None, "% of a core"),
        *_latencies("latency", every, max(each.longest for each in told)),
        *_latencies(
            "quiet", undisturbed, max((each.longest for each in calm), default=0)
        ),
        *_latencies("asked late", late, None),
        ("memory.first", memories.first, None, "MB"),
        ("memory.last", memories.last, None, "MB"),
        ("memory.most", memories.most, None, "MB"),
        *(
            (f"memory.slope.{number}", slope, None, "MB/h")
            for number, slope in enumerate(memories.slopes, 1)
        ),
    ]
    for away, took in outcome.revocations.items():
        name = "revoked around a loss" if away else "revoked"
        made.append((f"{name}.seen", len(took), None, "revocations"))
        made += [
            (f"{name}.{part}", round(value * 1e3, 1), None, "ms")
            for part, value in zip(_PARTS, _percentiles(took), strict=True)
        ]
    made += [
        (name, round(took * 1e3, 1), round(_DUE[name] * 1e3), "ms")
        for name, took in outcome.took.items()
    ]
    return [
        Figure(f"soak.{name}", ours, None, limit, unit)
        for name, ours, limit, unit in made
    ]


def _percentiles(values: list[float]) -> tuple[float, float, float]:
    if len(values) <= 1:
        return (max(values, default=0.0),) * 3
    cuts = quantiles(values, n=100, method="inclusive")
    return cuts[49], cuts[98], max(values)


_PARTS: Final = ("p50", "p99", "max")
_DUE: Final = {
    "writes pass again": BACK_SECONDS,
    "lost events are known": GAP_SECONDS,
    "rules in force": RULES_SECONDS,
}


def _latencies(
    name: str, buckets: Buckets, longest_us: int | None
) -> list[tuple[str, float, None, str]]:
    most = quantile_ms(buckets, 1) if longest_us is None else longest_us / 1e3
    parts = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "max": 1}
    return [
        (f"{name}.{each}", min(most, quantile_ms(buckets, part)), None, "ms")
        for each, part in parts.items()
    ]


def show(outcome: Outcome) -> None:
    """Print what was asked and answered, the figures, and whatever was wrong."""
    table = Table("question", "answers by status", title="What was asked and answered")
    kinds = sum((Counter(each.kinds) for each in outcome.told), Counter())
    for kind in MIX:
        statuses = sorted((each[1], n) for each, n in kinds.items() if each[0] == kind)
        table.add_row(kind, "  ".join(f"{at}: {count:,}" for at, count in statuses))
    Console().print(table)
    for line in outcome.metrics:
        print(line)
    for wrong in outcome.told[-1].details:
        print(f"WRONG VERDICT: {wrong}")
    report(f"{len(outcome.told)} s at {outcome.record.rate:g}/s", figures(outcome))


def arguments() -> argparse.Namespace:
    """Return what was asked for."""
    options = parser(__doc__)
    options.add_argument("--minutes", type=float, default=10)
    options.add_argument("--rate", type=float, default=5_000)
    options.add_argument("--entries", type=int, default=100_000)
    options.add_argument("--picture", type=Path, help="draw it here, as SVG")
    options.add_argument("--record", type=Path, help="keep what was noted, as JSON")
    options.add_argument(
        "--broken", action="store_true", help="all paths are public: must fail"
    )
    add_kafka(options)
    asked = parse(options, minutes=0.25, rate=1_000, entries=1_000)
    if asked.minutes < _MIN_MINUTES and not asked.quick:
        options.error("the events need a minute; give --minutes 1 or more")
    if asked.picture is not None:
        require_matplotlib()
    return asked


def main() -> None:
    """Run, report, draw; exit with 1 when an answer was wrong."""
    asked = arguments()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[1:] or cores)
    issuer = Issuer()
    with ExitStack() as stack:
        stack.enter_context(terminable())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = stack.enter_context(kafka(asked, folder))
        system = stack.enter_context(
            running(folder, servers, issuer.published, broken=asked.broken)
        )
        outcome = uvloop.run(soak(system, issuer, asked, cores))
        words = system.last_words
    show(outcome)
    if asked.record is not None:
        asked.record.write_bytes(orjson.dumps(outcome.record, default=tuple))
    if asked.picture is not None:
        draw(outcome.record, asked.picture)
    last = outcome.told[-1]
    if last.wrong or last.lost:
        print(words)
        raise SystemExit(f"{last.wrong} wrong verdicts, {last.lost} lost questions")


if __name__ == "__main__":
    main()
