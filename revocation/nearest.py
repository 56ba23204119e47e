"""What was probably meant."""

import difflib
from collections.abc import Iterable


def nearest(given: str, known: Iterable[str]) -> str | None:
    """Return the known text that it is most like, in any case; None without any."""
    by_lower = {each.lower(): each for each in sorted(known)}
    near = difflib.get_close_matches(given.lower(), by_lower, n=1, cutoff=0)
    return by_lower[near[0]] if near else None
