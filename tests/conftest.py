"""Common fixtures: real servers, and no settings from outside."""

import gc
import os
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path

import hypothesis
import pytest

from revocation.local import Kafka, Valkey
from revocation.local.jars import CACHE_VARIABLE
from tests.installation import Install, Installation
from tests.optional import hint

StoreFactory = Callable[..., Valkey]


def pytest_configure() -> None:
    """End on SIGTERM as on Ctrl-C, else the servers would keep running.

    End on Ctrl-C even if a shell started pytest in the background, which ignores it.
    Property tests use the same examples each time in CI, and new ones elsewhere.
    Examples have no deadline: a loaded machine must not fail a property.
    """
    hypothesis.settings.register_profile(
        "revocation",
        deadline=None,
        derandomize=bool(os.environ.get("CI")),
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
    hypothesis.settings.load_profile("revocation")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the long files, so that all workers end at the same time."""
    items.sort(key=lambda item: item.get_closest_marker("connected") is None)


def pytest_collection_finish() -> None:
    """Keep thousands of collected tests out of each collection of garbage.

    Faust collects whenever a table closes, which took half a second each time.
    """
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter,
) -> Generator[None, None, None]:
    """Print, just before the counts, what was skipped and how to run it."""
    yield
    skipped = terminalreporter.stats.get("skipped", [])
    if line := hint(str(report.longrepr) for report in skipped):
        terminalreporter.write_line(line)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("REVOCATION_") and name != CACHE_VARIABLE:
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _signals_as_they_were() -> Iterator[None]:
    """A handler that a test leaves behind fails that test, not one after it."""
    watched = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in watched]
    yield
    assert [signal.getsignal(number) for number in watched] == before


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """One broker for all tests: never killed; each test has its own topics."""
    with Kafka(tmp_path_factory.mktemp("broker") / "kafka") as broker:
        yield broker


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[Kafka]:
    """A broker for this test alone, which it may kill and restart."""
    with Kafka(tmp_path / "own-kafka") as broker:
        yield broker


@pytest.fixture
def topic_prefix() -> str:
    """A prefix of topics for this test alone."""
    return f"test-{secrets.token_hex(4)}"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StoreFactory]:
    """Start stores: `store("eu", persistent=True)`; all end with the test."""
    started: list[Valkey] = []

    def start(name: str = "store", **options: object) -> Valkey:
        server = Valkey.start(tmp_path / name, **options)
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture
async def install(kafka: Kafka, tmp_path: Path) -> AsyncIterator[Install]:
    """Return a function that makes an installation with its topics, nothing running."""
    made: list[Installation] = []

    async def make(
        *, partitions: int = 4, bootstrap_servers: str = kafka.bootstrap_servers
    ) -> Installation:
        folder = tmp_path / f"installation-{len(made)}"
        folder.mkdir()
        installation = Installation(folder, bootstrap_servers, partitions=partitions)
        made.append(installation)
        await installation.create_topics()
        return installation

    yield make
    for installation in made:
        installation.stop()
