"""Tokens and keys for tests: those of an issuer, and those of an attacker."""

import base64
import functools
import json
from typing import Any

from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from revocation.claims.claims import Rules
from revocation.entries import UnixMs
from revocation.jwt.authenticator import Authenticator
from revocation.jwt.keys import VerificationKey, read_key_set
from revocation.jwt.trust import TrustedIssuer

ISSUER = "https://idp.example/"
AUDIENCE = "https://api.example/"
NOW = UnixMs(1_800_000_000_000)
SECONDS = NOW // 1_000
RULES = Rules(longest_token_ms=3_600_000, leeway_ms=60_000)

CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "aud": AUDIENCE,
    "sub": "alice",
    "client_id": "shop",
    "jti": "token-1",
    "iat": SECONDS - 60,
    "exp": SECONDS + 540,
}

ALGORITHMS = (
    *("ES256", "ES384", "ES512", "Ed25519", "EdDSA"),
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("HS256", "HS384", "HS512"),
)
_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
_SECRET_BITS = {"HS256": 256, "HS384": 384, "HS512": 512}


def key_for(alg: str, name: str = "key-1") -> Key:
    """Return a private key for an algorithm; the same one for the same name."""
    return _generate(alg, name)


@functools.cache
def _generate(alg: str, name: str) -> Key:
    named: Any = {"kid": name}
    if alg in _CURVES:
        return ECKey.generate_key(_CURVES[alg], named)
    if alg in _SECRET_BITS:
        return OctKey.generate_key(_SECRET_BITS[alg], named)
    if alg in {"EdDSA", "Ed25519"}:
        return OKPKey.generate_key("Ed25519", named)
    return RSAKey.generate_key(2_048, named)


def jwk(alg: str, name: str = "key-1", /, **members: Any) -> dict[str, Any]:
    """Return the key as an issuer publishes it; members None are left out."""
    key = key_for(alg, name)
    found = key.as_dict(private=alg.startswith("HS"))
    found = {**found, "kid": name, "alg": alg, "use": "sig", **members}
    return {each: value for each, value in found.items() if value is not None}


def key_set(*keys: dict[str, Any]) -> bytes:
    """Return a JWK Set."""
    return json.dumps({"keys": keys}).encode()


def issuer(*algorithms: str, **options: Any) -> TrustedIssuer:
    """Return the trust in an issuer; ES256 unless told."""
    source = {} if "jwks_url" in options else {"jwks_file": "/nowhere/jwks.json"}
    return TrustedIssuer(
        **{
            "algorithms": algorithms or ("ES256",),
            "audiences": (AUDIENCE,),
            **source,
            **options,
        }
    )


def encode(raw: bytes) -> str:
    """Encode base64url without padding."""
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decode(part: str) -> bytes:
    """Decode base64url without padding."""
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def sign(header: bytes | str, payload: bytes | str, alg: str, key: Key) -> str:
    """Sign any bytes as header and payload, sense or nonsense."""
    parts = [
        each.encode() if isinstance(each, str) else each for each in (header, payload)
    ]
    signed = ".".join(map(encode, parts))
    name = "Ed25519" if alg == "EdDSA" else alg
    model = JWSRegistry(algorithms=[name]).get_alg(name)
    return f"{signed}.{encode(model.sign(signed.encode(), key))}"


def header_of(alg: str = "ES256", **members: Any) -> dict[str, Any]:
    """Return a header; members None are left out."""
    found = {"alg": alg, "typ": "at+jwt", "kid": "key-1", **members}
    return {each: value for each, value in found.items() if value is not None}


def claims_of(**claims: Any) -> dict[str, Any]:
    """Return a claims set; claims that are `...` are left out."""
    found = {**CLAIMS, **claims}
    return {each: value for each, value in found.items() if value is not ...}


def mint(
    alg: str = "ES256",
    *,
    header: dict[str, Any] | None = None,
    key: Key | None = None,
    **claims: Any,
) -> str:
    """Return a token as an issuer would sign it."""
    header = header_of(alg, **(header or {}))
    payload = json.dumps(claims_of(**claims))
    return sign(json.dumps(header), payload, alg, key or key_for(alg))


class FixedKeys:
    """Keys at hand, as `KeyRing` has them after reading a set."""

    def __init__(self, raw: bytes, trusted: TrustedIssuer, *, until: int = 1 << 62):
        self.keys = list(read_key_set(raw, trusted).keys)
        self.asked: list[tuple[str, str | None, str]] = []
        for key in self.keys:
            key.usable_until = until

    def find(self, issuer: str, kid: str | None, alg: str) -> VerificationKey | None:
        self.asked.append((issuer, kid, alg))
        found = [each for each in self.keys if alg in each.names]
        if kid is not None:
            found = [each for each in found if each.kid == kid]
        return found[0] if len(found) == 1 else None


def authenticator(
    *algorithms: str,
    keys: bytes | None = None,
    rules: Rules = RULES,
    cache_size: int = 64,
    **options: Any,
) -> Authenticator:
    """Return one that trusts `ISSUER` with `key-1` of each algorithm."""
    trusted = issuer(*algorithms, **options)
    if keys is None:
        keys = key_set(*(jwk(each.value) for each in trusted.algorithms))
    ring = FixedKeys(keys, trusted)
    return Authenticator({ISSUER: trusted}, rules, ring, cache_size=cache_size)
