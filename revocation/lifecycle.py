"""Starting and stopping: of connections, of tasks, and of objects that own them."""

import abc
from types import TracebackType
from typing import Protocol, Self


class Part(Protocol):
    """Something that runs for as long as a verifier does."""

    async def start(self) -> None:
        """Start."""

    async def stop(self) -> None:
        """Stop; may be called twice."""


class Lifecycle(abc.ABC):
    """Something that starts and stops: an async context manager.

    It stops also when its start fails.
    """

    @abc.abstractmethod
    async def start(self) -> None:
        """Start."""

    @abc.abstractmethod
    async def stop(self) -> None:
        """Stop; may be called twice, and if `start` failed or was never called."""

    async def __aenter__(self) -> Self:
        """Start."""
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop."""
        await self.stop()


class Composite(Lifecycle):
    """Starts its parts in order and stops them in reverse order."""

    def __init__(self) -> None:
        """Prepare, without parts."""
        self._parts: list[Part] = []

    async def start(self) -> None:
        """Start each part."""
        for part in self._parts:
            await part.start()

    async def stop(self) -> None:
        """Stop each part; may be called twice."""
        for part in reversed(self._parts):
            await part.stop()
