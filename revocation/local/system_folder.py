"""The local system's folder, locked so that one command at a time works in it."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from revocation.errors import EmbeddedError

STATE_FILE: Final = "state.json"
_LOCK_FILE: Final = "lock"


@contextmanager
def only_command(folder: Path) -> Iterator[None]:
    """Lock the folder against other commands; the kernel releases dead holders' locks.

    Raises:
        EmbeddedError: another command is at work, or the folder cannot be used.
    """
    with usable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if not holds_system(folder) and any(folder.iterdir()):
            raise EmbeddedError(
                f"{folder} is not empty and holds no local system; name an empty or "
                "a new folder with --folder"
            )
        with (folder / _LOCK_FILE).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise EmbeddedError(
                    f"another command is at work in {folder}; try again after it"
                ) from None
            yield


def holds_system(folder: Path) -> bool:
    """Return whether a local system was ever started in the folder.

    Raises:
        EmbeddedError: the folder cannot be used.
    """
    with usable(folder):
        return any((folder / name).exists() for name in (_LOCK_FILE, STATE_FILE))


@contextmanager
def usable(folder: Path) -> Iterator[None]:
    """Add advice to the operating system's errors.

    Raises:
        EmbeddedError: in place of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise EmbeddedError(
            f"cannot work on the local system in {folder}: {error}; work as the user "
            "who started it, in a folder that can be written and has space left; "
            "--folder names another"
        ) from error
