"""Entries, marks and histories for the contract suite."""

import asyncio
import itertools
import time
from functools import reduce

from hypothesis import strategies as st

from revocation.decision import Freshness
from revocation.entries import (
    DENYLIST_KINDS,
    Entry,
    Kind,
    Offset,
    Position,
    Status,
    Target,
    UnixMs,
    Version,
    merge,
)
from revocation.store.contract import Batch, Mark, Store
from revocation.store.layout import decode_value, encode_value
from tests.contract.conftest import LIMITS, now_ms
from tests.identities import identity

ISSUER = "https://issuer.example"
NOT_READY = Freshness(ready=False, as_of=UnixMs(0))
_numbers = itertools.count()


def target(kind: Kind, name: str = "one") -> Target:
    return Target(kind, ISSUER, name)


def denied(offset: int = 7, *, left_ms: int = 900_000, name: str = "one") -> Entry:
    at = Position(0, Offset(offset), now_ms())
    return Entry(target(Kind.TOKEN, name), at, expires_at=UnixMs(at.time + left_ms))


def subject(
    offset: int = 7,
    *,
    age_ms: int = 0,
    version: int = 1,
    status: Status | None = None,
    kind: Kind = Kind.USER,
) -> Entry:
    """A subject entry cut off as its event was appended, `age_ms` ago."""
    at = Position(0, Offset(offset), UnixMs(now_ms() - age_ms))
    return Entry(
        target(kind),
        at,
        version=Version(version),
        not_before=at.time,
        status=status or Status.ACTIVE,
        status_time=at.time if status else UnixMs(0),
    )


def mark(reached: int, *, as_of: int = 1_000, rebuilt: bool = True) -> Mark:
    here = Offset(reached)
    return Mark(here, here, UnixMs(as_of), here, rebuilt)


def as_stored(*entries: Entry) -> Entry:
    """Return a region's state of one target."""
    entry, until = reduce(merge, entries), kept_until(*entries)
    return decode_value(entry.target, encode_value(entry), until)


def kept_until(*entries: Entry) -> UnixMs:
    """Return when their key expires, -1 for never; of denials the longest counts."""
    merged = reduce(merge, entries)
    denied = merged.target.kind in DENYLIST_KINDS
    ends = [each.relevant_until(LIMITS) for each in (entries if denied else [merged])]
    return max(UnixMs(-1) if end is None else end for end in ends)


async def put(store: Store, *entries: Entry) -> None:
    await store.begin("epoch", identity())
    await store.apply("epoch", Batch(entries, {}, {}))


async def found(store: Store, *targets: Target) -> dict[Target, Entry]:
    return dict((await store.find(targets)).found)


async def gone(store: Store, missed: Target) -> None:
    deadline = time.monotonic() + 5
    while await found(store, missed):
        assert time.monotonic() < deadline, "never expired"
        await asyncio.sleep(0.02)


_BASE = now_ms()
_small = st.integers(0, 3)


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Entry], list[int]]:
    """Entries of one target, and the order in which a region sees them, repeatedly."""
    kind = draw(st.sampled_from(Kind))
    name = Target(kind, ISSUER, f"history-{next(_numbers)}")
    entries = []
    for _ in range(draw(st.integers(1, 5))):
        place = draw(_small), Offset(draw(_small))
        at = Position(*place, UnixMs(_BASE + sum(place)))
        if kind in DENYLIST_KINDS:
            expires_at = UnixMs(_BASE + 3_600_000 - draw(_small))
            entries.append(Entry(name, at, expires_at=expires_at))
            continue
        status_time = draw(_small)
        status = draw(st.sampled_from(Status)) if status_time else Status.ACTIVE
        forwarded = draw(_small)
        entries.append(
            Entry(
                name,
                at,
                version=Version(forwarded + draw(_small)),
                forwarded_bumps=forwarded,
                not_before=UnixMs(_BASE + draw(_small)),
                status=status,
                status_time=UnixMs(status_time),
            )
        )
    every = st.permutations(range(len(entries)))
    again = st.lists(st.integers(0, len(entries) - 1), max_size=4)
    return entries, draw(again) + draw(every) + draw(again)
