"""The stores of all regions at once, for commands that query them or wait."""

import contextlib
from collections.abc import AsyncIterator, Mapping

from revocation.errors import StoreUnavailableError
from revocation.identity import Expectation
from revocation.settings import RegionsSettings
from revocation.store.contract import StoreReader
from revocation.store.layout import Layout
from revocation.store.redis_store import RedisStore
from revocation.store.store_agreement import require_agreement


@contextlib.asynccontextmanager
async def open_regions(
    settings: RegionsSettings,
) -> AsyncIterator[dict[str, StoreReader]]:
    """Connect to the stores of all regions, for as long as the context lasts.

    An unreachable region is included, and its reader raises when called; so is one
    with other settings, which is not ready.
    """
    layout = Layout(settings.store_prefix, settings.peppers)
    stores = {
        name: RedisStore(url, layout, limits=settings.limits, tls=settings.tls)
        for name, url in settings.regions.items()
    }
    try:
        yield dict(stores)
    finally:
        for store in stores.values():
            await store.stop()


async def require_agreements(
    settings: RegionsSettings, readers: Mapping[str, StoreReader]
) -> None:
    """Refuse to wait for regions whose verifiers look for other keys.

    An unreachable region passes.

    Raises:
        DisagreementError: names each setting, the region's value and ours.
    """
    for name, reader in readers.items():
        expected = Expectation(
            name,
            settings.fingerprints,
            settings.lifetimes,
            settings.revocable_claims,
        )
        with contextlib.suppress(StoreUnavailableError):
            await require_agreement(reader, expected)
