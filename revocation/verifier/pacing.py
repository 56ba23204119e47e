"""When a feed retries, and when it may load a snapshot: never all feeds at once.

All verifiers of a region lose their store at the same moment, find it again at the same
moment, and may all need its whole content. `Backoff` spreads the attempts,
`LoadAdmission` the snapshots. There is no coordinator: each verifier acts on its own
failures and reply times.
"""

import random
from typing import Final

_QUICK_SECONDS: Final = 0.025
"""Allows about ten snapshots at a time: a page takes a store 1 to 4 ms. Fewer would
leave it idle, more would make projectors wait."""

_QUICK_REPLIES: Final = 3
_SLOW_SECONDS: Final = 0.5
"""Half of a reply's timeout: a load that begins then still gets its pages."""

_DOUBLES_SECONDS: Final = 20.0
_DOUBLINGS: Final = 10
_SLOWER: Final = 3
_FAR_SECONDS: Final = 0.05


class Backoff:
    """How long to wait before the next attempt: at random, up to a bound that doubles.

    Full jitter: many clients' attempts spread over the whole interval, rather than
    around its end.
    """

    def __init__(self, first: float, last: float) -> None:
        """Start with the bound `first`, in seconds; it grows up to `last`."""
        self._first = first
        self._last = last
        self._bound = first

    def next(self) -> float:
        """Return how many seconds to wait now, and double the bound."""
        bound, self._bound = self._bound, min(self._bound * 2, self._last)
        return random.uniform(0, bound)  # noqa: S311 - no secret

    def reset(self) -> None:
        """Start over, after a success."""
        self._bound = self._first


class LoadAdmission:
    """Decides whether a store has capacity for a snapshot, by its small calls' latency.

    A snapshot costs a store more time than anything else that a verifier requests. If a
    thousand loaded at once, each would get a thousandth: none would finish before all
    do, and if replies time out, none at all. So a few begin, the store slows down, and
    the others notice that and wait.

    The longer a verifier has waited, the slower a store it accepts, as something else
    may keep it busy; but never one so slow that pages would time out.
    """

    def __init__(self) -> None:
        """Prepare; no reply has been measured yet."""
        self._took = 0.0
        # The latency of an idle store: mostly the network round trip.
        self._quickest = _FAR_SECONDS
        self._quick_in_a_row = 0

    def note_reply(self, took: float) -> None:
        """Record how many seconds a small call took."""
        self._took = took
        self._quickest = min(self._quickest, took)

    def begin(self) -> None:
        """Begin to wait: earlier quick replies do not count."""
        self._quick_in_a_row = 0

    def count_reply(self, *, waited: float) -> bool:
        """Count the last reply if it was quick, given how many seconds were waited.

        Returns whether it was, which means that admission is near.
        """
        patience = 2 ** min(waited / _DOUBLES_SECONDS, _DOUBLINGS)
        limit = min(_QUICK_SECONDS * patience, _SLOW_SECONDS)
        is_quick = self._took <= limit + _SLOWER * self._quickest
        self._quick_in_a_row = self._quick_in_a_row + 1 if is_quick else 0
        return is_quick

    @property
    def is_admitted(self) -> bool:
        """Whether several replies in a row were quick: a single one may be chance."""
        return self._quick_in_a_row >= _QUICK_REPLIES


def around(seconds: float) -> float:
    """Return a random time near `seconds`, so that polls do not synchronize."""
    return seconds * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
