"""Tasks that have to run always: ended, failed or hung, they are started again."""

import asyncio

import pytest

from revocation import background as module, metrics
from revocation.background import Background


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(module, "_CHECK_SECONDS", 0.001)


class Work:
    """Runs until it is told what to do: return, fail or hang."""

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


async def test_it_runs_once_for_as_long_as_it_runs():
    async with Work() as work:
        await asyncio.sleep(0.02)
        assert work.runs == 1


@pytest.mark.parametrize("order", [None, LookupError("broken")])
async def test_what_ends_or_fails_is_started_again_and_counted(order):
    before = stalls()
    async with Work() as work:
        for _ in range(2):
            work.orders.put_nowait(order)
            await work.begun.acquire()
    assert (work.runs, stalls() - before) == (3, 2)


async def test_what_somebody_cancels_is_started_again():
    async with Work() as work:
        work.background._task.cancel()
        await work.begun.acquire()


async def test_what_does_not_beat_in_time_is_started_again():
    before = stalls()
    async with Work(silent_seconds=0.01) as work:
        await work.begun.acquire()
    assert work.runs == 2
    assert stalls() - before == 1


async def test_a_pause_that_was_said_is_not_taken_for_a_hang():
    async with Work(silent_seconds=0.01) as work:
        work.background.beat(pause_seconds=60)
        await asyncio.sleep(0.05)
        assert work.runs == 1


async def test_two_never_run_at_once():
    """One that does not end when it is cancelled keeps its place."""
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


async def test_stopped_it_does_not_run_again():
    async with Work() as work:
        pass
    await asyncio.sleep(0.02)
    assert work.runs == 1
