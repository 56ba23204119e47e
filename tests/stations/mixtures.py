"""Random mixtures of events, and a model that applies each of them once.

The model gets what was published, where and when; it has no ledgers, twins or
forwarding.
"""

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from revocation import events
from revocation.events import Event
from tests.stations.log import PARTITIONS
from tests.unit.strategies import ISSUER

USERS = [f"user-{number}" for number in range(8)]
QUIET = [f"quiet-{number}" for number in range(4)]
"""Users with few events: a retry comes before eight others."""


class Published(NamedTuple):
    """An event, where it lies and when the broker appended it."""

    event: Event
    partition: int
    offset: int
    time: int


@dataclass
class Expected:
    """The expected state of a user."""

    version: int = 0
    cut_off: int = 0
    status: str = "active"
    known: set[str] = field(default_factory=set)


def happened(rng: random.Random, now: int) -> Event:
    """Return an event that happens about now."""
    user = rng.choice(USERS)
    before = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=now - 3_000)
    bulk = {"users": rng.sample(USERS, rng.randint(1, 5))}
    token = {"jti": f"t-{rng.randrange(9)}", "exp": rng.choice([None, now // 1_000])}
    model, data = rng.choice(
        [
            (events.UserLoggedOut, {"user": user}),
            (events.UserLoggedOut, {"user": user}),
            (events.UserCredentialsChanged, {"user": user, "time": before}),
            (events.UserDisabled, {"user": user}),
            (events.UserEnabled, {"user": user}),
            (events.UsersRevoked, bulk),
            (events.UsersRevoked, bulk),
            (events.TokenRevoked, token),
            (events.GrantRevoked, {"user": user, "client": "shop"}),
        ]
    )
    return model.new(source="/tests", issuer=ISSUER, **data)


def disabled_and_enabled(user: str) -> list[Event]:
    """Return the events of a user with few, the first of them twice."""
    common = {"source": "/tests", "issuer": ISSUER, "user": user}
    disabled = events.UserDisabled.new(**common)
    return [disabled, events.UserEnabled.new(**common), disabled]


def where(rng: random.Random, home: int) -> int:
    """Return the partition that a producer puts an event into: often the wrong one."""
    return home if rng.random() < 0.4 else rng.randrange(PARTITIONS)


def expected(published: list[Published]) -> dict[str, Expected]:
    """Apply each event once, in the order of the brokers' time."""
    users: dict[str, Expected] = {}
    for event, _, _, time in sorted(published, key=lambda each: each.time):
        if isinstance(event, events.UsersRevoked):
            names = dict.fromkeys(event.data.users)
        elif isinstance(event, events.TokenRevoked | events.GrantRevoked):
            continue
        else:
            names = {event.data.user: None}
        for name in names:
            _apply(users.setdefault(name, Expected()), event, time)
    return users


def _apply(user: Expected, event: Event, time: int) -> None:
    if event.id in user.known:
        return
    user.known.add(event.id)
    if isinstance(event, events.UserEnabled):
        user.status = "active"
        return
    user.version += 1
    if isinstance(event, events.UserDisabled):
        user.status = "disabled"
    occurred = time if event.time is None else round(event.time.timestamp() * 1_000)
    user.cut_off = max(user.cut_off, occurred)
