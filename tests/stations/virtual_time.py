"""An event loop whose clock jumps to the next timer: minutes pass in a second.

    run(scenario())

Only timers and futures work in it, not sockets.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any


def run(scenario: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine, and return what it returns."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(scenario)


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop that never waits."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        return self._now

    def jump(self, seconds: float) -> None:
        self._now += seconds


class _Jumping(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "deadlock: no timer is due and no task can run"
            self._loop.jump(timeout)
        return ready
