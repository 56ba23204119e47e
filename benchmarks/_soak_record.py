"""What benchmarks/soak.py notes second by second, and what follows from it. Pure.

Latencies are counted in buckets that are 3 % wide, so that ten minutes of them are a
few hundred numbers, and seconds can be added up.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import linear_regression
from typing import Any, Final, NamedTuple

_EXACT_BITS: Final = 6
"""Below 64 us a bucket is 1 us wide; above, 32 buckets double the time."""
_MB: Final = 1_024.0
_HOUR: Final = 3_600.0
_AFTER: Final = 10
_WARM: Final = 0.1
"""Of a run: by then all that is remembered has been remembered once."""

Buckets = Mapping[int, int]
"""How many fell into each bucket."""


def bucket_of(us: int) -> int:
    """Return the bucket of a time."""
    shift = max(0, us.bit_length() - _EXACT_BITS)
    return (shift << (_EXACT_BITS - 1)) + (us >> shift)


def most_of(bucket: int) -> int:
    """Return the longest time in a bucket, in us."""
    if bucket < 1 << _EXACT_BITS:
        return bucket
    shift = (bucket >> (_EXACT_BITS - 1)) - 1
    rest = bucket - (shift << (_EXACT_BITS - 1))
    return ((rest + 1) << shift) - 1


def quantile_ms(buckets: Buckets, part: float) -> float:
    """Return the time that this part of all is not above; 0 where there is nothing."""
    wanted, seen = part * sum(buckets.values()), 0
    for bucket in sorted(buckets):
        seen += buckets[bucket]
        if seen >= wanted:
            return most_of(bucket) / 1e3
    return 0.0


class Second(NamedTuple):
    """One second: `at` is since the beginning, in s; latencies are in ms."""

    at: float
    answers: int
    p50: float
    p99: float
    longest: float
    statuses: Mapping[str, int]
    memory_mb: float
    cpu: float
    """Of a core, by the sidecar, in this second."""
    stale_s: float
    """How old what the sidecar knows is, by what `/readyz` says."""


class Event(NamedTuple):
    """Something that was done to the system, `since` and `until` which second."""

    name: str
    since: float
    until: float


class Record(NamedTuple):
    """A whole run, as it can be kept in a file."""

    rate: float
    seconds: list[Second]
    events: list[Event]

    @classmethod
    def read(cls, document: Sequence[Any]) -> "Record":
        """Return what was kept as JSON."""
        rate, seconds, events = document
        return cls(
            rate, [Second(*each) for each in seconds], [Event(*each) for each in events]
        )


def quiet(at: float, events: Iterable[Event]) -> bool:
    """Tell whether a second lies outside of all events and what follows them."""
    return not any(each.since <= at <= each.until + _AFTER for each in events)


def add_up(every: Iterable[Buckets]) -> Buckets:
    """Return all of them in one."""
    total: Counter[int] = Counter()
    for each in every:
        total.update(each)
    return total


class Memory(NamedTuple):
    """Of the sidecar: at first, at last, the most, in MB; slopes in MB an hour.

    There is a slope for the time until all was loaded anew, and for each time after.
    """

    first: float
    last: float
    most: float
    slopes: list[float]


def memory(seconds: Sequence[Second], loaded: Sequence[float] = ()) -> Memory:
    """Return how memory went, once all was warm.

    Args:
        seconds: all of them.
        loaded: when all was loaded anew.
    """
    warm = seconds[int(len(seconds) * _WARM) :]
    mb = [each.memory_mb for each in warm]
    ends = [*loaded, warm[-1].at + 1]
    begins = [warm[0].at, *(each + _AFTER for each in loaded)]
    return Memory(
        *(mb[0], mb[-1], max(mb)),
        [
            _slope([each for each in warm if begin <= each.at < end])
            for begin, end in zip(begins, ends, strict=True)
        ],
    )


def _slope(seconds: Sequence[Second]) -> float:
    if len(seconds) <= 1:
        return 0.0
    found = linear_regression(
        [each.at for each in seconds], [each.memory_mb for each in seconds]
    )
    return round(found.slope * _HOUR, 2)


def mb_of(kilobytes: int) -> float:
    """Return MB (2^20 bytes)."""
    return round(kilobytes / _MB, 2)
