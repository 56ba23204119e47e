"""How the authority handles forwarded records. Sibling: test_authority.py."""

import asyncio
from unittest.mock import AsyncMock

import pytest
from faust.types import TP

from revocation.entries import Position
from revocation.events import targets
from revocation.updates import NOWHERE, Update
from tests.stations.fed import ALICE, ELSEWHERE, HOME, Fed, away_from, user
from tests.stations.test_consumer import FakeStream
from tests.unit.histories import user_event
from tests.unit.strategies import NOW


@pytest.fixture
async def fed(authority):
    return Fed(authority)


ORIGIN = Position(ELSEWHERE, 41, NOW - 9_000)


async def test_a_forwarded_record_is_concluded_at_once_and_for_its_own_time(fed):
    await fed.take_forwarded(7, ALICE, ORIGIN)
    (update,) = fed.updates
    (entry,) = update.entries
    assert (entry.source, entry.not_before) == (ORIGIN, ORIGIN.time)
    assert (update.source, update.forwarded) == (NOWHERE, 7)


async def test_a_pulse_states_the_position_in_the_forwarded_topic(fed):
    """Also when no more records are forwarded, and after a restart."""
    await fed.pulse(1)
    fed.authority._ledger.note_concluded(ELSEWHERE, [Update(forwarded=30)])
    fed.authority._read_forwarded(ELSEWHERE)
    await fed.take_forwarded(7, ALICE, ORIGIN)
    await fed.pulse(2)
    await fed.pulse(1, partition=ELSEWHERE)
    assert [update.forwarded for update in fed.updates] == [-1, 7, 7, 30]


async def test_a_forwarded_record_does_not_wait_for_the_events_before_it(fed):
    """It claims nothing about them."""
    await fed.take(6, user(away_from(HOME)))
    await fed.take_forwarded(7, ALICE, ORIGIN)
    (update,) = fed.updates
    assert (update.source, update.awaits) == (NOWHERE, ())


@pytest.mark.parametrize("value", [b"", b"not json"])
async def test_an_unreadable_forwarded_record_is_claimed_once_parked(fed, value):
    taking = asyncio.create_task(fed.take_forwarded(7, value, ORIGIN))
    await fed.hand_over()
    (parked,) = fed.sent_to("dead_letters")
    assert dict(parked.headers)["dead-letter-topic"] == b"played.forwarded"
    assert fed.updates == []
    await fed.deliver()
    await taking
    assert fed.updates == [Update(forwarded=7)]


async def test_a_forwarded_record_without_an_origin_is_parked(fed):
    """A forged origin would make genuine events look like repetitions."""
    taking = asyncio.create_task(fed.take_forwarded(7, ALICE, (HOME, 41, NOW)))
    await fed.hand_over()
    (parked,) = fed.sent_to("dead_letters")
    assert dict(parked.headers)["dead-letter-code"] == b"malformed_forwarded"
    await fed.deliver()
    await taking


async def test_a_twins_copy_is_recognised_however_many_events_followed(fed):
    await fed.take_forwarded(7, ALICE, ORIGIN)
    for offset in range(20):
        await fed.take(offset, user_event())
    before = fed.authority._ledger.recall(HOME, targets(ALICE)[0])
    await fed.take_forwarded(8, ALICE, ORIGIN)
    assert fed.authority._ledger.recall(HOME, targets(ALICE)[0]) == before
    assert before.version == 21


async def test_forwarded_records_are_read_once_the_ledger_is_recovered(fed):
    """Reading starts with the first event taken, after the last conclusion."""
    authority = fed.authority
    authority._ledger.note_concluded(HOME, [Update(forwarded=30)])
    message = fed.record(4, b"")
    message.follows = -1
    fed.authority._take = AsyncMock()
    assert authority._forwarded_reader._reading == {}
    await authority._consume(FakeStream([message]))
    assert authority._forwarded_reader._reading[HOME].following == 31
    await authority._revoked(None, {TP("played.events", HOME)})
    assert authority._forwarded_reader._reading == {}
