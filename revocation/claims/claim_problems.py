"""Problems that make a token unverifiable: events could not revoke it. Pure."""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, TypeGuard

from revocation.claims.claim_names import ALWAYS, ClaimNames, Unreadable, find_claim
from revocation.entries import ISSUER_PATTERN, MAX_ID_CHARACTERS

MAX_NUMERIC_DATE: Final = 253_402_300_799
"""The last second of the year 9999 (RFC 7519 section 2)."""

_NOTHING: Final = (None, "")
_NUMBERS: Final = frozenset({int, float})
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def find_problems(
    claims: Mapping[str, Any], claim_names: ClaimNames, kid: Any
) -> Iterator[str]:
    """Yield each problem that would let a token escape revocation.

    The texts name a claim but never quote its value, which may be personal. Never
    raises, whatever the claims hold.
    """
    if kid is not None and not is_id(kid) and kid != "":
        yield "no event can name the `kid`"
    for name in (*ALWAYS, *claim_names.required):
        found = find_claim(claims, name)
        if isinstance(found, Unreadable):
            yield found.why
        # 0 is a valid version: that of a user who was never revoked.
        elif found in _NOTHING:
            yield f"the token has no `{name}` claim"
    yield from find_unusable(claims, claim_names)


def find_unusable(claims: Mapping[str, Any], claim_names: ClaimNames) -> Iterator[str]:
    """Yield the problems of claims that are present; ignore missing ones."""
    yield from _unnameable(claims, claim_names)
    yield from _immeasurable(claims, claim_names)


def _unnameable(claims: Mapping[str, Any], claim_names: ClaimNames) -> Iterator[str]:
    issuer = claims.get("iss")
    if issuer not in _NOTHING and not _is_issuer(issuer):
        yield "no event can name the `iss` claim"
    for name in claim_names.identifiers:
        value = find_claim(claims, name)
        if isinstance(value, Unreadable):
            yield value.why
        elif value not in _NOTHING and not is_id(value):
            yield f"no event can name the `{name}` claim"


def _immeasurable(claims: Mapping[str, Any], claim_names: ClaimNames) -> Iterator[str]:
    for name in ("iat", "exp"):
        value: Any = claims.get(name)
        # The range also excludes NaN, infinity and overflow from every comparison.
        is_time = type(value) in _NUMBERS and 0 <= value <= MAX_NUMERIC_DATE
        if value not in _NOTHING and not is_time:
            yield f"the `{name}` claim is not a time in seconds"
    if claim_names.version is None:
        return
    version = find_claim(claims, claim_names.version)
    if version is not None and type(version) is not int:
        yield f"the `{claim_names.version}` claim is not a whole number"


def is_id(value: Any) -> TypeGuard[str]:
    """Whether an event can name a value. A lone surrogate has no UTF-8 encoding."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID_CHARACTERS:
        return False
    return value.isascii() or _SURROGATE.search(value) is None


def _is_issuer(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and matches_issuer(value)


@lru_cache(maxsize=1_024)
def matches_issuer(value: str) -> bool:
    """Whether a text can be an issuer; cached, since this runs for every token."""
    return is_id(value) and re.fullmatch(ISSUER_PATTERN, value) is not None
