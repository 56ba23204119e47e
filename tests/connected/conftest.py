"""What several modules run against."""

import asyncio
from collections.abc import Iterator

import pytest

from revocation.local import Kafka
from tests.installation import Installation


@pytest.fixture(scope="module")
def running(
    kafka: Kafka, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """One installation for all tests of a module: a region and an authority."""
    folder = tmp_path_factory.mktemp("running")
    installation = Installation(folder, kafka.bootstrap_servers, partitions=4)
    asyncio.run(installation.create_topics())
    installation.add_region("eu")
    installation.add_authority()
    asyncio.run(installation.ready())
    yield installation
    installation.stop()
