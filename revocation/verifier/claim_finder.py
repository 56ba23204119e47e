"""Whether a replica may hold something about the claim sets of a token, at once.

Nearly always it does not, and each check asks: so what claims are looked up under is
remembered by their values, and looking up is one comparison with what there is.
"""

from collections.abc import KeysView, Mapping, Sequence
from typing import Any, Final

from revocation.claims.claim_sets import ClaimReader, is_text
from revocation.store.layout import CLAIM_SETS, IssuersDigests

_REMEMBERED: Final = 16_384


class ClaimFinder:
    """Knows the digests of the values that were asked for lately. Thread-safe."""

    def __init__(self, reader: ClaimReader, peppers: Sequence[bytes]) -> None:
        """Prepare, with the secrets of the replica's digests."""
        self._reader = reader
        members = self._members = reader.members
        # Of one alone no tuple need be made.
        self._only = members[0] if members is not None and len(members) == 1 else None
        self._digests = IssuersDigests(peppers)
        self._known: dict[str, dict[Any, tuple[bytes, ...]]] = {}
        self._room = _REMEMBERED

    def find(
        self, issuer: str, claims: Mapping[str, Any], held: KeysView[bytes]
    ) -> tuple[str, ...] | str:
        """Return the ids of claims to look for: none unless one is held.

        Or a complaint about a claim that no event can name.

        Args:
            issuer: the token's.
            claims: the token's claims set.
            held: the digests under which there are entries about claims.
        """
        if self._members is None:
            values: Any = self._reader.pick_values(claims)
        elif self._only is None:
            values = tuple(map(claims.get, self._members))
        elif (values := claims.get(self._only)) is None:
            return ()
        try:
            digests = self._known[issuer][values]
        except (KeyError, TypeError):  # A list or an object has no hash.
            return self._look(issuer, claims, values, held)
        return () if held.isdisjoint(digests) else self._reader.read(claims)

    def _look(
        self, issuer: str, claims: Mapping[str, Any], values: Any, held: KeysView[bytes]
    ) -> tuple[str, ...] | str:
        ids = self._reader.read(claims)
        if isinstance(ids, str):
            return ids
        rows = self._digests[issuer]
        digests = tuple([row[CLAIM_SETS][each] for row in rows for each in ids])
        # Lists in a set of several are not worth their room.
        each = values if type(values) is tuple else (values,)
        if all(is_text(value) and type(value) is not tuple for value in each):
            self._remember(issuer, values, digests)
        return () if held.isdisjoint(digests) else ids

    def _remember(self, issuer: str, values: Any, digests: tuple[bytes, ...]) -> None:
        self._room -= 1 + len(digests)
        if self._room < 0:
            self._known, self._room = {}, _REMEMBERED
        self._known.setdefault(issuer, {})[values] = digests
