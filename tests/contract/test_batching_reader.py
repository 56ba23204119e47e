"""Lookups that share calls: how they are batched, and how each ends."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, strategies as st

from revocation.claims.claim_picking import NAMED_KINDS
from revocation.claims.claims import Token
from revocation.decision import Freshness
from revocation.entries import Kind, UnixMs
from revocation.errors import StoreColdError, StoreError, StoreUnavailableError
from revocation.store import canary
from revocation.store.batching_reader import (
    MAX_KEYS_TOGETHER,
    SEND_THRESHOLD,
    BatchingReader,
)
from revocation.store.layout import Layout, TokenKeys
from revocation.store.lookup import MAX_KEYS_PER_CALL
from revocation.store.redis_store import RedisStore
from tests.contract.conftest import PEPPER
from tests.contract.samples import ISSUER, target
from tests.unit.strategies import LIMITS

FRESH = Freshness(ready=True, as_of=UnixMs(5))
LAYOUT = Layout("r", (PEPPER,))


class FakeStore(RedisStore):
    """Records the calls; the test answers each."""

    def __init__(self) -> None:
        super().__init__("redis://nowhere", LAYOUT, limits=LIMITS)
        self.calls: list[list[bytes]] = []
        self.replies: list[asyncio.Future[Any]] = []

    def send_look_up(self, keys: Sequence[bytes]) -> asyncio.Future[Any]:
        self.calls.append(sorted(keys))
        self.replies.append(asyncio.get_running_loop().create_future())
        return self.replies[-1]

    async def answer(self, number: int, error: Exception | None = None) -> None:
        """Complete a call, and run the waiting tasks."""
        reply = self.replies[number]
        if error is None:
            nothing = [None for _ in self.calls[number]]
            seen = [canary.receipt("epoch") + b" 0 0 disabled 0 0", -1]
            reply.set_result([b"epoch", b"1", b"5", *nothing, seen])
        else:
            reply.set_exception(error)
        await turns()


async def turns() -> None:
    """Run every task that can continue."""
    for _ in range(10):
        await asyncio.sleep(0)


def token(name: str) -> Token:
    names = (name, None, "user", "client", None, ISSUER, None)
    return Token(ISSUER, names, (), 0.0, 0.0, None, 0)


def waiter(question: Awaitable[object]) -> asyncio.Task[object]:
    async def wait() -> object:
        return await question

    return asyncio.create_task(wait())


Ask = Callable[[str], asyncio.Task[object]]


@pytest.fixture
async def fake() -> FakeStore:
    return FakeStore()


@pytest.fixture
async def asking(fake: FakeStore) -> AsyncIterator[BatchingReader]:
    reader = BatchingReader(fake, in_flight=2)
    yield reader
    await reader.stop()


@pytest.fixture
def ask(asking: BatchingReader) -> Ask:
    return lambda name: waiter(asking.find([target(Kind.TOKEN, name)]))


def keys(*names: str) -> list[bytes]:
    return sorted(LAYOUT.keys([target(Kind.TOKEN, name) for name in names]))


# Batches ------------------------------------------------------------------------------


async def test_lookups_of_one_iteration_share_one_call(
    fake: FakeStore, ask: Ask
) -> None:
    waiting = [ask("one"), ask("two"), ask("three")]
    await turns()

    assert fake.calls == [keys("one", "two", "three")]

    await fake.answer(0)
    assert [await each for each in waiting] == [({}, FRESH)] * 3


async def test_a_key_of_two_lookups_is_sent_once(
    fake: FakeStore, asking: BatchingReader
) -> None:
    waiting = [waiter(asking.find_token(token(name))) for name in ("one", "two")]
    await turns()

    (sent,) = fake.calls
    first, second = (LAYOUT.keys(token(name).targets()) for name in ("one", "two"))
    assert sent == sorted({*first, *second})
    assert len(sent) < len(first) + len(second)

    await fake.answer(0)
    await asyncio.gather(*waiting)


async def test_a_large_batch_is_sent_before_the_iteration_ends(
    fake: FakeStore, asking: BatchingReader
) -> None:
    waiting = [asking.find_token(token(str(at))) for at in range(SEND_THRESHOLD + 1)]

    assert len(fake.calls) == 1
    await turns()
    assert len(fake.calls) == 2

    for number in range(2):
        await fake.answer(number)
    await asyncio.gather(*waiting)


async def test_lookups_accumulate_while_enough_calls_are_under_way(
    fake: FakeStore, ask: Ask
) -> None:
    for name in ("one", "two", "three", "four"):
        ask(name)
        await turns()

    assert fake.calls == [keys("one"), keys("two")]

    await fake.answer(1)
    assert fake.calls[2:] == [keys("three", "four")]


async def test_a_call_holds_a_bounded_number_of_keys(
    fake: FakeStore, asking: BatchingReader
) -> None:
    many = [target(Kind.TOKEN, str(at)) for at in range(MAX_KEYS_TOGETHER - 1)]
    waiting = [
        waiter(asking.find(asked))
        for asked in (many, many[:1], many[:1], [target(Kind.USER)])
    ]
    await turns()

    sizes = [len(call) for call in fake.calls]
    assert sizes == [MAX_KEYS_TOGETHER - 1, 2]

    await fake.answer(0)
    await fake.answer(1)
    await asyncio.gather(*waiting)


async def test_a_large_lookup_has_its_own_call(
    fake: FakeStore, asking: BatchingReader
) -> None:
    many = [target(Kind.TOKEN, str(at)) for at in range(MAX_KEYS_PER_CALL)]
    waiting = [waiter(asking.find(asked)) for asked in (many, [target(Kind.USER)])]
    await turns()

    assert [len(call) for call in fake.calls] == [MAX_KEYS_PER_CALL, 1]
    with pytest.raises(ValueError, match="fewer targets"):
        await asking.find([*many, target(Kind.USER)])
    for number in range(2):
        await fake.answer(number)
    await asyncio.gather(*waiting)


# Failures -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [StoreUnavailableError, StoreColdError, OSError])
async def test_an_error_reaches_exactly_the_lookups_of_its_call(
    fake: FakeStore, ask: Ask, kind: type[Exception]
) -> None:
    lost = [ask("one"), ask("two")]
    await turns()
    kept = ask("three")
    await turns()

    await fake.answer(0, kind("away"))
    await fake.answer(1)

    errors = await asyncio.gather(*lost, return_exceptions=True)
    assert {(type(error), str(error)) for error in errors} == {(kind, "away")}
    if issubclass(kind, StoreError):
        assert errors[0] is not errors[1]
    assert await kept == ({}, FRESH)


async def test_an_unreadable_reply_is_an_error(fake: FakeStore, ask: Ask) -> None:
    lost = [ask("one"), ask("two")]
    await turns()
    fake.replies[0].set_result([b"epoch", b"1", b"never"])

    errors = await asyncio.gather(*lost, return_exceptions=True)
    assert {type(error) for error in errors} == {ValueError}


async def test_a_cancelled_lookup_disturbs_no_other(fake: FakeStore, ask: Ask) -> None:
    one, two = ask("one"), ask("two")
    await turns()
    one.cancel()
    await fake.answer(0)

    assert one.cancelled()
    assert await two == ({}, FRESH)


async def test_after_an_error_the_next_call_is_made(fake: FakeStore, ask: Ask) -> None:
    lost = [ask("one"), ask("two")]
    await turns()
    await fake.answer(0, StoreUnavailableError("away"))
    await asyncio.gather(*lost, return_exceptions=True)

    following = ask("three")
    await turns()
    await fake.answer(1)

    assert await following == ({}, FRESH)


async def test_waiting_lookups_fail_when_it_is_stopped(
    fake: FakeStore, asking: BatchingReader, ask: Ask
) -> None:
    waiting = []
    for name in ("one", "two", "three"):
        waiting.append(ask(name))
        await turns()

    await asking.stop()

    for each in waiting:
        with pytest.raises(StoreUnavailableError, match="was stopped"):
            await each
    assert len(fake.calls) == 2


# Keys ---------------------------------------------------------------------------------

_ids = st.one_of(st.none(), st.text("ab|%", min_size=1, max_size=3))
_tokens = st.builds(
    Token,
    issuer=st.sampled_from(["https://a", "https://b"]),
    names=st.tuples(*[_ids for _ in NAMED_KINDS]),
    more=st.lists(
        st.tuples(
            st.sampled_from([Kind.CLIENT, Kind.RESOURCE, Kind.CLAIMS]),
            st.sampled_from(["x:1", "y"]),
        ),
        max_size=2,
    ).map(tuple),
    issued_at=st.just(0.0),
    expires_at=st.just(0.0),
    version=st.none(),
)


@given(tokens=st.lists(_tokens, max_size=4))
def test_a_tokens_keys_are_those_of_its_targets(tokens: list[Token]) -> None:
    layout = Layout("r", (PEPPER, PEPPER[::-1]))
    remembering = TokenKeys(layout)

    for each in [*tokens, *tokens]:
        assert list(remembering.of(each)) == layout.keys(each.targets())


def test_the_cache_of_keys_is_bounded_for_large_tokens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A token with a thousand groups has a thousand keys."""
    monkeypatch.setattr("revocation.store.layout._CACHED_KEYS", 64)
    layout = Layout("r", (PEPPER,))
    remembering = TokenKeys(layout)
    names = ("",) * len(NAMED_KINDS)
    for number in range(32):
        more = tuple((Kind.CLAIMS, f"groups={number}-{each}") for each in range(20))
        token = Token("https://idp.example/", names, more, 0, 0, None, 0)
        assert list(remembering.of(token)) == layout.keys(token.targets())
        assert sum(map(len, remembering._latest.values())) <= 64
