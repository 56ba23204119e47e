r"""Revocable claims of an installation, alone or combined. Pure.

A claim set is a set of claim names: `device_id`, or `azp` with `device_id`. An event
gives a value for each claim of one set, and is about every token of its issuer that has
all of these values. Events and tokens are matched by an id, `azp=web&device_id=d-1`:
names in order, with all but the unreserved characters of RFC 3986 section 2.3
percent-encoded in names and values.

Text stands for itself, integers and booleans for their JSON text: `5` and `"5"` are one
value, so that too many tokens are rejected rather than too few. A list has the value
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
"""The maximum number of claims in one set."""
MAX_SETS: Final = 16
"""The maximum number of sets of an installation."""
MAX_COMBINATIONS: Final = 1_024
"""The maximum number of ids that one token may have, over all sets."""
MAX_WHOLE: Final = 2**53 - 1
"""The largest integer that every JSON parser keeps exactly."""

_CACHE_SIZE: Final = 16_384
"""About how many ids, and members of lists, a reader caches."""
_UNRESERVED: Final = re.compile("[A-Za-z0-9._~-]+")

ClaimSet = tuple[str, ...]
"""The names of a set's claims, in order."""


# The setting --------------------------------------------------------------------------


def _as_sets(value: Any) -> Any:
    """Accept a single name as a set of that claim alone."""
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
"""The claim sets of an installation, each given as a name or a list of names."""


# Events -------------------------------------------------------------------------------


def claims_id(claims: Mapping[str, Any]) -> str:
    """Return the id of the claims that an event names.

    Raises:
        ValueError: an event may not give such a value.
    """
    written = {_encode(name): _write(value) for name, value in claims.items()}
    if None in written.values():
        raise ValueError("a claim must be text, a whole number or a boolean")
    return "&".join(f"{name}={written[name]}" for name in sorted(written))


def require_revocable_names(names: Iterable[str], sets: Iterable[ClaimSet]) -> None:
    """Accept claim names that are a set of the installation.

    Raises:
        ClaimsNotRevocableError: no verifier looks for them. The message does not quote
            the names, which may be anything.
    """
    known = [*map(frozenset, sets)]
    if frozenset(names) not in known:
        raise ClaimsNotRevocableError(
            "data.claims does not match a set of `revocable_claims`, so no verifier "
            f"would look for it; the sets are: {describe(sets)}"
        )


def describe(sets: Iterable[ClaimSet]) -> str:
    """Return sets in words, for instance `azp with device_id`."""
    return ", ".join(" with ".join(names) for names in sets) or "none"


# Tokens -------------------------------------------------------------------------------


class ClaimReader:
    """Reads the ids that tokens have under some claim sets; caches those of text.

    `members`: the names of the claims to read, or None if some of them are nested.
    """

    def __init__(self, sets: Iterable[ClaimSet]) -> None:
        """Prepare."""
        self.sets = tuple(map(_sort, sets))
        names = dict.fromkeys(name for each in self.sets for name in each)
        self._names = tuple(names)
        self._indexes = [[*map(self._names.index, each)] for each in self.sets]
        self._prefixes = [[f"{_encode(name)}=" for name in each] for each in self.sets]
        paths = [split_name(name) for name in names]
        self._firsts = [first for first, *_ in paths]
        self._nested = [
            (at, name, path[1:])
            for at, (name, path) in enumerate(zip(names, paths, strict=True))
            if len(path) > 1
        ]
        self.members = None if self._nested else tuple(self._firsts)
        self._known: dict[tuple[Any, ...], tuple[str, ...]] = {}
        self._room = _CACHE_SIZE

    def read(self, claims: Mapping[str, Any]) -> tuple[str, ...] | str:
        """Return the ids of a claims set under the sets, or what is wrong with it.

        A set yields no id if the token lacks one of its claims. The problem is a claim
        that no event can name; the text never quotes its value.
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
        """Return the value of each name in a claims set, None if it is absent."""
        values: list[Any] = [*map(claims.get, self._firsts)]
        for at, name, path in self._nested:
            outer = values[at]
            plain = len(path) == 1 and type(outer) is dict and name not in claims
            values[at] = outer.get(path[0]) if plain else find_claim(claims, name)
        return tuple(values)

    def pick(self, claims: Mapping[str, Any]) -> dict[str, Any]:
        """Return the part of a valid claims set that `read` needs."""
        picked: dict[str, Any] = {}
        for names in self.sets:
            found = [find_claim(claims, name) for name in names]
            if not all(map(_texts, found)):
                continue
            for name, value in zip(names, found, strict=True):
                within, (*path, last) = picked, split_name(name)
                for part in path:
                    within = within.setdefault(part, {})
                within[last] = value
        return picked

    def _read_text(self, value: str) -> tuple[str, ...] | str:
        """Read the only claim, which is text, in a third of the time of `_read`."""
        text = _write_text(value)
        if text is None and value:
            return _describe_problem(self._names[0], value)
        return () if text is None else (self._prefixes[0][0] + text,)

    def _read_lists(self, values: tuple[Any, ...]) -> tuple[str, ...] | str:
        values = tuple([tuple(each) if type(each) is list else each for each in values])
        try:
            known = self._known.get(values)
        except TypeError:  # A value that no event can name.
            known = None
        return self._read(values) if known is None else known

    def _read(self, values: tuple[Any, ...]) -> tuple[str, ...] | str:
        texts = [*map(_texts, values)]
        ids: list[str] = []
        for names, indexes, prefixes in zip(
            self.sets, self._indexes, self._prefixes, strict=True
        ):
            of_set = [texts[at] for at in indexes]
            if not all(of_set):
                continue
            for name, at, each in zip(names, indexes, of_set, strict=True):
                if None in each:
                    return _describe_problem(name, values[at])
            if len(ids) + prod(map(len, of_set)) > MAX_COMBINATIONS:
                return _TOO_MANY
            ids += ["&".join(map(add, prefixes, each)) for each in product(*of_set)]
        found = tuple(ids)
        if all(map(is_text, values)):
            members = sum(len(each) for each in values if type(each) is tuple)
            self._room -= len(ids) + members + 1
            if self._room < 0:
                self._known, self._room = {}, _CACHE_SIZE
            self._known[values] = found
        return found


@lru_cache(maxsize=64)
def claim_reader(sets: tuple[ClaimSet, ...]) -> ClaimReader:
    """Return the shared reader of some claim sets."""
    return ClaimReader(sets)


def is_text(value: Any) -> bool:
    """Whether a value can be cached: it is absent, text or a list of texts.

    Other values that compare equal, as 1 and True do, have different ids. Text too long
    for an event is not cached either: it matters only in sets that lack another claim.
    """
    if type(value) is tuple:
        return all(map(is_text, value))
    return value is None or (type(value) is str and len(value) <= MAX_ID_CHARACTERS)


def _describe_problem(name: str, value: Any) -> str:
    if isinstance(value, Unreadable):
        return value.why
    return f"no event can name the `{name}` claim"


def _sort(names: Iterable[str]) -> ClaimSet:
    return tuple(sorted(names, key=_encode))


def _texts(value: Any) -> Sequence[str | None]:
    """Return the distinct texts of a claim's values; None for one without a text."""
    if value is None or value == "":
        return ()
    if isinstance(value, Unreadable) or not isinstance(value, list | tuple):
        return (_write(value),)
    members = [each for each in value if each is not None and each != ""]
    return [*dict.fromkeys(map(_write, members))]


def _write(value: Any) -> str | None:
    """Return the text of a value in an id, or None if no event can name it."""
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
    # Most texts need no encoding; this test takes a third of the time.
    return text if _UNRESERVED.fullmatch(text) else quote(text, safe="")


_TOO_MANY: Final = (
    f"its claims have more than {MAX_COMBINATIONS:,} combinations of `revocable_claims`"
)
