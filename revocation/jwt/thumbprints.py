"""Identifies the key in a JWK, however it is encoded, and keys never to be used. Pure.

Needs the extra `jwt`. A key is identified by its RFC 7638 thumbprint, computed from the
key's numbers and not from their text: leading zeros, padding, another `kid`, `use` or
`alg` do not make another key. So a key that was withdrawn, or whose private half was
published, does not return in another encoding.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from hashlib import sha256
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurve,
    EllipticCurvePublicKey,
    derive_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from joserfc.jwk import JWKRegistry, Key as Jwk, OctKey

MATERIAL: Final = frozenset({"kty", "crv", "x", "y", "n", "e", "k"})
"""The members that make up the key; all others describe it."""
_SECRETS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth"})
"""Members of the private half (RFC 7518 sections 6.2.2 and 6.3.2, RFC 8037)."""

_CURVES: Final[Mapping[str, type[EllipticCurve]]] = {
    "P-256": SECP256R1,
    "P-384": SECP384R1,
    "P-521": SECP521R1,
}
_SCALAR_BYTES: Final = {"P-256": 32, "P-384": 48, "P-521": 66, "Ed25519": 32}
_CURVE_NAMES: Final = {curve().name: name for name, curve in _CURVES.items()}
_USUAL_EXPONENT: Final = 65_537

_PRIME: Final = 2**255 - 19
_D: Final = -121_665 * pow(121_666, -1, _PRIME) % _PRIME
_ORDER_8: Final = int.from_bytes(
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    "little",
)
_SMALL_ORDER: Final = frozenset({0, 1, _PRIME - 1, _ORDER_8, _PRIME - _ORDER_8})
"""The `y` of the eight points whose order divides 8 (RFC 7748 section 7)."""


def import_public(member: Mapping[str, Any]) -> Jwk:
    """Return the key, without the members that describe it. May raise anything."""
    return JWKRegistry.import_key({name: member[name] for name in MATERIAL & {*member}})


def thumbprint_of(jwk: Jwk) -> str:
    """Return the thumbprint of a key."""
    if isinstance(jwk, OctKey):
        return _digest({"k": _encode(jwk.raw_value), "kty": "oct"})
    return _thumbprint(jwk.public_key)


def has_private_half(member: Mapping[str, Any]) -> bool:
    """Whether a published member contains the private half."""
    return not _SECRETS.isdisjoint(member)


def exposed_by(member: Mapping[str, Any]) -> Iterator[str]:
    """Return the thumbprints of the keys whose private half a member contains.

    Usually there is one, that of the public half beside it. But the private half alone
    determines its public half, which may differ from the one beside it.
    """
    for read in _READERS:
        with suppress(Exception):  # what cannot be read exposes nothing
            yield _thumbprint(read(member))


def octets(encoded: str) -> bytes:
    """Decode base64url, with padding or without."""
    return urlsafe_b64decode(encoded + "==")


def number(encoded: str) -> int:
    """Decode a number in base64url."""
    return int.from_bytes(octets(encoded))


def is_point(raw: bytes) -> bool:
    """Whether 32 bytes are a point of Ed25519's curve."""
    square = _y(raw) ** 2
    ratio = (square - 1) * (_D * square + 1)
    return pow(ratio, (_PRIME - 1) // 2, _PRIME) in {0, 1}


def is_weak_point(raw: bytes) -> bool:
    """Whether signatures of such an Ed25519 key would prove nothing (RFC 8032).

    For a point of small order, some signature verifies for every message, or for one in
    eight. A non-canonical encoding is another spelling of a key.
    """
    return _y(raw) >= _PRIME or _y(raw) in _SMALL_ORDER


def _y(raw: bytes) -> int:
    return int.from_bytes(raw, "little") & (2**255 - 1)


def _given(member: Mapping[str, Any]) -> Any:
    kty = "EC" if member["crv"] in _CURVES else "OKP"
    return import_public({**member, "kty": kty}).public_key


def _modulus(member: Mapping[str, Any]) -> int:
    return number(member["n"])


def _product(member: Mapping[str, Any]) -> int:
    return number(member["p"]) * number(member["q"])


def _own_exponent(member: Mapping[str, Any]) -> int:
    return number(member["e"])


def _usual_exponent(_: Mapping[str, Any]) -> int:
    """Assume the usual exponent: the factors yield the private half for any."""
    return _USUAL_EXPONENT


_Number = Callable[[Mapping[str, Any]], int]


def _of_rsa(
    modulus: _Number, exponent: _Number, member: Mapping[str, Any]
) -> tuple[int, int]:
    return modulus(member), exponent(member)


def _of_scalar(crv: str, size: int, member: Mapping[str, Any]) -> Any:
    """Return the public half on a curve: the member's own, or one of its length."""
    secret, curve = octets(member["d"]), _CURVES.get(crv)
    if member.get("crv") != crv and len(secret) != size:
        raise ValueError("it is not a scalar of this curve")
    if curve is not None:
        return derive_private_key(int.from_bytes(secret), curve()).public_key()
    return Ed25519PrivateKey.from_private_bytes(secret).public_key()


_READERS: Final[tuple[Callable[[Mapping[str, Any]], Any], ...]] = (
    _given,
    *(
        partial(_of_rsa, modulus, exponent)
        for modulus in (_modulus, _product)
        for exponent in (_own_exponent, _usual_exponent)
    ),
    *(partial(_of_scalar, crv, size) for crv, size in _SCALAR_BYTES.items()),
)
"""Each returns a key whose private half a member contains, or raises anything."""


def _thumbprint(public: Any) -> str:
    """RFC 7638 section 3.2; `public` is a key, or modulus and exponent."""
    if isinstance(public, RSAPublicKey):
        numbers = public.public_numbers()
        public = numbers.n, numbers.e
    if isinstance(public, tuple):
        n, e = (_encode(each.to_bytes((each.bit_length() + 7) // 8)) for each in public)
        return _digest({"e": e, "kty": "RSA", "n": n})
    if isinstance(public, Ed25519PublicKey):
        x = _encode(public.public_bytes_raw())
        return _digest({"crv": "Ed25519", "kty": "OKP", "x": x})
    if not isinstance(public, EllipticCurvePublicKey):
        raise TypeError("this kind of key is not supported")
    point, size = public.public_numbers(), (public.curve.key_size + 7) // 8
    x, y = (_encode(each.to_bytes(size)) for each in (point.x, point.y))
    crv = _CURVE_NAMES[public.curve.name]
    return _digest({"crv": crv, "kty": "EC", "x": x, "y": y})


def _encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode("ascii").rstrip("=")


def _digest(members: Mapping[str, str]) -> str:
    return _encode(sha256(json.dumps(members, separators=(",", ":")).encode()).digest())
