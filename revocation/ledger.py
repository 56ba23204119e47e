"""The rule that turns events into entries. Pure: no IO, no clock, no Kafka.

The result is a function of the log alone (the event, its place, its broker time), so
two authorities that read the same log conclude the same. The place and time of an event
that was forwarded are those of its record in the events topic.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Final, NamedTuple

from revocation import events
from revocation.entries import (
    DENYLIST_KINDS,
    NO_EXPIRY,
    Entry,
    Kind,
    Limits,
    Position,
    Status,
    Target,
    UnixMs,
    Version,
    merge,
    with_seen,
)
from revocation.events import EVENT_TYPES, CloudEvent, Event

FUTURE_TOLERANCE_MS: Final = 5_000
"""How far in the future of its record's time a producer's cut-off may lie."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_FINGERPRINT_BYTES: Final = 12


class Effect(NamedTuple):
    """What an event asks for, once for each of its targets.

    `bump`: by how much the version rises. `cut`: tokens issued before are rejected;
    `at_record_time`: before the record, whatever time the producer gave.
    """

    bump: int = 0
    cut: bool = False
    at_record_time: bool = False
    status: Status | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The event counts. `clamped`: a time of the producer's was not to be believed."""

    entry: Entry
    clamped: bool = False


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Seen before. The entry is emitted again: its first output may have been lost.

    It says of a repetition in another record that this record is known as well.
    """

    entry: Entry


@dataclass(frozen=True, slots=True)
class Superseded:
    """The event comes too late to change anything; `entry` is what holds."""

    entry: Entry


Result = Accepted | Duplicate | Superseded

# A status, and a deletion, are cut at the record's time: whatever the producer's clock
# says, no token from before the record may survive them.
_LOG_OUT: Final = Effect(bump=1, cut=True)
_DISABLE: Final = Effect(bump=1, cut=True, at_record_time=True, status=Status.DISABLED)
_DELETE: Final = Effect(bump=1, cut=True, at_record_time=True, status=Status.DELETED)
_WIPE: Final = Effect(cut=True, at_record_time=True)
_DENY: Final = Effect()

_EFFECTS: Final[Mapping[type[Event], Effect]] = {
    events.TokenRevoked: _DENY,
    events.SessionEnded: _DENY,
    events.UserLoggedOut: _LOG_OUT,
    events.UserCredentialsChanged: _LOG_OUT,
    events.UsersRevoked: _LOG_OUT,
    events.UserDisabled: _DISABLE,
    events.UserEnabled: Effect(status=Status.ACTIVE),
    events.GrantRevoked: Effect(cut=True),
    events.KeyRevoked: Effect(status=Status.DISABLED),
}

_BROAD_EFFECTS: Final[Mapping[bool | None, Effect]] = {
    None: Effect(cut=True),
    True: Effect(cut=True, at_record_time=True, status=Status.DISABLED),
    False: Effect(cut=True, status=Status.ACTIVE),
}
"""By `disable`, of `_Broad` events."""

_Broad = (
    events.ClientRevoked
    | events.TenantRevoked
    | events.IssuerRevoked
    | events.ClaimsRevoked
)
"""What one type of event cuts off, disables or enables."""


def _require_effects(known: Iterable[type[CloudEvent]]) -> None:
    """Let no type of event have the effect of others because nobody thought of it."""
    listed = {*_EFFECTS, *_Broad.__args__, events.DataDeleted}
    if missing := [each.__name__ for each in known if each not in listed]:
        raise TypeError(f"no effect is listed for {', '.join(missing)}")


_require_effects(EVENT_TYPES.values())


def effect_of(event: Event) -> Effect:
    """Return what an event does to its targets."""
    # Looked up first: `isinstance` is slow for pydantic's models.
    effect = _EFFECTS.get(type(event))
    if effect is not None:
        return effect
    if isinstance(event, events.DataDeleted):
        return _DELETE if event.data.resource is None else _WIPE
    assert isinstance(event, _Broad)  # noqa: S101 - `_require_effects` saw to it
    return _BROAD_EFFECTS[event.data.disable]


def fingerprint(event: Event) -> str:
    """Return what tells an event from all others, and is the same for its retry.

    CloudEvents has `source` and `id` name an event, and two producers may count alike;
    `type` keeps a producer that names two different acts alike from losing one. It is
    short, and shows nothing that an `id` might hold.
    """
    named = f"{event.type} {len(event.source)} {event.source}{event.id}"
    return blake2b(named.encode(), digest_size=_FINGERPRINT_BYTES).hexdigest()


def apply(  # noqa: PLR0913 - what is known, what happened, and where
    current: Entry | None,
    event: Event,
    target: Target,
    at: Position,
    limits: Limits,
    *,
    forwarded: bool = False,
) -> Result:
    """Apply one event to one of its targets.

    Args:
        current: the target's entry so far; None for denylist kinds, always.
        event: what happened.
        target: one of `events.targets(event)`.
        at: where the event's record lies, and its LogAppendTime.
        limits: how long tokens and sessions live at most.
        forwarded: whether the event was published in another partition than that of
            its target.
    """
    if target.kind in DENYLIST_KINDS:
        return _deny(event, target, at, limits)
    known_as = fingerprint(event)
    known = current is not None
    if current is None:
        current = Entry(target, at)
    elif _applied(current, at):
        return Duplicate(current)
    elif any(known_as == recent for *_, recent in current.recent):
        return Duplicate(with_seen(current, at))
    effect = effect_of(event)
    if effect.status is Status.ACTIVE and current.status is Status.DELETED:
        return Superseded(current)
    cut_off, clamped = UnixMs(0), False
    if effect.cut:
        cut_off, clamped = _cut_off(event, effect, at, limits)
    version = _version(current, event, effect)
    bumped = version - current.version if forwarded else 0
    said = Entry(
        target,
        at,
        version,
        cut_off,
        status=effect.status or Status.ACTIVE,
        status_time=_status_time(current, effect, at),
        status_partition=-1 if effect.status is None else at.partition,
        forwarded_bumps=current.forwarded_bumps + bumped,
        recent=((at.time, at.offset, known_as),),
    )
    return Accepted(merge(current, said) if known else said, clamped)


def _applied(current: Entry, at: Position) -> bool:
    """Know a record that is taken again, and all copies of a record but the first.

    One offset for each partition is enough, as the first copies of its records arrive
    in their order, whatever twins and paused workers add. Whoever forwards begins at a
    record before which every copy is acknowledged (those before a commit are, and those
    before the source of an update) and leaves none out. So when the copy of one record
    is there for the first time, its sender, or somebody before it, has written those of
    the records before.
    """
    return at.offset <= current.applied(at.partition)


def _deny(event: Event, target: Target, at: Position, limits: Limits) -> Accepted:
    """Say when the token expires; how long that matters is decided by each region.

    So an authority whose lifetimes are too short ends no denial early: the log has all
    that a region with the right ones needs.
    """
    exp, clamped = getattr(event.data, "exp", None), False
    expires_at = NO_EXPIRY
    if exp is not None:
        session = target.kind is Kind.SESSION
        longest = limits.longest_session_ms if session else limits.longest_token_ms
        # Older than any token can be: a slip of units, such as a duration.
        clamped = exp * 1000 < at.time - longest
        expires_at = NO_EXPIRY if clamped else UnixMs(exp * 1000)
    return Accepted(Entry(target, at, expires_at=expires_at), clamped)


def _status_time(current: Entry, effect: Effect, at: Position) -> UnixMs:
    """Order statuses by time, and those of one partition as they are in the log.

    Of two events in one millisecond, or with a broker's clock that was set back between
    them, the time alone would not do.
    """
    if effect.status is None:
        return UnixMs(0)
    follows = current.status_partition == at.partition
    return UnixMs(max(at.time, current.status_time + 1)) if follows else at.time


def _version(current: Entry, event: Event, effect: Effect) -> Version:
    """Count on, or to where the producer's own counter is by now."""
    counted = current.version + effect.bump
    if current.target.kind is not Kind.USER:
        return Version(counted)
    return Version(max(counted, getattr(event.data, "version", None) or 0))


def _cut_off(
    event: Event, effect: Effect, at: Position, limits: Limits
) -> tuple[UnixMs, bool]:
    """Clamp: a slip of units must not lock users out for 50,000 years (RFC 8417).

    A time too far back gives way to the record's, which is later: an authority whose
    lifetimes are too short cuts off more tokens, never fewer.
    """
    if effect.at_record_time or event.time is None:
        return at.time, False
    asked = UnixMs((event.time - _EPOCH) // _MILLISECOND)
    earliest = at.time - limits.longest_token_ms
    if earliest <= asked <= at.time + FUTURE_TOLERANCE_MS:
        return asked, False
    return at.time, True
