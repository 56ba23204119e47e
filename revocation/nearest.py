"""What was probably meant."""

import difflib
from bisect import bisect
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

_FEW: Final = 256
_MAX: Final = 64
"""How many of more than a few are compared; each takes a tenth of a millisecond."""


def nearest(given: str, known: Iterable[str]) -> str | None:
    """Return the known text that it is most like, in any case; None without any.

    Of very many only those are looked at that begin or end most alike.
    """
    by_lower = {each.lower(): each for each in sorted(known)}
    lowered = given.lower()
    alike = by_lower if len(by_lower) <= _FEW else _alike(lowered, [*by_lower])
    near = difflib.get_close_matches(lowered, alike, n=1, cutoff=0)
    return by_lower[near[0]] if near else None


def _alike(given: str, known: Sequence[str]) -> Iterator[str]:
    yield from _around(given, sorted(known))
    backwards = sorted(each[::-1] for each in known)
    yield from (each[::-1] for each in _around(given[::-1], backwards))


def _around(given: str, ordered: Sequence[str]) -> Sequence[str]:
    at = bisect(ordered, given)
    return ordered[max(0, at - _MAX // 4) : at + _MAX // 4]
