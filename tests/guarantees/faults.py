"""Faults that cut a verifier off, as context managers: each ends with its block."""

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

from tests.cable import Cable
from tests.installation import Installation

Fault = Callable[[Installation, Cable], AbstractAsyncContextManager[None]]


@contextlib.asynccontextmanager
async def cut_the_feed(_: Installation, cable: Cable) -> AsyncIterator[None]:
    """Deliver nothing from the store, and close no connection."""
    cable.cut()
    yield
    cable.mend()


@contextlib.asynccontextmanager
async def freeze_the_store(installation: Installation, _: Cable) -> AsyncIterator[None]:
    """Have the store accept connections and answer none."""
    store = installation.stores["eu"]
    store.pause()
    yield
    store.resume()


@contextlib.asynccontextmanager
async def kill_the_authority(
    installation: Installation, _: Cable
) -> AsyncIterator[None]:
    """Stop all pulses and all conclusions."""
    authority = installation.stations["authority"]
    authority.kill()
    yield
    authority.start()


@contextlib.asynccontextmanager
async def freeze_the_projector(
    installation: Installation, _: Cable
) -> AsyncIterator[None]:
    """Let pulses and entries accumulate in the log; none reaches the store."""
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
