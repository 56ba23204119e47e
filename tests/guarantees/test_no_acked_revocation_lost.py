"""no-acked-revocation-lost: whichever single process or broker is killed."""

import asyncio
import contextlib
import shutil
import time
from collections import Counter

import pytest

from revocation.local import Kafka
from revocation.receipts import Receipt
from revocation.watchdog import EXIT_STALLED
from tests.installation import Install, Installation, Station, eventually
from tests.misplaced import misplace, two_workers
from tests.traffic import chunks, logged_out, logouts, user

pytestmark = [pytest.mark.guarantee, pytest.mark.connected, pytest.mark.timeout(300)]

USERS = 300


async def complete(
    installation: Installation, expected: Counter[str], *, within: float = 60
) -> None:
    """Wait until every region has every user at the model's version."""

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
    """Kill the authority while its outputs are still in memory."""
    authority = installation.add_authority(unprotected=protection)
    await installation.ready()
    published, expected = logouts(300, USERS, seed=11)
    await installation.publish(*published)
    await asyncio.sleep(2.5)  # Taken and, unprotected, committed; not yet sent.
    authority.kill()
    authority.start()
    return expected


async def test_committing_before_delivery_loses_events(install: Install) -> None:
    """Without the protection, the outputs that the killed authority held are lost."""
    installation = await install()
    installation.add_region("eu")
    expected = await kill_with_outputs_unsent(installation, "acknowledge_at_once")

    with pytest.raises(AssertionError):
        await complete(installation, expected, within=12)


async def test_authority_killed_with_outputs_unsent(install: Install) -> None:
    """Records without delivered outputs are not committed, so they are read again."""
    installation = await install()
    installation.add_region("eu")
    expected = await kill_with_outputs_unsent(installation, "delay_outputs")

    await complete(installation, expected)


@pytest.mark.parametrize("wiped", [False, True])
async def test_authority_killed_while_it_forwards(
    install: Install, *, wiped: bool
) -> None:
    """Between forwarding an event and concluding on it, nothing is lost or early."""
    installation = await install()
    installation.add_region("eu")
    authority = installation.add_authority(unprotected="delay_outputs")
    await installation.ready()
    published, expected = logouts(300, USERS, seed=16)
    receipts = await misplace(installation, published)
    for _ in range(2):
        await asyncio.sleep(2.5)  # Taken; what it forwards is not sent, or not taken.
        authority.kill()
        if wiped:
            shutil.rmtree(installation.folder / authority.name)
        authority.start()
    await installation.applied(receipts, within=60)

    await complete(installation, expected, within=1)


async def claimed_early(install: Install, *, unprotected: str | None) -> set[str]:
    """Kill the worker of some partitions, and log users out through others.

    Returns the users whose receipts counted as applied before their entries were.
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


async def test_a_region_that_ignores_forwarding_claims_too_early(
    install: Install,
) -> None:
    """Without the protection, only the partition that holds the record counts."""
    assert await claimed_early(install, unprotected="claim_forwarded_early")


async def test_a_forwarded_event_counts_as_applied_once_it_is_applied(
    install: Install,
) -> None:
    """However long that takes: the worker of the user's partition is dead."""
    assert await claimed_early(install, unprotected=None) == set()


async def recover(
    installation: Installation, protection: str
) -> tuple[Station, list[Receipt], Counter[str]]:
    """Have an authority recover without its disk while records wait for it."""
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
    """Without the protections, receipts count as applied although events are lost."""
    installation = await install()
    installation.add_region("eu")
    _, receipts, expected = await recover(installation, "read_before_seeking_unnoticed")
    await installation.applied(receipts)

    with pytest.raises(AssertionError):
        await complete(installation, expected, within=1)


async def test_authority_recovers_while_events_wait(install: Install) -> None:
    """It reads nothing between its seek and the moment when it starts to take."""
    installation = await install()
    installation.add_region("eu")
    _, receipts, expected = await recover(installation, "linger_after_seeking")
    await installation.applied(receipts)

    await complete(installation, expected, within=1)


async def test_an_authority_that_misses_a_record_exits(install: Install) -> None:
    """Before it commits any later record, so the next process reads it again."""
    installation = await install()
    installation.add_region("eu")
    authority, _, expected = await recover(installation, "read_before_seeking")
    await eventually(lambda: authority.exit_code == 70)
    installation.add_authority()

    await complete(installation, expected)


async def test_projector_killed_under_load(install: Install) -> None:
    """It continues from the marks in its store."""
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


async def test_broker_killed_under_load_and_restarted_after_ten_seconds(
    own_kafka: Kafka, install: Install
) -> None:
    """Every station recovers, and nothing acknowledged is missing.

    Now and then a client's task has ended by a fault of aiokafka
    (docs/upstream/aiokafka-runtime-error.md). The watchdog then ends the station with
    75, and a supervisor starts it again, as every operator's must.
    """
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
    supervising = asyncio.create_task(restart_stalled(installation))
    await installation.publish(*parts[3])

    await complete(installation, expected, within=90)
    supervising.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await supervising
    exit_codes = [station.exit_code for station in installation.stations.values()]
    assert exit_codes == [None] * 3


async def restart_stalled(installation: Installation) -> None:
    """Start each station again, once, whose client lost a task; no other."""
    restarted: set[str] = set()
    while True:
        for name, station in installation.stations.items():
            if station.exit_code == EXIT_STALLED:
                assert '"cause": "task ' in station.log_text
                assert name not in restarted
                restarted.add(name)
                station.start()
        await asyncio.sleep(0.1)
