"""no-acked-revocation-lost: whatever single process or broker is killed."""

import asyncio
import shutil
import time
from collections import Counter

import pytest

from revocation.local import Kafka
from revocation.receipts import Receipt
from tests.installation import Install, Installation, Station, eventually
from tests.misplaced import misplace, two_workers
from tests.traffic import chunks, logged_out, logouts, user

pytestmark = [pytest.mark.guarantee, pytest.mark.connected, pytest.mark.timeout(300)]

USERS = 300


async def complete(
    installation: Installation, expected: Counter[str], *, within: float = 60
) -> None:
    """Wait until every region has every user at the version that the model says."""

    async def as_expected() -> bool:
        for region in installation.stores:
            answer = await installation.find(region, *map(user, expected))
            versions = {
                target.id: entry.version for target, entry in answer.found.items()
            }
            if versions != expected:
                return False
        return True

    await eventually(as_expected, within=within, pause=0.3)


async def kill_with_outputs_unsent(
    installation: Installation, protection: str
) -> Counter[str]:
    """Kill the authority while what it took is still in its memory."""
    authority = installation.add_authority(unprotected=protection)
    await installation.ready()
    published, expected = logouts(300, USERS, seed=11)
    await installation.publish(*published)
    await asyncio.sleep(2.5)  # taken and, unprotected, committed; not yet sent
    authority.kill()
    authority.start()
    return expected


async def test_committing_before_delivery_loses_events(install: Install) -> None:
    """With the protection off, what the killed authority held is gone."""
    installation = await install()
    installation.add_region("eu")
    expected = await kill_with_outputs_unsent(installation, "acknowledge_at_once")

    with pytest.raises(AssertionError):
        await complete(installation, expected, within=12)


async def test_authority_killed_with_outputs_unsent(install: Install) -> None:
    """What was not delivered was not committed, and is concluded on again."""
    installation = await install()
    installation.add_region("eu")
    expected = await kill_with_outputs_unsent(installation, "keep_outputs_back")

    await complete(installation, expected)


@pytest.mark.parametrize("wiped", [False, True])
async def test_authority_killed_while_it_forwards(
    install: Install, *, wiped: bool
) -> None:
    """Between forwarding an event and concluding on it, nothing is lost, nor early."""
    installation = await install()
    installation.add_region("eu")
    authority = installation.add_authority(unprotected="keep_outputs_back")
    await installation.ready()
    published, expected = logouts(300, USERS, seed=16)
    receipts = await misplace(installation, published)
    for _ in range(2):
        await asyncio.sleep(2.5)  # taken; what it forwards is not sent, or not taken
        authority.kill()
        if wiped:
            shutil.rmtree(installation.folder / authority.name)
        authority.start()
    await installation.applied(receipts, within=60)

    await complete(installation, expected, within=1)


async def claimed_early(install: Install, *, unprotected: str | None) -> set[str]:
    """Kill the worker of some partitions, log users out from others.

    Returns those users whose receipts counted as applied before they were known.
    """
    installation = await install()
    installation.add_region("eu", unprotected=unprotected)
    other = await two_workers(installation)
    other.kill()
    published = [logged_out(f"late-{number}") for number in range(40)]
    receipts = await misplace(installation, published)
    early: set[str] = set()
    deadline = time.monotonic() + 4
    while time.monotonic() < deadline:
        async with installation.reader("eu") as reader:
            region = await reader.region()
            found = (await reader.find([user(e.data.user) for e in published])).found
        early |= {
            event.data.user
            for event, receipt in zip(published, receipts, strict=True)
            if receipt.applied_in(region) and user(event.data.user) not in found
        }
        await asyncio.sleep(0.05)
    other.start()
    await complete(installation, Counter(e.data.user for e in published))
    return early


async def test_a_region_that_does_not_await_what_was_forwarded_claims_too_early(
    install: Install,
) -> None:
    """With the protection off, the partition that the record lies in is enough."""
    assert await claimed_early(install, unprotected="claim_what_was_forwarded")


async def test_a_forwarded_event_counts_as_applied_when_it_is_there(
    install: Install,
) -> None:
    """However long that takes: the worker of its user's partition is dead."""
    assert await claimed_early(install, unprotected=None) == set()


async def recover(
    installation: Installation, protection: str
) -> tuple[Station, list[Receipt], Counter[str]]:
    """Have an authority without its disk recover while records wait for it."""
    authority = installation.add_authority(unprotected=protection)
    await installation.ready()
    first, before = logouts(100, USERS, seed=14)
    await installation.applied(await installation.publish(*first))
    authority.kill()
    shutil.rmtree(installation.folder / authority.name)
    second, after = logouts(100, USERS, seed=15)
    receipts = await installation.publish(*second)
    authority.start()
    return authority, receipts, before + after


async def test_reading_before_seeking_loses_events(install: Install) -> None:
    """With the protections off, receipts count as applied and are not."""
    installation = await install()
    installation.add_region("eu")
    _, receipts, expected = await recover(installation, "read_before_seeking_unnoticed")
    await installation.applied(receipts)

    with pytest.raises(AssertionError):
        await complete(installation, expected, within=1)


async def test_authority_recovers_while_events_wait(install: Install) -> None:
    """It reads nothing between its seek and the moment from which it takes."""
    installation = await install()
    installation.add_region("eu")
    _, receipts, expected = await recover(installation, "linger_after_seeking")
    await installation.applied(receipts)

    await complete(installation, expected, within=1)


async def test_authority_that_misses_a_record_ends(install: Install) -> None:
    """Before anything behind it is committed: the next to start reads it again."""
    installation = await install()
    installation.add_region("eu")
    authority, _, expected = await recover(installation, "read_before_seeking")
    await eventually(lambda: authority.exit_code == 70)
    installation.add_authority()

    await complete(installation, expected)


async def test_projector_killed_under_load(install: Install) -> None:
    """It reads on from the marks in its store."""
    installation = await install()
    projector = installation.add_region("eu")
    installation.add_authority()
    await installation.ready()
    published, expected = logouts(3_000, USERS, seed=12)
    for part in chunks(published, 1_000):
        publishing = asyncio.create_task(installation.publish(*part))
        await asyncio.sleep(0.3)
        projector.kill()
        projector.start()
        await publishing

    await complete(installation, expected)


async def test_broker_killed_under_load_and_back_after_ten_seconds(
    own_kafka: Kafka, install: Install
) -> None:
    """Every station recovers by itself, and nothing acknowledged is missing."""
    installation = await install(bootstrap_servers=own_kafka.bootstrap_servers)
    for region in ("eu", "us"):
        installation.add_region(region)
    installation.add_authority()
    await installation.ready()
    published, expected = logouts(4_000, USERS, seed=13)
    parts = chunks(published, 1_000)
    await installation.publish(*parts[0])
    publishing = asyncio.create_task(installation.publish(*parts[1], *parts[2]))
    await asyncio.sleep(0.2)
    own_kafka.kill()
    await asyncio.sleep(10)
    await asyncio.to_thread(own_kafka.launch)
    await publishing
    await installation.publish(*parts[3])

    await complete(installation, expected, within=90)
    exit_codes = [station.exit_code for station in installation.stations.values()]
    assert exit_codes == [None] * 3
