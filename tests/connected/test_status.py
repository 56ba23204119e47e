"""`revocation status` while parts of a real installation are dead, paused or gone.

Sibling: `tests/unit/test_status.py`, the rules; `docs/status.md` shows the output.
"""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from revocation.kafka.clients import new_producer
from revocation.local import Kafka
from revocation.settings import KafkaSettings
from tests.connected.typed import NOWHERE, Done, typed
from tests.installation import Installation, eventually
from tests.servers import freeze
from tests.traffic import logged_out

pytestmark = [pytest.mark.connected, pytest.mark.timeout(120)]

BOUND = {"write_max_staleness_ms": "2000"}
"""Tighter than the default, so that tests take less time."""
MAX_SECONDS = 10.0
"""The bound of a command without answers: 5 s, plus a start on a busy machine."""


class Careless(Kafka):
    """A broker that creates any requested topic, as Kafka does by default."""

    def prepare(self) -> None:
        super().prepare()
        text = self._settings.read_text()
        name = "auto.create.topics.enable"
        assert f"{name}=false" in text
        self._settings.write_text(text.replace(f"{name}=false", f"{name}=true"))


@pytest.fixture(scope="module")
def careless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Careless]:
    with Careless(tmp_path_factory.mktemp("careless") / "kafka") as broker:
        yield broker


@pytest.fixture(scope="module")
def running(
    careless: Kafka, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """Start an authority and two regions; each test restores them."""
    folder = tmp_path_factory.mktemp("status")
    installation = Installation(folder, careless.bootstrap_servers, partitions=4)
    asyncio.run(installation.create_topics())
    installation.add_region("eu")
    installation.add_region("us")
    installation.add_authority()
    asyncio.run(installation.ready())
    yield installation
    installation.stop()


@pytest.fixture
async def admin(careless: Kafka) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=careless.bootstrap_servers)
    await client.start()
    yield client
    await client.close()


def asked(installation: Installation, *words: str, **more: str) -> Done:
    """Run `status`, and check that it stays within its bound."""
    began = time.perf_counter()
    done = typed(installation, "status", *words, **{**BOUND, **more})
    assert time.perf_counter() - began < MAX_SECONDS
    assert done.err == ""
    return done


async def becomes(
    installation: Installation, suits: Callable[[Any], bool], **more: str
) -> tuple[int, Any]:
    """Run `status` until the report is suitable; return exit code and report."""
    latest: list[Done] = []

    async def suitable() -> bool:
        done = await asyncio.to_thread(asked, installation, "--json", **more)
        latest[:] = [done]
        return suits(done.json)

    try:
        await eventually(suitable, within=40)
    except AssertionError as error:
        raise AssertionError(latest) from error
    return latest[0].code, latest[0].json


def is_well(report: Any) -> bool:
    return bool(report["ok"])


def all_stale(report: Any) -> bool:
    parts = (report["authority"], *report["regions"].values())
    return all(part["state"] == "stale" for part in parts)


def problems(report: Any, name: str) -> str:
    part = report["authority"] if name == "authority" else report["regions"][name]
    return " ".join(part["problems"])


async def test_all_is_healthy(running: Installation) -> None:
    code, report = await becomes(running, is_well)
    assert code == 0
    assert report["authority"]["state"] == "ready"
    assert 0 <= report["authority"]["silent_ms"] < 2_000
    assert report["authority"]["events_backlog"] < 100
    for region in report["regions"].values():
        assert region["ready"]
        assert region["staleness_ms"] <= 2_000
        assert region["partitions_rebuilt"] == len(region["partitions"]) == 4
        assert region["lag_records"] < 100
    shown = asked(running)
    for words in ("authority", "eu", "us", " s ago", "The tightest bound is 2 s"):
        assert words in shown.out


async def test_the_authority_is_dead_and_events_wait(running: Installation) -> None:
    """Neither a region nor the exit code may look healthy."""
    await becomes(running, is_well)
    authority = running.stations["authority"]
    authority.kill()
    try:
        await running.publish(*(logged_out(f"waits-{n}") for n in range(500)))
        code, report = await becomes(running, all_stale)
        shown = asked(running)
    finally:
        authority.start()
    assert (code, shown.code) == (3, 3)
    assert report["authority"]["state"] == "stale"
    assert 500 <= report["authority"]["events_backlog"] < 600
    assert "concluded nothing for " in problems(report, "authority")
    for name, region in report["regions"].items():
        assert region["state"] == "stale"
        assert region["staleness_ms"] > 2_000
        assert region["events_backlog"] == report["authority"]["events_backlog"]
        assert region["lag_records"] == 0
        assert "waits for the authority" in problems(report, name)
    assert "revocation authority" in shown.out
    code, report = await becomes(running, is_well)
    assert code == 0
    assert report["authority"]["events_backlog"] < 100


async def test_a_projector_is_paused(running: Installation) -> None:
    """Its own region is behind its bound; the other one is not."""
    await becomes(running, is_well)
    running.stations["projector-us"].pause()
    try:
        code, report = await becomes(
            running, lambda each: each["regions"]["us"]["state"] == "stale"
        )
    finally:
        running.stations["projector-us"].resume()
    us = report["regions"]["us"]
    assert code == 3
    assert us["ready"]
    assert us["lag_records"] > 0
    assert us["events_backlog"] > 0
    assert "revocation projector --region us" in problems(report, "us")
    assert report["regions"]["eu"]["problems"] == report["authority"]["problems"] == []
    await becomes(running, is_well)


async def test_stores_are_unreachable_empty_or_hang(
    running: Installation, tmp_path: Path
) -> None:
    """The reachable region is still shown, and so is the authority."""
    await becomes(running, is_well)
    empty = running.stores["eu"].start(tmp_path / "empty")
    hung = running.stores["eu"].start(tmp_path / "hung")
    hung.pause()
    regions = {
        "eu": running.stores["eu"].url,
        "empty": empty.url,
        "hung": hung.url,
        "mars": f"redis://{NOWHERE}",
    }
    try:
        code, report = await becomes(
            running,
            lambda each: not each["regions"]["eu"]["problems"],
            regions=json.dumps(regions),
        )
        shown = asked(running, regions=json.dumps(regions))
    finally:
        empty.stop()
        hung.stop()
    states = {name: each["state"] for name, each in report["regions"].items()}
    assert (code, shown.code) == (3, 3)
    assert states == {
        "eu": "ready",
        "empty": "not_ready",
        "hung": "unreachable",
        "mars": "unreachable",
    }
    assert report["regions"]["empty"]["epoch"] is None
    assert "its store is empty" in problems(report, "empty")
    assert "unavailable" in problems(report, "hung")
    assert "unavailable" in problems(report, "mars")
    assert report["authority"]["state"] == "ready"
    assert "unreachable" in shown.out


async def test_kafka_hangs(running: Installation, careless: Kafka) -> None:
    """Regions are shown, with their age; no part is blamed without evidence."""
    await becomes(running, is_well)
    assert careless.process is not None
    freeze(careless.process.pid)
    try:
        code, report = await becomes(
            running, lambda each: each["regions"]["eu"]["state"] == "stale"
        )
        hung = f"redis://{NOWHERE}"
        nothing = asked(running, regions=json.dumps({"eu": hung}))
    finally:
        os.kill(careless.process.pid, signal.SIGCONT)
    assert code == 3
    assert not report["kafka"]["reachable"]
    assert "no broker answers at" in report["kafka"]["problems"][0]
    assert report["authority"]["events_backlog"] is None
    assert report["regions"]["eu"]["ready"]
    assert "unknown which station is behind" in problems(report, "eu")
    assert nothing.code == 3
    assert "- kafka: no broker answers at" in nothing.out
    await becomes(running, is_well)


def test_kafka_is_down(running: Installation) -> None:
    """A broker that refuses connections: reported at once, with what to do."""
    done = asked(running, bootstrap_servers=NOWHERE)
    assert done.code == 3
    assert f"- kafka: no broker answers at {NOWHERE}" in done.out
    assert "check REVOCATION_BOOTSTRAP_SERVERS" in done.out
    assert "eu         ready" in done.out


def test_topics_of_another_size(running: Installation) -> None:
    done = asked(running, partitions="3")
    assert done.code == 3
    assert "has 4 partitions, settings say 3; set REVOCATION_PARTITIONS" in done.out


async def test_dead_letters_are_reported_until_deleted(
    running: Installation, admin: AIOKafkaAdminClient
) -> None:
    """All stations run, but some event revoked nothing: an exit code of its own."""
    await becomes(running, is_well)
    settings = KafkaSettings(**running._typed())
    producer = new_producer(settings, client_id="tests")
    await producer.start()
    for number in range(33):
        partition = number % settings.partitions
        topic = settings.topics.events
        await producer.send_and_wait(topic, b"no event", partition=partition)
    await producer.stop()

    code, report = await becomes(running, lambda each: not each["ok"])
    while report["dead_letters"]["count"] < 33:
        code, report = await becomes(running, lambda each: not each["ok"])
    assert code == 4
    assert report["dead_letters"]["codes"] == {"malformed_event": 33}
    assert report["dead_letters"]["since"] <= time.time() * 1_000
    assert report["authority"]["problems"] == []
    shown = asked(running)
    assert shown.code == 4
    assert "- dead letters: 33 records parked, the oldest " in shown.out

    places = [
        TopicPartition(settings.topics.dead_letters, number)
        for number in range(settings.partitions)
    ]
    await admin.delete_records(
        {place: RecordsToDelete(before_offset=-1) for place in places}
    )
    code, report = await becomes(running, is_well)
    assert (code, report["dead_letters"]["count"]) == (0, 0)


# Read-only ----------------------------------------------------------------------------


async def test_no_topic_and_no_group_is_created(
    running: Installation, admin: AIOKafkaAdminClient
) -> None:
    """Not even on a broker that creates any requested topic."""

    async def there() -> tuple[set[str], set[str]]:
        groups = {name for name, _ in await admin.list_consumer_groups()}
        return set(await admin.list_topics()), groups

    before = await there()
    missing = asked(running, topic_prefix="mistyped")
    asked(running)
    assert missing.code == 3
    assert "mistyped.entries does not exist; run `revocation topics init`" in (
        missing.out
    )
    assert await there() == before

    async def is_created() -> bool:
        await admin.describe_topics(["mistyped.entries"])
        return "mistyped.entries" in await admin.list_topics()

    await eventually(is_created)


async def test_settings_that_differ_from_a_regions_are_reported(
    running: Installation,
) -> None:
    """Else all would seem healthy, and `--wait` would be meaningless."""
    await becomes(running, is_well)
    longer = {"max_token_lifetime_seconds": "7200"}
    code, report = await becomes(running, lambda told: not told["ok"], **longer)
    assert code == 3
    assert report["authority"]["state"] == "ready"
    for region in report["regions"].values():
        assert region["state"] == "not_ready"
        assert (
            "max_token_lifetime_seconds is 3600 in the region" in region["problems"][0]
        )
