"""The issuers that an installation trusts, and the rules for their tokens. No IO.

These settings, one set per `iss`, are those that RFC 8725 section 3.1 requires of the
caller (the algorithms) and those that only an installation can know (keys, audiences).
All other rules are the same for every issuer and cannot be switched off.
"""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from revocation.claims.claim_mapping import ClaimMapping
from revocation.claims.claim_names import ClaimName
from revocation.entries import ISSUER_PATTERN, MAX_ID_CHARACTERS
from revocation.jwt.presets import preset


class Algorithm(StrEnum):
    """The signature algorithms for tokens (RFC 7518 section 3, RFC 9864).

    `none` is not a member, so no setting can select it.
    """

    ES256 = "ES256"
    ES384 = "ES384"
    ES512 = "ES512"
    ED25519 = "Ed25519"
    EDDSA = "EdDSA"
    """The older name of Ed25519 (RFC 8037); Ed448 is not supported."""
    RS256 = "RS256"
    RS384 = "RS384"
    RS512 = "RS512"
    PS256 = "PS256"
    PS384 = "PS384"
    PS512 = "PS512"
    HS256 = "HS256"
    HS384 = "HS384"
    HS512 = "HS512"

    @property
    def symmetric(self) -> bool:
        """Whether the verification key can also sign."""
        return self.value.startswith("HS")


_UNTYPED: Final = "jwt"
_OTHER_TYPES: Final = frozenset(
    {
        *("secevent+jwt", "logout+jwt", "dpop+jwt", "oauth-authz-req+jwt"),
        *(
            "token-introspection+jwt",
            "entity-statement+jwt",
            "client-authentication+jwt",
        ),
        *("id_token+jwt", "kb+jwt", "dc+sd-jwt", "vc+jwt", "vp+jwt"),
    }
)
"""Types of tokens that never grant access."""

_SUBTYPE: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")

Issuer = Annotated[str, Field(pattern=ISSUER_PATTERN, max_length=MAX_ID_CHARACTERS)]
"""The exact `iss` of an issuer's tokens."""

MAX_AUDIENCE_CHARACTERS: Final = 2_048

Audience = Annotated[str, Field(min_length=1, max_length=MAX_AUDIENCE_CHARACTERS)]

IGNORABLE_MEMBERS: Final = frozenset({"jku", "jwk", "x5c", "x5u"})
"""Header members that carry a key; never used, and refused unless ignored."""

DEFAULT_TOKEN_BYTES: Final = 8_192
"""The default size limit of tokens."""

MAX_TOKEN_BYTES: Final = 65_536
"""The highest size limit that can be set for an issuer."""


class TrustedIssuer(ClaimMapping):
    """The requirements for one issuer's access tokens, and where its keys are.

    Exactly one of `jwks_url` and `jwks_file` must be given. A `preset` provides
    defaults; `trusted_issuers.py` has the other forms of the setting `issuers`.
    """

    preset: str | None = None
    """The identity provider; `revocation issuers show` lists the known ones."""
    jwks_url: str | None = None
    """Where the issuer publishes its key set (RFC 7517 section 5), by https."""
    jwks_file: Path | None = None
    """A key set on this machine; the only place for HMAC keys."""
    algorithms: tuple[Algorithm, ...] = Field(min_length=1)
    """The only algorithms its tokens may be signed with; HMAC never with others."""
    audiences: tuple[Audience, ...] = Field(min_length=1)
    """This service's identifiers: a token's audience must include one of them."""
    types: tuple[str, ...] = Field(("at+jwt",), min_length=1)
    """The `typ` of its access tokens (RFC 9068), in lower case and without
    `application/`."""
    allow_untyped: bool = False
    """Also accept `typ` JWT or none, for issuers that do not follow RFC 9068. The
    claims of such a token must then show that it is an access token."""
    access_token_claims: tuple[ClaimName, ...] = (
        *("scope", "scp", "client_id", "cid", "appid"),
    )
    """Claims that show an access token; an untyped one needs one of them. If empty, a
    token counts as an access token unless its claims show another kind."""
    allow_nonce: bool = False
    """Untyped access tokens may have a `nonce`; otherwise it shows an ID token."""
    id_tokens: bool = False
    """Also accept ID tokens, for services that have no other tokens. Everybody who
    signs in to the client whose id is the audience then has access."""
    audience_claims: tuple[ClaimName, ...] = Field(("aud",), min_length=1)
    """The claims that hold the audience; the first one that the token has applies."""
    required_values: dict[ClaimName, str] = Field(default_factory=dict)
    """Claims and the value that each must have, in addition to those of a preset."""
    ignored_header_members: tuple[str, ...] = ()
    """Those of `jku`, `jwk`, `x5c` and `x5u` that its tokens may have; keys are never
    taken from them."""
    max_token_bytes: int = Field(DEFAULT_TOKEN_BYTES, ge=256, le=MAX_TOKEN_BYTES)
    """Longer tokens are refused before any other check. Adapters read tokens from
    requests up to the highest limit of all issuers."""
    allow_private_addresses: bool = False
    """Whether `jwks_url` may lead into a private network, also by plain http."""
    jwks_proxy: str | None = None
    """The proxy for `jwks_url`, such as `http://proxy:3128`; variables of the
    environment do not apply. The proxy resolves the host name and must restrict it, so
    `allow_private_addresses` cannot be set as well, and the URL must use https.
    """
    refresh_seconds: int = Field(300, ge=10, le=86_400)
    """How often the key set is read again."""
    max_stale_seconds: int = Field(86_400, ge=60, le=31 * 86_400)
    """How long keys stay usable while the key set cannot be read."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: Any) -> Any:
        name = values.get("preset") if isinstance(values, dict) else None
        if not isinstance(name, str):
            return values
        settings = preset(name).settings
        own, usual = (each.get("required_values", {}) for each in (values, settings))
        # Merged: requiring a tenant as well must not let ID tokens in.
        merged = {**usual, **own} if isinstance(own, Mapping) else own
        return {**settings, **values, "required_values": merged}

    @field_validator("ignored_header_members")
    @classmethod
    def _ignorable(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        others = sorted({*value} - IGNORABLE_MEMBERS)
        if others:
            raise ValueError(
                f"{', '.join(others)} cannot be listed; members that this verifier "
                "does not understand are ignored anyway (RFC 7515 section 4)"
            )
        return value

    @field_validator("algorithms")
    @classmethod
    def _one_kind_of_key(cls, value: tuple[Algorithm, ...]) -> tuple[Algorithm, ...]:
        if len({algorithm.symmetric for algorithm in value}) > 1:
            raise ValueError(
                "mixes HMAC with public keys, so a public key might be taken for a "
                "secret (RFC 8725 section 2.1); give the issuer one kind"
            )
        return value

    @field_validator("types")
    @classmethod
    def _access_tokens_only(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        types = tuple(map(media_type, value))
        for each in types:
            if each is None or not _SUBTYPE.fullmatch(each):
                raise ValueError("must be media types; at+jwt is the usual one")
            if each == _UNTYPED:
                raise ValueError("JWT says nothing; set allow_untyped if you must")
            if each in _OTHER_TYPES:
                raise ValueError(f"{each} is the type of another kind of token")
        return tuple(each for each in types if each is not None)

    @property
    def key_set(self) -> tuple[object, ...]:
        """The settings that determine the keys; issuers that share them are equal."""
        return (
            *(self.jwks_url, self.jwks_file, self.algorithms),
            *(self.jwks_proxy, self.allow_private_addresses),
            *(self.refresh_seconds, self.max_stale_seconds),
        )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.jwks_url is None) == (self.jwks_file is None):
            raise ValueError("give either jwks_url or jwks_file")
        if self.jwks_file is None and self.algorithms[0].symmetric:
            raise ValueError("HMAC keys are secrets: they come from a jwks_file only")
        if self.jwks_url is not None:
            require_safe(self.jwks_url, "jwks_url", http=self.allow_private_addresses)
        self._check_proxy()
        if self.max_stale_seconds < self.refresh_seconds:
            raise ValueError(
                "max_stale_seconds is less than refresh_seconds: keys would become "
                "unusable between two readings"
            )
        return self

    def _check_proxy(self) -> None:
        if self.jwks_proxy is None:
            return
        if self.jwks_url is None:
            raise ValueError("jwks_proxy is for a jwks_url")
        if "allow_private_addresses" in self.model_fields_set:
            raise ValueError(
                "jwks_proxy resolves the name itself, so allow_private_addresses has "
                "no effect; leave it out, and restrict addresses at the proxy"
            )
        _require_proxy(self.jwks_proxy)


def longest_token_bytes(issuers: Iterable[TrustedIssuer]) -> int:
    """Return the highest size limit of these issuers' tokens."""
    return max((each.max_token_bytes for each in issuers), default=DEFAULT_TOKEN_BYTES)


def media_type(typ: str) -> str | None:
    """Return the normalised form of a `typ`, or None if it is not a valid one.

    RFC 7515 section 4.1.9: without a slash, `application/` is implied; media types are
    case-insensitive.
    """
    if not typ.isascii():
        return None
    kind, slash, subtype = typ.lower().rpartition("/")
    return subtype if not slash or kind == "application" else None


def require_safe(url: str, called: str, *, http: bool) -> None:
    """Refuse a URL that could compromise the key set or leak a secret.

    Args:
        url: the URL to read from.
        called: its name in the message.
        http: whether plain http is allowed.

    Raises:
        ValueError: describes the problem without quoting the URL.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"{called} is not a URL") from None
    if not url.isascii() or not url.isprintable() or " " in url or not host:
        raise ValueError(f"{called} is not a URL with a host, such as https://HOST/")
    if not {"{", "}"}.isdisjoint(url):
        raise ValueError(
            f"{called} has braces that were not filled in; a template has one claim in "
            "braces, the same in the issuer and in the URL"
        )
    if parts.scheme != "https" and not (http and parts.scheme == "http"):
        raise ValueError(
            f"{called} must begin with https; with http anybody on the network path "
            "could replace the keys"
        )
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise ValueError(f"{called} must have neither user, password nor fragment")


def _require_proxy(url: str) -> None:
    """Refuse a URL that is not a proxy's, or has a secret: settings are displayed."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("jwks_proxy is not a URL") from None
    extra = parts.path.strip("/") or parts.query or parts.fragment
    printable = url.isascii() and url.isprintable() and " " not in url
    if parts.scheme not in {"http", "https"} or not host or extra or not printable:
        raise ValueError("jwks_proxy is not a URL such as http://proxy:3128")
    if parts.username is not None or parts.password is not None:
        raise ValueError("jwks_proxy must have neither user nor password")
