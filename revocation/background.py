"""Tasks that have to run for as long as their owner does.

For parts that live in somebody else's process, which they cannot end: where a station
would end and be started again, these tasks are started again alone.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

import structlog

from revocation import metrics

_log = structlog.get_logger()

_LOOK_SECONDS: Final = 1.0
_CANCEL_AGAIN_SECONDS: Final = 0.1


class Background:
    """A task that is started again when it ends, or when it does not `beat` in time.

    A timer of the event loop looks after it, not a task, so nothing has to look after
    that again.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[], Coroutine[Any, Any, None]],
        *,
        silent_seconds: float,
    ) -> None:
        """Prepare.

        Args:
            name: what it does; the cause in `revocation_stalls_total`.
            run: what runs, for ever. It is cancelled to be started again.
            silent_seconds: how long it may do without a `beat`.
        """
        self._name = name
        self._run = run
        self._silent_seconds = silent_seconds
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._expected_at = 0.0
        self._is_hung = False

    def start(self) -> None:
        """Run from now on, in the running loop; may be called twice."""
        if self._timer is None:
            self._begin()

    async def stop(self) -> None:
        """End it; may be called twice."""
        timer, self._timer = self._timer, None
        task, self._task = self._task, None
        if timer is not None:
            timer.cancel()
        if task is not None:
            await end_task(task)

    def beat(self, *, pause_seconds: float = 0.0) -> None:
        """Say that it goes on, after at most this pause; called by what runs."""
        now = asyncio.get_running_loop().time()
        self._expected_at = now + pause_seconds + self._silent_seconds

    def _begin(self) -> None:
        self._is_hung = False
        self.beat()
        self._task = asyncio.create_task(self._run(), name=self._name)
        self._look_later()

    def _look_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_LOOK_SECONDS, self._look)

    def _look(self) -> None:
        task = self._task
        if task is not None and not task.done():
            if asyncio.get_running_loop().time() > self._expected_at:
                self._note("hung")
                task.cancel()
            self._look_later()
            return
        if task is not None:
            failed = not task.cancelled() and task.exception()
            self._note(repr(failed) if failed else "ended")
        self._begin()

    def _note(self, cause: str) -> None:
        if not self._is_hung:
            metrics.STALLS.labels(self._name).inc()
            _log.error("task is started again", task=self._name, cause=cause)
        self._is_hung = True


async def end_task(task: asyncio.Task[Any]) -> None:
    """Cancel a task until it has ended; what it raises nobody needs any more."""
    while not task.done():
        # Again: a client that was just about to answer may swallow the first.
        task.cancel()
        await asyncio.wait({task}, timeout=_CANCEL_AGAIN_SECONDS)
