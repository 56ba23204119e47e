"""Installations on the session's broker."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from revocation.embedded import Kafka
from tests.installation import Installation

Install = Callable[..., Awaitable[Installation]]


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
