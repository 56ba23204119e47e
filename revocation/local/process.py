"""Processes that outlive the command that started them, and are ended by identity.

A process is identified by its pid *and* its start time: after a crash or a reboot its
pid may belong to another process, which is never signalled. Linux only (/proc).
"""

import contextlib
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Final, NoReturn

from pydantic import BaseModel, ConfigDict

from revocation.errors import EmbeddedError
from revocation.extras import require_extra
from revocation.settings.settings_source import CACHE_VARIABLE

if TYPE_CHECKING:
    import psutil

LOOPBACK: Final = "127.0.0.1"
_FIRST_PORT: Final = 10_000
_POLL_SECONDS: Final = 0.03
_LOG_LINES: Final = 12
_OWN_VARIABLES: Final = "REVOCATION_"

_given: set[int] = set()
"""Ports handed out already: the caller may not have bound them yet."""


class Process(BaseModel):
    """A process that was started, with all that restarting it needs."""

    model_config = ConfigDict(frozen=True)

    name: str
    command: tuple[str, ...]
    env: dict[str, str]
    """The variables added to the environment."""
    log: Path
    pid: int
    born: str
    """Boot and start, as `_start_of` writes it: unique together with the pid."""


def spawn(
    name: str, command: tuple[str, ...], *, env: Mapping[str, str], log: Path
) -> Process:
    """Start a process in a session of its own, with its output appended to `log`.

    Raises:
        MissingExtraError: psutil is missing.
        EmbeddedError: the program cannot be started.
    """
    known = _psutil()
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
            # Python ignores it, and children inherit ignored signals.
            setsigdef=(signal.SIGPIPE,),
        )
    except OSError as error:
        raise EmbeddedError(f"cannot start {name} ({command[0]}): {error}") from error
    return Process(
        name=name,
        command=command,
        env=dict(env),
        log=log,
        pid=pid,
        # Our child keeps its pid until `alive` reaps it.
        born=_start_of(known.Process(pid)),
    )


def environment(added: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a child.

    It inherits no `REVOCATION_*` variable: those of the caller's shell may point at
    another installation.
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
    """Return whether the process runs; another one with the same pid does not count."""
    found = _find(process)
    return found is not None and not _has_ended(found)


def kill(process: Process) -> None:
    """End the process and its group with SIGKILL, and wait until it has ended."""
    if alive(process):
        _kill_group(process)
        _wait_for_end([process], seconds=10)


def end(processes: Iterable[Process], *, grace_seconds: float = 10) -> None:
    """End the processes with SIGTERM, and after the grace period with SIGKILL."""
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
    """Wait until `ready`, as long as all `processes` run.

    Raises:
        EmbeddedError: one of them ended, or time is up; quotes the end of its log.
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


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Delay Ctrl-C and SIGTERM until the end of the block.

    Signals only ever interrupt the main thread.
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


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Make SIGTERM run the `finally` blocks, as Ctrl-C does; by default it runs none.

    A handler that the program has set stays.
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

    They are below the range of outgoing connections: while a server is down, a client
    that keeps trying to reach it could get that very port as its own.
    """
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    size = max(lowest, _FIRST_PORT + 2_000) - _FIRST_PORT
    ports: list[int] = []
    while len(ports) < count:
        # Not from `random`: tests seed that, and all would get the same ports.
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


def _psutil() -> ModuleType:
    """Import it on use: `revocation --help` works without the extra."""
    require_extra("embedded", "a local system")
    import psutil  # noqa: PLC0415

    return psutil


def _start_of(found: "psutil.Process") -> str:
    """Return the boot's id, and the clock ticks from the boot to the start.

    `create_time` alone moves with every step of the system's clock (WSL, a laptop that
    wakes up), so that our own process would not be recognised.
    """
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    seconds = found.create_time() - _psutil().boot_time()
    return f"{boot}/{round(seconds * os.sysconf('SC_CLK_TCK'))}"


def _find(process: Process) -> "psutil.Process | None":
    """Return the process, ended or not; None if it is gone, even if its pid is not."""
    known = _psutil()
    try:
        found: psutil.Process = known.Process(process.pid)
        return found if _start_of(found) == process.born else None
    except known.NoSuchProcess:
        return None


def _has_ended(found: "psutil.Process") -> bool:
    known = _psutil()
    try:
        # A process whose first thread has ended is a zombie, but holds its files and
        # ports until the last one has.
        if found.status() != known.STATUS_ZOMBIE or found.num_threads() > 1:
            return False
        # Reaps it, if it is our child.
        found.wait(timeout=0)
    except (known.NoSuchProcess, known.TimeoutExpired):
        pass
    return True


def _terminate(process: Process) -> None:
    found = _find(process)
    if found is not None:
        with contextlib.suppress(_psutil().NoSuchProcess):
            found.terminate()


def _kill_group(process: Process) -> None:
    # A group outlives its leader, and no process gets its number as pid until it ends.
    if _psutil().pid_exists(process.pid) and _find(process) is None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _wait_for_end(processes: Iterable[Process], *, seconds: float) -> None:
    # Not `psutil.wait_procs`: it waits for zombies until their parent reaps them, and
    # in a container the parent may not.
    deadline = time.monotonic() + seconds
    while any([alive(process) for process in processes]):  # noqa: C419 - reap each
        if time.monotonic() > deadline:
            return
        time.sleep(_POLL_SECONDS)
