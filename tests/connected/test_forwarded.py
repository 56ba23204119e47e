"""Events in partitions that are not their targets', with real servers.

Siblings: `stations/test_forwarded_laws.py`, with many more mixtures in one process, and
the tests of guarantees, for kills.
"""

import asyncio
import random
import time

import pytest
from aiokafka import TopicPartition

from revocation.entries import Kind, Status, Target
from revocation.events import Event, UserDisabled, UserEnabled, UsersRevoked
from revocation.kafka.clients import new_consumer
from revocation.settings import KafkaSettings, LimitSettings
from tests.installation import Install, Installation, eventually, flush
from tests.misplaced import elsewhere, home, publish_at, records_in, user_at
from tests.stations.mixtures import Published, expected, happened, where
from tests.traffic import ISSUER, SOURCE, claims, logged_out, user

pytestmark = [pytest.mark.connected, pytest.mark.timeout(240)]

PARTITIONS = 4
CLOCK_ALLOWANCE_SECONDS = LimitSettings().clock_allowance_seconds


async def running(install: Install, **authority: str) -> Installation:
    """Return an installation with a region and an authority."""
    installation = await install()
    installation.add_region("eu")
    installation.add_authority(**authority)
    await installation.ready()
    return installation


# Event times --------------------------------------------------------------------------


async def logged_in_since(install: Install, **authority: str) -> list[bool]:
    """Stop the authority, revoke users in bulk, log one in again, continue.

    Returns whether two tokens from after the event pass: one states the version that
    the event leads to, the other none. A token from before must not pass.
    """
    installation = await running(install, **authority)
    station = installation.stations["authority"]
    here, there = user_at(0, PARTITIONS), user_at(1, PARTITIONS)
    bulk = UsersRevoked.new(source=SOURCE, issuer=ISSUER, users=[here, there])
    async with installation.verifier("eu") as verifier:
        station.pause()
        receipts = await publish_at(installation, [(bulk, 0)])
        revoked_at = time.time()
        # A cut-off reaches tokens dated up to the clock allowance after it.
        await asyncio.sleep(CLOCK_ALLOWANCE_SECONDS + 1.2)  # `iat` has whole seconds
        issued = int(time.time())
        assert issued > revoked_at + CLOCK_ALLOWANCE_SECONDS
        await asyncio.sleep(2.0)
        station.resume()
        await installation.applied(receipts)
        old = claims(there, now=int(revoked_at), age=60)
        await eventually(lambda: not verifier.check(old))
        return [
            verifier.check(claims(there, now=issued, age=0, **version)).active
            for version in ({"ver": 1}, {})
        ]


async def test_an_event_dated_when_it_is_forwarded_rejects_later_tokens(
    install: Install,
) -> None:
    """Without the protection, a user who logged in meanwhile is logged out again."""
    _, without_version = await logged_in_since(
        install, unprotected="date_when_forwarded"
    )
    assert not without_version


async def test_a_forwarded_event_rejects_no_later_login(
    install: Install,
) -> None:
    assert await logged_in_since(install) == [True, True]


# Deduplication ------------------------------------------------------------------------


async def test_a_new_twin_forwards_and_parks_nothing_again(install: Install) -> None:
    """Else an alarm on dead letters would go off at every start of a twin."""
    installation = await running(install)
    events = [logged_out(f"user-{number}") for number in range(60)]
    placed = [(event, elsewhere(event, PARTITIONS)) for event in events]
    rubbish = [(b"not json", number % PARTITIONS) for number in range(40)]
    await installation.applied(await publish_at(installation, [*placed, *rubbish]))
    assert await records_in(installation, "dead_letters") == len(rubbish)
    before = await records_in(installation, "forwarded")
    assert before == len(placed)

    installation.add_authority("twin", authority_id="twin")
    await eventually(lambda: any((installation.folder / "twin").rglob("ledger-*.db")))
    installation.stations["authority"].kill()
    receipts = await installation.publish(*events)
    await installation.applied(receipts)
    assert await records_in(installation, "dead_letters") == len(rubbish)
    assert await records_in(installation, "forwarded") == before
    answer = await installation.find("eu", *[user(each.data.user) for each in events])
    assert {entry.version for entry in answer.found.values()} == {1}


async def test_records_written_while_a_group_was_down_are_not_skipped(
    install: Install,
) -> None:
    """Its twin concluded on most of it, and it starts behind that, without data."""
    installation = await running(install)
    installation.add_authority("twin", authority_id="twin")
    names = [f"user-{number}" for number in range(40)]
    for part in range(3):
        written = [logged_out(name) for name in names]
        placed = [(event, (home(event, 4) + part) % 4) for event in written]
        receipts = await publish_at(installation, placed)
        if part == 0:
            await installation.applied(receipts)
            installation.stations["authority"].kill()
        if part == 1:
            await installation.applied(receipts)
            installation.stations["twin"].kill()
    data = installation.folder / "authority"
    data.rename(installation.folder / "lost")
    installation.stations["authority"].start()
    await installation.applied(receipts, within=60)
    answer = await installation.find("eu", *map(user, names))
    assert [answer.found[user(name)].version for name in names] == [3] * len(names)


async def test_a_repeated_disabling_is_recognised_despite_twins(
    install: Install,
) -> None:
    """Copies evict none of the user's events from the ledger's memory."""
    installation = await running(install)
    disabled = UserDisabled.new(source=SOURCE, issuer=ISSUER, user="mallory")
    enabled = UserEnabled.new(source=SOURCE, issuer=ISSUER, user="mallory")
    away = elsewhere(disabled, PARTITIONS)
    before = [(logged_out("mallory"), away) for _ in range(20)]
    for number in range(2):
        installation.add_authority(f"twin-{number}", authority_id=f"twin-{number}")
    placements = [*before, (disabled, away), (enabled, away), (disabled, away)]
    await installation.applied(await publish_at(installation, placements))
    await installation.applied(await installation.publish(logged_out("probe")))
    entry = (await installation.find("eu", user("mallory"))).found[user("mallory")]
    assert (entry.status, entry.version) == (Status.ACTIVE, 21)


async def test_a_producer_cannot_forge_the_origin_of_an_event(
    install: Install,
) -> None:
    """Whatever origin it claims, later events of that partition are not repetitions."""
    installation = await running(install)
    for partition in range(PARTITIONS):
        name = user_at((partition + 1) % PARTITIONS, PARTITIONS)
        forged = [("forwarded-from", b"%d-%d-%d" % (partition, 10**9, 10**12))]
        receipts = []
        for headers in (forged, ()):
            placements = [(logged_out(name), at) for at in range(PARTITIONS)]
            receipts += await publish_at(installation, placements, headers=headers)
        await installation.applied(receipts)
        answer = await installation.find("eu", user(name))
        assert answer.found[user(name)].version == 2 * PARTITIONS


# Mixtures -----------------------------------------------------------------------------


async def times_of(installation: Installation) -> dict[tuple[int, int], int]:
    """Return the broker time of each record of the events topic."""
    settings = KafkaSettings(**installation._typed())
    consumer = new_consumer(settings, client_id="tests")
    await consumer.start()
    topic = settings.topics.events
    consumer.assign([TopicPartition(topic, n) for n in range(settings.partitions)])
    ends = await consumer.end_offsets(consumer.assignment())
    times: dict[tuple[int, int], int] = {}
    while any([await consumer.position(tp) < end for tp, end in ends.items()]):
        for tp, records in (await consumer.getmany(timeout_ms=500)).items():
            times |= {(tp.partition, each.offset): each.timestamp for each in records}
    await consumer.stop()
    return times


async def disturb(installation: Installation, rng: random.Random, step: int) -> None:
    """Disturb an authority, or start another."""
    one, two = (installation.stations[name] for name in ("authority", "twin"))
    match step:
        case 1:
            two.pause()
        case 2:
            one.kill()
            if rng.random() < 0.5:
                (installation.folder / "authority").rename(installation.folder / "lost")
            one.start()
        case 3:
            two.resume()
            installation.add_authority("fresh", authority_id="fresh")
        case 4:
            rng.choice([one, two]).kill()


@pytest.mark.parametrize("seed", range(3))
async def test_each_event_of_a_mixture_counts_once(install: Install, seed: int) -> None:
    """The same holds in a rebuilt region."""
    rng = random.Random(seed)
    installation = await running(install)
    installation.add_authority("twin", authority_id="twin")
    placements: list[tuple[Event, int]] = []
    receipts = []
    for step in range(5):
        await disturb(installation, rng, step)
        for _ in range(6):
            now = time.time_ns() // 1_000_000
            some = [happened(rng, now) for _ in range(5)]
            placed = [(each, where(rng, home(each, PARTITIONS))) for each in some]
            receipts += await publish_at(installation, placed)
            placements += placed
    await installation.applied(receipts, within=90)
    times = await times_of(installation)
    published = [
        Published(event, at, receipt.offset, times[at, receipt.offset])
        for (event, at), receipt in zip(placements, receipts, strict=True)
    ]
    model = expected(published)
    users = {name: Target(Kind.USER, STATED, name) for name in model}
    for rebuilt in (False, True):
        if rebuilt:
            await flush(installation.stores["eu"])
            await installation.ready()
            await installation.applied(receipts, within=60)
        found = (await installation.find("eu", *users.values())).found
        for name, each in model.items():
            entry = found[users[name]]
            known = entry.version, entry.not_before, entry.status
            assert known == (each.version, each.cut_off, each.status), name


STATED = "https://idp.example/eu"
"""The issuer of the mixtures."""
