"""What `revocation status` may find in an installation of four partitions."""

from revocation.decision import Freshness
from revocation.entries import Offset, Position, UnixMs
from revocation.operate.status_report import (
    Bound,
    DeadLetters,
    Findings,
    Found,
    LogPartition,
)
from revocation.store.contract import Mark, Region

NOW = 1_800_000_000_000
PARTITIONS = 4
EVENTS, ENTRIES = 6_000, 9_000
"""The ends of each partition of the topics."""
NO_BROKER = (
    "no broker answers at kafka:9092 (KafkaConnectionError); see whether Kafka is "
    "running, and check REVOCATION_BOOTSTRAP_SERVERS"
)
NO_STORE = (
    "the store at redis://store-us:6379/0 is unavailable (ConnectionError: Error 111 "
    "connecting to store-us:6379. Connection refused.); retry later"
)


def log(*, unread=1, age=100, silent=100, partitions=PARTITIONS):
    """A log whose last `unread` events are not concluded, in each partition."""
    return Found(
        UnixMs(NOW),
        {
            number: LogPartition(
                events_begin=Offset(0),
                events_end=Offset(EVENTS),
                entries_begin=Offset(0),
                entries_end=Offset(ENTRIES),
                concluded=Position(
                    number, Offset(EVENTS - 1 - unread), UnixMs(NOW - age)
                ),
                written_at=UnixMs(NOW - silent),
            )
            for number in range(partitions)
        },
    )


def region(*, unread=1, age=110, lag=1, ready=True, rebuilt=PARTITIONS):
    """A region that has not applied so many events and records of each partition."""
    marks = {
        number: Mark(
            next_offset=Offset(ENTRIES - lag),
            source_offset=Offset(EVENTS - 1 - unread),
            as_of=UnixMs(NOW - age),
            applied_offset=Offset(EVENTS - 1 - unread),
            rebuilt=number < rebuilt,
        )
        for number in range(PARTITIONS)
    }
    as_of = UnixMs(NOW - age if ready else 0)
    return Found(UnixMs(NOW), Region("epoch", Freshness(ready, as_of), marks))


COLD = Found(UnixMs(NOW), Region(None, Freshness(ready=False, as_of=UnixMs(0)), {}))


def findings(**found):
    usual = {
        "bootstrap_servers": "kafka:9092",
        "log": log(),
        "regions": {"eu": region(), "us": region(age=140)},
        "partitions": PARTITIONS,
        "bound": Bound("write", 5_000),
        "clock_allowance_ms": 5_000,
        "dead_letters": DeadLetters(0),
    }
    return Findings(**{**usual, **found})


def both(**options):
    return {"eu": region(**options), "us": region(**options)}


SITUATIONS = {
    "well": findings(),
    "the authority is dead": findings(
        log=log(unread=5_000, age=250_000, silent=249_800),
        regions=both(unread=5_000, age=250_000, lag=0),
    ),
    "the authority is behind": findings(
        log=log(unread=700, age=21_000),
        regions=both(unread=702, age=21_200, lag=2),
    ),
    "a projector is dead": findings(
        regions={"eu": region(), "us": region(unread=240, age=62_000, lag=260)}
    ),
    "a store is away": findings(
        regions={"eu": region(), "us": Found(UnixMs(NOW), NO_STORE)}
    ),
    "a store was emptied": findings(regions={"eu": region(), "us": COLD}),
    "a region is being rebuilt": findings(
        regions={"eu": region(), "us": region(ready=False, rebuilt=3, lag=900)}
    ),
    "records were parked": findings(
        dead_letters=DeadLetters(
            33, {"token_as_id": 3, "invalid_event": 30}, UnixMs(NOW - 11_100_000)
        )
    ),
    "Kafka is away": findings(
        log=Found(UnixMs(NOW), NO_BROKER), regions=both(age=42_000), dead_letters=None
    ),
}
