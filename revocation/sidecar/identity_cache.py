"""Caches values derived from objects, by the objects' identity."""

from collections.abc import Callable
from typing import Final, Generic, TypeVar

_Of = TypeVar("_Of")
_Made = TypeVar("_Made")

_MAX_KNOWN: Final = 8_192


class IdentityCache(Generic[_Of, _Made]):
    """Caches what `make` returns for immutable objects.

    The verifier caches tokens that it verified, and the claims of one are the same
    object each time, so the object's identity stands for the token. The cache holds a
    reference, so that no other object can get the same identity. The values must not
    depend on revocation: that changes, while the token does not.
    """

    def __init__(self, make: Callable[[_Of], _Made]) -> None:
        """Prepare; `make` is called for objects that are not cached."""
        self._make = make
        self._known: dict[int, tuple[_Of, _Made]] = {}

    def of(self, it: _Of) -> _Made:
        """Return what `make` returns for the object."""
        known = self._known.get(id(it))
        if known is not None:
            return known[1]
        made = self._make(it)
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        self._known[id(it)] = it, made
        return made
