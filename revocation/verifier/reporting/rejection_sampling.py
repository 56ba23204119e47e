"""Which rejections are told, and when. Pure: no IO, no clock.

A client that retries with one revoked token must not flood the topic, nor a bot with
many. So each target is told at once, and then at most once per period, as a count;
over all targets a token bucket bounds the rate. What has to wait is told later, with
its count, as long as there is room to remember it.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from revocation.decision import Verdict
from revocation.entries import Target, UnixMs


class Rejection(NamedTuple):
    """A verdict in which an entry rejects, its route class, and when it was given."""

    target: Target
    verdict: Verdict
    route: str
    at: UnixMs


@dataclass(frozen=True, slots=True)
class Sample:
    """Some rejections for one target. `latest`: the last of them; `count`: how many."""

    latest: Rejection
    count: int
    first_seen: UnixMs


class Sampler:
    """Remembers what is to be told, for a bounded number of targets."""

    def __init__(self, *, repeat_ms: int, per_second: int, targets: int) -> None:
        """Prepare.

        Args:
            repeat_ms: a target is told again after this, at the earliest.
            per_second: how many targets are told per second, and how many at once.
            targets: how many are remembered.
        """
        self._repeat_ms = repeat_ms
        self._per_second = per_second
        self._targets = targets
        self._new: OrderedDict[Target, Sample] = OrderedDict()
        # In the order in which they were told, so that the front is due first.
        self._told: OrderedDict[Target, tuple[UnixMs, Sample | None]] = OrderedDict()
        self._allowance = float(per_second)
        self._allowed_at = UnixMs(0)

    def add(self, rejection: Rejection) -> bool:
        """Remember a rejection; returns whether there was room."""
        target = rejection.target
        told = self._told.get(target)
        if told is not None:
            told_at, sample = told
            self._told[target] = told_at, _joined(sample, rejection)
            return True
        sample = self._new.get(target)
        if sample is None and len(self._new) + len(self._told) >= self._targets:
            return False
        self._new[target] = _joined(sample, rejection)
        return True

    def due(self, now: UnixMs) -> Iterator[Sample]:
        """Take what is to be told now, one by one, first uses first.

        Rejections may be added between one and the next; what is not asked for stays.
        """
        self._refill(now)
        yield from self._first_uses(now)
        yield from self._repeats(now)

    def forget(self) -> int:
        """Forget all; returns how many rejections were not told."""
        later = (sample for _, sample in self._told.values())
        waiting = (*self._new.values(), *later)
        self._new.clear()
        self._told.clear()
        return sum(sample.count for sample in waiting if sample is not None)

    def _refill(self, now: UnixMs) -> None:
        # A clock that was set back gives nothing, and takes nothing away.
        passed = max(0, now - self._allowed_at)
        earned = passed * self._per_second / 1_000
        self._allowance = min(float(self._per_second), self._allowance + earned)
        self._allowed_at = now

    def _first_uses(self, now: UnixMs) -> Iterator[Sample]:
        while self._new and self._allowance >= 1:
            self._allowance -= 1
            target, sample = self._new.popitem(last=False)
            self._told[target] = now, None
            yield sample

    def _repeats(self, now: UnixMs) -> Iterator[Sample]:
        while self._told:
            target, (told_at, sample) = next(iter(self._told.items()))
            # A time in the future means that the clock was set back since.
            if told_at <= now < told_at + self._repeat_ms:
                return
            if sample is None:
                del self._told[target]
            elif self._allowance >= 1:
                self._allowance -= 1
                del self._told[target]
                self._told[target] = now, None
                yield sample
            else:
                return


def _joined(sample: Sample | None, latest: Rejection) -> Sample:
    if sample is None:
        return Sample(latest, 1, latest.at)
    return Sample(latest, sample.count + 1, sample.first_seen)
