"""Recognises a whole JWT that was given in place of an id. Pure.

A common mistake when revoking a token is to send the token and not its `jti`. As an id
it matches no token, so nothing would be revoked. Nothing read here is verified.
"""

import base64
from typing import Any, Final, NamedTuple

import orjson

WHOLE_TOKEN: Final = "whole_token"  # noqa: S105 - a code, not a secret
"""The type of pydantic's error where a whole JWT was given for an id."""

_PARTS: Final = (3, 5)
"""The parts of a signed (RFC 7515 section 3.1) and of an encrypted token (RFC 7516)."""
_QUOTES: Final = "\"'`<>,;"


class Peeked(NamedTuple):
    """A token's unverified content. `claims` is None if they cannot be read."""

    header: dict[str, Any]
    claims: dict[str, Any] | None


def peek(text: str) -> Peeked | None:
    """Decode a compact JWT without verifying it; None if the text is not one.

    Text copied along with it is ignored: `Authorization: Bearer` or another scheme
    before it, quotes around it. Its header must have `alg`.
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
