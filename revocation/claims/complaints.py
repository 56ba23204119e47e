"""What makes a token unverifiable: something about it could never be revoked. Pure."""

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


def find_complaints(
    claims: Mapping[str, Any], claim_names: ClaimNames, kid: Any
) -> Iterator[str]:
    """Say one by one what would let a token slip past a check.

    The answers name a claim, never its value: that may be personal. Never raises,
    whatever the claims hold.
    """
    if kid is not None and not is_id(kid) and kid != "":
        yield "no event can name the `kid`"
    for name in (*ALWAYS, *claim_names.required):
        found = find_claim(claims, name)
        if isinstance(found, Unreadable):
            yield found.why
        # A `ver` of 0 is one: that of a user who was never revoked.
        elif found in _NOTHING:
            yield f"the token has no `{name}` claim"
    yield from find_unusable(claims, claim_names)


def find_unusable(claims: Mapping[str, Any], claim_names: ClaimNames) -> Iterator[str]:
    """Say the same of the claims that are there, and nothing of those that are not."""
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
        # The range also keeps NaN, infinity and overflow out of every comparison.
        is_time = type(value) in _NUMBERS and 0 <= value <= MAX_NUMERIC_DATE
        if value not in _NOTHING and not is_time:
            yield f"the `{name}` claim is no time in seconds"
    if claim_names.version is None:
        return
    version = find_claim(claims, claim_names.version)
    if version is not None and type(version) is not int:
        yield f"the `{claim_names.version}` claim is no whole number"


def is_id(value: Any) -> TypeGuard[str]:
    """Whether an event can name it. A lone surrogate has no bytes to look up."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID_CHARACTERS:
        return False
    return value.isascii() or _SURROGATE.search(value) is None


def _is_issuer(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and matches_issuer(value)


@lru_cache(maxsize=1_024)
def matches_issuer(value: str) -> bool:
    """Remember the answer: issuers are few, and this is asked for every token."""
    return is_id(value) and re.fullmatch(ISSUER_PATTERN, value) is not None
