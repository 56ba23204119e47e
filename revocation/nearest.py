"""Suggestions: the known text closest to the one given."""

import difflib
from bisect import bisect
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

_FEW: Final = 256
_MAX: Final = 64
"""How many of a longer list are compared; each takes a tenth of a millisecond."""


def nearest(given: str, known: Iterable[str]) -> str | None:
    """Return the closest known text, ignoring case; None if there is none.

    Of a long list, only texts with a similar beginning or end are compared.
    """
    by_lower = {each.lower(): each for each in sorted(known)}
    lowered = given.lower()
    similar = by_lower if len(by_lower) <= _FEW else _similar(lowered, [*by_lower])
    near = difflib.get_close_matches(lowered, similar, n=1, cutoff=0)
    return by_lower[near[0]] if near else None


def _similar(given: str, known: Sequence[str]) -> Iterator[str]:
    yield from _neighbours(given, sorted(known))
    backwards = sorted(each[::-1] for each in known)
    yield from (each[::-1] for each in _neighbours(given[::-1], backwards))


def _neighbours(given: str, ordered: Sequence[str]) -> Sequence[str]:
    at = bisect(ordered, given)
    return ordered[max(0, at - _MAX // 4) : at + _MAX // 4]
