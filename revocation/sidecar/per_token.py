"""What is made of a token's claims once, for as long as the token comes again."""

from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, TypeVar

_Made = TypeVar("_Made")

_MOST_KNOWN: Final = 8_192


class PerToken(Generic[_Made]):
    """Remembers what was made of claims. Nothing about revocation: that changes.

    The verifier remembers tokens that it verified, and their claims are the same
    unchangeable object each time. So which object it is tells which token, and whoever
    is remembered is held, so that no other object can have its place.
    """

    def __init__(self, make: Callable[[Mapping[str, Any]], _Made]) -> None:
        """Prepare; `make` is called for claims that were not seen lately."""
        self._make = make
        self._known: dict[int, tuple[Mapping[str, Any], _Made]] = {}

    def of(self, claims: Mapping[str, Any]) -> _Made:
        """Return what `make` makes of the claims."""
        known = self._known.get(id(claims))
        if known is not None:
            return known[1]
        made = self._make(claims)
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[id(claims)] = claims, made
        return made
