"""Authenticates a token: returns its claims set, or why it is refused. No IO.

The rules are those of RFC 8725 section 3 and its successor's draft, of RFC 7519 and of
RFC 9068; docs/token-verification.md lists where each is implemented and tested. Cheap
rules come first and the signature last, so nonsense costs little; until then nothing in
the token is trusted: its `iss` only selects among the trusted issuers, its `kid` only
among their keys. No rule can be switched off.
"""

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from threading import Lock
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol

from revocation.claims.claims import Rules, Token, read_token
from revocation.decision import Reason
from revocation.entries import UnixMs
from revocation.jwt.compact import Malformed, TokenParts, take_apart
from revocation.jwt.token_rules import (
    RULES,
    TokenFault,
    Trusted,
    find_untimely,
    times_of,
)
from revocation.jwt.trust import TrustedIssuer, longest_token_bytes


class Key(Protocol):
    """A verification key, bound to one issuer and one algorithm when it was read."""

    @property
    def kid(self) -> str | None:
        """Its key id, if it has one."""

    @property
    def usable_until(self) -> int:
        """When it becomes unusable, in ms since the epoch; 0 once it is withdrawn."""

    def verify(self, signing_input: bytes, signature: bytes) -> bool:
        """Whether this key made the signature. Never raises."""


class Keys(Protocol):
    """A source of keys: in memory, without waiting, from any thread."""

    def find(self, issuer: str, kid: str | None, alg: str) -> Key | None:
        """Return the issuer's key for exactly this algorithm.

        Without `kid`: the only one for the algorithm, or None if there are several.
        """


class Refusal(NamedTuple):
    """Why a token is refused. `detail` names the rule and never quotes the token.

    `issuer` is set when the token names a trusted issuer; with reason `key_unknown`
    that issuer's key set may have changed.
    """

    reason: Reason
    detail: str
    issuer: str | None = None


class Authenticated:
    """A token that its issuer signed for this service, valid by `nbf` and `exp`.

    `claims` is immutable at any depth, since later calls share it: arrays are tuples.
    `kid` is that of the key, even if the header names none. `token` is the result of
    `claims.read_token`, without resources and claim sets. `expires_at` is when it will
    be refused, in ms: `exp` plus the leeway.
    """

    __slots__ = (
        "_begins",
        "_key",
        "claims",
        "expires_at",
        "issuer",
        "kid",
        "token",
    )

    def __init__(
        self, parts: TokenParts, token: Token, key: Key, leeway_ms: int
    ) -> None:
        self.claims: Mapping[str, Any] = _freeze(parts.claims)
        self.kid = parts.header.kid or key.kid
        self.issuer = token.issuer
        self.token = token
        self.expires_at = token.expires_at + leeway_ms
        self._begins = parts.claims.get("nbf", 0) * 1_000 - leeway_ms
        self._key = key

    def still_counts(self, now: UnixMs) -> bool:
        """Whether its times and its key still permit it."""
        return self._begins <= now < self.expires_at and now < self._key.usable_until

    def is_signed_by(self, issuer: str, kid: str) -> bool:
        """Whether the named key signed it."""
        return self.issuer == issuer and self.kid == kid


class Authenticator:
    """Applies every rule about the token itself. Thread-safe.

    Verified tokens are cached by the digest of the whole token, so a repeated token
    costs a digest and a comparison with the clock. Only tokens that an issuer signed
    are cached, so nobody else can fill the cache.
    """

    def __init__(
        self,
        issuers: Mapping[str, TrustedIssuer],
        rules: Rules,
        keys: Keys,
        *,
        cache_size: int = 16_384,
    ) -> None:
        """Prepare.

        Args:
            issuers: the trusted issuers, by the exact `iss`.
            rules: what the installation requires of all tokens.
            keys: the issuers' keys.
            cache_size: how many verified tokens are cached; 0 for none.
        """
        named = {name: issuer.names for name, issuer in issuers.items()}
        # Verifiers read the claim sets themselves, where they need them.
        self._rules = replace(rules, issuers=named, revocable_claims=())
        self._keys = keys
        self._trusted = {name: Trusted.of(issuer) for name, issuer in issuers.items()}
        self.max_token_bytes = longest_token_bytes(issuers.values())
        # Two generations: as effective as LRU here, and a hit writes nothing, so
        # threads do not wait for each other.
        self._generation = cache_size // 2
        self._young: dict[bytes, Authenticated] = {}
        self._old: dict[bytes, Authenticated] = {}
        self._lock = Lock()

    def authenticate(self, token: str, now: UnixMs) -> Authenticated | Refusal:
        """Return the authenticated token, or why it is refused.

        Never raises, whatever `token` is.

        Args:
            token: a compact JWT without surrounding text.
            now: the verifier's clock.
        """
        # Exactly `str`: a subclass could override its methods.
        if type(token) is not str or not token.isascii():
            return Refusal(*NO_TEXT)
        if len(token) > self.max_token_bytes:
            return Refusal(*TOO_LONG)
        digest = sha256(token.encode("ascii")).digest()
        known = self._young.get(digest) or self._find_old(digest)
        if known is not None and known.still_counts(now):
            return known
        found = self._examine(token, now)
        if type(found) is Authenticated:
            self._remember(digest, found)
        return found

    def trusts(self, issuer: str) -> bool:
        """Whether an issuer is trusted."""
        return issuer in self._trusted

    def forget(self, issuer: str, kid: str) -> None:
        """Remove the tokens that a key signed from the cache.

        Withdraw the key first (`KeyRing.drop`): that invalidates its tokens at once,
        even one that another thread is about to cache. This frees their memory.
        """
        with self._lock:
            self._young = _without(self._young, issuer, kid)
            self._old = _without(self._old, issuer, kid)

    def _find_old(self, digest: bytes) -> Authenticated | None:
        found = self._old.get(digest)
        if found is not None:
            self._remember(digest, found)
        return found

    def _remember(self, digest: bytes, found: Authenticated) -> None:
        if not self._generation:
            return
        with self._lock:
            if len(self._young) >= self._generation:
                self._old, self._young = self._young, {}
            self._young[digest] = found

    def _examine(self, token: str, now: UnixMs) -> Authenticated | Refusal:
        parts = take_apart(token)
        if isinstance(parts, Malformed):
            return Refusal(Reason.MALFORMED, parts.rule)
        issuer = parts.claims.get("iss")
        trusted = self._trusted.get(issuer) if type(issuer) is str else None
        if trusted is None:
            return Refusal(*UNTRUSTED)
        if len(token) > trusted.issuer.max_token_bytes:
            return Refusal(*TOO_LONG, issuer)
        faults = (rule(parts, trusted) for rule in RULES.values())
        fault = next(filter(None, faults), None)
        if fault is not None:
            return Refusal(*fault, issuer)
        read = read_token(parts.claims, self._rules, kid=parts.header.kid)
        if isinstance(read, str):
            return Refusal(Reason.UNVERIFIABLE, read, issuer)
        times = times_of(parts, read, self._rules, now)
        found = find_untimely(times) or self._verify(parts, read, now)
        return Refusal(*found, issuer) if isinstance(found, TokenFault) else found

    def _verify(
        self, parts: TokenParts, token: Token, now: UnixMs
    ) -> Authenticated | TokenFault:
        key = find_signer(parts, token.issuer, self._keys, now)
        if isinstance(key, TokenFault):
            return key
        named = name_signer(parts, token, key, self._rules)
        if isinstance(named, TokenFault):
            return named
        return Authenticated(parts, named, key, self._rules.leeway_ms)


def find_signer(
    parts: TokenParts, issuer: str, keys: Keys, now: UnixMs
) -> Key | TokenFault:
    """Return the issuer's key that signed a token, or why there is none."""
    header = parts.header
    key = keys.find(issuer, header.kid, header.alg)
    if key is None:
        return _NO_KEY if header.kid is not None else _NO_SOLE_KEY
    if now >= key.usable_until:
        return _STALE_KEY
    return key if key.verify(parts.signing_input, parts.signature) else _NOT_SIGNED


def name_signer(
    parts: TokenParts, token: Token, key: Key, rules: Rules
) -> Token | TokenFault:
    """Return the token with the id of its key.

    Otherwise a token without `kid` would escape the revocation of its key.
    """
    if parts.header.kid is not None or key.kid is None:
        return token
    named = read_token(parts.claims, rules, kid=key.kid)
    return TokenFault(Reason.UNVERIFIABLE, named) if isinstance(named, str) else named


def _without(
    known: dict[bytes, Authenticated], issuer: str, kid: str
) -> dict[bytes, Authenticated]:
    return {
        digest: each
        for digest, each in known.items()
        if not each.is_signed_by(issuer, kid)
    }


def _freeze(value: Any) -> Any:
    if type(value) is dict:
        return MappingProxyType({name: _freeze(each) for name, each in value.items()})
    if type(value) is list:
        return tuple(map(_freeze, value))
    return value


NO_TEXT: Final = TokenFault(Reason.MALFORMED, "the token is not ASCII text")
TOO_LONG: Final = TokenFault(Reason.MALFORMED, "the token is too long")
UNTRUSTED: Final = TokenFault(
    Reason.ISSUER_UNTRUSTED, "the `iss` claim names no trusted issuer"
)
_NO_KEY: Final = TokenFault(
    Reason.KEY_UNKNOWN, "the issuer has no key with this `kid` and `alg`"
)
_NO_SOLE_KEY: Final = TokenFault(
    Reason.KEY_UNKNOWN, "without `kid`, the issuer must have one key for the `alg`"
)
_STALE_KEY: Final = TokenFault(
    Reason.KEY_UNKNOWN, "the issuer's key set could not be read for too long"
)
_NOT_SIGNED: Final = TokenFault(
    Reason.SIGNATURE_INVALID, "the issuer's key did not make the signature"
)
