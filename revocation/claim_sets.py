r"""Claims that an installation made revocable, alone or combined. Pure.

A claim set is the names of some claims: `device_id`, or `azp` with `device_id`. An
event gives a value for each claim of one set, and is about every token of its issuer
that has all of them. Both sides write that as one id, `azp=web&device_id=d-1`: names in
order, names and values percent-encoded but for what RFC 3986 section 2.3 calls
unreserved.

Text stands for itself, whole numbers and booleans for their JSON text: `5` and `"5"`
are one value, so rather too many tokens are rejected than too few. A list has the value
of each of its members. Empty text and null are no value.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import product
from math import prod
from typing import Annotated, Any, Final
from urllib.parse import quote

from pydantic import AfterValidator, BeforeValidator, Field

from revocation.claim_names import ClaimName, Unreadable, find_claim, split_name
from revocation.entries import MAX_ID_CHARACTERS, Kind
from revocation.errors import ClaimsNotRevocableError

MAX_CLAIMS: Final = 4
"""The most claims of one set."""
MAX_SETS: Final = 16
"""The most sets of an installation."""
MAX_COMBINATIONS: Final = 1_024
"""The most ids that one token may have, of all sets together."""
MAX_WHOLE: Final = 2**53 - 1
"""The largest number that every JSON reader keeps exactly."""

_REMEMBERED: Final = 4_096

ClaimSet = tuple[str, ...]
"""The names of the claims of a set, in order."""

Named = tuple[Kind, str]
"""A kind and an id, as `Token.more` holds them."""


# The setting --------------------------------------------------------------------------


def _as_sets(value: Any) -> Any:
    """Let a name stand for the set of that claim alone."""
    if isinstance(value, list | tuple):
        return [[each] if isinstance(each, str) else each for each in value]
    return value


def _in_order(sets: tuple[ClaimSet, ...]) -> tuple[ClaimSet, ...]:
    ordered = {_sort(names) for names in sets}
    if any(len(names) > len({*names}) for names in sets):
        raise ValueError("a set names a claim twice")
    if len(ordered) < len(sets):
        raise ValueError("names a set twice")
    return tuple(sorted(ordered))


RevocableClaims = Annotated[
    tuple[
        Annotated[tuple[ClaimName, ...], Field(min_length=1, max_length=MAX_CLAIMS)],
        ...,
    ],
    Field(max_length=MAX_SETS),
    BeforeValidator(_as_sets),
    AfterValidator(_in_order),
]
"""The claim sets of an installation, each a name or a list of names."""


# Events -------------------------------------------------------------------------------


def claims_id(claims: Mapping[str, Any]) -> str:
    """Return the id of the claims that an event names.

    Raises:
        ValueError: a value is none that an event may give.
    """
    written = {_encode(name): _write(value) for name, value in claims.items()}
    if None in written.values():
        raise ValueError("a claim is neither text, a whole number nor a boolean")
    return "&".join(f"{name}={written[name]}" for name in sorted(written))


def require_revocable_names(names: Iterable[str], sets: Iterable[ClaimSet]) -> None:
    """Accept the names of claims that are a set of the installation.

    Raises:
        ClaimsNotRevocableError: no verifier looks for them. It does not say which they
            are: they may be anything.
    """
    known = [*map(frozenset, sets)]
    if frozenset(names) not in known:
        raise ClaimsNotRevocableError(
            "data.claims names no set of `revocable_claims`, so nobody would look for "
            f"it; there {'are ' + describe(sets) if known else 'is none'}"
        )


def describe(sets: Iterable[ClaimSet]) -> str:
    """Return sets as people read them, for instance `azp with device_id`."""
    return ", ".join(" with ".join(names) for names in sets) or "none"


# Tokens -------------------------------------------------------------------------------


class ClaimReader:
    """Reads what claims sets name of some sets; those of texts alone are remembered."""

    def __init__(self, sets: Iterable[ClaimSet]) -> None:
        """Prepare."""
        self.sets = tuple(map(_sort, sets))
        names = dict.fromkeys(name for each in self.sets for name in each)
        ways = [split_name(name) for name in names]
        nested = any(len(way) > 1 for way in ways)
        self._names = tuple(names)
        self._firsts = None if nested else [first for (first,) in ways]
        self._known: dict[tuple[Any, ...], tuple[Named, ...]] = {}

    def read(self, claims: Mapping[str, Any]) -> tuple[Named, ...] | str:
        """Return what a claims set names of the sets, or a complaint.

        A set of which the token lacks a claim names nothing, whatever the others are.
        The complaint names a claim that no event can name, never its value.
        """
        if self._firsts is not None:
            values = tuple(map(claims.get, self._firsts))
        else:
            values = tuple([find_claim(claims, name) for name in self._names])
        try:
            known = self._known.get(values)
        except TypeError:  # A list or an object, which has no hash.
            known = None
        return self._read(values) if known is None else known

    def pick(self, claims: Mapping[str, Any]) -> dict[str, Any]:
        """Return as much of a claims set as `read` needs, if it has no complaint."""
        picked: dict[str, Any] = {}
        for names in self.sets:
            found = [find_claim(claims, name) for name in names]
            if not all(map(_members, found)):
                continue
            for name, value in zip(names, found, strict=True):
                within, (*way, last) = picked, split_name(name)
                for part in way:
                    within = within.setdefault(part, {})
                within[last] = value
        return picked

    def _read(self, values: tuple[Any, ...]) -> tuple[Named, ...] | str:
        found = dict(zip(self._names, map(_members, values), strict=True))
        ids: list[str] = []
        for names in self.sets:
            if not all(found[name] for name in names):
                continue
            written = _write_set({name: found[name] for name in names})
            if isinstance(written, str):
                return written
            if len(ids) + prod(map(len, written)) > MAX_COMBINATIONS:
                return _TOO_MANY
            ids += ["&".join(pairs) for pairs in product(*written)]
        named = tuple([(Kind.CLAIMS, each) for each in ids])
        # Of other types some are equal that are written in different ways.
        if all(value is None or type(value) is str for value in values):
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[values] = named
        return named


@lru_cache(maxsize=64)
def claim_reader(sets: tuple[ClaimSet, ...]) -> ClaimReader:
    """Return the reader of some sets, the same each time."""
    return ClaimReader(sets)


def _write_set(values: Mapping[str, Sequence[Any]]) -> list[list[str]] | str:
    """Return how each value of each claim is written, or a complaint."""
    written = []
    for name, members in values.items():
        if isinstance(members[0], Unreadable):
            return members[0].why
        texts = dict.fromkeys(map(_write, members))
        if None in texts:
            return f"no event can name the `{name}` claim"
        written.append([f"{_encode(name)}={text}" for text in texts])
    return written


def _sort(names: Iterable[str]) -> ClaimSet:
    return tuple(sorted(names, key=_encode))


def _members(value: Any) -> Sequence[Any]:
    """Return the members of a list, or the value itself; what is empty is none."""
    if isinstance(value, Unreadable) or not isinstance(value, list | tuple):
        value = (value,)
    return [each for each in value if each is not None and each != ""]


def _write(value: Any) -> str | None:
    """Return how a value is written in an id, or None if no event can name it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and abs(value) <= MAX_WHOLE:
        return str(int(value))
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID_CHARACTERS:
        return None
    try:
        return _encode(value)
    except UnicodeEncodeError:  # A lone surrogate has no bytes.
        return None


@lru_cache(maxsize=_REMEMBERED)
def _encode(text: str) -> str:
    return quote(text, safe="")


_TOO_MANY: Final = (
    f"its claims make more than {MAX_COMBINATIONS:,} combinations of `revocable_claims`"
)
