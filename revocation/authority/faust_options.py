"""The authority's settings in Faust's terms."""

from typing import Any

from revocation.authority.ledger_table import LedgerTable
from revocation.settings import AuthoritySettings


def faust_options(settings: AuthoritySettings) -> dict[str, Any]:
    """Return Faust's settings; all others keep Faust's defaults.

    Static membership, a short session and a RocksDB table that survives the process:
    a killed worker is back in about two seconds. Faust's own session lasts 60 s.
    """
    session = settings.session_timeout_ms / 1_000
    return {
        "id": settings.authority_id,
        "broker": [f"kafka://{each}" for each in _servers(settings)],
        "Table": LedgerTable,
        "store": "rocksdb://?driver=rocksdict",
        "datadir": settings.data_dir,
        "topic_partitions": settings.partitions,
        "topic_replication_factor": settings.replication_factor,
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "consumer_auto_offset_reset": "earliest",
        "consumer_group_instance_id": settings.instance_id,
        "broker_session_timeout": session,
        "broker_heartbeat_interval": settings.heartbeat_interval_ms / 1_000,
        "broker_request_timeout": max(30.0, session),
        "broker_commit_interval": 1.0,
        "stream_wait_empty": False,
        "web_enabled": False,
    }


def _servers(settings: AuthoritySettings) -> list[str]:
    return settings.bootstrap_servers.split(",")
