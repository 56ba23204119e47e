"""Ties the ledger's folder to one log: another log's offsets mean nothing in it."""

import os
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
        known = _read(note)
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
        _require_writable(folder)
        note.write_bytes(orjson.dumps(known))
    except OSError as error:
        raise SettingsError(
            f"data_dir {folder} cannot be used: {error}; name a folder in "
            "REVOCATION_DATA_DIR that this user may write, on a disk with space left"
        ) from error


def _read(note: Path) -> dict[str, str]:
    try:
        known = orjson.loads(note.read_bytes()) if note.exists() else {}
    except ValueError:
        known = None
    if not isinstance(known, dict):
        raise SettingsError(
            f"data_dir {note.parent} cannot be used: {_NAME} is damaged; empty the "
            "folder: the ledger is recovered from the topic of entries"
        )
    return known


def _require_writable(folder: Path) -> None:
    """Check what Faust and RocksDB use: they would stop at it in the middle of work.

    Nothing else in there concerns us, such as `lost+found` at the root of a volume.
    """
    for path in (folder, *folder.glob("*.json"), *folder.glob("v*/**/*")):
        if path.exists() and not os.access(path, os.R_OK | os.W_OK):
            raise PermissionError(f"{path} cannot be read and written by this user")
