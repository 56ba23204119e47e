"""The form of a token: JWS Compact Serialization, base64url, strict JSON. Pure.

What two parsers could read in two ways is refused (RFC 8725 section 2.6): whatever
is accepted here has one reading and, bar its signature, one spelling.
"""

import json
import re
from binascii import a2b_base64
from functools import lru_cache
from typing import Any, Final, NamedTuple

MAX_KID_CHARACTERS: Final = 512
MAX_DEPTH: Final = 16
"""The deepest nesting of objects and arrays."""
_MAX_DIGITS: Final = 19
_MAX_HEADER_CHARACTERS: Final = 2_048

_FORM: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_LAST_OF_TWO: Final = frozenset("AQgw")
_LAST_OF_THREE: Final = frozenset("AEIMQUYcgkosw048")
_TO_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_MAYBE_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")
_TEXT: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
"""A string, or what begins as one. Nothing is given back: each letter is read once."""

_KNOWN: Final = frozenset({"alg", "typ", "kid", "x5t", "x5t#S256"})
_REFUSED: Final = frozenset(
    {
        *("crit", "b64", "cty", "jku", "jwk", "x5u", "x5c", "enc", "zip"),
        *("epk", "apu", "apv", "iv", "tag", "p2s", "p2c"),
    }
)


class Header(NamedTuple):
    """The JOSE header's members that matter (RFC 7515 section 4)."""

    alg: str
    typ: str | None
    kid: str | None


class Parts(NamedTuple):
    """A token taken apart. Nothing in it is true before its signature is verified."""

    header: Header
    claims: dict[str, Any]
    signing_input: bytes
    signature: bytes


class Malformed(NamedTuple):
    """Why the form is refused; never quotes the token."""

    rule: str


def take_apart(token: str) -> Parts | Malformed:
    """Take a token apart, or say which rule of form it breaks. Never raises.

    Args:
        token: ASCII text of a length that the caller has limited.
    """
    if not _FORM.fullmatch(token):
        return Malformed("three non-empty parts of base64url, joined by dots, are due")
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
        return Malformed("the signature is no canonical base64url")
    signed = token[: -len(third) - 1]
    return Parts(header, claims, signed.encode("ascii"), signature)


def _decode(part: str) -> bytes | None:
    """Decode base64url, refusing the spellings that differ in unused bits only.

    Only the canonical spelling decodes, so nobody can make twins of a token.
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
    """Read a header; all tokens of a key have the same, so it is read once.

    Strangers may fill this memory: that is half a megabyte, and then no gain.
    """
    members = _read_object(part, "header")
    if isinstance(members, Malformed):
        return members
    wrong = _wrong_header(members)
    if wrong is not None:
        return Malformed(wrong)
    return Header(members["alg"], members.get("typ"), members.get("kid"))


def _wrong_header(members: dict[str, Any]) -> str | None:
    if not members.keys() <= _KNOWN:
        # Our own words only: a member's name is text of the token.
        named = ", ".join(sorted(_REFUSED & members.keys())) or "an unknown member"
        return f"the header has {named}"
    if "alg" not in members:
        return "the header has no `alg`"
    if not all(type(each) is str for each in members.values()):
        return "a member of the header is no string"
    if "kid" in members and not is_kid(members["kid"]):
        return "the header's `kid` is too long, empty or not printable ASCII"
    return None


def is_kid(kid: str) -> bool:
    """Whether it can be the name of a key, in a header or a key set."""
    short = 0 < len(kid) <= MAX_KID_CHARACTERS
    return short and kid.isascii() and kid.isprintable()


def _read_object(part: str, name: str) -> dict[str, Any] | Malformed:
    raw = _decode(part)
    if raw is None:
        return Malformed(f"the {name} is no canonical base64url")
    try:
        found = read_json(raw)
    except ValueError as error:
        # Ours say what is wrong; those of others may quote the text.
        said = str(error) if type(error) is ValueError else "it cannot be read"
        return Malformed(f"the {name} is no strict JSON: {said}")
    if type(found) is not dict:
        return Malformed(f"the {name} is no JSON object")
    return found


def read_json(raw: bytes) -> Any:
    """Read JSON that has one reading only.

    Refuses what RFC 8259 leaves open: duplicate members at any depth, NaN and
    infinities, numbers that do not survive, lone surrogates, deep nesting, any
    encoding but UTF-8.

    Raises:
        ValueError: says what is wrong, without the text.
    """
    text = raw.decode("utf-8")
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and _depth(text) > MAX_DEPTH:
        raise ValueError("it is nested too deeply")
    found = _DECODER.decode(text)
    if _MAYBE_SURROGATE.search(text):
        json.dumps(found, ensure_ascii=False).encode("utf-8")
    return found


def _depth(text: str) -> int:
    """Return the deepest nesting, brackets in strings not counted."""
    depth = deepest = 0
    for character in _TEXT.sub("", text):
        if character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) != len(members):
        raise ValueError("a member occurs twice")
    return found


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS + digits.startswith("-"):
        raise ValueError("a number has too many digits")
    return int(digits)


def _fraction(digits: str) -> float:
    if len(digits) > 2 * _MAX_DIGITS:
        raise ValueError("a number has too many digits")
    number = float(digits)
    if number in (_INFINITY, -_INFINITY):
        raise ValueError("a number is too large")
    return number


_INFINITY: Final = float("inf")


def _constant(_name: str) -> Any:
    raise ValueError("NaN and infinities are no JSON")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_int=_integer,
    parse_float=_fraction,
    parse_constant=_constant,
)
