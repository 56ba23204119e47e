"""Stations recover by themselves, and soon, after an outage."""

import asyncio
import shutil
import time
from collections import Counter
from collections.abc import Callable

import pytest

from tests.installation import Install, Installation, eventually
from tests.traffic import logged_out, logouts, user

pytestmark = [pytest.mark.connected, pytest.mark.timeout(180)]

USERS = 50
RecordProperty = Callable[[str, object], None]
BACK_WITHIN_SECONDS = 5.0


async def versions(installation: Installation, names: Counter[str]) -> dict[str, int]:
    """Return the versions of users in eu."""
    answer = await installation.find("eu", *map(user, names))
    return {target.id: entry.version for target, entry in answer.found.items()}


async def test_killed_authority_is_back_within_five_seconds(
    install: Install, record_property: RecordProperty
) -> None:
    """From kill -9 and restart until a new revocation is applied."""
    installation = await install(partitions=12)
    installation.add_region("eu")
    authority = installation.add_authority()
    await installation.ready()
    await installation.applied(
        await installation.publish(*logouts(500, USERS, seed=1)[0])
    )

    authority.kill()
    authority.start()
    began = time.monotonic()
    await installation.applied(await installation.publish(logged_out("new")))
    took = time.monotonic() - began

    record_property("seconds", took)
    assert took < BACK_WITHIN_SECONDS


async def test_ledger_is_recovered_from_the_entries_alone(install: Install) -> None:
    """With its disk gone, versions continue from their last values."""
    installation = await install()
    installation.add_region("eu")
    authority = installation.add_authority()
    await installation.ready()
    first, before = logouts(400, USERS, seed=2)
    await installation.applied(await installation.publish(*first))

    authority.kill()
    shutil.rmtree(installation.folder / "authority")
    authority.start()
    second, after = logouts(400, USERS, seed=3)
    await installation.applied(await installation.publish(*second))

    assert await versions(installation, before + after) == before + after


async def test_a_region_that_was_down_catches_up(install: Install) -> None:
    """A projector that missed 2,000 events continues from its store's marks."""
    installation = await install()
    projector = installation.add_region("eu")
    installation.add_authority()
    await installation.ready()
    projector.kill()
    published, expected = logouts(2_000, USERS, seed=4)
    receipts = await installation.publish(*published)
    projector.start()
    await installation.applied(receipts)

    assert await versions(installation, expected) == expected


async def test_two_projectors_of_a_region_share_and_take_over(install: Install) -> None:
    """Events are still applied while one of two members is killed for good."""
    installation = await install()
    first = installation.add_region("eu")
    installation.projector("eu", installation.stores["eu"].url, instance_id="second")
    installation.add_authority()
    await installation.ready()
    published, expected = logouts(1_000, USERS, seed=5)
    receipts = await installation.publish(*published)
    first.kill()
    await installation.applied(receipts)

    assert await versions(installation, expected) == expected


async def test_a_twin_leaves_no_gap_when_one_authority_dies(
    install: Install, record_property: RecordProperty
) -> None:
    """Two authorities under two ids conclude the same; either alone is enough."""
    installation = await install()
    installation.add_region("eu")
    one = installation.add_authority("one", authority_id="one")
    installation.add_authority("two", authority_id="two")
    await installation.ready()
    await eventually(lambda: both_write(installation))
    expected: Counter[str] = Counter()
    longest = 0.0
    for number in range(30):
        if number == 10:
            one.kill()
        names = [f"user-{(number + step) % USERS}" for step in range(10)]
        expected.update(names)
        began = time.monotonic()
        receipts = await installation.publish(*map(logged_out, names))
        await installation.applied(receipts)
        longest = max(longest, time.monotonic() - began)
        await asyncio.sleep(0.05)

    record_property("seconds", longest)
    assert longest < 2.0
    assert await versions(installation, expected) == expected


async def both_write(installation: Installation) -> bool:
    """Return whether both authorities have taken their partitions."""
    return all(
        (installation.folder / name / "v1" / "tables").is_dir()
        for name in ("one", "two")
    )
