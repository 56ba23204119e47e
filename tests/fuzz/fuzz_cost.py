"""Searches for input whose bytes cost more than a customer's; pytest does so briefly.

    python -m tests.fuzz.fuzz_cost --minutes 10

What is judged: tokens that nobody signed, and requests to the sidecar, whole or in
chunks. Cost is the CPU time of the thread, by byte, in relation to the median of
ordinary input of the same size: what a customer sends. Worst and median are printed for
each size. The worst that were found are kept in `seeds-cost/`, where the next search
begins; and in tests they are judged again, by the calls that Python makes: these are
the same on every machine.
"""

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.fuzz.cost_targets import TARGETS, Genome
from tests.unit.growth import PIECES

SEEDS = Path(__file__).parent / "seeds-cost"
MAX_RATIO = 5.0
"""An adversary's byte may cost so many times a customer's."""
_POOL = 24
_MAX = 160


class Found(NamedTuple):
    """The worst of a target and size."""

    target: str
    size: int
    worst: float
    median: float
    genome: Genome

    @property
    def ratio(self) -> float:
        """How many times the usual."""
        return self.worst / self.median


# Measures -----------------------------------------------------------------------------


def seconds(judge: Callable[[bytes], object], data: bytes, *, times: int = 2) -> float:
    """The CPU time of this thread, the least of several."""
    best = float("inf")
    for _ in range(times):
        began = time.thread_time()
        judge(data)
        best = min(best, time.thread_time() - began)
    return best


def calls(judge: Callable[[bytes], object], data: bytes, **_: int) -> float:
    """The calls of Python and C: the same each time."""
    count = 0

    def note(*_: object) -> None:
        nonlocal count
        count += 1

    judge(data)  # what is remembered is remembered
    before = sys.getprofile()
    sys.setprofile(note)
    try:
        judge(data)
    finally:
        sys.setprofile(before)
    return float(count)


Measure = Callable[..., float]


class Search:
    """Looks for the worst of one target and size."""

    def __init__(self, name: str, size: int, measure: Measure, rng: random.Random):
        self._name, self._size = name, size
        self._target, self._measure, self._rng = TARGETS[name], measure, rng
        self.median = self._usual()
        starts = [*self._target.starts, *read_seeds(name)]
        self._pool = sorted(((self._cost(each), each) for each in starts), reverse=True)

    @property
    def found(self) -> Found:
        """The worst so far."""
        worst, genome = self._pool[0]
        return Found(self._name, self._size, worst, self.median, genome)

    def step(self) -> None:
        """Try one more."""
        genome = self._mutated()
        cost = self._cost(genome)
        if cost > self._pool[-1][0] or len(self._pool) < _POOL:
            # Noise only adds: what is to stay is measured again.
            cost = min(cost, self._cost(genome, times=5))
            kept = {each: value for value, each in self._pool}
            kept[genome] = min(cost, kept.get(genome, cost))
            self._pool = sorted(
                ((value, each) for each, value in kept.items()), reverse=True
            )[:_POOL]

    def settle(self) -> None:
        """Measure all that was kept once more, and beside it what is usual."""
        self.median = self._usual()
        costs = [(self._cost(each, times=9), each) for _, each in self._pool]
        self._pool = sorted(costs, reverse=True)

    def _usual(self) -> float:
        return statistics.median(
            self._measure(self._target.judge, data, times=9) / len(data)
            for data in self._target.ordinary(self._size)
        )

    def _cost(self, genome: Genome, **options: int) -> float:
        data = self._target.wrap(genome, self._size)
        if len(data) < self._size // 2:
            return 0.0
        return self._measure(self._target.judge, data, **options) / len(data)

    def _mutated(self) -> Genome:
        rng = self._rng
        parts = list(rng.choice(self._pool)[1])
        for _ in range(rng.randint(1, 3)):
            which = rng.choice((0, 1, 1, 1, 2))
            parts[which] = self._changed(parts[which])[:_MAX]
        return Genome(parts[0], parts[1] or b"a", parts[2])

    def _changed(self, part: bytes) -> bytes:
        rng = self._rng
        at, to = sorted(rng.randint(0, len(part)) for _ in range(2))
        other = rng.choice(rng.choice(self._pool)[1])
        new = rng.choice(
            (
                *(rng.choice(PIECES), rng.choice(PIECES) * 2, b"", other),
                *(bytes([rng.randrange(256)]), part[at:to] * 2),
            )
        )
        return part[:at] + new + part[rng.choice((at, to)) :]


def read_seeds(name: str) -> list[Genome]:
    """What was kept of a target."""
    path = SEEDS / f"{name}.json"
    return [Genome.read(each) for each in json.loads(path.read_text())]


def keep(found: list[Found]) -> None:
    """Begin there the next time."""
    for name in TARGETS:
        worst = [each.genome.written() for each in found if each.target == name]
        unique = [each for at, each in enumerate(worst) if each not in worst[:at]]
        (SEEDS / f"{name}.json").write_text(json.dumps(unique, indent=1) + "\n")


def search(
    measure: Measure, rng: random.Random, goes_on: Callable[[int], bool]
) -> list[Found]:
    """Search all targets and sizes by turns; `goes_on` is asked before each turn."""
    searches = [
        Search(name, size, measure, rng)
        for name, target in TARGETS.items()
        for size in target.sizes
    ]
    turn = 0
    while goes_on(turn):
        for each in searches:
            each.step()
        turn += 1
    for each in searches:
        each.settle()
    return [each.found for each in searches]


def main() -> None:
    """Search for some minutes, print and keep the worst."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--minutes", type=float, default=10.0)
    options.add_argument("--seed", type=int, default=None)
    given = options.parse_args()
    until = time.monotonic() + 60 * given.minutes
    rng = random.Random(given.seed)
    found = search(seconds, rng, lambda _: time.monotonic() < until)
    for each in found:
        print(  # noqa: T201 - for who searches
            f"{each.target:8} {each.size:6} B  worst {each.worst * 1e9:7.1f} ns/B  "
            f"median {each.median * 1e9:7.1f} ns/B  {each.ratio:4.1f}  {each.genome}"
        )
    keep(found)
    worst = max(each.ratio for each in found)
    print(f"worst: {worst:.1f} times the median, of {MAX_RATIO}")  # noqa: T201
    sys.exit(worst > MAX_RATIO)


if __name__ == "__main__":
    main()
