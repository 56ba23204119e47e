"""Which rejections are reported, and when. Pure: no IO, no clock.

Neither a client that retries with one revoked token nor a bot with many may flood the
topic. So each target is reported at once, then at most once per period, with a count;
a token bucket bounds the rate over all targets. What has to wait is reported later,
with its count, as long as there is room to remember it.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from revocation.decision import Verdict
from revocation.entries import Target, UnixMs


class Rejection(NamedTuple):
    """A verdict in which an entry rejects, with its route class and time."""

    target: Target
    verdict: Verdict
    route: str
    at: UnixMs


@dataclass(frozen=True, slots=True)
class Sample:
    """Rejections for one target. `latest`: the last of them; `count`: how many."""

    latest: Rejection
    count: int
    first_seen: UnixMs


class Sampler:
    """Collects what is to be reported, for a bounded number of targets."""

    def __init__(self, *, repeat_ms: int, per_second: int, targets: int) -> None:
        """Prepare.

        Args:
            repeat_ms: the minimum time between two reports of a target.
            per_second: the token bucket's rate and its burst, in targets.
            targets: how many are remembered.
        """
        self._repeat_ms = repeat_ms
        self._per_second = per_second
        self._targets = targets
        self._new: OrderedDict[Target, Sample] = OrderedDict()
        # In the order of their reports, so that the first is due first.
        self._reported: OrderedDict[Target, tuple[UnixMs, Sample | None]] = (
            OrderedDict()
        )
        self._allowance = float(per_second)
        self._allowed_at = UnixMs(0)

    def add(self, rejection: Rejection) -> bool:
        """Add a rejection; return whether there was room."""
        target = rejection.target
        reported = self._reported.get(target)
        if reported is not None:
            reported_at, sample = reported
            self._reported[target] = reported_at, _joined(sample, rejection)
            return True
        sample = self._new.get(target)
        if sample is None and len(self._new) + len(self._reported) >= self._targets:
            return False
        self._new[target] = _joined(sample, rejection)
        return True

    def due(self, now: UnixMs) -> Iterator[Sample]:
        """Take what is to be reported now, one by one, first uses first.

        Rejections may be added between two samples; samples not consumed stay.
        """
        self._refill(now)
        yield from self._first_uses(now)
        yield from self._repeats(now)

    def forget(self) -> int:
        """Forget everything; return how many rejections were not reported."""
        later = (sample for _, sample in self._reported.values())
        waiting = (*self._new.values(), *later)
        self._new.clear()
        self._reported.clear()
        return sum(sample.count for sample in waiting if sample is not None)

    def _refill(self, now: UnixMs) -> None:
        # A clock that was set back neither adds nor removes allowance.
        passed = max(0, now - self._allowed_at)
        earned = passed * self._per_second / 1_000
        self._allowance = min(float(self._per_second), self._allowance + earned)
        self._allowed_at = now

    def _first_uses(self, now: UnixMs) -> Iterator[Sample]:
        while self._new and self._allowance >= 1:
            self._allowance -= 1
            target, sample = self._new.popitem(last=False)
            self._reported[target] = now, None
            yield sample

    def _repeats(self, now: UnixMs) -> Iterator[Sample]:
        while self._reported:
            target, (reported_at, sample) = next(iter(self._reported.items()))
            # A time in the future means that the clock was set back.
            if reported_at <= now < reported_at + self._repeat_ms:
                return
            if sample is None:
                del self._reported[target]
            elif self._allowance >= 1:
                self._allowance -= 1
                del self._reported[target]
                self._reported[target] = now, None
                yield sample
            else:
                return


def _joined(sample: Sample | None, latest: Rejection) -> Sample:
    if sample is None:
        return Sample(latest, 1, latest.at)
    return Sample(latest, sample.count + 1, sample.first_seen)
