"""Generated targets, entries, events, logs and claims, for property tests."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from revocation import events
from revocation.claims.claim_names import ClaimNames
from revocation.claims.claim_sets import claims_id
from revocation.claims.claims import Rules
from revocation.entries import (
    DENYLIST_KINDS,
    NO_EXPIRY,
    RECENT_EVENTS,
    Entry,
    Kind,
    Limits,
    Position,
    Status,
    Target,
    grant_id,
    with_seen,
)
from revocation.identity import Lifetimes, Stated
from revocation.updates import NOWHERE, Update

ISSUER = "https://idp.example/eu"
NOW = 1_800_000_000_000
"""The generated clocks' present, in ms."""

LIMITS = Limits(
    longest_token_ms=3_600_000, longest_session_ms=86_400_000, leeway_ms=65_000
)
NAMES = ClaimNames(version="ver")
RULES = Rules(
    longest_token_ms=3_600_000,
    clock_allowance_ms=5_000,
    leeway_ms=60_000,
    names=NAMES,
    revocable_claims=(("client_id", "tenant"),),
)
SUBJECT_KINDS = [kind for kind in Kind if kind not in DENYLIST_KINDS]

issuers = st.sampled_from([ISSUER, "https://idp.example/us", "idp", "a;b?c=%7C"])
ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12) | (
    st.sampled_from(["alice", "bob", "a|b", "a%7Cb", "user|alice", "%", "ключ", "\0"])
)
users = st.sampled_from(["alice", "bob"])
revocable = st.dictionaries(
    st.sampled_from(["device_id", "act.sub", "a b"]),
    ids | st.integers(-(2**53) + 1, 2**53 - 1) | st.booleans(),
    min_size=1,
)
"""Claims as an event gives them."""
REVOCABLE = tuple(
    names
    for count in (1, 2, 3)
    for names in itertools.combinations(["a b", "act.sub", "device_id"], count)
)
"""Every set that they may be about."""
counts = st.integers(0, 2**52)
offsets = st.integers(0, 2**40)
times = st.integers(NOW - 10_000_000, NOW + 10_000_000)
small = st.integers(0, 6)


@st.composite
def targets(draw: st.DrawFn, kinds: Any = None) -> Target:
    kind = draw(st.sampled_from(kinds or list(Kind)))
    issuer = draw(issuers)
    match kind:
        case Kind.ISSUER:
            return Target(kind, issuer, issuer)
        case Kind.GRANT:
            return Target(kind, issuer, grant_id(draw(ids), draw(ids)))
        case Kind.RESOURCE:
            return Target(kind, issuer, f"dataset:{draw(ids)}")
        case Kind.CLAIMS:
            return Target(kind, issuer, claims_id(draw(revocable)))
        case _:
            return Target(kind, issuer, draw(ids))


def positions(at: st.SearchStrategy[int] = offsets) -> st.SearchStrategy[Position]:
    return st.builds(Position, st.just(3), at, times)


places = st.builds(Position, st.integers(2, 4), st.integers(0, 6), times)
"""Of several partitions, few offsets apart; each of them a time, not one for all."""


@st.composite
def entries(
    draw: st.DrawFn,
    target: Target | None = None,
    kinds: Any = None,
    at: st.SearchStrategy[int] = offsets,
) -> Entry:
    """Any entry that a ledger could write, of few versions so that some are equal."""
    target = target or draw(targets(kinds))
    source = draw(positions(at) | places)
    if target.kind in DENYLIST_KINDS:
        return Entry(target, source, expires_at=draw(times | st.just(NO_EXPIRY)))
    status = draw(st.sampled_from(Status))
    was_set = status is not Status.ACTIVE or draw(st.booleans())
    recent = st.tuples(at, st.integers(0, 2), st.sampled_from(["aa", "bb", "cc"]))
    own = draw(small | counts) if target.kind is Kind.USER else 0
    forwarded = draw(st.integers(0, min(3, 2**53 - 1 - own))) if own else 0
    entry = Entry(
        target,
        source,
        version=own + forwarded,
        forwarded_bumps=forwarded,
        not_before=draw(st.just(0) | times),
        status=status,
        status_time=draw(st.integers(1, 8)) if was_set else 0,
        status_partition=draw(st.integers(2, 4)) if was_set else -1,
        recent=tuple(
            sorted(draw(st.sets(recent, max_size=RECENT_EVENTS + 2)))[-RECENT_EVENTS:]
        ),
    )
    for place in draw(st.lists(places, max_size=3)):
        entry = with_seen(entry, place)
    return entry


@st.composite
def entries_of_one_target(
    draw: st.DrawFn, count: int, kinds: Any = None
) -> list[Entry]:
    target = draw(targets(kinds))
    return [draw(entries(target, at=st.integers(0, 12))) for _ in range(count)]


@st.composite
def updates(draw: st.DrawFn) -> Update:
    """Any update that an authority could write: it claims something or has entries."""
    somewhere = draw(st.booleans())
    forwarded = draw(offsets | st.just(-1))
    least = 0 if somewhere or forwarded >= 0 else 1
    awaits = st.lists(st.tuples(st.integers(0, 11), offsets), max_size=3)
    names = st.lists(st.text(min_size=1), min_size=1, max_size=4).map(tuple)
    stated = st.builds(
        Stated,
        st.dictionaries(st.sampled_from(Lifetimes._fields), offsets, min_size=1),
        st.lists(names, max_size=3).map(tuple),
    )
    return Update(
        draw(positions()) if somewhere else NOWHERE,
        tuple(draw(st.lists(entries(), min_size=least, max_size=3))),
        tuple(draw(awaits)) if somewhere else (),
        forwarded,
        stated=draw(st.none() | stated),
    )


def moment(ms: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)


moments = st.none() | st.integers(NOW - 10**10, NOW + 10**10).map(moment)
versions = st.none() | st.integers(1, 9)
_OF_USER = {"user": users, "version": versions}
_DISABLE = {"disable": st.none() | st.booleans()}
_DATA: dict[type[events.CloudEvent], list[dict[str, Any]]] = {
    events.TokenRevoked: [{"jti": ids, "exp": st.none() | st.integers(1, 2**31)}],
    events.SessionEnded: [{"sid": ids, "exp": st.none() | st.integers(1, 2**31)}],
    events.UserLoggedOut: [_OF_USER],
    events.UserCredentialsChanged: [_OF_USER],
    events.UserDisabled: [_OF_USER],
    events.UserEnabled: [_OF_USER],
    events.DataDeleted: [_OF_USER, {"resource": ids.map("dataset:{}".format)}],
    events.GrantRevoked: [{"user": users, "client": ids}],
    events.ClientRevoked: [{"client": ids, **_DISABLE}],
    events.TenantRevoked: [{"tenant": ids, **_DISABLE}],
    events.IssuerRevoked: [_DISABLE],
    events.ClaimsRevoked: [{"claims": revocable, **_DISABLE}],
    events.KeyRevoked: [{"kid": ids}],
    events.UsersRevoked: [{"users": st.lists(ids, min_size=1, max_size=5)}],
}


@st.composite
def any_event(
    draw: st.DrawFn, types: Any = None, event_ids: Any = None
) -> events.Event:
    model = draw(st.sampled_from(types or list(_DATA)))
    members = draw(st.sampled_from(_DATA[model]))
    data = {name: draw(value) for name, value in members.items()}
    event = model.new(
        source=draw(st.sampled_from(["/idp", "/privacy"])),
        time=draw(moments),
        issuer=ISSUER,
        reason=draw(st.none() | st.just("test")),
        **data,
    )
    if event_ids is None:
        return event
    return event.model_copy(update={"id": draw(event_ids)})


USER_EVENTS = [
    events.UserLoggedOut,
    events.UserCredentialsChanged,
    events.UserDisabled,
    events.UserEnabled,
]
Log = list[tuple[Position, events.Event]]


@st.composite
def logs(draw: st.DrawFn, types: Any = None, most: int = 12) -> Log:
    """A partition's log: offsets and broker times rise, some events are retried."""
    said = draw(st.lists(any_event(types or USER_EVENTS), min_size=1, max_size=most))
    retries = st.lists(st.sampled_from(said), max_size=4)
    log: Log = []
    offset, time = 0, NOW
    for event in said + draw(retries):
        offset += draw(st.integers(1, 3))
        time += draw(st.integers(0, 60_000))
        log.append((Position(3, offset, time), event))
    return log


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**300, 10**400)
    | st.floats()
    | st.text(max_size=5)
    | st.just("\ud800")
    | st.just("x" * 600),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)

CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "sub": "alice",
    "iat": NOW // 1000 - 600,
    "exp": NOW // 1000 + 3_000,
    "jti": "token-1",
    "sid": "session-1",
    "client_id": "shop",
    "tenant": "acme",
    "ver": 3,
}


@st.composite
def odd_claims(draw: st.DrawFn) -> Any:
    """Claims that are whole but for some members, or nothing of the kind."""
    if draw(st.integers(0, 9)) == 0:
        return draw(json_values)
    names = st.sampled_from([*CLAIMS, "azp"])
    return {**CLAIMS, **draw(st.dictionaries(names, json_values, max_size=4))}


@st.composite
def sound_claims(draw: st.DrawFn) -> dict[str, Any]:
    """Claims of a token that nothing is wrong with, issued in the last hour."""
    issued_at = NOW // 1000 - draw(st.integers(0, 3_000))
    claims = {**CLAIMS, "iat": issued_at, "exp": issued_at + 3_600}
    version = draw(st.none() | small)
    return {**claims, "ver": version} if version is not None else _without_ver(claims)


def _without_ver(claims: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in claims.items() if name != "ver"}
