"""The demo's issuer: signs real ES256 tokens with keys made for this run."""

import time
import uuid
from pathlib import Path
from typing import Any

import orjson
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

ISSUER = "https://idp.example/"
AUDIENCE = "https://api.example/"
_LIFETIME_SECONDS = 600


class Issuer:
    """Signs access tokens (RFC 9068) with one of two keys."""

    def __init__(self) -> None:
        self._keys = {
            kid: ECKey.generate_key("P-256", {"kid": kid, "use": "sig", "alg": "ES256"})
            for kid in ("key-1", "key-2")
        }

    def write_jwks(self, path: Path) -> None:
        """Write the public keys (RFC 7517 section 5)."""
        keys = KeySet(list(self._keys.values()))
        path.write_bytes(orjson.dumps(keys.as_dict(private=False)))

    def mint(self, user: str, *, kid: str = "key-1", **claims: Any) -> str:
        """Return a signed token for the user, issued now."""
        now = int(time.time())
        body = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": user,
            "client_id": "web",
            "iat": now,
            "exp": now + _LIFETIME_SECONDS,
            "jti": str(uuid.uuid4()),
            **claims,
        }
        header = {"alg": "ES256", "typ": "at+jwt", "kid": kid}
        return jwt.encode(header, body, self._keys[kid])
