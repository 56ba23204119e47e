"""Tasks that must always run: ended, failed or hung, they are restarted."""

import asyncio

import pytest

from revocation import background as module, metrics
from revocation.background import Background


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(module, "_CHECK_SECONDS", 0.001)


class Work:
    """Runs until an order comes: return, fail or hang."""

    def __init__(self, *, silent_seconds=60.0):
        self.begun = asyncio.Semaphore(0)
        self.runs = 0
        self.orders = asyncio.Queue()
        self.background = Background("work", self.run, silent_seconds=silent_seconds)

    async def run(self):
        self.runs += 1
        self.begun.release()
        order = await self.orders.get()
        if order is not None:
            raise order

    async def __aenter__(self):
        self.background.start()
        self.background.start()
        await self.begun.acquire()
        return self

    async def __aexit__(self, *_):
        await self.background.stop()
        await self.background.stop()


def stalls():
    return metrics.STALLS.labels("work")._value.get()


async def test_a_running_task_is_not_started_again():
    async with Work() as work:
        await asyncio.sleep(0.02)
        assert work.runs == 1


@pytest.mark.parametrize("order", [None, LookupError("broken")])
async def test_a_task_that_ends_or_fails_is_restarted_and_counted(order):
    before = stalls()
    async with Work() as work:
        for _ in range(2):
            work.orders.put_nowait(order)
            await work.begun.acquire()
    assert (work.runs, stalls() - before) == (3, 2)


async def test_a_cancelled_task_is_restarted():
    async with Work() as work:
        work.background._task.cancel()
        await work.begun.acquire()


async def test_a_task_without_a_beat_in_time_is_restarted():
    before = stalls()
    async with Work(silent_seconds=0.01) as work:
        await work.begun.acquire()
    assert work.runs == 2
    assert stalls() - before == 1


async def test_an_announced_pause_is_no_hang():
    async with Work(silent_seconds=0.01) as work:
        work.background.beat(pause_seconds=60)
        await asyncio.sleep(0.05)
        assert work.runs == 1


async def test_two_never_run_at_once():
    """A task that ignores its cancellation blocks its successor."""
    swallowed = asyncio.Semaphore(0)

    class Stubborn(Work):
        async def run(self):
            self.runs += 1
            self.begun.release()
            for _ in range(3):
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    assert self.runs == 1
                    swallowed.release()
            await asyncio.Event().wait()

    async with Stubborn(silent_seconds=0.01) as work:
        for _ in range(3):
            await swallowed.acquire()
        assert work.runs == 1


async def test_a_stopped_task_is_not_restarted():
    async with Work() as work:
        pass
    await asyncio.sleep(0.02)
    assert work.runs == 1
