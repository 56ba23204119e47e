"""Puts stations together from settings: the one place that knows them all."""

import contextlib
from collections.abc import AsyncIterator

from revocation.decision import DEFAULT_POLICIES, StalenessPolicy
from revocation.settings import RegionsSettings, StoreSettings, VerifierSettings
from revocation.store import StoreReader
from revocation.store.layout import Layout
from revocation.store.redis import RedisStore
from revocation.verifier import Verifier


def new_store(settings: StoreSettings) -> RedisStore:
    """Return the store of the settings' region."""
    return RedisStore(
        settings.store_url,
        Layout(settings.store_prefix, settings.peppers),
        longest_token_ms=settings.relevance_ms,
        max_clock_skew_ms=settings.max_clock_skew_ms,
    )


def new_verifier(settings: VerifierSettings) -> Verifier:
    """Return a verifier for the settings' region."""
    policies = {
        **DEFAULT_POLICIES,
        "read": StalenessPolicy(max_staleness_ms=settings.read_max_staleness_ms),
        "write": StalenessPolicy(max_staleness_ms=settings.write_max_staleness_ms),
    }
    return Verifier(
        new_store(settings),
        settings.rules,
        policies,
        max_clock_skew_ms=settings.max_clock_skew_ms,
    )


@contextlib.asynccontextmanager
async def open_regions(
    settings: RegionsSettings,
) -> AsyncIterator[dict[str, StoreReader]]:
    """Connect to the stores of all regions, for as long as the context lasts.

    A region that cannot be reached is there all the same, and says so when asked.
    """
    layout = Layout(settings.store_prefix, settings.peppers)
    stores = {
        name: RedisStore(url, layout, longest_token_ms=settings.relevance_ms)
        for name, url in settings.regions.items()
    }
    try:
        yield dict(stores)
    finally:
        for store in stores.values():
            await store.stop()
