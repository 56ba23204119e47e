"""Knows a whole JWT where an id is due, and what stands in it. Pure.

The most usual slip of whoever revokes a token: what is at hand is the token, not its
`jti`. As an id it names nothing that any token has, so nothing would be revoked.
Nothing that is read here was verified.
"""

import base64
from typing import Any, Final, NamedTuple

import orjson

WHOLE_TOKEN: Final = "whole_token"  # noqa: S105 - a code, not a secret
"""The type of pydantic's error where a whole JWT was given for an id."""

_PARTS: Final = (3, 5)
"""Of a signed token (RFC 7515 section 3.1) and of an encrypted one (RFC 7516)."""
_QUOTES: Final = "\"'`<>,;"


class Peeked(NamedTuple):
    """What a token says of itself. `claims` is None where they cannot be read."""

    header: dict[str, Any]
    claims: dict[str, Any] | None


def peek(text: str) -> Peeked | None:
    """Look into a compact JWT without verifying it; None if it is none.

    Its header has `alg`. What it was copied along with may be there: `Authorization:
    Bearer` or another scheme before it, quotes around it.
    """
    if "." not in text:
        return None
    parts = text.rsplit(maxsplit=1)[-1].strip(_QUOTES).split(".")
    if len(parts) not in _PARTS:
        return None
    header = _object(parts[0])
    if header is None or "alg" not in header:
        return None
    return Peeked(header, _object(parts[1]))


def _object(part: str) -> dict[str, Any] | None:
    try:
        found = orjson.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
