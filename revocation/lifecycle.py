"""What begins and ends with a verifier."""

from types import TracebackType
from typing import Protocol, Self


class Part(Protocol):
    """Something that runs for as long as a verifier does."""

    async def start(self) -> None:
        """Begin."""

    async def stop(self) -> None:
        """End; may be called twice."""


class Running:
    """Runs its parts. An async context manager."""

    def __init__(self) -> None:
        """Prepare, without parts."""
        self._parts: list[Part] = []

    async def start(self) -> None:
        """Connect."""
        for part in self._parts:
            await part.start()

    async def stop(self) -> None:
        """Disconnect; may be called twice."""
        for part in reversed(self._parts):
            await part.stop()

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
