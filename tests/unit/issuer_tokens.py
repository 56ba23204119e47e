"""Tokens as identity providers issue them, of the shapes in `issuer_tokens.toml`.

`NOW` of `tests.unit.tokens` is their present.
"""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from revocation.claims.claims import Rules
from revocation.jwt.authenticator import Authenticator
from revocation.jwt.presets import preset
from revocation.jwt.trusted_issuers import TrustedIssuer, TrustedIssuers
from tests.unit.tokens import SECONDS, FixedKeys, jwk, key_for, key_set, sign

API = "https://api.example/"
USER = "8f14e45f-ceea-467f-ab1d-0c2b7a9e5d01"
CLIENT = "3e2b1a0c-77d4-4c1e-9a51-5d6f7e8a9b02"
TENANT = "6f9a3f0c-2b1e-4a5d-9a57-3b1f7b0e8a11"
RULES = Rules(longest_token_ms=86_401_000)
_ADAPTER: TypeAdapter[dict[str, TrustedIssuer]] = TypeAdapter(TrustedIssuers)
_UNTYPED = MappingProxyType({"typ": "JWT"})
_NONE: Mapping[str, Any] = MappingProxyType({})
_TIMES = ("nbf", "auth_time")


class Sample(NamedTuple):
    """A token, and what is said of its issuer beside the preset.

    `aged`: how many seconds before `present` it is dated, and `lives` for how many.
    Other times among its claims are seconds after that; members that are None are none.
    """

    preset: str
    claims: Mapping[str, Any]
    audience: str = API
    header: Mapping[str, Any] = _UNTYPED
    options: Mapping[str, Any] = _NONE
    aged: int = 60
    lives: int = 3_600
    present: int = SECONDS

    @property
    def issuer(self) -> str:
        """Its `iss`."""
        return self.claims.get("iss", preset(self.preset).issuer)

    @property
    def algorithm(self) -> str:
        """The first that its preset names."""
        return str(preset(self.preset).settings["algorithms"][0])

    @property
    def trusted(self) -> dict[str, TrustedIssuer]:
        """The setting `issuers`."""
        given = {"preset": self.preset, "audiences": [self.audience], **self.options}
        return _ADAPTER.validate_python({self.issuer: given})

    @property
    def payload(self) -> dict[str, Any]:
        """The claims set."""
        issued = self.present - self.aged
        times = {"iat": issued, "exp": issued + self.lives}
        given = _without_none({"iss": self.issuer, **times, **self.claims})
        later = {name: issued + given[name] for name in _TIMES if name in given}
        return {**given, **later}

    @property
    def compact(self) -> str:
        """The token, signed."""
        alg = self.algorithm
        header = _without_none({"alg": alg, "kid": "key-1", **self.header})
        return sign(json.dumps(header), json.dumps(self.payload), alg, key_for(alg))

    def authenticator(self) -> Authenticator:
        """One that trusts the issuer and has its key."""
        trusted = self.trusted
        ring = FixedKeys(key_set(jwk(self.algorithm)), trusted[self.issuer])
        return Authenticator(trusted, RULES, ring, cache_size=0)

    def but(self, **claims: Any) -> "Sample":
        """Return one with other claims."""
        return self._replace(claims={**self.claims, **claims})

    def of(self, **header: Any) -> "Sample":
        """Return one with another header."""
        return self._replace(header={**self.header, **header})

    def given(self, **options: Any) -> "Sample":
        """Return one of whose issuer more is said."""
        return self._replace(options={**self.options, **options})


def _without_none(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if value is not None}


_SHAPES = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
SAMPLES = {name: Sample(name, **shape) for name, shape in _SHAPES.items()}
"""An access token of each preset."""
