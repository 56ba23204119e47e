"""What is started and stopped: connections, tasks, and what is made of them."""

import abc
from types import TracebackType
from typing import Protocol, Self


class Part(Protocol):
    """Something that runs for as long as a verifier does."""

    async def start(self) -> None:
        """Begin."""

    async def stop(self) -> None:
        """End; may be called twice."""


class Lifecycle(abc.ABC):
    """Starts and stops. An async context manager, which stops also if a start fails."""

    @abc.abstractmethod
    async def start(self) -> None:
        """Begin."""

    @abc.abstractmethod
    async def stop(self) -> None:
        """End; may be called twice, and where `start` failed or was never called."""

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
    """Starts its parts in their order, and stops them in the reverse."""

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
