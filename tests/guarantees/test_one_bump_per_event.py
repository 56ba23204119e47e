"""one-bump-per-event: crashes and retries never move a version twice for one event."""

from collections import Counter

import pytest

from tests.installation import Install, Installation
from tests.traffic import chunks, logouts, user

pytestmark = [pytest.mark.guarantee, pytest.mark.connected, pytest.mark.timeout(240)]

USERS = 500


async def versions(installation: Installation, region: str) -> Counter[str]:
    """Return the version of every user in a region."""
    names = [f"user-{n}" for n in range(USERS)]
    answer = await installation.find(region, *map(user, names))
    assert answer.freshness.ready
    return Counter({target.id: entry.version for target, entry in answer.found.items()})


async def run_with_kills(
    installation: Installation, count: int, *, kills: int, unprotected: str | None
) -> Counter[str]:
    """Publish logouts, kill the authority meanwhile; return what versions must be."""
    authority = installation.add_authority(unprotected=unprotected)
    await installation.ready()
    published, expected = logouts(count, USERS, seed=7)
    parts = chunks(published, count // (kills + 1))
    receipts = []
    for number, part in enumerate(parts):
        written = await installation.publish(*part)
        if number < kills:
            # In the middle of work: concluded on, and the most of it not committed.
            await installation.applied(written[: len(written) // 3])
            authority.kill()
            authority.start()
        receipts += written
    await installation.applied(receipts, within=100)
    return expected


async def test_a_ledger_without_memory_bumps_twice(install: Install) -> None:
    """With the protection off, a kill moves versions twice."""
    installation = await install()
    installation.add_region("eu")
    expected = await run_with_kills(
        installation, 12_000, kills=2, unprotected="bump_on_every_sight"
    )
    found = await versions(installation, "eu")
    assert found - expected, "no version moved twice"
    assert not expected - found


async def test_kills_in_a_stream_of_20000_events_bump_once_each(
    install: Install,
) -> None:
    """Every user's version is the number of its events, in every region."""
    installation = await install()
    for region in ("eu", "us"):
        installation.add_region(region)
    expected = await run_with_kills(installation, 20_000, kills=3, unprotected=None)
    for region in ("eu", "us"):
        assert await versions(installation, region) == expected


async def test_a_producers_retry_with_the_same_id_bumps_once(install: Install) -> None:
    """A retry is known by the event's id, wherever it lies in the log."""
    installation = await install()
    installation.add_region("eu")
    installation.add_authority()
    await installation.ready()
    published, expected = logouts(200, USERS, seed=8)
    retried = [event for event in published for _ in range(3)]
    receipts = await installation.publish(*retried)
    await installation.applied(receipts)
    assert await versions(installation, "eu") == expected
