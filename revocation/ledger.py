"""The rule that turns events into entries. Pure: no IO, no clock, no Kafka.

The result is a function of the log alone (the event, its place, its broker time), so
two authorities that read the same log conclude the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Final, NamedTuple

from revocation import events
from revocation.entries import (
    DENYLIST_KINDS,
    RECENT_EVENTS,
    Entry,
    Kind,
    Position,
    Status,
    Target,
    UnixMs,
    Version,
)
from revocation.events import Event

FUTURE_TOLERANCE_MS: Final = 5_000
"""How far in the future of its record's time a producer's cut-off may lie."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_FINGERPRINT_BYTES: Final = 12


class Limits(NamedTuple):
    """How long tokens and sessions live at most, and the leeway on top, in ms.

    `leeway_ms`: how long past a token's `exp` any verifier's clock may still accept it.
    """

    longest_token_ms: int
    longest_session_ms: int
    leeway_ms: int


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
    """Seen before. The entry is emitted again: its first output may have been lost."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Superseded:
    """The event comes too late to change anything; `entry` is what holds, if any."""

    entry: Entry | None


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
"""By `disable`, of clients, tenants and issuers."""


def effect_of(event: Event) -> Effect:
    """Return what an event does to its targets."""
    # Looked up first: `isinstance` is slow for pydantic's models.
    effect = _EFFECTS.get(type(event))
    if effect is not None:
        return effect
    if isinstance(event, events.DataDeleted):
        return _DELETE if event.data.resource is None else _WIPE
    return _BROAD_EFFECTS[getattr(event.data, "disable", None)]


def fingerprint(event: Event) -> str:
    """Return what tells an event from all others, and is the same for its retry.

    CloudEvents has `source` and `id` name an event, and two producers may count alike;
    `type` keeps a producer that names two different acts alike from losing one. It is
    short, and shows nothing that an `id` might hold.
    """
    named = f"{event.type} {len(event.source)} {event.source}{event.id}"
    return blake2b(named.encode(), digest_size=_FINGERPRINT_BYTES).hexdigest()


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
    known_as = fingerprint(event)
    if current is None:
        current = Entry(target, at)
    elif _seen(current, known_as, at):
        return Duplicate(current)
    return _change(current, event, known_as, at, limits)


def _seen(current: Entry, known_as: str, at: Position) -> bool:
    """Know a record that is taken again, and an event that was published again."""
    taken_again = at.offset <= current.source.offset
    return taken_again or any(known_as == recent for _, recent in current.recent)


def _deny(
    event: Event, target: Target, at: Position, limits: Limits
) -> Accepted | Superseded:
    """Deny until no verifier accepts the token any more.

    The issuer's clock may be ahead by the leeway, so a token may expire that much later
    than the longest lifetime from now. One that claims more is rejected for that.
    """
    session = target.kind is Kind.SESSION
    longest = limits.longest_session_ms if session else limits.longest_token_ms
    ends_at = at.time + longest + limits.leeway_ms
    exp, clamped = getattr(event.data, "exp", None), False
    if exp is not None:
        asked = exp * 1000
        # Older than any token can be: a slip of units, such as a duration.
        clamped = asked < at.time - longest
        ends_at = ends_at if clamped else min(asked, ends_at)
    expires_at = ends_at + limits.leeway_ms
    if expires_at <= at.time:
        return Superseded(None)
    return Accepted(Entry(target, at, expires_at=UnixMs(expires_at)), clamped)


def _change(
    current: Entry, event: Event, known_as: str, at: Position, limits: Limits
) -> Accepted | Superseded:
    effect = effect_of(event)
    status, status_offset = current.status, current.status_offset
    if effect.status is not None and status is not Status.DELETED:
        status, status_offset = effect.status, at.offset
    elif effect.status is Status.ACTIVE:
        return Superseded(current)
    not_before, clamped = current.not_before, False
    if effect.cut:
        cut_off, clamped = _cut_off(event, effect, at, limits)
        not_before = max(not_before, cut_off)
    entry = Entry(
        current.target,
        at,
        version=_version(current, event, effect),
        not_before=not_before,
        status=status,
        status_offset=status_offset,
        recent=(*current.recent, (at.offset, known_as))[-RECENT_EVENTS:],
    )
    return Accepted(entry, clamped)


def _version(current: Entry, event: Event, effect: Effect) -> Version:
    """Count on, or to where the producer's own counter is by now."""
    counted = current.version + effect.bump
    if current.target.kind is not Kind.USER:
        return Version(counted)
    return Version(max(counted, getattr(event.data, "version", None) or 0))


def _cut_off(
    event: Event, effect: Effect, at: Position, limits: Limits
) -> tuple[UnixMs, bool]:
    """Clamp: a slip of units must not lock users out for 50,000 years (RFC 8417)."""
    if effect.at_record_time or event.time is None:
        return at.time, False
    asked = UnixMs((event.time - _EPOCH) // _MILLISECOND)
    earliest = at.time - limits.longest_token_ms
    if earliest <= asked <= at.time + FUTURE_TOLERANCE_MS:
        return asked, False
    return at.time, True
