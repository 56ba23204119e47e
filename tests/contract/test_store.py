"""The contract of every store, over memory, Valkey and Redis alike.

Sibling: `test_redis_store.py`, for servers only.
"""

import asyncio
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from revocation.claims.claims import Token
from revocation.entries import Entry, Kind, Offset, Status, UnixMs
from revocation.errors import StoreColdError, StoreMovedBackError, StoreUnsuitableError
from revocation.store.contract import Batch, Mark, Store
from tests.contract.conftest import MAX_TOKEN_MS
from tests.contract.samples import (
    ISSUER,
    NOT_READY,
    as_stored,
    denied,
    found,
    gone,
    histories,
    mark,
    put,
    subject,
    target,
)
from tests.identities import identity

# Entries ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        denied,
        subject,
        partial(subject, kind=Kind.KEY),
        partial(subject, kind=Kind.CLAIMS),
    ],
)
async def test_an_applied_entry_is_found(
    store: Store, make: Callable[[], Entry]
) -> None:
    entry = make()
    await put(store, entry)

    assert await found(store, entry.target) == {entry.target: as_stored(entry)}


async def test_only_existing_entries_are_found(store: Store) -> None:
    entry = denied()
    await put(store, entry)

    asked = [target(kind) for kind in Kind]

    assert set(await found(store, *asked)) == {entry.target}
    assert await found(store) == {}


async def test_entries_about_a_token_are_found_for_it(store: Store) -> None:
    user, key = subject(), subject(kind=Kind.KEY)
    claims = subject(kind=Kind.CLAIMS)
    await put(store, denied(), user, key, claims, denied(name="of another token"))
    names = ("one", None, "one", "client", None, ISSUER, "another key")
    more = ((Kind.RESOURCE, "type:id"), (Kind.CLAIMS, "one"))
    token = Token(ISSUER, names, more, 0.0, 0.0, None, MAX_TOKEN_MS)

    answer = await store.find_token(token)

    assert set(answer.found) == {target(Kind.TOKEN), user.target, claims.target}
    assert answer == await store.find(token.targets())


async def test_a_later_expiry_wins_over_a_later_event(store: Store) -> None:
    early, late = denied(1, left_ms=90_000), denied(2, left_ms=30_000)
    await put(store, early)
    await put(store, late)

    entry = (await found(store, early.target))[early.target]

    assert entry.expires_at == early.expires_at
    assert entry.source.offset == 2


async def test_more_entries_than_fit_in_one_call(store: Store) -> None:
    entries = [denied(at, name=str(at)) for at in range(2_500)]
    await store.begin("epoch", identity())

    await store.apply("epoch", Batch(entries, {0: mark(9)}, {}))

    assert len(await found(store, *[entry.target for entry in entries])) == 2_500
    assert (await store.region()).marks == {0: mark(9)}


@given(history=histories(), together=st.booleans())
@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
async def test_any_order_and_repetition_gives_the_merge(
    store: Store, history: tuple[list[Entry], list[int]], *, together: bool
) -> None:
    entries, order = history
    seen = [entries[at] for at in order]
    for batch in [seen] if together else [[entry] for entry in seen]:
        await put(store, *batch)

    expected = as_stored(*entries)

    assert await found(store, expected.target) == {expected.target: expected}


# Expiry -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "passing",
    [
        lambda: denied(left_ms=200),
        lambda: subject(age_ms=MAX_TOKEN_MS - 200),
    ],
)
async def test_entries_expire_when_they_can_match_no_token(
    store: Store, passing
) -> None:
    entry = passing()
    await put(store, entry)
    assert await found(store, entry.target)

    await gone(store, entry.target)


async def test_a_raised_expiry_counts_from_then_on(store: Store) -> None:
    await put(store, denied(1, left_ms=150), denied(2, left_ms=60_000))
    await asyncio.sleep(0.2)

    assert await found(store, target(Kind.TOKEN))


@pytest.mark.parametrize(
    "entry",
    [
        subject(age_ms=10 * MAX_TOKEN_MS, status=Status.DISABLED),
        subject(age_ms=10 * MAX_TOKEN_MS, status=Status.DELETED),
        subject(age_ms=10 * MAX_TOKEN_MS, status=Status.DISABLED, kind=Kind.CLAIMS),
        *(
            subject(age_ms=10 * MAX_TOKEN_MS, kind=kind)
            for kind in (Kind.KEY, Kind.CLIENT, Kind.TENANT, Kind.ISSUER)
        ),
    ],
)
async def test_standing_entries_never_expire(store: Store, entry: Entry) -> None:
    await put(store, entry)

    assert await found(store, entry.target)


@pytest.mark.parametrize(
    "entry",
    [
        denied(left_ms=-1),
        subject(age_ms=MAX_TOKEN_MS + 1_000),
        subject(age_ms=MAX_TOKEN_MS + 1_000, kind=Kind.CLAIMS),
    ],
)
async def test_an_entry_that_can_match_no_token_is_not_written(
    store: Store, entry: Entry
) -> None:
    await put(store, entry)

    assert await found(store, entry.target) == {}


async def test_a_late_enabling_still_ends_the_disabling(store: Store) -> None:
    long_ago = 10 * MAX_TOKEN_MS
    await put(store, subject(1, age_ms=long_ago, status=Status.DISABLED))

    await put(store, subject(2, age_ms=long_ago - 1, status=Status.ACTIVE))

    assert await found(store, target(Kind.USER)) == {}


async def test_an_expired_entry_does_not_shorten_the_stored_one(store: Store) -> None:
    kept = denied(1)
    await put(store, kept, denied(2, left_ms=-1))

    assert (await found(store, kept.target))[kept.target].expires_at == kept.expires_at


# Epochs -------------------------------------------------------------------------------


async def test_a_cold_store_finds_nothing_and_is_not_ready(store: Store) -> None:
    region = await store.region()

    assert (region.epoch, region.freshness, region.marks) == (None, NOT_READY, {})
    assert await store.find([target(Kind.USER)]) == ({}, NOT_READY)


async def test_nothing_is_applied_to_a_cold_store(store: Store) -> None:
    with pytest.raises(StoreColdError):
        await store.apply("epoch", Batch([denied()], {0: mark(1)}, {}))

    await store.begin("epoch", identity())
    assert await found(store, target(Kind.TOKEN)) == {}


async def test_the_first_to_begin_an_epoch_wins(store: Store) -> None:
    assert await store.begin("first", identity()) == "first"
    assert await store.begin("second", identity()) == "first"
    assert await store.begin("second", identity(), replacing="other") == "first"
    assert (await store.region()).epoch == "first"


async def test_a_new_epoch_keeps_entries_and_forgets_marks(store: Store) -> None:
    entry = denied()
    await store.begin("first", identity())
    await store.apply("first", Batch([entry], {0: mark(3)}, {}))

    assert await store.begin("second", identity(), replacing="first") == "second"

    assert (await store.region()).marks == {}
    answer = await store.find([entry.target])
    assert set(answer.found) == {entry.target}
    assert answer.freshness == NOT_READY


async def test_beginning_twice_keeps_the_marks(store: Store) -> None:
    await store.begin("second", identity(), replacing="first")
    await store.apply("second", Batch([], {0: mark(3)}, {}))

    await store.begin("second", identity(), replacing="first")

    assert (await store.region()).marks == {0: mark(3)}


async def test_a_write_of_another_epoch_is_refused_completely(store: Store) -> None:
    await store.begin("new", identity())

    with pytest.raises(StoreColdError, match="new"):
        await store.apply("old", Batch([denied()], {0: mark(3)}, {}))

    assert await found(store, target(Kind.TOKEN)) == {}
    assert (await store.region()).marks == {}


# Marks --------------------------------------------------------------------------------


@pytest.mark.parametrize("stored", [{}, {0: mark(4)}])
async def test_a_store_that_moved_back_is_not_written(store: Store, stored) -> None:
    await store.begin("epoch", identity())
    await store.apply("epoch", Batch([], stored, {}))

    with pytest.raises(StoreMovedBackError, match="expected 5"):
        await store.apply("epoch", Batch([denied()], {0: mark(9)}, {0: Offset(5)}))

    assert await found(store, target(Kind.TOKEN)) == {}
    assert (await store.region()).marks == stored


async def test_a_member_that_is_ahead_does_not_disturb_others(store: Store) -> None:
    await store.begin("epoch", identity())
    await store.apply("epoch", Batch([], {0: mark(9)}, {}))

    await store.apply("epoch", Batch([denied()], {0: mark(6)}, {0: Offset(5)}))

    assert (await store.region()).marks == {0: mark(9)}
    assert await found(store, target(Kind.TOKEN))


async def test_no_part_of_a_mark_ever_moves_back(store: Store) -> None:
    ahead = Mark(Offset(9), Offset(2), UnixMs(70), Offset(8), rebuilt=True)
    behind = Mark.at(Offset(5))._replace(
        source_offset=Offset(4), applied_offset=Offset(9), forwarded=Offset(3)
    )
    await store.begin("epoch", identity())
    for each in (ahead, behind):
        await store.apply("epoch", Batch([], {0: each}, {}))

    expected = ahead._replace(
        source_offset=Offset(4), applied_offset=Offset(9), forwarded=Offset(3)
    )

    assert (await store.region()).marks == {0: expected}


async def test_a_mark_before_the_first_event_survives(store: Store) -> None:
    await store.begin("epoch", identity())
    await store.apply("epoch", Batch([], {0: Mark.at(Offset(3))}, {}))

    assert (await store.region()).marks == {0: Mark.at(Offset(3))}


async def test_a_region_is_ready_when_every_partition_is_rebuilt(store: Store) -> None:
    await store.begin("epoch", identity(3))
    ready = []
    for marks in (
        {0: mark(1), 1: mark(1)},
        {2: mark(1, rebuilt=False)},
        {2: mark(2)},
        {2: mark(3, rebuilt=False)},
    ):
        await store.apply("epoch", Batch([], marks, {}))
        ready.append((await store.region()).freshness.ready)

    assert ready == [False, False, True, True]


@pytest.mark.parametrize(
    ("slow", "fast"), [(9, 10), (1_780_000_000_456, 1_790_000_000_123)]
)
async def test_a_region_is_as_fresh_as_its_slowest_partition(
    store: Store, slow: int, fast: int
) -> None:
    await store.begin("epoch", identity(2))
    await store.apply("epoch", Batch([], {0: mark(1, as_of=fast)}, {}))
    assert (await store.find([])).freshness.as_of == 0

    await store.apply("epoch", Batch([], {1: mark(1, as_of=slow)}, {}))

    assert (await store.find([])).freshness.as_of == slow
    assert (await store.region()).freshness == (await store.find([])).freshness


async def test_a_partition_beyond_the_epoch_is_refused(store: Store) -> None:
    await store.begin("epoch", identity(2))

    with pytest.raises(StoreUnsuitableError, match="2 partitions"):
        await store.apply("epoch", Batch([denied()], {2: mark(1)}, {}))

    assert await found(store, target(Kind.TOKEN)) == {}


async def test_clocks_on_one_machine_agree(store: Store) -> None:
    assert abs(await store.clock_skew_ms()) < 1_000
