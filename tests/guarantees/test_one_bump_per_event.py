"""one-bump-per-event: crashes and retries never move a version twice for one event."""

from collections import Counter
from functools import partial

import pytest

from revocation.events import UsersRevoked
from tests.installation import Install, Installation, eventually
from tests.misplaced import misplace, publish_at, user_at
from tests.traffic import ISSUER, SOURCE, chunks, logged_out, logouts, user

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
    """Publish logouts and kill the authority meanwhile; return expected versions."""
    authority = installation.add_authority(unprotected=unprotected)
    await installation.ready()
    published, expected = logouts(count, USERS, seed=7)
    parts = chunks(published, count // (kills + 1))
    receipts = []
    for number, part in enumerate(parts):
        written = await installation.publish(*part)
        if number < kills:
            # In the middle of work: concluded on, and most of it not committed.
            await installation.applied(written[: len(written) // 3])
            authority.kill()
            authority.start()
        receipts += written
    await installation.applied(receipts, within=100)
    return expected


async def test_a_ledger_that_recalls_nothing_bumps_twice(install: Install) -> None:
    """Without the protection, a kill moves versions twice."""
    installation = await install()
    installation.add_region("eu")
    expected = await run_with_kills(
        installation, 12_000, kills=2, unprotected="recall_nothing"
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
    """A retry is recognised by the event's id, wherever it lies in the log."""
    installation = await install()
    installation.add_region("eu")
    installation.add_authority()
    await installation.ready()
    published, expected = logouts(200, USERS, seed=8)
    retried = [event for event in published for _ in range(3)]
    receipts = await installation.publish(*retried)
    await installation.applied(receipts)
    assert await versions(installation, "eu") == expected


# Forwarded events ---------------------------------------------------------------------


async def revoked_in_bulk(install: Install) -> tuple[Installation, str]:
    """Name a user in a bulk event of another partition, then log the user out often.

    Returns the user, now at version 11: more events than the ledger keeps ids of.
    """
    installation = await install()
    installation.add_region("eu")
    installation.add_authority()
    await installation.ready()
    here, there = user_at(0, 4), user_at(1, 4)
    bulk = UsersRevoked.new(source=SOURCE, issuer=ISSUER, users=[here, there])
    await installation.applied(await publish_at(installation, [(bulk, 0)]))
    receipts = await installation.publish(*[logged_out(there) for _ in range(10)])
    await installation.applied(receipts)
    return installation, there


async def version_of(installation: Installation, name: str) -> int:
    """Return the version of a user in the region."""
    answer = await installation.find("eu", user(name))
    return answer.found[user(name)].version


async def twin_catches_up(installation: Installation) -> None:
    """Wait until a twin that starts now has concluded on all that it reads."""
    # It alone is left, so no other worker applies what follows.
    installation.stations["authority"].kill()
    for _ in range(2):  # It concludes afterwards on what it forwards.
        await installation.applied(await installation.publish(logged_out("probe")))


async def test_a_twin_that_recognises_copies_by_id_alone_bumps_twice(
    install: Install,
) -> None:
    """Without the protection, it forwards again what was forwarded long ago."""
    installation, name = await revoked_in_bulk(install)
    installation.add_authority(
        "twin", unprotected="recognise_copies_by_id_only", authority_id="twin"
    )
    await twin_catches_up(installation)
    assert await version_of(installation, name) > 11


async def test_a_twin_that_starts_late_bumps_no_version_again(install: Install) -> None:
    """It forwards nothing again either; a token from before its start passes."""
    installation, name = await revoked_in_bulk(install)
    before = await installation.find("eu", user(name))
    installation.add_authority("twin", authority_id="twin")
    await twin_catches_up(installation)
    after = await installation.find("eu", user(name))
    assert after.found == before.found
    assert after.found[user(name)].version == 11


async def test_kills_while_events_are_forwarded_bump_once_each(
    install: Install,
) -> None:
    """Between forwarding and concluding, before a commit, and with a twin."""
    installation = await install()
    installation.add_region("eu")
    authority = installation.add_authority()
    twin = installation.add_authority("twin", authority_id="twin")
    await installation.ready()
    published, expected = logouts(4_000, USERS, seed=17)
    receipts = []
    for number, part in enumerate(chunks(published, 1_000)):
        receipts += (written := await misplace(installation, part))
        killed = (authority, twin)[number % 2]
        await installation.applied(written[: len(written) // 3])
        killed.kill()
        killed.start()
    await installation.applied(receipts, within=100)
    assert await versions(installation, "eu") == expected
    await eventually(partial(as_expected, installation, expected))


async def as_expected(installation: Installation, expected: Counter[str]) -> bool:
    """Publish more; return whether the versions are as expected."""
    await installation.applied(await installation.publish(logged_out("probe")))
    return await versions(installation, "eu") == expected
