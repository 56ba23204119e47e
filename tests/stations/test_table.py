"""The ledger's table, over a real RocksDB in a folder of its own."""

from revocation.entries import Entry
from tests.unit.histories import ALICE, HERE


async def test_what_is_remembered_is_recalled(ledger):
    entry = Entry(ALICE, HERE, version=3)
    ledger.remember(3, entry)
    assert ledger.recall(3, ALICE) == entry
    assert ledger.recall(2, ALICE) is None
