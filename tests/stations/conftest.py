"""A ledger without Kafka."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from revocation.authority.faust_app import Authority
from revocation.authority.ledger_table import LedgerTable
from revocation.settings import AuthoritySettings
from tests.stations.regions import Region


@pytest.fixture
async def authority(tmp_path: Path) -> AsyncIterator[Authority]:
    """An authority that is not started; its ledger is a real RocksDB."""
    settings = AuthoritySettings(
        topic_prefix="played", partitions=4, data_dir=tmp_path / "authority"
    )
    station = Authority(settings)
    yield station
    await station._ledger.data.stop()


@pytest.fixture
def ledger(authority: Authority) -> LedgerTable:
    return authority._ledger


@pytest.fixture
async def region(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Region]:
    """A region whose projector is not started yet; it is stopped after the test."""
    made = Region(monkeypatch)
    yield made
    await made.projector.stop()
