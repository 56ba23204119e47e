"""Ties the ledger's folder to one log: another log's offsets mean nothing in it."""

from pathlib import Path
from typing import Final

import orjson

from revocation.errors import DisagreementError, SettingsError

_NAME: Final = "log.json"


def claim(folder: Path, *, cluster_id: str | None, topic_prefix: str) -> None:
    """Record which log the folder follows, or refuse a folder that follows another.

    Args:
        folder: `data_dir`; created if missing.
        cluster_id: of the Kafka cluster, if the broker reports one (KIP-78).
        topic_prefix: of the installation.

    Raises:
        DisagreementError: names both logs.
        SettingsError: the folder cannot be used.
    """
    note = folder / _NAME
    own = {"cluster_id": cluster_id, "topic_prefix": topic_prefix}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        known = orjson.loads(note.read_bytes()) if note.exists() else {}
        for name, value in own.items():
            before = known.get(name)
            if before is not None and value is not None and before != value:
                raise DisagreementError(
                    f"data_dir {folder} holds the ledger of another log: its "
                    f"{name} was {before} and is {value} now; set another folder in "
                    "REVOCATION_DATA_DIR, or empty this one: the authority recovers "
                    "the ledger from the entries topic"
                )
        known |= {name: value for name, value in own.items() if value is not None}
        note.write_bytes(orjson.dumps(known))
    except (OSError, ValueError) as error:
        raise SettingsError(f"data_dir {folder} cannot be used: {error}") from error
