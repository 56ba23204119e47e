"""Processes that outlive the command that started them, and are ended by identity.

A process is known by its pid *and* its start time: after a crash or a reboot its pid
may be somebody else's, and nobody else's process is ever signalled. Linux only (/proc).
"""

import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final, NamedTuple, NoReturn

from pydantic import BaseModel, ConfigDict

from revocation.errors import EmbeddedError
from revocation.settings.settings_source import CACHE_VARIABLE

LOOPBACK: Final = "127.0.0.1"
_FIRST_PORT: Final = 10_000
_POLL_SECONDS: Final = 0.03
_LOG_LINES: Final = 12
_OWN_VARIABLES: Final = "REVOCATION_"

_given: set[int] = set()
"""Ports given out already: who asked may not have bound them yet."""


class Process(BaseModel):
    """A process that was started, and all that is needed to start it again."""

    model_config = ConfigDict(frozen=True)

    name: str
    command: tuple[str, ...]
    env: dict[str, str]
    """What was added to the environment."""
    log: Path
    pid: int
    born: str
    """Boot and start time: together with the pid this is nobody else."""


def spawn(
    name: str, command: tuple[str, ...], *, env: Mapping[str, str], log: Path
) -> Process:
    """Start a process in a session of its own, with its output appended to `log`.

    Raises:
        EmbeddedError: the program cannot be started.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    try:
        pid = os.posix_spawn(
            command[0],
            command,
            environment(env),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(log), append, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            setsigmask=(),
            # Python ignores it, and ignored signals are inherited.
            setsigdef=(signal.SIGPIPE,),
        )
    except OSError as error:
        raise EmbeddedError(f"cannot start {name} ({command[0]}): {error}") from error
    seen = _look(pid)
    return Process(
        name=name,
        command=command,
        env=dict(env),
        log=log,
        pid=pid,
        born=seen.born if seen else "",
    )


def environment(added: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a child.

    It inherits no `REVOCATION_*` variable: those of the caller's shell may well point
    at another installation.
    """
    inherited = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(_OWN_VARIABLES)
    }
    return {**inherited, **added}


def withheld_variables() -> list[str]:
    """Name the settings in this environment that no child inherits."""
    ours = (key for key in os.environ if key.startswith(_OWN_VARIABLES))
    return sorted(key for key in ours if key != CACHE_VARIABLE)


def alive(process: Process) -> bool:
    """Tell whether the process runs; a stranger under the same pid does not count."""
    seen = _look(process.pid)
    if seen is None or seen.born != process.born:
        return False
    if seen.ended:
        _reap(process.pid)
        return False
    return True


def kill(process: Process) -> None:
    """End the process and its group at once (SIGKILL), and wait until it is gone."""
    if alive(process):
        _kill_group(process)
        _wait_for_end([process], seconds=10)


def end(processes: Iterable[Process], *, grace_seconds: float = 10) -> None:
    """End the processes in peace (SIGTERM), and by SIGKILL those that do not."""
    running = [process for process in processes if alive(process)]
    for process in running:
        _terminate(process)
    _wait_for_end(running, seconds=grace_seconds)
    for process in running:
        _kill_group(process)
    _wait_for_end(running, seconds=10)


def wait_until(
    ready: Callable[[], bool], processes: Iterable[Process], *, seconds: float
) -> None:
    """Wait until `ready`, as long as all `processes` live.

    Raises:
        EmbeddedError: one of them ended, or time is up; with the end of its log.
    """
    watched = tuple(processes)
    deadline = time.monotonic() + seconds
    while not ready():
        for process in watched:
            if not alive(process):
                raise EmbeddedError(f"{process.name} ended. {last_words(process.log)}")
        if time.monotonic() > deadline:
            names = ", ".join(process.name for process in watched)
            words = "\n".join(last_words(process.log) for process in watched)
            raise EmbeddedError(f"{names} not ready within {seconds:g} s. {words}")
        time.sleep(_POLL_SECONDS)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back until the end of the block; nothing is lost.

    Only the main thread is ever interrupted so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[tuple[int, FrameType | None]] = []
    held = {
        number: signal.signal(number, lambda *arrived: came.append(arrived))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)
        for arrived, _ in came:
            signal.raise_signal(arrived)


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM run the `finally` blocks, as Ctrl-C does; by itself it runs none.

    A handler that the program has set already stays.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def leave(number: int, _: FrameType | None) -> NoReturn:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def last_words(log: Path) -> str:
    """Return the end of a log, for a message."""
    try:
        lines = log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
    except OSError:
        lines = []
    return "\n  ".join([f"The end of {log}:", *lines])


def free_ports(count: int) -> list[int]:
    """Return loopback ports that are free and that no outgoing connection takes.

    Below the range of outgoing connections: while a server is down, a client that tries
    to reach it again and again could be given that very port as its own.
    """
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    size = max(lowest, _FIRST_PORT + 2_000) - _FIRST_PORT
    ports: list[int] = []
    while len(ports) < count:
        # Not from `random`: tests seed that, and all would be given the same ports.
        port = _FIRST_PORT + secrets.randbelow(size)
        if port not in _given and _is_free(port):
            _given.add(port)
            ports.append(port)
    return ports


def _is_free(port: int) -> bool:
    with socket.socket() as candidate:
        try:
            candidate.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


class _Look(NamedTuple):
    born: str
    ended: bool


def _look(pid: int) -> _Look | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command's name stands in parentheses and may hold spaces and parentheses.
    fields = stat.rpartition(")")[2].split()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    # A process whose first thread has ended is a zombie, but holds its files and ports
    # until the last one has.
    ended = fields[0] in "ZX" and int(fields[17]) <= 1
    return _Look(born=f"{boot}/{fields[19]}", ended=ended)


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return  # somebody else's child, who reaps it


def _terminate(process: Process) -> None:
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        # The handle stays with the process that had the pid when it was opened, so
        # nobody can take the pid between the look and the signal.
        if alive(process):
            signal.pidfd_send_signal(handle, signal.SIGTERM)
    finally:
        os.close(handle)


def _kill_group(process: Process) -> None:
    seen = _look(process.pid)
    if seen is not None and seen.born != process.born:
        return
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # it and its children are gone


def _wait_for_end(processes: Iterable[Process], *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while any([alive(process) for process in processes]):  # noqa: C419 - reap each
        if time.monotonic() > deadline:
            return
        time.sleep(_POLL_SECONDS)
