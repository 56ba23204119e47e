"""What cuts a verifier off from the truth: each ends with the block it is used in."""

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

from tests.cable import Cable
from tests.installation import Installation

Fault = Callable[[Installation, Cable], AbstractAsyncContextManager[None]]


@contextlib.asynccontextmanager
async def cut_the_feed(_: Installation, cable: Cable) -> AsyncIterator[None]:
    """Nothing arrives from the store, and no connection is closed."""
    cable.cut()
    yield
    cable.mend()


@contextlib.asynccontextmanager
async def freeze_the_store(installation: Installation, _: Cable) -> AsyncIterator[None]:
    """The store accepts connections, and answers none."""
    store = installation.stores["eu"]
    store.pause()
    yield
    store.resume()


@contextlib.asynccontextmanager
async def kill_the_authority(
    installation: Installation, _: Cable
) -> AsyncIterator[None]:
    """Nobody sends pulses, and nobody concludes anything."""
    authority = installation.stations["authority"]
    authority.kill()
    yield
    authority.start()


@contextlib.asynccontextmanager
async def freeze_the_projector(
    installation: Installation, _: Cable
) -> AsyncIterator[None]:
    """Pulses and entries pile up in the log, and the store hears of none."""
    projector = installation.stations["projector-eu"]
    projector.pause()
    yield
    projector.resume()


FAULTS: tuple[Fault, ...] = (
    cut_the_feed,
    freeze_the_store,
    kill_the_authority,
    freeze_the_projector,
)
