"""Finds the claim sets of a token about which a replica may hold entries, quickly.

Nearly always there are none, and every check looks: so the digests of claims are cached
by the claims' values, and a lookup is one comparison with the entries held.
"""

from collections.abc import KeysView, Mapping, Sequence
from typing import Any, Final

from revocation.claims.claim_sets import ClaimReader, is_text
from revocation.store.layout import CLAIM_SETS, IssuersDigests

_CACHE_SIZE: Final = 16_384


class ClaimFinder:
    """Caches the digests of recently seen values. Thread-safe."""

    def __init__(self, reader: ClaimReader, peppers: Sequence[bytes]) -> None:
        """Prepare, with the peppers of the replica's digests."""
        self._reader = reader
        members = self._members = reader.members
        # A single member needs no tuple.
        self._only = members[0] if members is not None and len(members) == 1 else None
        self._digests = IssuersDigests(peppers)
        self._known: dict[str, dict[Any, tuple[bytes, ...]]] = {}
        self._room = _CACHE_SIZE

    def find(
        self, issuer: str, claims: Mapping[str, Any], held: KeysView[bytes]
    ) -> tuple[str, ...] | str:
        """Return the ids of claims to look up: none unless an entry is held.

        Or return a fault: a claim that no event can name.

        Args:
            issuer: the token's.
            claims: the token's claims set.
            held: the digests of the entries about claims.
        """
        if self._members is None:
            values: Any = self._reader.pick_values(claims)
        elif self._only is None:
            values = tuple(map(claims.get, self._members))
        elif (values := claims.get(self._only)) is None:
            return ()
        try:
            digests = self._known[issuer][values]
        except (KeyError, TypeError):  # A list or an object is not hashable.
            return self._look_up(issuer, claims, values, held)
        return () if held.isdisjoint(digests) else self._reader.read(claims)

    def _look_up(
        self, issuer: str, claims: Mapping[str, Any], values: Any, held: KeysView[bytes]
    ) -> tuple[str, ...] | str:
        ids = self._reader.read(claims)
        if isinstance(ids, str):
            return ids
        rows = self._digests[issuer]
        digests = tuple([row[CLAIM_SETS][each] for row in rows for each in ids])
        # Lists in a set of several claims are not worth caching.
        each = values if type(values) is tuple else (values,)
        if all(is_text(value) and type(value) is not tuple for value in each):
            self._cache(issuer, values, digests)
        return () if held.isdisjoint(digests) else ids

    def _cache(self, issuer: str, values: Any, digests: tuple[bytes, ...]) -> None:
        self._room -= 1 + len(digests)
        if self._room < 0:
            self._known, self._room = {}, _CACHE_SIZE
        self._known.setdefault(issuer, {})[values] = digests
