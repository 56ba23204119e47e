r"""How claims are named, what is found there, and what an issuer's mean. Pure.

`sub` is a member of the claims set; `act.sub` is the member `sub` of the object `act`
(RFC 8693 section 4.1). A dot that belongs to a member's own name is written `\.`, as in
`kubernetes\.io.namespace`. A name with a colon is a URI (RFC 7519 section 4.2) and is
taken as it stands: `https://app.example/tenant`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field

ALWAYS: Final = ("iss", "iat", "exp")
"""Claims that every token needs, whoever issues it."""

_MAX_NAME_CHARACTERS: Final = 256
_MAX_DEPTH: Final = 4
_DOT: Final = re.compile(r"(?<!\\)\.")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What is found where a name cannot be followed; `why` quotes no value."""

    why: str


@lru_cache(maxsize=1_024)
def split_name(name: str) -> tuple[str, ...]:
    """Return the members that a name leads through.

    Raises:
        ValueError: it is empty, has an empty part or leads too deep.
    """
    if ":" in name:
        return (name,)
    parts = tuple(part.replace("\\.", ".") for part in _DOT.split(name))
    if not all(parts):
        raise ValueError(
            f"{name!r} has an empty part; a dot of a member's own name is written `\\.`"
        )
    if len(parts) > _MAX_DEPTH:
        raise ValueError(f"{name!r} leads through more than {_MAX_DEPTH} members")
    return parts


def find_claim(claims: Mapping[str, Any], name: str) -> Any:
    """Return what a claims set holds under a name: None if it does not, or null.

    `Unreadable` where what should be an object is none, or where a member of the claims
    set has the whole of a nested name: two readings, of which one would be wrong.
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
        # The first is as good and takes a tenth of the time.
        if type(found) is not dict and not isinstance(found, Mapping):
            return Unreadable(f"a part of `{name}` is no object")
        found = found.get(part)
    return found


def put_claim(claims: dict[str, Any], name: str | None, value: Any) -> None:
    """Put a value where `find_claim` finds it; nowhere without a name.

    Objects on the way are replaced by copies: they may be somebody else's.
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
"""A claim as settings name it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimNames:
    """Which claims of an issuer's tokens name what can be revoked, and when it began.

    Names are those of `claim_names`. `token_id`, `tenant` and `version` may be None:
    the tokens have no such claim. Of `sessions` and `clients` each that a token has
    counts. `required`: what a token must have, beside `iss`, `iat` and `exp`.
    `backdated_ms`: by how much `iat` lies before the instant at which a token is made.
    `longest_ms`: the longest lifetime, if shorter than that of the installation.
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
        """The claims by which something can be revoked; their values are ids."""
        named = (self.user, self.token_id, *self.sessions, *self.clients, self.tenant)
        return tuple(name for name in named if name is not None)

    @property
    def members(self) -> frozenset[str]:
        """The members of a claims set that a check looks at."""
        version = () if self.version is None else (self.version,)
        names = (*ALWAYS, *self.identifiers, *version, *self.required)
        return frozenset(split_name(name)[0] for name in names)
