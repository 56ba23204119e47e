"""regions-are-independent: one region down or slow delays no other."""

import asyncio
import time
from typing import Any

import pytest

from revocation.errors import NotAppliedError
from revocation.projector.projector import Projector
from revocation.settings import ProjectorSettings
from revocation.store.contract import Batch
from revocation.store.layout import Layout
from revocation.store.redis_store import RedisStore
from tests.installation import Install, Installation
from tests.traffic import logouts, user

pytestmark = [pytest.mark.guarantee, pytest.mark.connected, pytest.mark.timeout(180)]

DOWN_SECONDS = 10
PROMPT_SECONDS = 2.0


class BothRegions(RedisStore):
    """Without the protection: one projector that writes region after region."""

    other: RedisStore

    async def apply(self, epoch: str, batch: Batch) -> None:
        """Write to the other region first."""
        await self.other.region()
        await super().apply(epoch, batch)


def store_of(installation: Installation, region: str, kind: type[RedisStore]) -> Any:
    """Return a store of the test's installation."""
    settings = ProjectorSettings(
        **installation._typed(),
        region=region,
        store_url=installation.stores[region].url,
    )
    layout = Layout("r", settings.peppers)
    return settings, kind(settings.store_url, layout, limits=settings.limits)


async def slowest(installation: Installation, region: str, *, seconds: float) -> float:
    """Publish for some time; return the region's longest delay, in seconds."""
    deadline = time.monotonic() + seconds
    worst = 0.0
    while time.monotonic() < deadline:
        published, _ = logouts(20, 20, seed=int(time.monotonic()))
        began = time.monotonic()
        receipts = await installation.publish(*published)
        await installation.applied(receipts, region, within=30)
        worst = max(worst, time.monotonic() - began)
    return worst


async def test_one_projector_for_all_regions_stalls_all(install: Install) -> None:
    """Without the protection, us waits for eu."""
    installation = await install()
    for region in ("eu", "us"):
        installation.add_region(region).stop()
    installation.add_authority()
    settings, us = store_of(installation, "us", BothRegions)
    _, us.other = store_of(installation, "eu", RedisStore)
    projector = Projector(settings, us)
    await projector.start()
    try:
        await installation.ready("us")
        installation.stores["eu"].kill()
        receipts = await installation.publish(*logouts(20, 20, seed=1)[0])
        with pytest.raises(NotAppliedError):
            await installation.applied(receipts, "us", within=PROMPT_SECONDS)
    finally:
        await projector.stop()


async def test_a_region_down_for_ten_seconds_delays_no_other(install: Install) -> None:
    """The others stay prompt while eu is down; eu then catches up completely."""
    installation = await install()
    for region in ("eu", "us", "ap"):
        installation.add_region(region)
    installation.add_authority()
    await installation.ready()
    eu = installation.stores["eu"]
    eu.kill()
    worst = await asyncio.gather(
        *(slowest(installation, name, seconds=DOWN_SECONDS) for name in ("us", "ap"))
    )
    eu.launch()
    await installation.ready("eu")
    users = [user(f"user-{number}") for number in range(20)]
    states = [
        (await installation.find(name, *users)).found for name in installation.stores
    ]

    assert max(worst) < PROMPT_SECONDS
    assert states[0] == states[1] == states[2]
    assert len(states[0]) == len(users)
