"""What a watch expects of an authority and a projector, given Kafka and a store.

Sibling: `connected/test_broken_stations.py`, with stations that fail to deliver.
"""

from types import SimpleNamespace

import pytest

from revocation.authority import authority_watch as authority_module
from revocation.authority.authority_watch import AuthorityWatch
from revocation.errors import StoreUnavailableError
from revocation.kafka.clients import LogState
from revocation.projector import projector_watch as projector_module
from revocation.projector.projector_watch import ProjectorWatch
from revocation.settings import AuthoritySettings, ProjectorSettings
from tests.memory_store import MemoryStore
from tests.stations.kafka import FakeProducer
from tests.unit.strategies import LIMITS

NOTHING = {0: -1, 1: -1}


def found(expectations, cause, detail=""):
    (one,) = [
        each for each in expectations if (each.cause, each.detail) == (cause, detail)
    ]
    return one


# A projector --------------------------------------------------------------------------


@pytest.fixture
def projector(tmp_path):
    """A double of a projector with two partitions, and its watch."""
    pepper = tmp_path / "pepper"
    pepper.write_text("p" * 64)
    settings = ProjectorSettings(
        region="eu", store_url="redis://x", pepper_file=pepper, partitions=2
    )
    fake = SimpleNamespace(owned=frozenset({0, 1}), held_back={}, clients={})
    return fake, ProjectorWatch(fake, settings)


def learning(watch, ends, marks):
    return list(watch._learning(LogState(ends, NOTHING), marks))


def test_an_up_to_date_region_may_stand_still(projector):
    _, watch = projector
    expected = learning(watch, {0: 5, 1: 0}, {0: 5, 1: 0})
    assert not any(each.due for each in expected)


def test_a_region_that_is_behind_must_advance(projector):
    _, watch = projector
    before = learning(watch, {0: 5, 1: 7}, {0: 5, 1: 6})
    after = learning(watch, {0: 5, 1: 9}, {0: 5, 1: 7})
    assert found(before, "entries").due
    assert found(before, "entries").value != found(after, "entries").value
    assert found(before, "partition", "1").due
    assert not found(before, "partition", "0").due


def test_a_cold_region_is_behind(projector):
    _, watch = projector
    assert found(learning(watch, {0: 0, 1: 0}, {}), "entries").due


def test_a_record_that_awaits_another_partition_counts_as_read(projector):
    """The authority of the other partition may be down for hours."""
    fake, watch = projector
    fake.held_back = {1: 7}
    assert not found(learning(watch, {0: 5, 1: 7}, {0: 5, 1: 3}), "entries").due


def test_a_member_of_many_is_responsible_for_its_own_partitions(projector):
    fake, watch = projector
    fake.owned = frozenset({0})
    expected = learning(watch, {0: 5, 1: 7}, {0: 5, 1: 3})
    assert not found(expected, "entries").due
    assert found(expected, "partition", "1").due


def test_a_member_without_partitions_is_responsible_for_all(projector):
    """It is a spare, or hangs while it should have some."""
    fake, watch = projector
    fake.owned = frozenset()
    assert found(learning(watch, {0: 5, 1: 7}, {0: 5, 1: 3}), "entries").due


class Refusing(MemoryStore):
    """Answers reads and refuses writes: full, or a replica."""

    async def apply(self, epoch, batch):
        raise StoreUnavailableError("out of memory")


@pytest.mark.parametrize(
    ("log", "store", "answers"),
    [
        (LogState({0: 1, 1: 1}, NOTHING), MemoryStore, True),
        (None, MemoryStore, False),
        (LogState({0: 1, 1: 1}, NOTHING), Refusing, False),
    ],
    ids=["both answer", "kafka is away", "the store takes no writes"],
)
async def test_nothing_is_expected_unless_kafka_and_the_store_work(
    projector, monkeypatch, log, store, answers
):
    _, watch = projector
    known = store(limits=LIMITS, clock=lambda: 0)

    async def ask(*_):
        return log

    monkeypatch.setattr(projector_module, "ask_log", ask)
    kept = SimpleNamespace(from_settings=lambda _: known)
    monkeypatch.setattr(projector_module, "RedisStore", kept)
    expected = await watch.if_answered()
    assert (expected is not None) == answers
    assert not watch.always()[0].due


async def test_a_projector_that_is_to_stop_must_stop(projector):
    _, watch = projector
    watch.is_stopping = True
    assert watch.always()[0].due


# An authority -------------------------------------------------------------------------


@pytest.fixture
def authority(monkeypatch):
    """A double of a worker with two partitions, its watch, and Kafka's answers."""
    log = LogState({0: 5, 1: 7}, {0: 5, 1: 7}, {0: 2, 1: 0})
    fake = SimpleNamespace(
        following_forwarded={0: 2, 1: 0},
        owned=frozenset({0, 1}),
        recovered=(),
        turns={"pulses": 1, "refresh": 1},
        clients={},
        should_stop=False,
    )
    kafka = SimpleNamespace(log=log, producer=FakeProducer(prompt=True))

    async def ask(*_, **__):
        return kafka.log

    monkeypatch.setattr(authority_module, "ask_log", ask)
    new_producer = lambda *_, **__: kafka.producer  # noqa: E731
    monkeypatch.setattr(authority_module, "new_producer", new_producer)
    return fake, AuthorityWatch(fake, AuthoritySettings(partitions=2)), kafka


async def test_events_must_be_committed(authority):
    _, watch, kafka = authority
    assert not found(await watch.if_answered(), "events").due
    kafka.log = LogState({0: 5, 1: 8}, {0: 5, 1: 7})
    before = found(await watch.if_answered(), "events")
    kafka.log = LogState({0: 6, 1: 8}, {0: 5, 1: 8})
    assert before.due
    assert before.value != found(await watch.if_answered(), "events").value


async def test_forwarded_events_must_be_taken(authority):
    fake, watch, kafka = authority
    assert not found(await watch.if_answered(), "forwarded").due
    kafka.log = kafka.log._replace(beside_ends={0: 3, 1: 0})
    before = found(await watch.if_answered(), "forwarded")
    assert before.due
    fake.following_forwarded = {0: 3, 1: 0}
    after = found(await watch.if_answered(), "forwarded")
    assert (after.due, after.value != before.value) == (False, True)


async def test_recovery_of_the_table_is_progress(authority):
    fake, watch, kafka = authority
    kafka.log = LogState({0: 5, 1: 8}, NOTHING)
    before = found(await watch.if_answered(), "events")
    fake.recovered = (1_000,)
    assert before.value != found(await watch.if_answered(), "events").value


async def test_pulses_must_come_in_the_partitions_that_it_owns(authority):
    fake, watch, kafka = authority
    before = found(await watch.if_answered(), "pulses")
    kafka.log = LogState({0: 6, 1: 8}, {0: 6, 1: 8})
    assert before.due
    assert before.value != found(await watch.if_answered(), "pulses").value
    fake.owned = frozenset()
    assert not found(await watch.if_answered(), "pulses").due


async def test_pulses_may_be_as_rare_as_configured(authority):
    fake, _, _ = authority
    settings = AuthoritySettings(partitions=2, pulse_interval_ms=60_000)
    expected = await AuthorityWatch(fake, settings).if_answered()
    assert found(expected, "pulses").seconds > 60
    assert found(expected, "loop", "pulses").seconds > 60


async def test_pulses_of_the_watch_itself_do_not_count(authority):
    _, watch, kafka = authority
    before = found(await watch.if_answered(), "pulses")
    assert await watch.confirm()
    assert len(kafka.producer.sent) == 2
    kafka.log = LogState({0: 6, 1: 8}, {0: 5, 1: 7})
    assert found(await watch.if_answered(), "pulses").value == before.value
    assert kafka.producer.stopped


async def test_a_kafka_that_takes_no_writes_is_no_fault_of_the_worker(authority):
    _, watch, kafka = authority
    kafka.producer.refusal = ConnectionError("not enough replicas")
    assert not await watch.confirm()


async def test_its_loops_must_run(authority):
    fake, watch, _ = authority
    before = await watch.if_answered()
    fake.turns = {"pulses": 2, "refresh": 1}
    after = await watch.if_answered()
    pulses, refresh = (
        found(before, "loop", name) != found(after, "loop", name)
        for name in ("pulses", "refresh")
    )
    assert (pulses, refresh) == (True, False)


async def test_a_stopping_worker_is_only_expected_to_stop(authority):
    fake, watch, kafka = authority
    fake.should_stop = True
    assert await watch.if_answered() is None
    assert watch.always()[0].due
    kafka.log = None
    fake.should_stop = False
    assert await watch.if_answered() is None
