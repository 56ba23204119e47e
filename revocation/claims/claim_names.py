r"""How settings name claims, and how a named claim is found. Pure.

`sub` is a member of the claims set; `act.sub` is the member `sub` of the object `act`
(RFC 8693 section 4.1). A dot within a member's own name is written `\.`, as in
`kubernetes\.io.namespace`. A name with a colon is a URI (RFC 7519 section 4.2) and is
taken literally: `https://app.example/tenant`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field

ALWAYS: Final = ("iss", "iat", "exp")
"""Claims that every token needs, from any issuer."""

_MAX_NAME_CHARACTERS: Final = 256
_MAX_DEPTH: Final = 4
_DOT: Final = re.compile(r"(?<!\\)\.")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The result for a name that cannot be resolved; `why` quotes no value."""

    why: str


@lru_cache(maxsize=1_024)
def split_name(name: str) -> tuple[str, ...]:
    """Return the members on the path of a name.

    Raises:
        ValueError: the name is empty, has an empty part or is nested too deeply.
    """
    if ":" in name:
        return (name,)
    parts = tuple(part.replace("\\.", ".") for part in _DOT.split(name))
    if not all(parts):
        raise ValueError(
            f"{name!r} has an empty part; write a dot within a member's name as `\\.`"
        )
    if len(parts) > _MAX_DEPTH:
        raise ValueError(f"{name!r} has more than {_MAX_DEPTH} parts")
    return parts


def find_claim(claims: Mapping[str, Any], name: str) -> Any:
    """Return the value of a claim; None if it is absent or null.

    `Unreadable` if a part of the path is not an object, or if the claims set also has a
    member with the whole nested name, which would be ambiguous.
    """
    first, *rest = split_name(name)
    found = claims.get(first)
    if not rest:
        return found
    if name in claims:
        written = name.replace(".", "\\.")
        return Unreadable(f"the token has a claim `{name}` itself; name it `{written}`")
    for part in rest:
        if found is None:
            return None
        # The first test usually suffices and takes a tenth of the time.
        if type(found) is not dict and not isinstance(found, Mapping):
            return Unreadable(f"a part of `{name}` is not an object")
        found = found.get(part)
    return found


def put_claim(claims: dict[str, Any], name: str | None, value: Any) -> None:
    """Set the value that `find_claim` returns for a name; do nothing for None.

    Objects on the path are replaced by copies, since the caller may own them.
    """
    if name is None:
        return
    *outer, last = split_name(name)
    for part in outer:
        within = claims.get(part)
        copy = dict(within) if isinstance(within, Mapping) else {}
        claims[part] = claims = copy
    claims[last] = value


def _check(name: str) -> str:
    split_name(name)
    return name


ClaimName = Annotated[
    str, Field(min_length=1, max_length=_MAX_NAME_CHARACTERS), AfterValidator(_check)
]
"""The name of a claim in settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimNames:
    """Which claims of an issuer's tokens name revocable targets, and how `iat` is set.

    `token_id`, `tenant` and `version` are None if the tokens have no such claim. Of
    `sessions` and `clients` every one that a token has counts. `required`: the claims
    that a token must have besides `iss`, `iat` and `exp`. `backdated_ms`: how far `iat`
    lies before the creation of a token. `longest_ms`: the longest lifetime, if shorter
    than that of the installation.
    """

    user: str = "sub"
    token_id: str | None = "jti"  # noqa: S105 - a claim, not a secret
    sessions: tuple[str, ...] = ("sid",)
    clients: tuple[str, ...] = ("client_id", "azp")
    tenant: str | None = "tenant"
    version: str | None = None
    required: tuple[str, ...] = ("sub", "jti")
    backdated_ms: int = 0
    longest_ms: int | None = None

    @property
    def identifiers(self) -> tuple[str, ...]:
        """The claims that name targets; their values are ids."""
        named = (self.user, self.token_id, *self.sessions, *self.clients, self.tenant)
        return tuple(name for name in named if name is not None)

    @property
    def members(self) -> frozenset[str]:
        """The members of a claims set that a check reads."""
        version = () if self.version is None else (self.version,)
        names = (*ALWAYS, *self.identifiers, *version, *self.required)
        return frozenset(split_name(name)[0] for name in names)
