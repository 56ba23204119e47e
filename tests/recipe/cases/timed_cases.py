"""Ages, leeways, versions close to a cut-off, and knowledge that is stale."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from revocation.decision import Beyond, Freshness, Reason, StalenessPolicy
from revocation.entries import Kind, UnixMs
from tests.recipe.cases.case import (
    ASKED,
    CLAIMS,
    ISSUED_AT,
    NOW,
    READ,
    RULES,
    WRITE,
    Case,
    case,
    claims,
    denied,
    issued,
    subject,
)

_ACTIVE, _STALE = Reason.ACTIVE, Reason.STALE
_CUT_OFF: Final = UnixMs(NOW - 60_000)
_EXPIRY: Final = CLAIMS["exp"] * 1000
_HUGE: Final = 10**20


def _at(now: int, **more: Any) -> dict[str, Any]:
    """Move the present; knowledge stays fresh."""
    fresh = Freshness(ready=True, as_of=UnixMs(now))
    return {"now": UnixMs(now), "freshness": fresh, **more}


def _ages() -> Iterator[Case]:
    revoked, end = denied(Kind.TOKEN, until=NOW + 9_000_000), _EXPIRY + RULES.leeway_ms
    yield case("one ms before exp and leeway", _ACTIVE, **_at(end - 1))
    yield case("at exp and leeway", Reason.EXPIRED, **_at(end))
    yield case(
        "expired is said before what is known", Reason.EXPIRED, revoked, **_at(end)
    )
    strict = replace(RULES, longest_token_ms=3_600_000, leeway_ms=0)
    yield case(
        "one ms before exp, no leeway", _ACTIVE, **_at(_EXPIRY - 1, rules=strict)
    )
    yield case("at exp, no leeway", Reason.EXPIRED, **_at(_EXPIRY, rules=strict))
    exceeded, started = Reason.LIFETIME_EXCEEDED, ISSUED_AT // 1000
    yield case("the longest lifetime", _ACTIVE, claims=claims(exp=started + 3_600))
    brief = replace(RULES, longest_token_ms=1_800_000)
    yield case("a longest lifetime of half an hour", exceeded, rules=brief)
    longer = claims(exp=started + 3_600.001)
    yield case("one ms more than the longest lifetime", exceeded, claims=longer)
    yield case(
        "too long a lifetime before what is known", exceeded, revoked, claims=longer
    )


def _from_ahead() -> Iterator[Case]:
    ahead, refused = RULES.clock_allowance_ms, Reason.UNVERIFIABLE
    first = ISSUED_AT - ahead
    yield case("iat ahead by the clock allowance", _ACTIVE, **_at(first))
    yield case("iat ahead by one ms more", refused, **_at(first - 1))
    revoked = denied(Kind.TOKEN, until=NOW + 9_000_000)
    yield case("iat ahead, before what is known", refused, revoked, **_at(first - 1))
    both = claims(iat=ISSUED_AT // 1000 + 3_600_000, exp=ISSUED_AT // 1000)
    yield case("exp long before an iat of the future", refused, claims=both)
    exact = replace(RULES, longest_token_ms=3_600_000, clock_allowance_ms=0)
    yield case(
        "iat at present, no clock allowance", _ACTIVE, **_at(ISSUED_AT, rules=exact)
    )
    early = _at(ISSUED_AT - 1, rules=exact)
    yield case("iat ahead by one ms, no clock allowance", refused, **early)
    for ms, reason in ((ahead, _ACTIVE), (ahead + 0.25, refused)):
        name = f"iat ahead with a fraction: {ms:g} ms"
        yield case(name, reason, claims=issued(ms, NOW))
    for skew_ms, reason in ((1_000, _ACTIVE), (1_001, refused)):
        # The latest time and the earliest are twice the skew apart.
        behind = _at(first + 2_000, skew_ms=skew_ms)
        yield case(f"iat ahead, the clock off by {skew_ms} ms", reason, **behind)
    for kind, reason in (
        (Kind.USER, Reason.ISSUED_BEFORE_CUT_OFF),
        (Kind.CLIENT, Reason.CLIENT_REVOKED),
        (Kind.RESOURCE, Reason.RESOURCE_DELETED),
    ):
        at_present = subject(kind, not_before=first)
        name = f"iat ahead as far as a cut-off of the {kind} reaches"
        held = claims(ver=...)
        yield case(name, reason, at_present, claims=held, **_at(first, **ASKED))


def _versions() -> Iterator[Case]:
    logged_out = subject(Kind.USER, version=4, not_before=_CUT_OFF)
    late, low = Reason.ISSUED_BEFORE_CUT_OFF, Reason.VERSION_SUPERSEDED
    for after_ms, version, reason in (
        (0, 4, _ACTIVE),
        (-1, 4, _ACTIVE),
        (-900, 4, _ACTIVE),
        (-5_000, 4, _ACTIVE),
        (-5_000, 9, _ACTIVE),
        (-5_001, 4, late),
        (-600_000, 9, late),
        (-5_001, ..., late),
        (-1, ..., late),
        (-1, 3, low),
        (0, ..., late),
        (0, None, late),
        (5_000, ..., late),
        (5_000, None, late),
        (5_000, 3, low),
        (5_000, 4, _ACTIVE),
        (5_001, ..., _ACTIVE),
        (5_001, None, _ACTIVE),
        (30_000, ..., _ACTIVE),
        (30_000, 4, _ACTIVE),
        (30_000, 3, low),
        (30_000, 0, low),
        (30_000, -1, low),
        (30_000, _HUGE, _ACTIVE),
    ):
        odd = {...: "no ver", None: "ver null", _HUGE: "a huge ver"}
        shown = odd.get(version, f"ver {version}")
        name = f"issued {after_ms} ms after the cut-off of version 4, {shown}"
        held = issued(after_ms, _CUT_OFF, ver=version)
        yield case(name, reason, logged_out, claims=held)
    client = subject(Kind.CLIENT, not_before=_CUT_OFF)
    held = issued(-1, _CUT_OFF, ver=9)
    name = "the version excuses only from the user's cut-off"
    yield case(name, Reason.CLIENT_REVOKED, client, claims=held)


def _allowances() -> Iterator[Case]:
    late = Reason.ISSUED_BEFORE_CUT_OFF
    exact = subject(Kind.USER, not_before=_CUT_OFF + 250)
    for ms, version, reason in (
        (5_250.0, ..., late),
        (5_250.25, ..., _ACTIVE),
        (-4_750.0, 4, _ACTIVE),
        (-4_750.25, 4, late),
    ):
        held = issued(ms, _CUT_OFF, ver=version)
        yield case(f"iat with a fraction: {ms:g} ms", reason, exact, claims=held)
    logged_out = subject(Kind.USER, version=4, not_before=_CUT_OFF)
    narrow = replace(RULES, longest_token_ms=3_600_000, clock_allowance_ms=1_000)
    for after_ms, version, reason in (
        (-1_000, 4, _ACTIVE),
        (-1_001, 4, late),
        (1_000, ..., late),
        (1_001, ..., _ACTIVE),
    ):
        held = issued(after_ms, _CUT_OFF, ver=version)
        name = f"a narrow clock allowance: {after_ms} ms"
        yield case(name, reason, logged_out, claims=held, rules=narrow)


def _staleness() -> Iterator[Case]:
    strict = StalenessPolicy(fresh_ms=5_000, max_staleness_ms=0)
    for name, policy, age, reason in (
        ("write at its bound", WRITE, 5_000, _ACTIVE),
        ("write one ms past its bound", WRITE, 5_001, _STALE),
        ("read still fresh", READ, 5_000, _ACTIVE),
        ("read no longer fresh", READ, 5_001, _ACTIVE),
        ("read at its bound", READ, 60_000, _ACTIVE),
        ("read one ms past its bound", READ, 60_001, _STALE),
        ("no staleness at all, none", strict, 0, _ACTIVE),
        ("no staleness at all, one ms", strict, 1, _STALE),
        ("past its bound, allow", StalenessPolicy(beyond=Beyond.ALLOW), 10**9, _ACTIVE),
        (
            "past its bound, introspect without a fallback",
            StalenessPolicy(beyond=Beyond.INTROSPECT),
            10**9,
            _STALE,
        ),
        ("as_of ahead by one ms", WRITE, -1, _ACTIVE),
        ("as_of ahead by the clock allowance", WRITE, -5_000, _ACTIVE),
        ("as_of ahead by more", WRITE, -5_001, _STALE),
        ("as_of ahead by more, read", READ, -5_001, _ACTIVE),
        ("as_of far ahead", READ, -(10**9), _STALE),
    ):
        known = Freshness(ready=True, as_of=UnixMs(NOW - age))
        yield case(name, reason, freshness=known, policy=policy)


def _not_ready() -> Iterator[Case]:
    revoked = denied(Kind.TOKEN)
    half = Freshness(ready=False, as_of=UnixMs(NOW - 300))
    nothing = Freshness(ready=False, as_of=UnixMs(0))
    not_ready, allow = Reason.NOT_READY, StalenessPolicy(beyond=Beyond.ALLOW)
    yield case("half loaded", not_ready, freshness=half)
    yield case("half loaded, whatever is known", not_ready, revoked, freshness=half)
    yield case("half loaded, allow", not_ready, freshness=half, policy=allow)
    yield case(
        "half loaded, unverifiable", not_ready, freshness=half, claims=claims(sub=5)
    )
    yield case("cold", not_ready, freshness=nothing, cold=True)
    yield case("cold, allow", not_ready, freshness=nothing, cold=True, policy=allow)


CASES: Final = (
    *_ages(),
    *_from_ahead(),
    *_versions(),
    *_allowances(),
    *_staleness(),
    *_not_ready(),
)
