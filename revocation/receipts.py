"""Receipts: an event's position in the log, and waiting until it is applied."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Self

from revocation.entries import Offset
from revocation.errors import NotAppliedError, StoreUnavailableError
from revocation.store.contract import Region, StoreReader

_FIRST_POLL_SECONDS = 0.004
_LAST_POLL_SECONDS = 0.1


class Receipt(NamedTuple):
    """The position of an acknowledged event; `str(receipt)` is `partition-offset`."""

    partition: int
    offset: Offset

    def __str__(self) -> str:
        """Return `partition-offset`."""
        return f"{self.partition}-{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the text that `str` returns.

        Raises:
            ValueError: the text is not a receipt.
        """
        partition, _, offset = text.partition("-")
        if not (partition.isdecimal() and offset.isdecimal()):
            raise ValueError(f"{text!r} is not a receipt; one looks like 3-1742")
        return cls(int(partition), Offset(int(offset)))

    def applied_in(self, region: Region) -> bool:
        """Return whether a complete region has applied the event."""
        mark = region.marks.get(self.partition)
        return (
            region.freshness.ready
            and mark is not None
            and mark.source_offset >= self.offset
        )


async def wait_applied(
    receipts: Iterable[Receipt],
    readers: Mapping[str, StoreReader],
    *,
    timeout_seconds: float = 10.0,
) -> dict[str, float]:
    """Wait until every region has applied every receipt.

    Returns the milliseconds that each region took, counted from the call.

    Raises:
        NotAppliedError: names the regions that did not within the time limit.
    """
    expected = tuple(receipts)
    began = time.perf_counter()
    took: dict[str, float] = {}

    async def watch(name: str, reader: StoreReader) -> None:
        delay = _FIRST_POLL_SECONDS
        while not await _applied(expected, reader):
            await asyncio.sleep(delay)
            delay = min(delay * 1.2, _LAST_POLL_SECONDS)
        took[name] = (time.perf_counter() - began) * 1_000

    try:
        async with asyncio.timeout(timeout_seconds), asyncio.TaskGroup() as group:
            for name, reader in readers.items():
                group.create_task(watch(name, reader))
    except TimeoutError:
        missing = ", ".join(sorted(readers.keys() - took.keys()))
        raise NotAppliedError(
            f"not applied within {timeout_seconds:g} s in: {missing}; "
            "the event is in the log and will be applied when the region catches up"
        ) from None
    return took


async def _applied(receipts: Iterable[Receipt], reader: StoreReader) -> bool:
    try:
        region = await reader.region()
    except StoreUnavailableError:
        return False
    return all(receipt.applied_in(region) for receipt in receipts)
