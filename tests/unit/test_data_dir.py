"""The ledger's folder belongs to one log."""

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
    with pytest.raises(SettingsError, match="cannot be used"):
        claim(tmp_path / "file", cluster_id="one", topic_prefix="revocation")
    (tmp_path / "log.json").write_text("{")
    with pytest.raises(SettingsError, match="cannot be used"):
        claim(tmp_path, cluster_id="one", topic_prefix="revocation")
