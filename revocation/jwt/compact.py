"""Parses a token: JWS Compact Serialization, base64url, strict JSON. Pure.

Input that two parsers could read differently is refused (RFC 8725 section 2.6): an
accepted token has one reading and, except for its signature, one spelling.
"""

import re
from binascii import a2b_base64
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson

MAX_KID_CHARACTERS: Final = 512
MAX_DEPTH: Final = 16
"""The deepest nesting of objects and arrays."""
_MAX_HEADER_CHARACTERS: Final = 2_048

_FORM: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_LAST_OF_TWO: Final = frozenset("AQgw")
_LAST_OF_THREE: Final = frozenset("AEIMQUYcgkosw048")
_TO_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_TO_SQUARE: Final = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_TO_ZERO: Final = bytes.maketrans(b"123456789", b"000000000")
_TOO_LONG: Final = b"0" * 20
_LONG_NEGATIVE: Final = b"-" + b"0" * 19
_MIN: Final = -(1 << 63)
"""Smaller numbers, and those of 20 digits, would be read as floats."""

_UNDERSTOOD: Final = ("alg", "typ", "kid")
_REFUSED: Final = frozenset(
    {
        *("crit", "b64", "cty", "enc", "zip"),
        *("epk", "apu", "apv", "iv", "tag", "p2s", "p2c"),
    }
)
_NEVER_FOLLOWED: Final = frozenset({"jku", "jwk", "x5c", "x5u"})


class Header(NamedTuple):
    """The JOSE header's members that matter (RFC 7515 section 4).

    `brings`: which of `jku`, `jwk`, `x5c` and `x5u` it has; keys are never taken from
    them. Members unknown here are omitted, since they must be ignored.
    """

    alg: str
    typ: str | None
    kid: str | None
    brings: frozenset[str] = frozenset()


class TokenParts(NamedTuple):
    """A parsed token. Nothing in it can be trusted before its signature is verified."""

    header: Header
    claims: dict[str, Any]
    signing_input: bytes
    signature: bytes


class Malformed(NamedTuple):
    """Why the form is refused; never quotes the token."""

    rule: str


def take_apart(token: str) -> TokenParts | Malformed:
    """Parse a token, or return the rule of form that it violates. Never raises.

    Args:
        token: ASCII text of a length that the caller has limited.
    """
    if not _FORM.fullmatch(token):
        return Malformed("a token has three parts of base64url, joined by dots")
    first, second, third = token.split(".")
    if len(first) > _MAX_HEADER_CHARACTERS:
        return Malformed("the header is too long")
    header = _read_header(first)
    if isinstance(header, Malformed):
        return header
    claims = _read_object(second, "payload")
    if isinstance(claims, Malformed):
        return claims
    signature = _decode(third)
    if signature is None:
        return Malformed("the signature is not canonical base64url")
    signed = token[: -len(third) - 1]
    return TokenParts(header, claims, signed.encode("ascii"), signature)


def _decode(part: str) -> bytes | None:
    """Decode base64url; refuse spellings that differ only in unused bits.

    With the canonical spelling alone, nobody can produce variants of a token.
    """
    rest = len(part) % 4
    if rest:
        if rest == 1 or part[-1] not in (
            _LAST_OF_TWO if rest == 2 else _LAST_OF_THREE  # noqa: PLR2004 - RFC 4648
        ):
            return None
        part += "=="[rest - 2 :]
    return a2b_base64(part.encode("ascii").translate(_TO_STANDARD), strict_mode=True)


@lru_cache(maxsize=256)
def _read_header(part: str) -> Header | Malformed:
    """Read a header; cached, since all tokens of a key have the same one.

    Attackers can fill this cache: it then holds half a megabyte and gains nothing.
    """
    members = _read_object(part, "header")
    if isinstance(members, Malformed):
        return members
    problem = _find_problem(members)
    if problem is not None:
        return Malformed(problem)
    brings = _NEVER_FOLLOWED & members.keys()
    # An empty `kid` counts as absent: it names no key.
    return Header(
        members["alg"], members.get("typ"), members.get("kid") or None, brings
    )


def _find_problem(members: dict[str, Any]) -> str | None:
    refused = _REFUSED & members.keys()
    if refused:
        # Names of our own list only: a message must not quote the token.
        return f"the header has {', '.join(sorted(refused))}"
    if "alg" not in members:
        return "the header has no `alg`"
    if not all(type(members.get(name, "")) is str for name in _UNDERSTOOD):
        return "a member of the header is not a string"
    if "kid" in members and members["kid"] and not is_kid(members["kid"]):
        return "the header's `kid` is too long or not printable ASCII"
    return None


def is_kid(kid: str) -> bool:
    """Whether a text can be a key id, in a header or a key set."""
    short = 0 < len(kid) <= MAX_KID_CHARACTERS
    return short and kid.isascii() and kid.isprintable()


def _read_object(part: str, name: str) -> dict[str, Any] | Malformed:
    raw = _decode(part)
    if raw is None:
        return Malformed(f"the {name} is not canonical base64url")
    try:
        found = read_json(raw)
    except ValueError as error:
        # The parser's own errors may quote the text; those raised here do not.
        detail = str(error) if type(error) is ValueError else "it cannot be parsed"
        return Malformed(f"the {name} is not strict JSON: {detail}")
    if type(found) is not dict:
        return Malformed(f"the {name} is not a JSON object")
    return found


def read_json(raw: bytes) -> Any:
    """Parse JSON that has only one reading.

    Refuses what RFC 8259 leaves open: duplicate members at any depth, NaN and
    infinities, numbers that lose precision, lone surrogates, deep nesting, any encoding
    but UTF-8. All checks run in C and read each byte a few times: anybody may send
    megabytes of brackets before any signature is verified.

    Raises:
        ValueError: describes the problem without quoting the text.
    """
    found = orjson.loads(raw)
    bare = _without_strings(raw)
    if _is_deep(bare):
        raise ValueError("it is nested too deeply")
    if _has_long_number(bare):
        raise ValueError("a number has too many digits")
    # The parser keeps only the last of several members with one name.
    if _without_strings(orjson.dumps(found)).count(b":") != bare.count(b":"):
        raise ValueError("a member occurs twice")
    return found


def _without_strings(raw: bytes) -> bytes:
    """Return the bytes outside of strings, of valid JSON."""
    plain = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(plain.split(b'"')[::2])


def _is_deep(bare: bytes) -> bool:
    """Whether there are more than `MAX_DEPTH` levels: each pass removes one."""
    brackets = bare.translate(_TO_SQUARE, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def _has_long_number(bare: bytes) -> bool:
    """Whether a number has too many digits to be read exactly."""
    digits = bare.translate(_TO_ZERO)
    if _TOO_LONG in digits:
        return True
    at = digits.find(_LONG_NEGATIVE)
    while at >= 0:
        behind = at + len(_LONG_NEGATIVE)
        if int(bare[at:behind]) < _MIN:
            return True
        at = digits.find(_LONG_NEGATIVE, behind)
    return False
