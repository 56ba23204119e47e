"""The rule that turns events into entries. Pure: no IO, no clock, no Kafka.

The result is a function of the log alone (the event, its position and broker time), so
two authorities that read the same log derive the same entries. A forwarded event keeps
the position and time of its record in the events topic.
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
"""How far a producer's cut-off may lie past its record's time."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_FINGERPRINT_BYTES: Final = 12


class Effect(NamedTuple):
    """What an event does to each of its targets.

    `bump`: the increment of the version. `cut`: it sets a cut-off, at the event's time
    or, with `at_record_time`, at the record's, whatever time the producer gave.
    """

    bump: int = 0
    cut: bool = False
    at_record_time: bool = False
    status: Status | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The event was applied. `clamped`: the producer gave an implausible time."""

    entry: Entry
    clamped: bool = False


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Seen before. The entry is emitted again: its first output may have been lost.

    For a repetition in another record the entry also notes that record's offset.
    """

    entry: Entry


@dataclass(frozen=True, slots=True)
class Superseded:
    """The event comes too late to change anything; `entry` is the current state."""

    entry: Entry


Result = Accepted | Duplicate | Superseded

# Disabling and deleting cut off at the record's time: whatever the producer's clock
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
"""Of `_Broad` events, by `disable`."""

_Broad = (
    events.ClientRevoked
    | events.TenantRevoked
    | events.IssuerRevoked
    | events.ClaimsRevoked
)
"""Events whose one type cuts off, disables or enables."""


def _require_effects(known: Iterable[type[CloudEvent]]) -> None:
    """Fail at import for an event type without an effect of its own.

    Raises:
        TypeError: names the types.
    """
    listed = {*_EFFECTS, *_Broad.__args__, events.DataDeleted}
    if missing := [each.__name__ for each in known if each not in listed]:
        raise TypeError(f"no effect is listed for {', '.join(missing)}")


_require_effects(EVENT_TYPES.values())


def effect_of(event: Event) -> Effect:
    """Return what an event does to its targets."""
    # A lookup first: `isinstance` is slow for pydantic models.
    effect = _EFFECTS.get(type(event))
    if effect is not None:
        return effect
    if isinstance(event, events.DataDeleted):
        return _DELETE if event.data.resource is None else _WIPE
    assert isinstance(event, _Broad)  # noqa: S101 - `_require_effects` ensures it
    return _BROAD_EFFECTS[event.data.disable]


def fingerprint(event: Event) -> str:
    """Return a digest that is unique to an event and the same for its retries.

    In CloudEvents `source` and `id` together identify an event, since two producers may
    use the same ids; with `type` a producer that reuses an id for another type of event
    loses neither. The digest is short and reveals nothing that an `id` may hold.
    """
    named = f"{event.type} {len(event.source)} {event.source}{event.id}"
    return blake2b(named.encode(), digest_size=_FINGERPRINT_BYTES).hexdigest()


def apply(  # noqa: PLR0913 - the state, the event and its position
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
        current: the target's entry so far; always None for denylist kinds.
        event: what happened.
        target: one of `events.targets(event)`.
        at: the position of the event's record, with its LogAppendTime.
        limits: how long tokens and sessions live at most.
        forwarded: whether the event was published to another partition than that of
            its target.
    """
    if target.kind in DENYLIST_KINDS:
        return _deny(event, target, at, limits)
    own_fingerprint = fingerprint(event)
    known = current is not None
    if current is None:
        current = Entry(target, at)
    elif _applied(current, at):
        return Duplicate(current)
    elif any(own_fingerprint == recent for *_, recent in current.recent):
        return Duplicate(with_seen(current, at))
    effect = effect_of(event)
    if effect.status is Status.ACTIVE and current.status is Status.DELETED:
        return Superseded(current)
    cut_off, clamped = UnixMs(0), False
    if effect.cut:
        cut_off, clamped = _cut_off(event, effect, at, limits)
    version = _version(current, event, effect)
    bumped = version - current.version if forwarded else 0
    change = Entry(
        target,
        at,
        version,
        cut_off,
        status=effect.status or Status.ACTIVE,
        status_time=_status_time(current, effect, at),
        status_partition=-1 if effect.status is None else at.partition,
        forwarded_bumps=current.forwarded_bumps + bumped,
        recent=((at.time, at.offset, own_fingerprint),),
    )
    return Accepted(merge(current, change) if known else change, clamped)


def _applied(current: Entry, at: Position) -> bool:
    """Whether a record was applied before, itself or as a forwarded copy.

    One offset per partition is enough, because the first copies of its records arrive
    in order, whatever twins and paused workers add. A worker starts to forward at a
    record before which every copy is acknowledged (as are those before a commit, and
    those before the source of an update) and skips none. So when the copy of a record
    first appears, its sender or an earlier one has written the copies of all records
    before it.
    """
    return at.offset <= current.applied(at.partition)


def _deny(event: Event, target: Target, at: Position, limits: Limits) -> Accepted:
    """Record when the token expires; each region decides how long to keep the denial.

    So an authority whose lifetimes are set too short ends no denial early: the log
    holds all that a region with the right lifetimes needs.
    """
    exp, clamped = getattr(event.data, "exp", None), False
    expires_at = NO_EXPIRY
    if exp is not None:
        session = target.kind is Kind.SESSION
        longest = limits.longest_session_ms if session else limits.longest_token_ms
        # Earlier than any token could expire: a wrong unit, such as a duration.
        clamped = exp * 1000 < at.time - longest
        expires_at = NO_EXPIRY if clamped else UnixMs(exp * 1000)
    return Accepted(Entry(target, at, expires_at=expires_at), clamped)


def _status_time(current: Entry, effect: Effect, at: Position) -> UnixMs:
    """Order statuses by time, and within one partition by the log.

    Time alone does not order two events of the same millisecond, nor two between which
    a broker's clock was set back.
    """
    if effect.status is None:
        return UnixMs(0)
    follows = current.status_partition == at.partition
    return UnixMs(max(at.time, current.status_time + 1)) if follows else at.time


def _version(current: Entry, event: Event, effect: Effect) -> Version:
    """Increment the version, or raise it to the producer's own if that is higher."""
    counted = current.version + effect.bump
    if current.target.kind is not Kind.USER:
        return Version(counted)
    return Version(max(counted, getattr(event.data, "version", None) or 0))


def _cut_off(
    event: Event, effect: Effect, at: Position, limits: Limits
) -> tuple[UnixMs, bool]:
    """Clamp: a wrong unit must not lock users out for 50,000 years (RFC 8417).

    A time too far in the past is replaced by the record's, which is later: an authority
    whose lifetimes are set too short cuts off more tokens, never fewer.
    """
    if effect.at_record_time or event.time is None:
        return at.time, False
    requested = UnixMs((event.time - _EPOCH) // _MILLISECOND)
    earliest = at.time - limits.longest_token_ms
    if earliest <= requested <= at.time + FUTURE_TOLERANCE_MS:
        return requested, False
    return at.time, True
