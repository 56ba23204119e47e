"""How a large batch is split into calls; `tests/contract` tests the calls."""

import pytest

from revocation.entries import Entry, Kind, Position, Target
from revocation.errors import StoreUnavailableError
from revocation.store.contract import Batch, Mark
from revocation.store.layout import Layout, encode_mark
from revocation.store.redis_store import MAX_ENTRIES_PER_CALL, RedisStore
from tests.unit.strategies import ISSUER, LIMITS, NOW

MARK = Mark(9, 41, NOW, 41, rebuilt=True)


class FakeStore(RedisStore):
    """Records the calls instead of making them; raises at the call `failing`."""

    failing = None

    def __init__(self):
        layout = Layout("r", (b"pepper" * 8,))
        super().__init__("redis://nowhere", layout, limits=LIMITS)
        self.calls = []

    async def _write(self, *command):
        if len(self.calls) == self.failing:
            raise StoreUnavailableError("away")
        self.calls.append(command)


def entries(count):
    at = Position(0, 41, NOW)
    return [
        Entry(Target(Kind.USER, ISSUER, f"user-{number}"), at, version=1)
        for number in range(count)
    ]


def written(call):
    """Return how many entries a call has, and whether it moves marks."""
    _, _, keys, *_ = call
    return keys - 2, encode_mark(MARK) in call


@pytest.mark.parametrize(
    ("count", "sizes"),
    [
        (0, [0]),
        (1, [1]),
        (MAX_ENTRIES_PER_CALL, [MAX_ENTRIES_PER_CALL]),
        (MAX_ENTRIES_PER_CALL + 1, [MAX_ENTRIES_PER_CALL, 1]),
        (2 * MAX_ENTRIES_PER_CALL, [MAX_ENTRIES_PER_CALL] * 2),
        (2_500, [MAX_ENTRIES_PER_CALL, MAX_ENTRIES_PER_CALL, 500]),
    ],
)
async def test_marks_move_in_the_last_call_only(count, sizes):
    """So no mark claims unwritten entries, whatever happens between the calls."""
    store = FakeStore()
    await store.apply("epoch", Batch(entries(count), {0: MARK}, {0: 7}))
    last = len(sizes) - 1
    assert [written(call) for call in store.calls] == [
        (size, number == last) for number, size in enumerate(sizes)
    ]


async def test_no_call_follows_a_failed_one():
    store = FakeStore()
    store.failing = 1
    with pytest.raises(StoreUnavailableError):
        await store.apply("epoch", Batch(entries(2_500), {0: MARK}, {}))
    assert [written(call) for call in store.calls] == [(MAX_ENTRIES_PER_CALL, False)]
