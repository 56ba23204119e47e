"""Says point by point why a token passes or not. Pure.

The rules are those that judge tokens (`authenticator.py`), asked one by one and all of
them. What is said here shows values of the token: it is for whoever holds the token.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any, Final, NamedTuple

from revocation.claims.claim_names import ALWAYS, find_claim
from revocation.claims.claims import Rules, Token, read_token
from revocation.claims.complaints import find_unusable
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
    """What became of a point."""

    PASSES = "passes"
    FAILS = "FAILS"
    NOT_LOOKED_AT = "not looked at"


class Point(NamedTuple):
    """One thing that is asked of a token.

    `said`: what was found. `fault`: what a verifier says, where the point fails.
    """

    about: str
    state: PointState
    said: str
    fault: TokenFault | None = None


class Named(NamedTuple):
    """Whether events about one kind of target reach the token, and by what."""

    kind: Kind
    events: tuple[str, ...]
    reached: bool
    said: str


class Explanation(NamedTuple):
    """All that can be said of a token.

    `named`: empty where it cannot be read. `version`: what it says of the user's.
    """

    points: tuple[Point, ...]
    named: tuple[Named, ...] = ()
    version: str = ""

    @property
    def fault(self) -> TokenFault | None:
        """The first thing wrong: what a verifier says of the token."""
        return next((each.fault for each in self.points if each.fault), None)


class _Case(NamedTuple):
    """A token, and the issuer that it is judged by.

    `rules`: ask for no claim, since `RULES` say which are lacking.
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
    """Explain a token; the first fault is what a verifier refuses it for.

    Never raises, whatever the token is.

    Args:
        token: a compact JWT, nothing around it.
        issuers: whom to trust, by the exact `iss`.
        rules: what the installation asks of all tokens.
        now: the verifier's clock.
        keys: the issuers' keys; without, the signature is not looked at.
    """
    parts = take_apart_within(token, issuers)
    if isinstance(parts, TokenFault):
        return Explanation((_fails("form", parts), _rest("the form is wrong")))
    form = _passes("form", f"a JWT of {len(token):,} characters")
    said = parts.claims.get("iss")
    issuer = judging_issuer(parts.claims, issuers)
    if issuer is None:
        untrusted = _fails("issuer", UNTRUSTED, f"`iss` is {shown(said)}")
        return Explanation((form, untrusted, _rest("it depends on the issuer")))
    names = replace(issuers[issuer].names, required=())
    lenient = replace(rules, names=names, issuers={})
    case = _Case(parts, issuer, Trusted.of(issuers[issuer]), lenient, now)
    points = (form, _judge_issuer(said, issuer), *_judge(case, len(token), keys))
    read = read_token(parts.claims, lenient, kid=parts.header.kid)
    if said != issuer or isinstance(read, str):
        return Explanation(points)
    return Explanation(points, tuple(_named(case, read)), _version(case))


def judging_issuer(
    claims: Mapping[str, Any], issuers: Mapping[str, TrustedIssuer]
) -> str | None:
    """Return the issuer by whose rules a token is judged, if there is one.

    Its own; where that is not trusted, one that has a slash more or less at the end, or
    the only one there is.
    """
    said = claims.get("iss")
    if isinstance(said, str) and said in issuers:
        return said
    alike = (each for each in issuers if _differ_by_slash(said, each))
    return next(alike, next(iter(issuers)) if len(issuers) == 1 else None)


def _differ_by_slash(said: Any, issuer: str) -> bool:
    is_text = isinstance(said, str) and said != issuer
    return is_text and said.removesuffix("/") == issuer.removesuffix("/")


def _judge_issuer(said: Any, issuer: str) -> Point:
    if said == issuer:
        return _passes("issuer", f"`iss` is {shown(said)}")
    slash = ": the slash at the end" if _differ_by_slash(said, issuer) else ""
    found = f"`iss` is {shown(said)}, trusted is {shown(issuer)}{slash}"
    return _fails("issuer", UNTRUSTED, found)


def take_apart_within(
    token: str, issuers: Mapping[str, TrustedIssuer]
) -> TokenParts | TokenFault:
    """Take a token apart, unless it is longer than any issuer's may be."""
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
    most = case.trusted.issuer.max_token_bytes
    if length > most:
        yield _fails("length", TOO_LONG, f"{length:,}; max_token_bytes is {most:,}")
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
    """Say what is wrong with claims that are there; lacking ones have been told."""
    told = {each.detail for each in find_lacking(case.parts, case.trusted)}
    for each in find_unusable(case.parts.claims, case.rules.names):
        if each not in told:
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
        said = f"`kid` is {shown(header.kid)}, `alg` {shown(header.alg)}"
        return _fails("signature", key, said)
    said = f"made by the issuer's key {shown(key.kid)}"
    read = read_token(case.parts.claims, case.rules, kid=case.parts.header.kid)
    if isinstance(read, str):
        return _passes("signature", said)
    named = name_signer(case.parts, read, key, case.rules)
    return _point("signature", named if isinstance(named, TokenFault) else None, said)


def _judge_ahead(case: _Case, timed: Token) -> Point:
    """Ask what is asked last, together with the verdict."""
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
    said = moment(timed.issued_at, case.now)
    seconds = case.trusted.issuer.iat_backdated_seconds
    return _point("iat", fault, backdated(said, seconds))


def _named(case: _Case, token: Token) -> Iterator[Named]:
    """Say of each kind of event whether it reaches the token.

    What a request touches is no matter of the token.
    """
    names = case.trusted.issuer.names
    kinds = {target.kind for target in token.targets()}
    ids = [name for kind, name in token.more if kind is Kind.CLAIMS]
    for each in reach(names, case.rules.longest_of(names)):
        if each.kind is Kind.RESOURCE:
            continue
        reached = each.kind in kinds
        if each.kind is Kind.CLAIMS:
            said = named_sets(ids, case.rules.revocable_claims)
        else:
            said = reached_by(each, case.parts, reached=reached)
        yield Named(each.kind, each.events, reached, said)


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
"""What finds all faults of a point that may have several."""


def _only(rule: Callable[[TokenParts, Trusted], TokenFault | None]) -> _Faults:
    return lambda parts, trusted: filter(None, [rule(parts, trusted)])


def _points(about: str, faults: Iterable[TokenFault], said: str) -> Iterable[Point]:
    return [_fails(about, fault, said) for fault in faults] or [_passes(about, said)]


def _point(about: str, fault: TokenFault | None, said: str) -> Point:
    return _passes(about, said) if fault is None else _fails(about, fault, said)


def _passes(about: str, said: str) -> Point:
    return Point(about, PointState.PASSES, said)


def _fails(about: str, fault: TokenFault, said: str = "") -> Point:
    return Point(about, PointState.FAILS, said, fault)


def _rest(why: str) -> Point:
    return Point("all else", PointState.NOT_LOOKED_AT, why)
