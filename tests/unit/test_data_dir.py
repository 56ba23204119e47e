"""The ledger's folder belongs to one log."""

import errno
import os
from pathlib import Path

import pytest

from revocation.authority.data_dir import claim
from revocation.errors import DisagreementError, SettingsError


def test_a_folder_that_is_new_or_known_is_claimed(tmp_path):
    folder = tmp_path / "new" / "authority"
    for _ in range(2):
        claim(folder, cluster_id="one", topic_prefix="revocation")


@pytest.mark.parametrize(
    ("cluster_id", "topic_prefix", "said"),
    [("two", "revocation", "cluster_id was one"), ("one", "test", "topic_prefix was")],
)
def test_a_folder_of_another_log_is_refused(tmp_path, cluster_id, topic_prefix, said):
    claim(tmp_path, cluster_id="one", topic_prefix="revocation")
    with pytest.raises(DisagreementError, match=said):
        claim(tmp_path, cluster_id=cluster_id, topic_prefix=topic_prefix)
    claim(tmp_path, cluster_id="one", topic_prefix="revocation")


def test_a_broker_that_does_not_say_its_cluster_is_believed(tmp_path):
    claim(tmp_path, cluster_id=None, topic_prefix="revocation")
    claim(tmp_path, cluster_id="one", topic_prefix="revocation")
    claim(tmp_path, cluster_id=None, topic_prefix="revocation")
    with pytest.raises(DisagreementError):
        claim(tmp_path, cluster_id="two", topic_prefix="revocation")


def test_an_unusable_folder_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"cannot be used.*REVOCATION_DATA_DIR"):
        claim(tmp_path / "file", cluster_id="one", topic_prefix="revocation")


@pytest.mark.parametrize("damaged", [b"{", b"", b"[]", b"\xff"])
def test_a_damaged_note_is_said(tmp_path, damaged):
    (tmp_path / "log.json").write_bytes(damaged)
    with pytest.raises(SettingsError, match=r"log\.json is damaged; empty the folder"):
        claim(tmp_path, cluster_id="one", topic_prefix="revocation")


def test_a_database_that_cannot_be_written_is_said_before_the_start(
    tmp_path, monkeypatch
):
    """RocksDB would fail in the middle of a rebalance; root may write everything."""
    database = tmp_path / "v1" / "tables" / "ledger-0.db"
    database.mkdir(parents=True)
    monkeypatch.setattr(os, "access", lambda path, _: path != database)
    with pytest.raises(SettingsError, match=r"ledger-0\.db cannot be read and written"):
        claim(tmp_path, cluster_id="one", topic_prefix="revocation")


def test_what_is_not_of_the_ledger_concerns_nobody(tmp_path, monkeypatch):
    """The root of a volume has a `lost+found` that only root may read."""
    (tmp_path / "lost+found").mkdir()
    monkeypatch.setattr(os, "access", lambda path, _: path.name != "lost+found")
    claim(tmp_path, cluster_id="one", topic_prefix="revocation")


def test_a_full_disk_is_said(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(SettingsError, match=r"No space left.*space left"):
        claim(tmp_path, cluster_id="one", topic_prefix="revocation")
