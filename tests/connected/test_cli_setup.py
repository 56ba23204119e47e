"""Commands that need no running station: topics, schemas, help, missing settings.

Sibling: `test_cli.py`, for those that publish and check.
"""

import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from aiokafka.admin import AIOKafkaAdminClient
from typer.testing import CliRunner

from revocation.__main__ import app
from revocation.kafka.provisioning import verify
from revocation.local import Kafka
from revocation.topics import Topics
from tests.connected.typed import NOWHERE, typed
from tests.installation import Installation
from tests.traffic import ISSUER

pytestmark = [pytest.mark.connected, pytest.mark.timeout(120)]


@pytest.fixture
def nothing(tmp_path: Path) -> Installation:
    """An installation that has only its settings."""
    return Installation(tmp_path, NOWHERE, partitions=4)


@pytest.fixture(scope="module")
def prepared(
    kafka: Kafka, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """Make an installation that has only its topics."""
    folder = tmp_path_factory.mktemp("prepared")
    installation = Installation(folder, kafka.bootstrap_servers, partitions=4)
    asyncio.run(installation.create_topics())
    yield installation
    installation.stop()


# Topics -------------------------------------------------------------------------------


def test_topics_are_created_once(kafka: Kafka, tmp_path: Path) -> None:
    anew = Installation(tmp_path, kafka.bootstrap_servers, partitions=4)
    prefix = anew.settings["topic_prefix"]
    first, second = (typed(anew, "topics", "init") for _ in range(2))
    topics = Topics(prefix=prefix)
    assert (first.code, second.code) == (0, 0)
    named = (topics.events, topics.entries, topics.dead_letters, topics.rejections)
    for name in named:
        assert f"created {name}\n" in first.out
    assert second.out == f"topics with prefix {prefix} are as they must be\n"


async def test_a_station_starts_without_the_topic_of_rejections(
    kafka: Kafka, tmp_path: Path
) -> None:
    """An older installation has none, and no revocation depends on it."""
    installation = Installation(tmp_path, kafka.bootstrap_servers, partitions=4)
    await installation.create_topics()
    settings = installation.publisher()._settings.model_copy(
        update={"replication_factor": 1}
    )
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    try:
        await admin.delete_topics([settings.topics.rejections])
    finally:
        await admin.close()
    await verify(settings)


STATIONS = [("topics", "init"), ("authority",), ("projector",)]
PUBLISH = ("publish", "user-logged-out", "--issuer", ISSUER, "--user", "alice")


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ({"partitions": "3"}, "has 4 partitions, settings say 3"),
        ({"max_outage_seconds": "2000000"}, "has retention.ms="),
    ],
)
def test_topics_that_would_lose_revocations_are_refused(
    prepared: Installation, setting: dict[str, str], complaint: str
) -> None:
    """By the command that creates topics, and by every station at its start."""
    stations = {"region": "eu", "store_url": f"redis://{NOWHERE}"}
    for command in STATIONS:
        refused = typed(prepared, *command, **setting, **stations)
        assert refused.code == 1
        assert refused.err.startswith("unsuitable_topic: topic ")
        assert complaint in refused.err


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ({"partitions": "3"}, "has 4 partitions, settings say 3"),
        ({"partitions": "64"}, "has 4 partitions, settings say 64"),
        ({"topic_prefix": "missing"}, "does not exist; run `revocation topics init`"),
    ],
)
def test_nothing_is_published_to_an_unsuitable_topic(
    prepared: Installation, setting: dict[str, str], complaint: str
) -> None:
    """At once, instead of after a minute."""
    refused = typed(prepared, *PUBLISH, **setting)
    assert refused.code == 1
    assert complaint in refused.err.splitlines()[-1]
    assert "Traceback" not in refused.err


# Interrupted --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["status"], "interrupted: not all parts have answered yet\n"),
        (["rebuild", "eu"], "interrupted: eu may be incomplete; its projectors go on "),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_ends_in_one_line(
    tmp_path: Path, words: list[str], said: str, number: int
) -> None:
    """While it waits for a broker and a store that accept and never answer."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(30)
        place = f"127.0.0.1:{silent.getsockname()[1]}"
        settings = Installation(tmp_path, place, partitions=4).env(
            regions=json.dumps({"eu": f"redis://{place}"})
        )
        command = subprocess.Popen(
            [sys.executable, "-m", "revocation", *words],
            env=settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with command, silent.accept()[0]:
            command.send_signal(number)
            out, err = command.communicate(timeout=30)
    assert (command.returncode, out) == (128 + number, "")
    assert err.startswith(said)
    assert err.count("\n") == 1


# All commands -------------------------------------------------------------------------


def test_schemas_are_exported(nothing: Installation, tmp_path: Path) -> None:
    done = typed(nothing, "schemas", "export", str(tmp_path / "schemas"))
    written = set(map(Path, done.out.split()))
    assert done.code == 0
    assert written == {
        path for path in (tmp_path / "schemas").rglob("*") if path.is_file()
    }
    assert len(written) > 10


def commands(command: Any, *path: str) -> Iterator[tuple[str, ...]]:
    """Yield the path of every command, and of every group."""
    yield path
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, *path, name)


COMMANDS = [*commands(typer.main.get_group(app))]


def test_every_command_is_found() -> None:
    assert len(COMMANDS) > 25
    assert ("publish", "user-logged-out") in COMMANDS


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(path: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, [*path, "--help"])
    assert done.exit_code == 0
    assert "Usage: " in done.output


@pytest.mark.parametrize(
    ("words", "variables"),
    [
        (["projector"], ["REGION", "STORE_URL", "PEPPER_FILE"]),
        (["sidecar"], ["REGION", "STORE_URL", "PEPPER_FILE"]),
        (["status"], ["REGIONS", "PEPPER_FILE"]),
    ],
    ids=lambda value: value[0],
)
def test_missing_settings_are_named(
    nothing: Installation, words: list[str], variables: list[str]
) -> None:
    unset = dict.fromkeys(("region", "regions", "pepper_file"), "")
    done = typed(nothing, *words, stdin=b"{}", **unset)
    assert done.code == 2
    assert done.err.startswith("invalid_settings: ")
    for name in variables:
        assert f"REVOCATION_{name}: " in done.err


def test_a_check_without_a_store_names_the_variable(nothing: Installation) -> None:
    unset = dict.fromkeys(("region", "regions", "pepper_file"), "")
    done = typed(nothing, "check", stdin=b"{}", **unset)
    assert done.code == 2
    assert done.err.startswith("invalid_settings: no store is configured")
    assert "REVOCATION_STORE_URL" in done.err


@pytest.mark.parametrize(
    "words",
    [
        ["topics", "init"],
        PUBLISH,
        ["authority"],
        ["projector"],
    ],
    ids=lambda words: words[0],
)
def test_without_a_broker_the_error_says_what_to_do(
    nothing: Installation, words: list[str]
) -> None:
    """One line and code 1; no traceback, and no unclosed resource."""
    stations = {"store_url": "redis://store", "regions": '{"eu": "redis://store"}'}
    done = typed(nothing, *words, **stations)
    last = done.err.splitlines()[-1]
    assert done.code == 1
    assert NOWHERE in last
    assert "check REVOCATION_BOOTSTRAP_SERVERS" in last
    assert "Traceback" not in done.err
    assert "Unclosed" not in done.err
