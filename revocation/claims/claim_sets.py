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

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import product
from math import prod
from operator import add
from typing import Annotated, Any, Final
from urllib.parse import quote

from pydantic import AfterValidator, BeforeValidator, Field

from revocation.claims.claim_names import ClaimName, Unreadable, find_claim, split_name
from revocation.entries import MAX_ID_CHARACTERS
from revocation.errors import ClaimsNotRevocableError

MAX_CLAIMS: Final = 4
"""The most claims of one set."""
MAX_SETS: Final = 16
"""The most sets of an installation."""
MAX_COMBINATIONS: Final = 1_024
"""The most ids that one token may have, of all sets together."""
MAX_WHOLE: Final = 2**53 - 1
"""The largest number that every JSON reader keeps exactly."""

_REMEMBERED: Final = 16_384
"""About how many ids, and members of lists, a reader remembers."""
_UNRESERVED: Final = re.compile("[A-Za-z0-9._~-]+")

ClaimSet = tuple[str, ...]
"""The names of the claims of a set, in order."""


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
    """Reads what claims sets name of some sets; what text names is remembered.

    `members`: the claims that there are to read, if they are members of claims sets
    and in no object.
    """

    def __init__(self, sets: Iterable[ClaimSet]) -> None:
        """Prepare."""
        self.sets = tuple(map(_sort, sets))
        names = dict.fromkeys(name for each in self.sets for name in each)
        self._names = tuple(names)
        self._places = [[*map(self._names.index, each)] for each in self.sets]
        self._begins = [[f"{_encode(name)}=" for name in each] for each in self.sets]
        ways = [split_name(name) for name in names]
        self._firsts = [first for first, *_ in ways]
        self._hidden = [
            (at, name, way[1:])
            for at, (name, way) in enumerate(zip(names, ways, strict=True))
            if len(way) > 1
        ]
        self.members = None if self._hidden else tuple(self._firsts)
        self._known: dict[tuple[Any, ...], tuple[str, ...]] = {}
        self._room = _REMEMBERED

    def read(self, claims: Mapping[str, Any]) -> tuple[str, ...] | str:
        """Return the ids of what a claims set names of the sets, or a complaint.

        A set of which the token lacks a claim names nothing, whatever the others are.
        The complaint names a claim that no event can name, never its value.
        """
        values = self.pick_values(claims)
        if len(values) == 1 and type(values[0]) is str:
            return self._read_text(values[0])
        try:
            known = self._known.get(values)
        except TypeError:  # A list or an object, which has no hash.
            return self._read_lists(values)
        return self._read(values) if known is None else known

    def pick_values(self, claims: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return what a claims set holds under each name, null where it does not."""
        values: list[Any] = [*map(claims.get, self._firsts)]
        for at, name, way in self._hidden:
            held = values[at]
            plain = len(way) == 1 and type(held) is dict and name not in claims
            values[at] = held.get(way[0]) if plain else find_claim(claims, name)
        return tuple(values)

    def pick(self, claims: Mapping[str, Any]) -> dict[str, Any]:
        """Return as much of a claims set as `read` needs, if it has no complaint."""
        picked: dict[str, Any] = {}
        for names in self.sets:
            found = [find_claim(claims, name) for name in names]
            if not all(map(_texts, found)):
                continue
            for name, value in zip(names, found, strict=True):
                within, (*way, last) = picked, split_name(name)
                for part in way:
                    within = within.setdefault(part, {})
                within[last] = value
        return picked

    def _read_text(self, value: str) -> tuple[str, ...] | str:
        """Do as `_read` of the only claim, which is text, in a third of the time."""
        text = _write_text(value)
        if text is None and value:
            return _complain(self._names[0], value)
        return () if text is None else (self._begins[0][0] + text,)

    def _read_lists(self, values: tuple[Any, ...]) -> tuple[str, ...] | str:
        values = tuple([tuple(each) if type(each) is list else each for each in values])
        try:
            known = self._known.get(values)
        except TypeError:  # Something that no event can name.
            known = None
        return self._read(values) if known is None else known

    def _read(self, values: tuple[Any, ...]) -> tuple[str, ...] | str:
        texts = [*map(_texts, values)]
        ids: list[str] = []
        for names, places, begins in zip(
            self.sets, self._places, self._begins, strict=True
        ):
            of_set = [texts[at] for at in places]
            if not all(of_set):
                continue
            for name, at, each in zip(names, places, of_set, strict=True):
                if None in each:
                    return _complain(name, values[at])
            if len(ids) + prod(map(len, of_set)) > MAX_COMBINATIONS:
                return _TOO_MANY
            ids += ["&".join(map(add, begins, each)) for each in product(*of_set)]
        found = tuple(ids)
        if all(map(is_text, values)):
            members = sum(len(each) for each in values if type(each) is tuple)
            self._room -= len(ids) + members + 1
            if self._room < 0:
                self._known, self._room = {}, _REMEMBERED
            self._known[values] = found
        return found


@lru_cache(maxsize=64)
def claim_reader(sets: tuple[ClaimSet, ...]) -> ClaimReader:
    """Return the reader of some sets, the same each time."""
    return ClaimReader(sets)


def is_text(value: Any) -> bool:
    """Whether it is absent, text or texts: of others, equal ones are written apart.

    Text that no event can name is none: where another claim of the set is absent it may
    be of any length, and is not worth remembering.
    """
    if type(value) is tuple:
        return all(map(is_text, value))
    return value is None or (type(value) is str and len(value) <= MAX_ID_CHARACTERS)


def _complain(name: str, value: Any) -> str:
    if isinstance(value, Unreadable):
        return value.why
    return f"no event can name the `{name}` claim"


def _sort(names: Iterable[str]) -> ClaimSet:
    return tuple(sorted(names, key=_encode))


def _texts(value: Any) -> Sequence[str | None]:
    """Return how each value of a claim is written, once; None for what cannot be."""
    if value is None or value == "":
        return ()
    if isinstance(value, Unreadable) or not isinstance(value, list | tuple):
        return (_write(value),)
    members = [each for each in value if each is not None and each != ""]
    return [*dict.fromkeys(map(_write, members))]


def _write(value: Any) -> str | None:
    """Return how a value is written in an id, or None if no event can name it."""
    if isinstance(value, str):
        return _write_text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and abs(value) <= MAX_WHOLE:
        return str(int(value))
    return None


def _write_text(text: str) -> str | None:
    if not 0 < len(text) <= MAX_ID_CHARACTERS:
        return None
    try:
        return _encode(text)
    except UnicodeEncodeError:  # A lone surrogate has no bytes.
        return None


def _encode(text: str) -> str:
    # Most are as they are; to see that takes a third of the time.
    return text if _UNRESERVED.fullmatch(text) else quote(text, safe="")


_TOO_MANY: Final = (
    f"its claims make more than {MAX_COMBINATIONS:,} combinations of `revocable_claims`"
)
