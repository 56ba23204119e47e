"""What it costs to verify a token, beside PyJWT and joserfc with the checks they have.

Ours: `Authenticator.authenticate`, all of docs/token-verification.md; cold without its
memory, cached with a token that came before. PyJWT and joserfc: signature, `exp`,
`iat`, `iss`, `aud`, required claims, with keys that are loaded; neither looks at twins,
duplicate members, kinds of tokens or other header members. `checks` is a cold
verification with a key that believes every signature: all but the cryptography.
Alternating rounds in one process; the median of the rounds' means counts.

    python benchmarks/verify.py [--seconds 0.3] [--rounds 7] [--quick]

Measured on two cores of an AMD EPYC that others used as well (load 2), Python 3.11,
PyJWT 2.15, joserfc 1.8, two runs, in microseconds:

    algorithm  cold        PyJWT      joserfc    of which checks  cached
    HS256      24 - 29     53 - 54    37 - 38    21 - 22          1.0 - 1.4
    RS256      52 - 60     99 - 104   58 - 73    24               1.3 - 1.4
    ES256      117 - 124   120 - 136  120 - 128  21 - 22          1.1 - 1.2
    EdDSA      145 - 159   159 - 201  153 - 161  20 - 23          1.1
"""

import json
import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any, Final

import jwt as pyjwt
from _figures import Figure, report
from _options import parse, parser
from joserfc import jwt as joserfc
from joserfc.jwk import ECKey, Key as Jwk, OctKey, OKPKey, RSAKey

from revocation.claims.claims import Rules
from revocation.entries import UnixMs
from revocation.jwt.authenticator import Authenticated, Authenticator, Key
from revocation.jwt.keys import read_key_set
from revocation.jwt.trust import TrustedIssuer

MAX_CACHED_US: Final = 1.5
MAX_CHECKS_US: Final = 40.0
_ISSUER: Final = "https://idp.example/"
_AUDIENCE: Final = "https://api.example/"
_REQUIRED: Final = ("iss", "sub", "aud", "exp", "iat", "jti")

KEYS: Final[Mapping[str, Callable[[], Jwk]]] = {
    "HS256": lambda: OctKey.generate_key(256, {"kid": "key-1"}),
    "RS256": lambda: RSAKey.generate_key(2_048, {"kid": "key-1"}),
    "ES256": lambda: ECKey.generate_key("P-256", {"kid": "key-1"}),
    "EdDSA": lambda: OKPKey.generate_key("Ed25519", {"kid": "key-1"}),
}
_REGISTRY: Final = joserfc.JWTClaimsRegistry(
    iss={"essential": True, "value": _ISSUER},
    aud={"essential": True, "value": _AUDIENCE},
    **{name: {"essential": True} for name in ("sub", "exp", "iat", "jti")},
)

Call = Callable[[], object]


class OneKey:
    """A key ring with one key."""

    def __init__(self, key: Key) -> None:
        self._key = key

    def find(self, issuer: str, kid: str | None, alg: str) -> Key:  # noqa: ARG002 - as a ring has it
        """Return it."""
        return self._key


class Believer:
    """A key to which every signature is its own."""

    kid = "key-1"
    usable_until = 1 << 62

    def verify(self, signing_input: bytes, signature: bytes) -> bool:  # noqa: ARG002 - as a key has it
        """Return True."""
        return True


def claims(now: int) -> dict[str, Any]:
    """Return the claims of an access token that is as long as most."""
    return {
        "iss": _ISSUER,
        "aud": _AUDIENCE,
        "sub": "248289761001",
        "client_id": "s6BhdRkqt3",
        "jti": "dbe39bf3a3ba4238a513f51d6e1691c4",
        "sid": "08a5019c-17e1-4977-8f42-65a12843ea02",
        "scope": "openid profile reademail",
        "tenant": "acme",
        "ver": 3,
        "iat": now,
        "exp": now + 600,
    }


def calls(alg: str) -> dict[str, Call]:
    """Return what is measured for an algorithm."""
    key, now = KEYS[alg](), time.time_ns() // 1_000_000
    # joserfc calls EdDSA by its new name and warns of the old one, which would count.
    theirs = "Ed25519" if alg == "EdDSA" else alg
    token, other = (_sign(name, key, now // 1_000) for name in (alg, theirs))
    trusted = TrustedIssuer(
        jwks_file="/nowhere", algorithms=(alg,), audiences=(_AUDIENCE,)
    )
    jwks = {"keys": [{**key.as_dict(private=alg == "HS256"), "alg": alg}]}
    (ours,) = read_key_set(json.dumps(jwks).encode(), trusted).keys
    ours.usable_until = 1 << 62
    cold, cached, believing = (
        Authenticator(
            {_ISSUER: trusted},
            Rules(longest_token_ms=3_600_000),
            OneKey(each),
            cache_size=size,
        )
        for each, size in ((ours, 0), (ours, 1_024), (Believer(), 0))
    )
    at = UnixMs(now)
    if not isinstance(cached.authenticate(token, at), Authenticated):
        raise TypeError("the benchmark's own token is refused")
    loaded = key.raw_value if alg == "HS256" else key.public_key
    return {
        "cold": lambda: cold.authenticate(token, at),
        "cached": lambda: cached.authenticate(token, at),
        "checks": lambda: believing.authenticate(token, at),
        "pyjwt": lambda: pyjwt.decode(
            token,
            loaded,
            algorithms=[alg],
            audience=_AUDIENCE,
            issuer=_ISSUER,
            options={"require": list(_REQUIRED)},
        ),
        "joserfc": lambda: _REGISTRY.validate(
            joserfc.decode(other, key, algorithms=[theirs]).claims
        ),
    }


def _sign(alg: str, key: Jwk, now: int) -> str:
    header = {"alg": alg, "typ": "at+jwt", "kid": "key-1"}
    if alg == "EdDSA":
        return pyjwt.encode(claims(now), key.private_key, alg, headers=header)
    return joserfc.encode(header, claims(now), key, algorithms=[alg])


def microseconds(call: Call, seconds: float) -> float:
    """Return the mean of as many calls as fit into the time."""
    done, began = 0, time.perf_counter()
    while (took := time.perf_counter() - began) < seconds:
        for _ in range(50):
            call()
        done += 50
    return took / done * 1e6


def measure(seconds: float, rounds: int) -> list[Figure]:
    """Alternate between all calls, round after round."""
    every = {(alg, name): call for alg in KEYS for name, call in calls(alg).items()}
    times: dict[tuple[str, str], list[float]] = {each: [] for each in every}
    for number in range(rounds):
        for each, call in every.items():
            times[each].append(microseconds(call, seconds))
        print(f"round {number + 1} of {rounds}")
    us = {each: round(median(found), 2) for each, found in times.items()}
    figures = []
    for alg in KEYS:
        cold, checks = us[alg, "cold"], us[alg, "checks"]
        figures += [
            Figure(f"verify.{alg}.cold_vs_pyjwt", cold, us[alg, "pyjwt"], None, "us"),
            Figure(
                f"verify.{alg}.cold_vs_joserfc", cold, us[alg, "joserfc"], None, "us"
            ),
            Figure(f"verify.{alg}.checks", checks, None, MAX_CHECKS_US, "us"),
            Figure(
                f"verify.{alg}.cached", us[alg, "cached"], cold, MAX_CACHED_US, "us"
            ),
        ]
    return figures


def main() -> None:
    """Measure and report."""
    options = parser(__doc__)
    options.add_argument("--seconds", type=float, default=0.3)
    options.add_argument("--rounds", type=int, default=7)
    asked = parse(options, seconds=0.02, rounds=1)
    report("Verifying a token", measure(asked.seconds, asked.rounds))


if __name__ == "__main__":
    main()
