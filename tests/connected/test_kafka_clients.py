"""The tasks of aiokafka's clients that the watchdog supervises, on a real broker.

Sibling: `test_broken_stations.py`, where it ends stations.
"""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator
from itertools import product

import pytest
from aiokafka import TopicPartition

from revocation import metrics, publisher as publisher_module, watchdog
from revocation.errors import PublishError
from revocation.events import UserLoggedOut
from revocation.kafka import clients as module
from revocation.kafka.clients import ask_log, ended_tasks, metadata_wait
from revocation.local import Kafka
from revocation.local.process import free_ports
from revocation.publisher import Publisher
from revocation.settings import KafkaSettings
from tests.installation import Install, Installation, eventually
from tests.structure.sources import ROOT

pytestmark = pytest.mark.connected

CONSUMER = {"metadata", "fetcher", "coordinator", "heartbeat", "commit refresh"}
PRODUCER = {"metadata", "sender"}
REPORT = ROOT / "docs" / "upstream" / "aiokafka_runtime_error.py"


@pytest.fixture
async def installation(install: Install) -> Installation:
    return await install()


@pytest.fixture
def settings(installation) -> KafkaSettings:
    return installation.publisher()._settings


def event(user: str = "alice") -> UserLoggedOut:
    return UserLoggedOut.new(source="/idp", issuer="https://idp.example/", user=user)


@contextlib.asynccontextmanager
async def client(settings: KafkaSettings, kind: str) -> AsyncIterator[object]:
    if kind == "producer":
        made = module.new_producer(settings, client_id="test")
    else:
        topic = settings.topics.events
        made = module.new_consumer(settings, topic, client_id="test", group_id="test")
    await made.start()
    try:
        yield made
    finally:
        with contextlib.suppress(*module.FAILURES, asyncio.CancelledError):
            await made.stop()
        await module._client_of(made).close()


# Background tasks ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "names"), [("consumer", CONSUMER), ("producer", PRODUCER)]
)
async def test_every_background_task_of_a_client_is_known(settings, kind, names):
    """A comparison with the tasks in the loop shows that aiokafka has no others."""
    before = asyncio.all_tasks()
    async with client(settings, kind) as made:
        known = dict(module._tasks(made))
        assert known.keys() == names
        assert all(not task.done() for task in known.values())
        assert ended_tasks(made) == []
        started = asyncio.all_tasks() - before - set(known.values())
    running = {task.get_coro().__qualname__ for task in started}
    assert running <= {
        "AIOKafkaConnection._read",  # ends with its connection, which is replaced
        "Fetcher._proc_fetch_request",  # awaited by the fetcher
        "Event.wait",  # awaited by the commit refresh
    }


async def test_a_task_that_ended_is_noticed(settings):
    """Each task in turn, of a fresh client."""
    ends = [*product(["consumer"], CONSUMER), *product(["producer"], PRODUCER)]
    for kind, name in ends:
        async with client(settings, kind) as made:
            task = dict(module._tasks(made))[name]
            task.cancel()
            await asyncio.wait({task})
            assert name in ended_tasks(made)


async def test_a_metadata_update_that_hangs_is_noticed(settings):
    async with client(settings, "producer") as made:
        assert metadata_wait(made) is None
        made.client._sync_task.cancel()
        made.client.force_metadata_update()
        waited_for = metadata_wait(made)
        assert waited_for is not None
        await asyncio.sleep(0.1)
        assert metadata_wait(made) is waited_for


# Log positions ------------------------------------------------------------------------


async def test_log_positions_come_over_a_connection_of_its_own(installation, settings):
    (receipt,) = await installation.publish(event())
    at = receipt.partition
    topic = settings.topics.events
    state = await ask_log(settings, topic, "somebody")
    assert state.ends == {each: int(each == at) for each in range(4)}
    assert state.committed == dict.fromkeys(range(4), -1)
    async with client(settings, "consumer") as made:
        await made.commit({TopicPartition(topic, at): 1})
    committed = (await ask_log(settings, topic, "test")).committed
    assert committed == {each: 1 if each == at else -1 for each in range(4)}


async def test_an_unreachable_broker_gives_no_positions(settings):
    (port,) = free_ports(1)
    away = settings.model_copy(update={"bootstrap_servers": f"127.0.0.1:{port}"})
    assert await ask_log(away, settings.topics.events, "somebody") is None


# A publisher --------------------------------------------------------------------------


@pytest.fixture
def _impatient(monkeypatch):
    monkeypatch.setattr(publisher_module, "INTERVAL_SECONDS", 0.05)
    monkeypatch.setattr(publisher_module, "_STALL_SECONDS", 0.5)
    monkeypatch.setattr(watchdog, "TASK_SECONDS", 0.1)
    monkeypatch.setattr(module, "_ASK_SECONDS", 1.0)


def _hang(publisher: Publisher, name: str) -> None:
    """Replace a task with one that does nothing."""
    producer = publisher._producer
    if name == "sender":
        owner, attribute = producer._sender, "_sender_task"
    else:
        owner, attribute = producer.client, "_sync_task"
    getattr(owner, attribute).cancel()
    setattr(owner, attribute, asyncio.ensure_future(asyncio.Event().wait()))


def _kill(publisher: Publisher, name: str) -> None:
    dict(module._tasks(publisher._producer))[name].cancel()


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize(
    ("harm", "name"),
    [(_kill, "sender"), (_kill, "metadata"), (_hang, "sender")],
    ids=["no sender", "no metadata", "sender hangs"],
)
async def test_a_publisher_replaces_a_producer_that_does_not_work(
    installation, settings, harm, name
):
    """Acknowledged events stay so, and all others are reported as errors."""
    before = metrics.STALLS.labels("publisher")._value.get()
    async with installation.publisher() as publisher:
        first = await publisher.publish(event())
        broken = publisher._producer
        harm(publisher, name)
        with contextlib.suppress(PublishError):
            first += await asyncio.wait_for(publisher.publish(event("bob")), 15)
        await eventually(lambda: publisher._producer is not broken)
        first += await publisher.publish(event("carol"))
    state = await ask_log(settings, settings.topics.events)
    assert sum(state.ends.values()) == len(first)
    assert metrics.STALLS.labels("publisher")._value.get() == before + 1


# The report ---------------------------------------------------------------------------


def test_the_reported_aiokafka_bug_still_exists(kafka: Kafka):
    """Once it is fixed upstream, this fails, and the report can be deleted."""
    done = subprocess.run(
        [sys.executable, REPORT, kafka.bootstrap_servers],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    plain, uvloop = "asyncio.unix_events", "uvloop"
    lines = done.stdout.splitlines()
    assert lines[0] == f"{plain}: a write after a reset raises nothing"
    assert lines[2].startswith(f"{uvloop}: a write after a reset raises RuntimeError(")
    for loop, line in ((plain, lines[1]), (uvloop, lines[3])):
        assert line == f"{loop}: after such an error there is no metadata any more"
