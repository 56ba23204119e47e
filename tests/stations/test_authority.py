"""The order in which the authority sends, acknowledges and commits; without Kafka."""

import asyncio
import contextlib
from types import SimpleNamespace

import pytest
from faust.types import TP

from revocation.authority import faust_app
from revocation.entries import Position
from revocation.events import encode, targets
from revocation.topics import PULSE_KEY
from revocation.updates import Update
from tests.stations.fed import ALICE, ELSEWHERE, HOME, Fed, away_from, user
from tests.unit.histories import user_event
from tests.unit.strategies import NOW


@pytest.fixture
async def fed(authority):
    return Fed(authority)


async def test_a_record_is_acknowledged_when_its_update_is_delivered(fed):
    await fed.take(7, ALICE)
    assert fed.updates[0].source == Position(HOME, 7, NOW + 7)
    assert fed.acknowledged == []
    await fed.deliver()
    assert fed.acknowledged == [(HOME, 7)]


async def test_a_conclusion_is_stored_before_it_is_sent(fed, monkeypatch):
    """So a kill in between leads to the same entry again, not to another."""
    (target,) = targets(ALICE)
    known = []

    async def look(*_):
        known.append(fed.authority._ledger.recall(HOME, target))
        raise asyncio.CancelledError

    monkeypatch.setattr(fed.authority._output, "update", look)
    with contextlib.suppress(asyncio.CancelledError):
        await fed.take(7, ALICE)
    assert known[0].version == 1


async def test_a_pulse_is_forwarded_after_all_records_before_it(fed):
    await fed.take(7, ALICE)
    await fed.pulse(8)
    stated = fed.authority._settings.stated
    pulse = Update(Position(HOME, 8, NOW + 8), stated=stated)
    assert fed.updates[1] == pulse
    await fed.deliver(1, offset=31)
    assert fed.acknowledged == []
    await fed.deliver(0, offset=30)
    assert fed.acknowledged == [(HOME, 7), (HOME, 8)]


async def test_a_delivered_pulse_bounds_the_records_read_after_a_restart(fed):
    fed.authority._ledger.reached(HOME, 29)
    await fed.take(7, ALICE)
    await fed.pulse(8)
    await fed.deliver(0, offset=30)
    assert fed.authority._ledger.holds_until(HOME) == 29
    await fed.deliver(1, offset=31)
    assert fed.authority._ledger.holds_until(HOME) == 31


async def test_updates_of_another_worker_are_read_again(fed):
    """A paused worker has not seen the records written meanwhile."""
    fed.authority._ledger.reached(HOME, 29)
    for offset, place in (8, 30), (9, 40), (10, 41):
        await fed.pulse(offset)
        await fed.deliver(offset - 8, offset=place)
    assert fed.authority._ledger.holds_until(HOME) == 30


async def test_a_misplaced_record_is_named_by_the_next_update(fed):
    """The update waits until the forwarded record is acknowledged."""
    await fed.take(7, ALICE, partition=ELSEWHERE)
    pulse = fed.begin(8, b"{}", partition=ELSEWHERE, key=PULSE_KEY)
    await fed.hand_over()
    assert fed.updates == []
    (forwarded,) = fed.sent_to("forwarded")
    assert (forwarded.partition, forwarded.value) == (HOME, encode(ALICE))
    await fed.deliver(offset=55)
    await pulse
    (update,) = fed.updates
    assert update.awaits == ((HOME, 55),)
    assert fed.acknowledged == []
    await fed.deliver()
    assert fed.acknowledged == [(ELSEWHERE, 7), (ELSEWHERE, 8)]


async def test_only_the_last_forwarded_position_of_a_partition_is_named(fed):
    for offset in range(3):
        await fed.take(offset, user_event(), partition=ELSEWHERE)
    for number in range(3):
        await fed.deliver(number, offset=50 + number)
    await fed.pulse(3, partition=ELSEWHERE)
    assert fed.updates[0].awaits == ((HOME, 52),)


@pytest.mark.parametrize("value", [None, b"", b"not json"])
async def test_an_unreadable_record_is_parked_before_later_updates(fed, value):
    """With its bytes, headers and position; then the next update follows."""
    await fed.take(7, value, headers=[("mine", b"\xff")])
    (parked,) = fed.sent_to("dead_letters")
    headers = dict(parked.headers)
    assert (parked.key, parked.value) == (b"any", value)
    assert headers["mine"] == b"\xff"
    assert headers["dead-letter-code"] == b"malformed_event"
    assert headers["dead-letter-offset"] == b"7"
    pulse = fed.begin(8, b"{}", key=PULSE_KEY)
    await fed.hand_over()
    assert fed.updates == []
    await fed.deliver()
    await pulse
    assert fed.updates[0].awaits == ()


async def test_an_internal_error_parks_the_record_and_work_continues(fed, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(faust_app, "conclude", fail)
    await fed.take(7, ALICE)
    (parked,) = fed.sent_to("dead_letters")
    assert dict(parked.headers)["dead-letter-code"] == b"revocation_error"


async def test_an_unreadable_ledger_parks_nothing(fed, monkeypatch):
    """A broken disk is no fault of the record: the process exits."""
    gave_up = []

    def leave(what, error):
        gave_up.append(what)
        raise KeyboardInterrupt(what) from error

    monkeypatch.setattr(faust_app, "abort_process", leave)
    monkeypatch.setattr(fed.authority._ledger, "_rows", lambda _: None)
    with pytest.raises(KeyboardInterrupt):
        await fed.take(7, ALICE)
    assert gave_up == ["the ledger cannot be read"]
    assert fed.producer.sent == []


async def test_state_of_a_revoked_partition_is_dropped(fed):
    """Its next owner reads it again from the last commit."""
    await fed.take(7, ALICE, partition=ELSEWHERE)
    revoked = {TP("played.events", ELSEWHERE)}
    await fed.authority._revoked(None, revoked)
    await fed.pulse(8, partition=ELSEWHERE)
    await fed.deliver()
    assert fed.updates[0].awaits == ()
    assert fed.acknowledged == [(ELSEWHERE, 8)]


# Standing entries ---------------------------------------------------------------------


async def refreshed(fed):
    """Refresh for a whole period at once; return the updates sent."""
    before = len(fed.updates)
    fed.authority._reemitter._ticks = 1
    await fed.authority._reemitter._advance(HOME)
    await fed.hand_over()
    return fed.updates[before:]


async def test_a_refreshed_entry_claims_nothing(fed):
    """So it may overtake updates that are still to be emitted."""
    await fed.take(6, user(away_from(HOME)))
    taking = fed.begin(9, ALICE)
    await fed.hand_over()
    entry = fed.authority._ledger.recall(HOME, targets(ALICE)[0])
    assert entry.source.offset == 9
    assert await refreshed(fed) == [Update(entries=(entry,))]
    await fed.deliver(0, offset=56)
    await taking


async def test_no_entry_is_refreshed_before_the_ledger_is_recovered(fed):
    """Records are taken only then."""
    assert fed.authority._recovered() == set()
    fed.authority._require_no_gap(SimpleNamespace(partition=HOME, follows=-1, offset=4))
    assert fed.authority._recovered() == {HOME}
