"""Station processes, forked from one that has already imported everything.

A station spends more than a second of CPU on imports, and the tests start hundreds of
them on two cores. Each is a child of the tests that can be killed, paused and awaited.
Unlike processes that operators start, all have every module loaded and the same hash
seed: a missing import does not show here, but where a test runs `python -m revocation`.
"""

import atexit
import ctypes
import importlib
import json
import os
import random
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

_ROOT = Path(__file__).parent.parent
_PRELOADED = (
    *("revocation.authority.authority_watch", "revocation.projector.projector_watch"),
    *("revocation.cli.publish", "revocation.cli.status", "revocation.cli.issuers"),
    *("revocation.cli.rebuild", "revocation.cli.stations", "revocation.cli.embedded"),
    *("revocation.sidecar.sidecar", "revocation.kafka.provisioning", "rocksdict"),
)
_PR_SET_CHILD_SUBREAPER = 36
"""prctl(2): orphans of our children become our children, not those of process 1."""


class Done(NamedTuple):
    """The result of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class ForkedProcess:
    """A process with the part of `subprocess.Popen`'s interface that stations need."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._code: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, or None while the process runs."""
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
        return self._code

    def wait(self, timeout: float = 60) -> int:
        """Wait for the end; return the exit code."""
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.005)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


class Forker:
    """Starts processes by forking one that has imported all modules."""

    def __init__(self) -> None:
        self._parent: subprocess.Popen[str] | None = None
        self._one_at_a_time = threading.Lock()

    def run(
        self,
        module: str,
        arguments: Sequence[str],
        env: Mapping[str, str],
        stdin: bytes = b"",
    ) -> Done:
        """Run a module with arguments, as `python -m` does, to its end."""
        with TemporaryDirectory() as folder:
            given, out, err = (Path(folder, name) for name in ("in", "out", "err"))
            given.write_bytes(stdin)
            process = self._fork(module, arguments, env, (given, out, err))
            try:
                code = process.wait()
            except BaseException:
                process.kill()
                process.wait()
                raise
            return Done(code, out.read_text(), err.read_text())

    def start(
        self, module: str, arguments: Sequence[str], env: Mapping[str, str], log: Path
    ) -> ForkedProcess:
        """Start a module with arguments; all that it writes is added to `log`."""
        return self._fork(module, arguments, env, (Path(os.devnull), log, log))

    def _fork(
        self,
        module: str,
        arguments: Sequence[str],
        env: Mapping[str, str],
        streams: tuple[Path, Path, Path],
    ) -> ForkedProcess:
        request = json.dumps([module, list(arguments), dict(env), [*map(str, streams)]])
        with self._one_at_a_time:
            if self._parent is None or self._parent.poll() is not None:
                self._parent = self._start_parent()
            assert self._parent.stdin is not None
            assert self._parent.stdout is not None
            self._parent.stdin.write(f"{request}\n")
            self._parent.stdin.flush()
            return ForkedProcess(int(self._parent.stdout.readline()))

    def _start_parent(self) -> subprocess.Popen[str]:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl")
        parent = subprocess.Popen(
            [sys.executable, "-m", "tests.forked"],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        atexit.register(parent.communicate)
        return parent


FORKER = Forker()
"""The forker of this process: one for each worker of pytest."""


def _serve() -> None:
    """Fork a process for each line of stdin, and print its pid."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests.
    for name in _PRELOADED:
        importlib.import_module(name)
    for line in sys.stdin:
        reading, writing = os.pipe()
        between = os.fork()
        if between == 0:
            pid = os.fork()
            if pid == 0:
                _run(*json.loads(line))
                return
            os.write(writing, str(pid).encode())
            os._exit(0)
        os.waitpid(between, 0)
        os.close(writing)
        sys.stdout.write(f"{os.read(reading, 32).decode()}\n")
        sys.stdout.flush()
        os.close(reading)


def _run(
    module: str, arguments: list[str], env: dict[str, str], streams: list[str]
) -> None:
    stdin, *outputs = streams
    os.dup2(os.open(stdin, os.O_RDONLY), 0)
    for number, output in enumerate(outputs, 1):
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        os.dup2(os.open(output, append, 0o644), number)
    sys.stdin = os.fdopen(0, closefd=False)
    os.closerange(3, 64)
    os.environ.clear()
    os.environ.update(env)
    random.seed()  # Else all would draw the same random delays.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _serve()
