"""Reads verification keys from a JWK Set, each for one algorithm (RFC 7517, RFC 7518).

Needs the extra `jwt`. A key that is weak, unsupported or ambiguous is left out and
counted; the set's other keys stay usable, since issuers also publish keys for other
purposes. A key whose private half is published anywhere in the set is never used.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

import orjson
from joserfc.jwk import Key as Jwk, RSAKey
from joserfc.jws import JWSRegistry

from revocation.jwt.compact import is_kid
from revocation.jwt.thumbprints import (
    exposed_by,
    has_private_half,
    import_public,
    is_point,
    is_weak_point,
    number,
    octets,
    thumbprint_of,
)
from revocation.jwt.trust import Algorithm, TrustedIssuer

_RSA_BITS: Final = range(2_048, 8_193)
_RSA_EXPONENTS: Final = range(65_537, 1 << 32)
_MIN_DISTINCT_BYTES: Final = 8

_PEM_MARKS: Final = (b"BEGIN ", b"ssh-", b"ecdsa-sha2-")

_CURVES: Final = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
_EDWARDS: Final = frozenset({Algorithm.EDDSA.value, Algorithm.ED25519.value})
_SIGNATURE_BYTES: Final[Mapping[str, int]] = {
    "ES256": 64,
    "ES384": 96,
    "ES512": 132,
    "Ed25519": 64,
    "HS256": 32,
    "HS384": 48,
    "HS512": 64,
}


class Flaw(StrEnum):
    """Why a key of a set is left out."""

    UNREADABLE = "unreadable"
    """Not a JWK, of an unsupported type or curve, or not a point of its curve."""
    OTHER_USE = "other_use"
    """Its `use` or `key_ops` do not permit verifying signatures."""
    OTHER_ALGORITHM = "other_algorithm"
    """Its algorithm is not allowed for the issuer."""
    AMBIGUOUS = "ambiguous"
    """It has no `alg` and could serve several: list one, or publish `alg`."""
    WEAK = "weak"
    """Too small, an easily guessed secret, or a point of small order."""
    PRIVATE = "private"
    """Its private half is published, here or in another entry: anybody can sign."""
    DUPLICATE = "duplicate"
    """Another key of the set has the same `kid` and algorithm."""


class VerificationKey:
    """A key, bound to one algorithm when it was read.

    `usable_until`, in ms since the epoch, is extended by the owner of the set. It is 0
    once the key is withdrawn, which takes effect at once on every token verified by it.
    """

    __slots__ = (
        "_algorithm",
        "_jwk",
        "_signature_bytes",
        "algorithm",
        "kid",
        "thumbprint",
        "usable_until",
    )

    def __init__(self, jwk: Jwk, algorithm: str, kid: str | None) -> None:
        self.kid = kid
        self.algorithm = algorithm
        self.thumbprint = thumbprint_of(jwk)
        self.usable_until = 0
        self._jwk = jwk
        # By its new name: joserfc warns of the old one, and checks no curve for it.
        name = "Ed25519" if algorithm in _EDWARDS else algorithm
        self._algorithm = JWSRegistry(algorithms=[name]).get_alg(name)
        self._algorithm.check_key(jwk)
        self._signature_bytes = _SIGNATURE_BYTES.get(name) or _modulus_bytes(jwk)

    @property
    def names(self) -> frozenset[str]:
        """The `alg` values that mean its algorithm."""
        return _EDWARDS if self.algorithm in _EDWARDS else frozenset({self.algorithm})

    def verify(self, signing_input: bytes, signature: bytes) -> bool:
        """Whether this key made the signature. Never raises."""
        if len(signature) != self._signature_bytes:
            return False
        try:
            return self._algorithm.verify(signing_input, signature, self._jwk)
        except Exception:  # noqa: BLE001 - an error means that it did not verify
            return False


class KeySet(NamedTuple):
    """The usable keys of a set, and how many were left out, by flaw.

    `exposed`: the thumbprints of keys whose private half the set contains.
    """

    keys: tuple[VerificationKey, ...]
    left_out: Mapping[Flaw, int]
    exposed: frozenset[str] = frozenset()

    @property
    def problem(self) -> str:
        """How many keys were left out, by flaw, in words."""
        counts = [f"{count} {flaw.value}" for flaw, count in self.left_out.items()]
        return ", ".join(counts) or "it is empty"


def read_key_set(raw: bytes, issuer: TrustedIssuer) -> KeySet:
    """Read a JWK Set.

    Raises:
        ValueError: it is not a JWK Set; the message does not quote it.
    """
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise ValueError("it is not JSON") from None
    members = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(members, list):
        # ValueError, as documented: the content is wrong, not the argument's type.
        raise ValueError(  # noqa: TRY004
            "it is not a JWK Set: it has no array `keys`"
        )
    exposed = frozenset(_exposed(members))
    left_out: Counter[Flaw] = Counter()
    keys = []
    for member in members:
        found = _read_key(member, issuer)
        if isinstance(found, VerificationKey) and found.thumbprint in exposed:
            found = Flaw.PRIVATE
        if isinstance(found, Flaw):
            left_out[found] += 1
        else:
            keys.append(found)
    unique = tuple(_unique(keys))
    if len(unique) < len(keys):
        left_out[Flaw.DUPLICATE] += len(keys) - len(unique)
    return KeySet(unique, left_out, exposed)


def _exposed(members: Iterable[Any]) -> Iterator[str]:
    for member in members:
        if isinstance(member, dict) and has_private_half(member):
            yield from exposed_by(member)


def _read_key(member: Any, issuer: TrustedIssuer) -> VerificationKey | Flaw:
    if not isinstance(member, dict):
        return Flaw.UNREADABLE
    if has_private_half(member):
        return Flaw.PRIVATE
    if not _may_be_kid(member.get("kid")):
        return Flaw.UNREADABLE
    if member.get("use", "sig") != "sig" or not _may_verify(member.get("key_ops")):
        return Flaw.OTHER_USE
    try:
        algorithm = _algorithm_of(member, issuer.algorithms)
        return algorithm if isinstance(algorithm, Flaw) else _import(member, algorithm)
    except Exception:  # noqa: BLE001 - one odd key must not cost the set
        return Flaw.UNREADABLE


def _import(member: Mapping[str, Any], algorithm: str) -> VerificationKey | Flaw:
    # Checked here, because joserfc would only warn.
    if _is_weak(member, algorithm):
        return Flaw.WEAK
    if algorithm in _EDWARDS and not is_point(octets(member["x"])):
        return Flaw.UNREADABLE
    # An empty `kid` counts as absent, as in a token's header.
    kid = member.get("kid") or None
    return VerificationKey(import_public(member), algorithm, kid)


def _may_be_kid(kid: Any) -> bool:
    """Whether a token's header can have this `kid`; else no event could name it."""
    return kid in (None, "") or (isinstance(kid, str) and is_kid(kid))


def _may_verify(operations: Any) -> bool:
    return operations is None or (
        isinstance(operations, list) and "verify" in operations
    )


def _algorithm_of(
    member: Mapping[str, Any], allowed: Sequence[Algorithm]
) -> str | Flaw:
    """Return the single algorithm of a key (RFC 8725 section 3.1)."""
    possible = _possible_algorithms(member)
    if not possible:
        return Flaw.UNREADABLE
    alg = member.get("alg")
    if alg is not None:
        # The two names of Ed25519 mean the same operation.
        possible &= _EDWARDS if alg in _EDWARDS else {alg}
    found = sorted(possible & {each.value for each in allowed})
    if not found:
        return Flaw.OTHER_ALGORITHM
    if len(found) > 1 and not possible <= _EDWARDS:
        return Flaw.AMBIGUOUS
    return found[0]


def _possible_algorithms(member: Mapping[str, Any]) -> frozenset[str]:
    """Return the algorithms that a key of this type and curve can serve."""
    kty, curve = str(member.get("kty")), member.get("crv")
    if kty == "EC":
        return frozenset({_CURVES[curve]} if curve in _CURVES else ())
    if kty == "OKP":
        return _EDWARDS if curve == "Ed25519" else frozenset()
    begins = {"RSA": ("RS", "PS"), "oct": ("HS",)}.get(kty, ())
    return frozenset(each.value for each in Algorithm if each.startswith(begins))


def _is_weak(member: Mapping[str, Any], algorithm: str) -> bool:
    """RFC 7518 sections 3.2 and 3.3; RFC 8725 section 3.5."""
    if member["kty"] == "RSA":
        modulus, exponent = (number(member[name]) for name in ("n", "e"))
        return modulus.bit_length() not in _RSA_BITS or exponent not in _RSA_EXPONENTS
    if member["kty"] == "oct":
        secret = octets(member["k"])
        return (
            len(secret) < _SIGNATURE_BYTES[algorithm]
            or len(set(secret)) < _MIN_DISTINCT_BYTES
            or any(mark in secret for mark in _PEM_MARKS)
        )
    return algorithm in _EDWARDS and is_weak_point(octets(member["x"]))


def _modulus_bytes(jwk: Jwk) -> int:
    if not isinstance(jwk, RSAKey):
        raise TypeError("only RSA signatures are as long as their key")
    return (jwk.public_key.key_size + 7) // 8


def _unique(keys: Iterable[VerificationKey]) -> Iterator[VerificationKey]:
    """Leave out keys that share their `kid` and algorithm (RFC 7517 section 4.5).

    A key that is merely listed twice is kept once.
    """
    groups: dict[tuple[str | None, str], dict[str, VerificationKey]] = {}
    for key in keys:
        group = groups.setdefault((key.kid, key.algorithm), {})
        group.setdefault(key.thumbprint, key)
    for (kid, _), group in groups.items():
        if kid is None or len(group) == 1:
            yield from group.values()
