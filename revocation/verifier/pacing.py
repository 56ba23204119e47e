"""When a feed tries again, and when it may load a snapshot: never all at once.

All verifiers of a region lose their store in the same instant, find it again in the
same instant, and may all need everything that is in it. `Backoff` spreads the attempts,
`LoadAdmission` the snapshots. Nobody coordinates them: each looks at its own luck and
its own replies.
"""

import random
from typing import Final

_QUICK_SECONDS: Final = 0.025
"""About ten snapshots at a time: a page takes 1 to 4 ms of a store's. Fewer would leave
it idle, more would make projectors wait."""

_QUICK_REPLIES: Final = 3
_SLOW_SECONDS: Final = 0.5
"""Half of what a reply may take: whoever begins then still gets its pages."""

_DOUBLES_SECONDS: Final = 20.0
_DOUBLINGS: Final = 10
_SLOWER: Final = 3
_FAR_SECONDS: Final = 0.05


class Backoff:
    """How long to wait before the next attempt: at random, up to a bound that doubles.

    Full jitter: the attempts of many spread over all of the time, rather than around
    its end.
    """

    def __init__(self, first: float, last: float) -> None:
        """Begin with the bound `first`, in seconds; it grows up to `last`."""
        self._first = first
        self._last = last
        self._bound = first

    def next(self) -> float:
        """Return how many seconds to wait now; the next time it may be more."""
        bound, self._bound = self._bound, min(self._bound * 2, self._last)
        return random.uniform(0, bound)  # noqa: S311 - no secret

    def reset(self) -> None:
        """Begin anew, after something went well."""
        self._bound = self._first


class LoadAdmission:
    """Whether a store has time for a snapshot, by how quickly it answers small calls.

    A snapshot takes more of a store's time than anything else that a verifier asks for.
    Of a thousand at once each would get a thousandth of it: none would be there before
    all are, and with replies too late to be of use, none at all. So a few begin, the
    store gets slower by them, and the others see that and wait.

    The longer one has waited, the slower a store it accepts: something else may keep it
    busy. But never one so slow that pages would come too late.
    """

    def __init__(self) -> None:
        """Prepare; no reply has come yet."""
        self._took = 0.0
        # How long a reply takes when the store is idle: mostly the way there and back.
        self._quickest = _FAR_SECONDS
        self._quick_in_a_row = 0

    def note_reply(self, took: float) -> None:
        """Note how many seconds a small call took."""
        self._took = took
        self._quickest = min(self._quickest, took)

    def begin(self) -> None:
        """Wait from now on: what was quick before says nothing."""
        self._quick_in_a_row = 0

    def count_reply(self, *, waited: float) -> bool:
        """Count the last reply if it was quick, to who has waited so many seconds.

        Returns whether it was: then the turn is near.
        """
        patience = 2 ** min(waited / _DOUBLES_SECONDS, _DOUBLINGS)
        limit = min(_QUICK_SECONDS * patience, _SLOW_SECONDS)
        is_quick = self._took <= limit + _SLOWER * self._quickest
        self._quick_in_a_row = self._quick_in_a_row + 1 if is_quick else 0
        return is_quick

    @property
    def has_come(self) -> bool:
        """Whether several replies in a row were quick: one may be by chance."""
        return self._quick_in_a_row >= _QUICK_REPLIES


def around(seconds: float) -> float:
    """Return what is about as long, for polls that must not fall into step."""
    return seconds * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
