"""The stores of all regions at once, for commands that ask or wait."""

import contextlib
from collections.abc import AsyncIterator

from revocation.settings import RegionsSettings
from revocation.store import StoreReader
from revocation.store.layout import Layout
from revocation.store.redis import RedisStore


@contextlib.asynccontextmanager
async def open_regions(
    settings: RegionsSettings,
) -> AsyncIterator[dict[str, StoreReader]]:
    """Connect to the stores of all regions, for as long as the context lasts.

    A region that cannot be reached is there all the same, and says so when asked.
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
