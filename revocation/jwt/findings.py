"""Formats a token's values for each point of an explanation. Pure.

Values are written as JSON in ASCII, so that no token can control a terminal.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from revocation.claims.claim_names import find_claim
from revocation.claims.claim_sets import ClaimSet, describe
from revocation.claims.reach import Member, Reach
from revocation.entries import Kind
from revocation.jwt.compact import TokenParts
from revocation.jwt.token_rules import Times, Trusted

_MAX_SHOWN: Final = 200
_NUMBERS: Final = frozenset({int, float})


def shown(value: Any) -> str:
    """Format a value; a long one is truncated."""
    if value is None:
        return "none"
    text = json.dumps(value).replace("\x7f", "\\u007f")
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def moment(milliseconds: float, now: float) -> str:
    """Format an instant, and how far it is from now."""
    seconds = (milliseconds - now) / 1_000
    away = f"in {seconds:,.0f} s" if seconds > 0 else f"{-seconds:,.0f} s ago"
    try:
        at = datetime.fromtimestamp(milliseconds / 1_000, UTC)
    except (ValueError, OverflowError, OSError):
        return away
    return f"{at:%Y-%m-%d %H:%M:%S} UTC, {away}"


def reached_by(each: Reach, parts: TokenParts, *, reached: bool) -> str:
    """Describe the values by which events reach a token, or what it lacks."""
    if each.kind is Kind.KEY:
        kid = parts.header.kid
        return f"kid {shown(kid)}" if kid else "the key's `kid`, if it has one"
    if reached:
        values = (f"{member.name} {_held(member, parts)}" for member in each.members)
        return ", ".join(values)
    if not each.reaches:
        return f"OUT OF REACH: {each.missed}"
    lacking = (member.claims for member in each.members if not _values(member, parts))
    named = (" or ".join(f"`{name}`" for name in claims) for claims in lacking)
    return f"OUT OF REACH until `exp`: the token has no {', and no '.join(named)}"


def named_sets(ids: Sequence[str], sets: Sequence[ClaimSet]) -> str:
    """Describe the ids that a token has under claim sets, or why it has none."""
    if ids:
        return f"claims {', '.join(map(shown, ids))}"
    if not sets:
        return "OUT OF REACH: no claim set is configured (`revocable_claims`)"
    return (
        "OUT OF REACH until `exp`: the token lacks a claim of each set of "
        f"`revocable_claims` ({describe(sets)})"
    )


def backdated(time: str, seconds: int) -> str:
    """Note that a backdated `iat` was corrected, if it was."""
    return f"{time}, with iat_backdated_seconds ({seconds}) added" if seconds else time


def _held(member: Member, parts: TokenParts) -> str:
    return " and ".join(map(shown, _values(member, parts)))


def _values(member: Member, parts: TokenParts) -> list[Any]:
    values = (find_claim(parts.claims, name) for name in member.claims)
    return list(dict.fromkeys(value for value in values if isinstance(value, str)))


def _header(parts: TokenParts, _: Trusted) -> str:
    header = parts.header
    ignored = f"; ignored: {', '.join(sorted(header.brings))}" if header.brings else ""
    kid = "no `kid`" if header.kid is None else f"`kid` is {shown(header.kid)}"
    return f"{kid}{ignored}"


def _algorithm(parts: TokenParts, trusted: Trusted) -> str:
    allowed = ", ".join(each.value for each in trusted.issuer.algorithms)
    return f"`alg` is {shown(parts.header.alg)}; allowed: {allowed}"


def _kind(parts: TokenParts, trusted: Trusted) -> str:
    issuer, typ = trusted.issuer, parts.header.typ
    found = "no `typ`" if typ is None else f"`typ` is {shown(typ)}"
    untyped = ", JWT or none" if issuer.allow_untyped else ""
    return f"{found}; access tokens have {', '.join(issuer.types)}{untyped}"


def _audience(parts: TokenParts, trusted: Trusted) -> str:
    names, ours = trusted.issuer.audience_claims, trusted.issuer.audiences
    values = {name: find_claim(parts.claims, name) for name in names}
    found = (f"`{name}` is {shown(value)}" for name, value in values.items() if value)
    us = shown(ours[0] if len(ours) == 1 else ours)
    return f"{next(found, f'no `{names[0]}`')}; we are {us}"


def _required(_: TokenParts, trusted: Trusted) -> str:
    return f"needed: {', '.join(f'`{name}`' for name in trusted.required)}"


def _required_values(parts: TokenParts, trusted: Trusted) -> str:
    found = (
        f"`{name}` is {shown(find_claim(parts.claims, name))}, "
        f"required is {shown(value)}"
        for name, value in trusted.issuer.required_values.items()
    )
    return "; ".join(found) or "none are required"


FOUND: Final[Mapping[str, Callable[[TokenParts, Trusted], str]]] = {
    "header": _header,
    "alg": _algorithm,
    "kind": _kind,
    "audience": _audience,
    "required": _required,
    "values": _required_values,
}
"""For each of `RULES`."""


def _nbf(times: Times) -> str:
    if not times.nbf or type(times.nbf) not in _NUMBERS:
        return f"`nbf` is {shown(times.nbf or None)}"
    return moment(times.nbf * 1_000, times.now)


def _exp(times: Times) -> str:
    return moment(times.token.expires_at, times.now)


def _lifetime(times: Times) -> str:
    token = times.token
    lives = (token.expires_at - token.issued_at) / 1_000
    return f"{lives:,.0f} s; at most {token.longest // 1_000:,} s"


FOUND_TIMES: Final[Mapping[str, Callable[[Times], str]]] = {
    "nbf": _nbf,
    "exp": _exp,
    "lifetime": _lifetime,
}
"""For each of `TIME_RULES`."""
