"""Fuzzes token verification with coverage guidance; pytest replays the seeds only.

Atheris is a tool of development, in no list of dependencies. Fuzz from the project's
folder, for ten minutes, then keep what is small and new in `seeds/`:

    python -m pip install atheris
    python -m tests.fuzz.fuzz_verify /tmp/corpus tests/fuzz/seeds -max_total_time=600

An input is one letter and the rest: `T` a token as it came, `P` a header, a newline and
a payload, which are signed here with the right key: so the rules behind the signature
are reached too. The keys are fixed, or the seeds would be of no use.
"""

import base64
import hashlib
import hmac
import json
import math
import sys
from typing import Any

from revocation.claims.claim_names import ALWAYS
from revocation.claims.claims import Rules
from revocation.decision import Reason
from revocation.entries import UnixMs
from revocation.jwt.authenticator import Authenticated, Authenticator, Refusal
from revocation.jwt.keys import VerificationKey, read_key_set
from revocation.jwt.trust import TrustedIssuer

ISSUER = "https://idp.example/"
AUDIENCE = "https://api.example/"
NOW = UnixMs(1_800_000_000_000)
SECRET = bytes(range(32))
RULES = Rules(longest_token_ms=3_600_000)


def encode(raw: bytes) -> str:
    """Encode base64url without padding."""
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


class _Keys:
    def __init__(self, trusted: TrustedIssuer) -> None:
        secret = {"kty": "oct", "alg": "HS256", "kid": "k", "k": encode(SECRET)}
        (self.key,) = read_key_set(
            json.dumps({"keys": [secret]}).encode(), trusted
        ).keys
        self.key.usable_until = 1 << 62

    def find(self, issuer: str, kid: str | None, alg: str) -> VerificationKey | None:
        assert issuer == ISSUER, "a key was asked for before the issuer was trusted"
        return self.key if kid in {None, "k"} and alg == "HS256" else None


def _authenticator(*, allow_untyped: bool) -> Authenticator:
    trusted = TrustedIssuer(
        jwks_file="/nowhere",
        algorithms=("HS256",),
        audiences=(AUDIENCE,),
        allow_untyped=allow_untyped,
    )
    return Authenticator({ISSUER: trusted}, RULES, _Keys(trusted), cache_size=2)


STRICT = _authenticator(allow_untyped=False)
LENIENT = _authenticator(allow_untyped=True)


def sign(header: bytes, payload: bytes) -> str:
    """Sign with the issuer's key, sense or nonsense."""
    signed = f"{encode(header)}.{encode(payload)}"
    mac = hmac.new(SECRET, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{encode(mac)}"


def run_one(data: bytes) -> None:
    """Judge one input.

    Raises:
        AssertionError: something was believed that must not be.
    """
    how, rest = data[:1], data[1:]
    if how == b"P":
        header, _, payload = rest.partition(b"\n")
        token = sign(header, payload)
    else:
        token = rest.decode("utf-8", "surrogateescape")
    strict, lenient = (each.authenticate(token, NOW) for each in (STRICT, LENIENT))
    for found in (strict, lenient):
        assert isinstance(found, Authenticated | Refusal)
        if isinstance(found, Authenticated):
            _check(token, found)
    if isinstance(strict, Authenticated):
        assert isinstance(lenient, Authenticated), "a strict rule let through more"
    elif isinstance(lenient, Authenticated):
        assert strict.reason is Reason.TYPE_REFUSED


def _check(token: str, found: Authenticated) -> None:
    """Compare with another reading of the same token."""
    header, payload, signature = token.split(".")
    members, claims = (json.loads(_decode(each)) for each in (header, payload))
    assert token == sign(_decode(header), _decode(payload)), "a second spelling"
    assert len(_decode(signature)) == hashlib.sha256().digest_size
    assert members["alg"] == "HS256"
    assert members.keys() <= {"alg", "typ", "kid", "x5t", "x5t#S256"}
    assert _thaw(found.claims) == claims
    assert claims["iss"] == ISSUER
    assert AUDIENCE in ([claims["aud"]] if claims["aud"] == AUDIENCE else claims["aud"])
    assert not claims.keys() & {"events", "at_hash", "c_hash"}
    now, leeway = NOW / 1_000, RULES.leeway_ms / 1_000
    for name in ("exp", "iat"):
        assert type(claims[name]) in {int, float}
        assert math.isfinite(claims[name])
    assert claims["exp"] + leeway > now
    assert claims.get("nbf", 0) <= now + leeway
    assert claims["exp"] - claims["iat"] <= RULES.longest_token_ms / 1_000
    assert all(claims.get(name) for name in (*ALWAYS, *RULES.names.required))


def _decode(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "==")


def _thaw(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_thaw(each) for each in value]
    if hasattr(value, "keys"):
        return {name: _thaw(each) for name, each in value.items()}
    return value


def main() -> None:
    """Fuzz until told to stop, or until something is found."""
    import atheris  # noqa: PLC0415 - a tool that the replay does not need

    atheris.instrument_all()
    atheris.Setup(sys.argv, run_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
