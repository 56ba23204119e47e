"""Explains point by point why a token passes or fails. Pure.

Applies every rule of `authenticator.py`, one by one. An explanation shows values of the
token, so it is only for somebody who holds the token.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any, Final, NamedTuple

from revocation.claims.claim_names import ALWAYS, find_claim
from revocation.claims.claim_problems import find_unusable
from revocation.claims.claims import Rules, Token, read_token
from revocation.claims.reach import reach
from revocation.decision import Freshness, Reason, StalenessPolicy, decide
from revocation.entries import Kind, UnixMs
from revocation.jwt.authenticator import (
    NO_TEXT,
    TOO_LONG,
    UNTRUSTED,
    Keys,
    find_signer,
    name_signer,
)
from revocation.jwt.compact import Malformed, TokenParts, take_apart
from revocation.jwt.findings import (
    FOUND,
    FOUND_TIMES,
    backdated,
    moment,
    named_sets,
    reached_by,
    shown,
)
from revocation.jwt.token_rules import (
    RULES,
    TIME_RULES,
    TokenFault,
    Trusted,
    find_lacking,
    times_of,
)
from revocation.jwt.trust import MAX_TOKEN_BYTES, TrustedIssuer


class PointState(StrEnum):
    """The result of a point."""

    PASSES = "passes"
    FAILS = "FAILS"
    NOT_LOOKED_AT = "not looked at"


class Point(NamedTuple):
    """One requirement of a token.

    `found`: the token's values. `fault`: a verifier's answer, if the point fails.
    """

    about: str
    state: PointState
    found: str
    fault: TokenFault | None = None


class Named(NamedTuple):
    """Whether events about one kind of target reach the token, and by which values."""

    kind: Kind
    events: tuple[str, ...]
    reached: bool
    found: str


class Explanation(NamedTuple):
    """The explanation of one token.

    `named`: empty if it cannot be read. `version`: its claim about the user's version.
    """

    points: tuple[Point, ...]
    named: tuple[Named, ...] = ()
    version: str = ""

    @property
    def fault(self) -> TokenFault | None:
        """The first fault, which is the one that a verifier reports."""
        return next((each.fault for each in self.points if each.fault), None)


class _Case(NamedTuple):
    """A token, and the issuer by whose rules it is judged.

    `rules`: require no claims, since `RULES` report the missing ones.
    """

    parts: TokenParts
    issuer: str
    trusted: Trusted
    rules: Rules
    now: UnixMs


def explain(
    token: str,
    issuers: Mapping[str, TrustedIssuer],
    rules: Rules,
    now: UnixMs,
    keys: Keys | None = None,
) -> Explanation:
    """Explain a token; the first fault is the one that a verifier refuses it for.

    Never raises, whatever the token is.

    Args:
        token: a compact JWT without surrounding text.
        issuers: the trusted issuers, by the exact `iss`.
        rules: what the installation requires of all tokens.
        now: the verifier's clock.
        keys: the issuers' keys; without them the signature is not checked.
    """
    parts = take_apart_within(token, issuers)
    if isinstance(parts, TokenFault):
        return Explanation((_fails("form", parts), _rest("the form is wrong")))
    form = _passes("form", f"a JWT of {len(token):,} characters")
    iss = parts.claims.get("iss")
    issuer = judging_issuer(parts.claims, issuers)
    if issuer is None:
        untrusted = _fails("issuer", UNTRUSTED, f"`iss` is {shown(iss)}")
        return Explanation((form, untrusted, _rest("it depends on the issuer")))
    names = replace(issuers[issuer].names, required=())
    lenient = replace(rules, names=names, issuers={})
    case = _Case(parts, issuer, Trusted.of(issuers[issuer]), lenient, now)
    points = (form, _judge_issuer(iss, issuer), *_judge(case, len(token), keys))
    read = read_token(parts.claims, lenient, kid=parts.header.kid)
    if iss != issuer or isinstance(read, str):
        return Explanation(points)
    return Explanation(points, tuple(_named(case, read)), _version(case))


def judging_issuer(
    claims: Mapping[str, Any], issuers: Mapping[str, TrustedIssuer]
) -> str | None:
    """Return the issuer by whose rules a token is judged, if there is one.

    It is the token's own or, if that is not trusted, one that differs only by a
    trailing slash, or the only trusted issuer.
    """
    iss = claims.get("iss")
    if isinstance(iss, str) and iss in issuers:
        return iss
    similar = (each for each in issuers if _differ_by_slash(iss, each))
    return next(similar, next(iter(issuers)) if len(issuers) == 1 else None)


def _differ_by_slash(iss: Any, issuer: str) -> bool:
    is_text = isinstance(iss, str) and iss != issuer
    return is_text and iss.removesuffix("/") == issuer.removesuffix("/")


def _judge_issuer(iss: Any, issuer: str) -> Point:
    if iss == issuer:
        return _passes("issuer", f"`iss` is {shown(iss)}")
    slash = ": the slash at the end" if _differ_by_slash(iss, issuer) else ""
    found = f"`iss` is {shown(iss)}, trusted is {shown(issuer)}{slash}"
    return _fails("issuer", UNTRUSTED, found)


def take_apart_within(
    token: str, issuers: Mapping[str, TrustedIssuer]
) -> TokenParts | TokenFault:
    """Parse a token, unless it exceeds the length limit of every issuer."""
    if not token.isascii():
        return NO_TEXT
    longest = (each.max_token_bytes for each in issuers.values())
    if len(token) > max(longest, default=MAX_TOKEN_BYTES):
        return TOO_LONG
    parts = take_apart(token)
    if isinstance(parts, Malformed):
        return TokenFault(Reason.MALFORMED, parts.rule)
    return parts


def _judge(case: _Case, length: int, keys: Keys | None) -> Iterator[Point]:
    limit = case.trusted.issuer.max_token_bytes
    if length > limit:
        yield _fails("length", TOO_LONG, f"{length:,}; max_token_bytes is {limit:,}")
    for about, rule in RULES.items():
        found = FOUND[about](case.parts, case.trusted)
        faults = _FAULTS.get(about, _only(rule))(case.parts, case.trusted)
        yield from _points(about, faults, found)
    yield from _points("names", _unnameable(case), "events can name what it names")
    claims = {name: case.parts.claims.get(name) for name in ALWAYS}
    timed = read_token({**claims, "iss": case.issuer}, case.rules)
    if isinstance(timed, str):
        yield Point("times", PointState.NOT_LOOKED_AT, f"they cannot be read: {timed}")
        yield _judge_signature(case, keys)
    else:
        yield from _judge_times(case, timed)
        yield _judge_signature(case, keys)
        yield _judge_ahead(case, timed)


def _unnameable(case: _Case) -> Iterator[TokenFault]:
    """Yield the faults of claims that are present; `find_lacking` has the others."""
    reported = {each.detail for each in find_lacking(case.parts, case.trusted)}
    for each in find_unusable(case.parts.claims, case.rules.names):
        if each not in reported:
            yield TokenFault(Reason.UNVERIFIABLE, each)


def _judge_times(case: _Case, timed: Token) -> Iterator[Point]:
    times = times_of(case.parts, timed, case.rules, case.now)
    faults = [(about, rule(times)) for about, rule in TIME_RULES]
    failing = {about for about, fault in faults if fault is not None}
    for about, fault in dict.fromkeys(faults):
        if fault is not None or about not in failing:
            yield _point(about, fault, FOUND_TIMES[about](times))


def _judge_signature(case: _Case, keys: Keys | None) -> Point:
    if keys is None:
        return Point("signature", PointState.NOT_LOOKED_AT, "no keys are given")
    key = find_signer(case.parts, case.issuer, keys, case.now)
    if isinstance(key, TokenFault):
        header = case.parts.header
        found = f"`kid` is {shown(header.kid)}, `alg` {shown(header.alg)}"
        return _fails("signature", key, found)
    found = f"made by the issuer's key {shown(key.kid)}"
    read = read_token(case.parts.claims, case.rules, kid=case.parts.header.kid)
    if isinstance(read, str):
        return _passes("signature", found)
    named = name_signer(case.parts, read, key, case.rules)
    return _point("signature", named if isinstance(named, TokenFault) else None, found)


def _judge_ahead(case: _Case, timed: Token) -> Point:
    """Judge whether `iat` lies in the future, which a verifier does in its verdict."""
    verdict = decide(
        timed,
        {},
        Freshness(ready=True, as_of=case.now),
        policy=StalenessPolicy(),
        rules=case.rules,
        now=case.now,
    )
    fault = None
    if verdict.reason is Reason.UNVERIFIABLE:
        fault = TokenFault(verdict.reason, verdict.detail or "")
    made_at = moment(timed.issued_at, case.now)
    seconds = case.trusted.issuer.iat_backdated_seconds
    return _point("iat", fault, backdated(made_at, seconds))


def _named(case: _Case, token: Token) -> Iterator[Named]:
    """Yield for each kind of target whether its events reach the token.

    Resources are omitted: they depend on the request, not on the token.
    """
    names = case.trusted.issuer.names
    kinds = {target.kind for target in token.targets()}
    ids = [name for kind, name in token.more if kind is Kind.CLAIMS]
    for each in reach(names, case.rules.longest_of(names)):
        if each.kind is Kind.RESOURCE:
            continue
        reached = each.kind in kinds
        if each.kind is Kind.CLAIMS:
            found = named_sets(ids, case.rules.revocable_claims)
        else:
            found = reached_by(each, case.parts, reached=reached)
        yield Named(each.kind, each.events, reached, found)


def _version(case: _Case) -> str:
    name = case.trusted.issuer.names.version
    if name is None:
        seconds = case.rules.clock_allowance_ms / 1_000
        return (
            "no claim is the user's version: tokens made within "
            f'{seconds:g} s after "log out everywhere" are refused'
        )
    return f"`{name}` is {shown(find_claim(case.parts.claims, name))}"


# Points -------------------------------------------------------------------------------

_Faults = Callable[[TokenParts, Trusted], Iterable[TokenFault]]
_FAULTS: Final[Mapping[str, _Faults]] = {"required": find_lacking}
"""Functions that find all faults of a point, for points that may have several."""


def _only(rule: Callable[[TokenParts, Trusted], TokenFault | None]) -> _Faults:
    return lambda parts, trusted: filter(None, [rule(parts, trusted)])


def _points(about: str, faults: Iterable[TokenFault], found: str) -> Iterable[Point]:
    return [_fails(about, fault, found) for fault in faults] or [_passes(about, found)]


def _point(about: str, fault: TokenFault | None, found: str) -> Point:
    return _passes(about, found) if fault is None else _fails(about, fault, found)


def _passes(about: str, found: str) -> Point:
    return Point(about, PointState.PASSES, found)


def _fails(about: str, fault: TokenFault, found: str = "") -> Point:
    return Point(about, PointState.FAILS, found, fault)


def _rest(why: str) -> Point:
    return Point("all else", PointState.NOT_LOOKED_AT, why)
