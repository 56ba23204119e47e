"""The asker's process of benchmarks/soak.py, as seen from the one that started it."""

import asyncio
import contextlib
import multiprocessing
import os
from collections import deque
from typing import Any

from _soak_asker import Load, LoadReport, ask


class Asking:
    """The asker's process, as seen from here."""

    def __init__(self, load: Load) -> None:
        """Start it; it asks as soon as it can."""
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=ask, args=(load, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self._replies: deque[asyncio.Future[Any]] = deque()
        self.told: asyncio.Queue[LoadReport | None] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._pipe.fileno(), self._read)
        # Not as uvloop left it: a message longer than its buffer would come in parts.
        os.set_blocking(self._pipe.fileno(), True)

    def _read(self) -> None:
        try:
            while self._pipe.poll():
                message = self._pipe.recv()
                if message is None or isinstance(message, LoadReport):
                    self.told.put_nowait(message)
                else:
                    reply = self._replies.popleft()
                    if not reply.done():
                        reply.set_result(message)
        except EOFError:
            self._loop.remove_reader(self._pipe.fileno())
            self.told.put_nowait(None)

    async def turn(self, course: str, status: int, since: float) -> None:
        """See `Course.turn`; returns when it is known there."""
        await self._ask("turn", course, status, since)

    def close(self, course: str, until: float) -> None:
        """See `Course.close`."""
        self._pipe.send(("close", course, until))

    async def took(self) -> dict[str, float]:
        """Return how long each turn took to be seen; see `Course.took`."""
        took = await self._ask("took")
        return {course: each for course, each in took.items() if each is not None}

    def begin(self) -> None:
        """Count from now on."""
        self._pipe.send(("begin",))

    def end(self) -> None:
        """Ask no more; what is still counted comes, and then None."""
        self._pipe.send(("end",))

    def kill(self) -> None:
        """End the process, if it still runs."""
        with contextlib.suppress(ValueError, OSError):
            self._loop.remove_reader(self._pipe.fileno())
        self._process.kill()
        self._process.join()

    async def _ask(self, *order: object) -> Any:
        reply = self._loop.create_future()
        self._replies.append(reply)
        self._pipe.send(order)
        return await reply
