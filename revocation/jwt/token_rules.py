"""The rules about a token besides its signature. Pure.

Each returns the fault, if any, and what to change: at the provider, according to its
preset, or in the settings. No message quotes a value of the token.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from revocation.claims.claim_names import ALWAYS, Unreadable, find_claim
from revocation.claims.claims import Rules, Token
from revocation.decision import Reason
from revocation.jwt.compact import TokenParts
from revocation.jwt.kinds import other_kind
from revocation.jwt.presets import preset
from revocation.jwt.trust import TrustedIssuer

_NUMBERS: Final = frozenset({int, float})
_EMPTY: Final[tuple[Any, ...]] = (None, "", [], {})


class TokenFault(NamedTuple):
    """What is wrong with a token."""

    reason: Reason
    detail: str


class Trusted(NamedTuple):
    """An issuer's rules, prepared for lookups.

    `remedies`: what to change at the provider, by the claim that a token lacks.
    """

    issuer: TrustedIssuer
    algorithms: frozenset[str]
    audiences: frozenset[str]
    required: tuple[str, ...]
    remedies: Mapping[str, str]

    @classmethod
    def of(cls, issuer: TrustedIssuer) -> "Trusted":
        """Prepare an issuer's rules."""
        return cls(
            issuer,
            frozenset(each.value for each in issuer.algorithms),
            frozenset(issuer.audiences),
            (*ALWAYS, *issuer.names.required),
            {} if issuer.preset is None else preset(issuer.preset).remedies,
        )

    def advise(self, claim: str, here: str | None) -> str | None:
        """Return what to change if a token lacks a claim; None if nothing helps."""
        options = (self.remedies.get(claim), here)
        return ", or ".join(each for each in options if each is not None) or None


def _check_header(parts: TokenParts, trusted: Trusted) -> TokenFault | None:
    brings = parts.header.brings.difference(trusted.issuer.ignored_header_members)
    if not brings:
        return None
    named = ", ".join(sorted(brings))
    detail = (
        f"the header has {named}, from which no key is taken; "
        "list it in ignored_header_members to accept such tokens"
    )
    return TokenFault(Reason.MALFORMED, detail)


def _check_algorithm(parts: TokenParts, trusted: Trusted) -> TokenFault | None:
    if parts.header.alg in trusted.algorithms:
        return None
    detail = "the `alg` is not allowed for the issuer"
    return TokenFault(Reason.ALGORITHM_REFUSED, detail)


def _check_kind(parts: TokenParts, trusted: Trusted) -> TokenFault | None:
    other = other_kind(parts.header.typ, parts.claims, trusted.issuer)
    return None if other is None else TokenFault(Reason.TYPE_REFUSED, other)


def _check_audience(parts: TokenParts, trusted: Trusted) -> TokenFault | None:
    """Check the first audience claim that the token has (RFC 9068)."""
    claims, names = parts.claims, trusted.issuer.audience_claims
    for name in names:
        audience = find_claim(claims, name)
        if audience in _EMPTY:
            continue
        named = [audience] if type(audience) is str else audience
        if type(named) is not list or not all(type(each) is str for each in named):
            detail = f"the `{name}` claim is neither a string nor a list of strings"
            return TokenFault(Reason.AUDIENCE_REFUSED, detail)
        if not trusted.audiences.isdisjoint(named):
            return None
        advice = trusted.advise(name, _instead(claims, names))
        detail = f"the `{name}` claim does not name us: {advice}"
        return TokenFault(Reason.AUDIENCE_REFUSED, detail)
    advice = trusted.advise(names[0], _instead(claims, names))
    detail = f"the token has no `{names[0]}`: {advice}"
    return TokenFault(Reason.AUDIENCE_REFUSED, detail)


def _instead(claims: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """Return the settings with which the token would have the right audience."""
    others = (each for each in ("azp", "client_id", "cid") if each not in names)
    other = next((each for each in others if type(claims.get(each)) is str), None)
    if other is None:
        return "list what it names in audiences"
    return f'list its `{other}` in audiences with audience_claims = ["{other}"]'


def find_lacking(parts: TokenParts, trusted: Trusted) -> Iterator[TokenFault]:
    """Yield a fault for each required claim that the token lacks."""
    for name in trusted.required:
        found = find_claim(parts.claims, name)
        if isinstance(found, Unreadable):
            yield TokenFault(Reason.UNVERIFIABLE, found.why)
        elif found in _EMPTY:
            detail = f"the token has no `{name}` claim"
            advice = trusted.advise(name, _accepting_without(name, trusted.issuer))
            detail = detail if advice is None else f"{detail}: {advice}"
            yield TokenFault(Reason.UNVERIFIABLE, detail)


def _check_required(parts: TokenParts, trusted: Trusted) -> TokenFault | None:
    return next(find_lacking(parts, trusted), None)


def _accepting_without(name: str, issuer: TrustedIssuer) -> str | None:
    if name in ALWAYS:
        return None
    if name in issuer.required_claims:
        return "take it out of required_claims"
    if name == issuer.token_id_claim:
        return (
            f'optional_claims = ["{name}"] accepts it, and `token.revoked` then cannot '
            "reach it"
        )
    return (
        f'user_claim names another, or optional_claims = ["{name}"] accepts it, and no '
        "event about a user then reaches it"
    )


def _check_values(parts: TokenParts, trusted: Trusted) -> TokenFault | None:
    for name, value in trusted.issuer.required_values.items():
        if find_claim(parts.claims, name) != value:
            detail = f"the `{name}` claim is not what the issuer's tokens must have"
            return TokenFault(Reason.UNVERIFIABLE, detail)
    return None


RULES: Final[Mapping[str, Callable[[TokenParts, Trusted], TokenFault | None]]] = {
    "header": _check_header,
    "alg": _check_algorithm,
    "kind": _check_kind,
    "audience": _check_audience,
    "required": _check_required,
    "values": _check_values,
}
"""By what they check, in the order in which they are applied."""


class Times(NamedTuple):
    """A token's times and the rules for them; all but `nbf` are known to be valid."""

    nbf: Any
    token: Token
    rules: Rules
    now: float


def _check_nbf_is_a_time(times: Times) -> TokenFault | None:
    if type(times.nbf) in _NUMBERS:
        return None
    return TokenFault(Reason.UNVERIFIABLE, "the `nbf` claim is not a time in seconds")


def _check_exp(times: Times) -> TokenFault | None:
    if times.now < times.token.expires_at + times.rules.leeway_ms:
        return None
    return TokenFault(Reason.EXPIRED, "the `exp` claim has passed")


def _check_nbf(times: Times) -> TokenFault | None:
    is_time = type(times.nbf) in _NUMBERS
    if not is_time or times.now >= times.nbf * 1_000 - times.rules.leeway_ms:
        return None
    return TokenFault(Reason.NOT_YET_VALID, "the `nbf` claim lies in the future")


def _check_lifetime(times: Times) -> TokenFault | None:
    token = times.token
    if token.expires_at - token.issued_at <= token.longest:
        return None
    detail = (
        "`exp` is further from `iat` than tokens may live "
        f"({token.longest // 1_000} s): configure a shorter lifetime at the issuer, or "
        "raise max_token_lifetime_seconds"
    )
    return TokenFault(Reason.LIFETIME_EXCEEDED, detail)


TIME_RULES: Final[tuple[tuple[str, Callable[[Times], TokenFault | None]], ...]] = (
    ("nbf", _check_nbf_is_a_time),
    ("exp", _check_exp),
    ("nbf", _check_nbf),
    ("lifetime", _check_lifetime),
)
"""The rules for a token's times, applied after `read_token`.

`decide` checks whether it is dated too far ahead: only for signed tokens, so that no
stranger can make an issuer's clock look wrong.
"""


def times_of(parts: TokenParts, token: Token, rules: Rules, now: float) -> Times:
    """Return the input of `TIME_RULES`."""
    return Times(parts.claims.get("nbf", 0), token, rules, now)


def find_untimely(times: Times) -> TokenFault | None:
    """Return what is wrong with a token's times, if anything is."""
    return next(filter(None, (rule(times) for _, rule in TIME_RULES)), None)
