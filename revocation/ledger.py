"""The rule that turns events into entries. Pure: no IO, no clock, no Kafka.

The result is a function of the log alone (the event, its place, its broker time), so
two authorities that read the same log conclude the same.
"""

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from revocation import events
from revocation.entries import (
    DENYLIST_KINDS,
    RECENT_EVENTS,
    Entry,
    Position,
    Status,
    Target,
    UnixMs,
    Version,
)
from revocation.events import Event

FUTURE_TOLERANCE_MS: Final = 5_000
"""How far in the future of its record's time a producer's cut-off may lie."""


class Limits(NamedTuple):
    """How long tokens and sessions live at most, and the leeway on top, in ms."""

    longest_token_ms: int
    longest_session_ms: int
    leeway_ms: int


class Effect(NamedTuple):
    """What an event asks for, once for each of its targets."""

    bump: bool = False
    cut: bool = False
    at_record_time: bool = False
    status: Status | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The event counts. `clamped`: the producer's time was outside what is allowed."""

    entry: Entry
    clamped: bool = False


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Seen before. The entry is emitted again: its first output may have been lost."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Superseded:
    """The event comes too late to change anything; `entry` is what holds, if any."""

    entry: Entry | None


Result = Accepted | Duplicate | Superseded


def effect_of(event: Event) -> Effect:
    """Return what an event does to its targets.

    A status, and a deletion, are cut at the record's time: whatever the producer's
    clock says, no token from before the record may survive them.
    """
    match event:
        case events.UserDisabled():
            return Effect(True, True, True, Status.DISABLED)
        case events.UserEnabled():
            return Effect(status=Status.ACTIVE)
        case events.DataDeleted(data=data):
            if data.resource is not None:
                return Effect(cut=True, at_record_time=True)
            return Effect(True, True, True, Status.DELETED)
        case events.KeyRevoked():
            return Effect(status=Status.DISABLED)
        case events.GrantRevoked():
            return Effect(cut=True)
        case events.ClientRevoked() | events.TenantRevoked() | events.IssuerRevoked():
            return Effect(cut=True, status=_asked_status(event.data.disable))
        case events.TokenRevoked() | events.SessionEnded():
            return Effect()
        case _:
            return Effect(bump=True, cut=True)


def _asked_status(disable: bool | None) -> Status | None:
    if disable is None:
        return None
    return Status.DISABLED if disable else Status.ACTIVE


def apply(
    current: Entry | None,
    event: Event,
    target: Target,
    at: Position,
    limits: Limits,
) -> Result:
    """Apply one event to one of its targets.

    Args:
        current: the target's entry so far; None for denylist kinds, always.
        event: what happened.
        target: one of `events.targets(event)`.
        at: where the event's record lies, and its LogAppendTime.
        limits: how long tokens and sessions live at most.
    """
    if target.kind in DENYLIST_KINDS:
        return _deny(event, target, at, limits)
    if current is not None and _seen(current, event.id, at):
        return Duplicate(current)
    return _change(current or Entry(target, at), event, at, limits)


def _seen(current: Entry, event_id: str, at: Position) -> bool:
    replayed = at.offset <= current.source.offset
    return replayed or any(event_id == known for _, known in current.recent)


def _deny(event: Event, target: Target, at: Position, limits: Limits) -> Result:
    session = isinstance(event, events.SessionEnded)
    longest = limits.longest_session_ms if session else limits.longest_token_ms
    ends_at = at.time + longest
    asked = getattr(event.data, "exp", None)
    if asked is not None:
        ends_at = min(asked * 1000, ends_at)
    if ends_at + limits.leeway_ms <= at.time:
        return Superseded(None)
    return Accepted(Entry(target, at, expires_at=UnixMs(ends_at + limits.leeway_ms)))


def _change(current: Entry, event: Event, at: Position, limits: Limits) -> Result:
    effect = effect_of(event)
    if current.status is Status.DELETED and effect.status is Status.ACTIVE:
        return Superseded(current)
    entry = replace(
        current,
        source=at,
        recent=(*current.recent, (at.offset, event.id))[-RECENT_EVENTS:],
    )
    clamped = False
    if effect.bump:
        asked = getattr(event.data, "version", None) or 0
        entry = replace(entry, version=Version(max(current.version + 1, asked)))
    if effect.cut:
        cut_off, clamped = _cut_off(event, effect, at, limits)
        entry = replace(entry, not_before=max(current.not_before, cut_off))
    if effect.status is not None and current.status is not Status.DELETED:
        entry = replace(entry, status=effect.status, status_offset=at.offset)
    return Accepted(entry, clamped)


def _cut_off(
    event: Event, effect: Effect, at: Position, limits: Limits
) -> tuple[UnixMs, bool]:
    """Clamp: a slip of units must not lock users out for 50,000 years (RFC 8417)."""
    if effect.at_record_time or event.time is None:
        return at.time, False
    asked = UnixMs(int(event.time.timestamp() * 1000))
    earliest = at.time - limits.longest_token_ms
    if earliest <= asked <= at.time + FUTURE_TOLERANCE_MS:
        return asked, False
    return at.time, True
