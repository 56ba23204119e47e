"""Receipts: as text, compared with a region, and awaited."""

import asyncio

import pytest
from hypothesis import given, strategies as st

from revocation.errors import NotAppliedError
from revocation.receipts import Receipt, wait_applied
from revocation.store.contract import Batch, Mark
from tests.identities import identity
from tests.stations.regions import FailingStore, now_ms

RECEIPT = Receipt(1, 41)


def marked(source_offset, *, rebuilt=True):
    return Mark(7, source_offset, now_ms(), source_offset, rebuilt)


async def store_at(*marks):
    """Return a store with one partition per mark, each applied up to it."""
    store = FailingStore()
    await store.begin("epoch", identity(2))
    await store.apply("epoch", Batch([], dict(enumerate(marks)), {}))
    return store


async def catch_up(store, offset):
    await store.apply("epoch", Batch([], {1: marked(offset)}, {}))


# Text ---------------------------------------------------------------------------------


@given(st.integers(0, 1_023), st.integers(0, 2**63 - 1))
def test_a_formatted_receipt_is_parsed(partition, offset):
    assert Receipt.parse(str(Receipt(partition, offset))) == (partition, offset)


def test_a_receipt_is_short_and_plain():
    assert str(RECEIPT) == "1-41"


@pytest.mark.parametrize(
    "text",
    ["", "1", "-", "1-", "-41", "1--41", "1-41-2", "a-1", "1-a", "1.5-2", " ", "+1-2"],
)
def test_text_that_is_no_receipt_is_refused(text):
    with pytest.raises(ValueError, match="is not a receipt; one looks like"):
        Receipt.parse(text)


@given(st.text(max_size=12))
def test_any_text_is_a_receipt_or_refused(text):
    try:
        partition, offset = Receipt.parse(text)
    except ValueError:
        return
    assert partition >= 0
    assert offset >= 0


# Applied ------------------------------------------------------------------------------


@pytest.mark.parametrize(("reached", "applied"), [(40, False), (41, True), (42, True)])
async def test_a_receipt_is_applied_once_its_partition_is(reached, applied):
    region = await (await store_at(marked(0), marked(reached))).region()
    assert RECEIPT.applied_in(region) == applied


async def test_nothing_is_applied_in_a_region_that_is_not_complete():
    """Its store may have the entry, but gives no verdict."""
    rebuilding = await store_at(marked(0, rebuilt=False), marked(99))
    assert not RECEIPT.applied_in(await rebuilding.region())
    assert not RECEIPT.applied_in(await FailingStore().region())


async def test_a_partition_that_the_region_does_not_have_is_not_applied():
    region = await (await store_at(marked(99), marked(99))).region()
    assert not Receipt(2, 0).applied_in(region)


# Waiting ------------------------------------------------------------------------------


async def test_regions_that_have_it_need_no_wait():
    readers = {"eu": await store_at(marked(0), marked(41))}
    took = await wait_applied([RECEIPT], readers, timeout_seconds=0.5)
    assert took.keys() == {"eu"}
    assert 0 <= took["eu"] < 500


async def test_each_region_is_awaited_and_timed():
    near = await store_at(marked(0), marked(41))
    far = await store_at(marked(0), marked(0))
    readers = {"near": near, "far": far}
    waiting = asyncio.create_task(wait_applied([RECEIPT], readers, timeout_seconds=5))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await catch_up(far, 41)
    took = await waiting
    assert took["near"] < took["far"]
    assert took["far"] >= 50


async def test_every_receipt_is_awaited():
    """A bulk event has one in each partition."""
    store = await store_at(marked(10), marked(40))
    wanted = [Receipt(0, 10), Receipt(1, 41)]
    with pytest.raises(NotAppliedError):
        await wait_applied(iter(wanted), {"eu": store}, timeout_seconds=0.02)
    await catch_up(store, 41)
    await wait_applied(iter(wanted), {"eu": store}, timeout_seconds=0.5)


async def test_regions_that_are_late_are_named():
    readers = {
        name: await store_at(marked(0), marked(reached))
        for name, reached in (("us", 0), ("eu", 41), ("ap", 0))
    }
    with pytest.raises(NotAppliedError, match=r"within 0\.03 s in: ap, us;") as caught:
        await wait_applied([RECEIPT], readers, timeout_seconds=0.03)
    assert caught.value.retriable


async def test_an_unreachable_region_is_retried_until_it_is_back():
    store = await store_at(marked(0), marked(41))
    store.available = False
    waiting = asyncio.create_task(
        wait_applied([RECEIPT], {"eu": store}, timeout_seconds=5)
    )
    await asyncio.sleep(0.02)
    assert not waiting.done()
    store.available = True
    await waiting


async def test_a_region_that_stays_unreachable_is_named():
    store = await store_at(marked(0), marked(41))
    store.available = False
    with pytest.raises(NotAppliedError, match="in: eu;"):
        await wait_applied([RECEIPT], {"eu": store}, timeout_seconds=0.02)


async def test_without_receipts_waiting_ends_at_once():
    assert await wait_applied([RECEIPT], {}, timeout_seconds=0.1) == {}
    store = await store_at(marked(0), marked(0))
    assert (await wait_applied([], {"eu": store}, timeout_seconds=0.1)).keys() == {"eu"}
