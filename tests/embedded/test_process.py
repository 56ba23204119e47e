"""How processes are started and ended. Sibling: test_embedded_system.py."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from revocation.errors import EmbeddedError, MissingExtraError
from revocation.local.process import (
    Process,
    alive,
    end,
    free_ports,
    kill,
    last_words,
    spawn,
    terminable,
    uninterrupted,
    wait_until,
    withheld_variables,
)

Shell = Callable[..., Process]


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """Start shell scripts; those still running at the end are killed."""
    started: list[Process] = []

    def start(script: str, **env: str) -> Process:
        command = ("/bin/sh", "-c", script)
        process = spawn("script", command, env=env, log=tmp_path / "script.log")
        started.append(process)
        return process

    yield start
    for process in started:
        kill(process)


def output_of(process: Process, *, word: str = "\n") -> str:
    """Return the output as soon as it contains the word."""
    wait_until(
        lambda: process.log.exists() and word in process.log.read_text(),
        [],
        seconds=10,
    )
    return process.log.read_text()


def test_settings_of_the_callers_shell_are_withheld_and_named(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may name another installation; the folder of downloads is no setting."""
    monkeypatch.setenv("REVOCATION_LEEWAY_SECONDS", "3")
    monkeypatch.setenv("REVOCATION_CACHE_DIR", "/somewhere")

    output = output_of(shell("env; echo the end"), word="the end")

    assert "REVOCATION_" not in output
    assert withheld_variables() == ["REVOCATION_LEEWAY_SECONDS"]


def test_a_process_with_a_reused_pid_is_never_ended(shell: Shell) -> None:
    """Only pid and start time together identify a process; no signal is sent."""
    stranger = shell("exec sleep 60")
    recorded = stranger.model_copy(update={"born": "an-earlier-boot/4711"})

    assert not alive(recorded)
    end([recorded], grace_seconds=0.1)
    kill(recorded)

    assert alive(stranger)


def recorded_by_proc(pid: int) -> Process:
    """Return the record of a process in the oldest format of state files."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    start = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return Process(
        name="it", command=(), env={}, log=Path("/x"), pid=pid, born=f"{boot}/{start}"
    )


def test_a_state_file_of_an_earlier_version_is_understood(shell: Shell) -> None:
    """Its processes may still run, and `down` must find them."""
    process = shell("exec sleep 60")

    assert process.born == recorded_by_proc(process.pid).born


def test_a_step_of_the_clock_does_not_change_the_identity(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The start time counts from boot: the time of day may be set meanwhile."""
    process = shell("exec sleep 60")
    boot = psutil.boot_time()

    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: boot + 3_600)
    monkeypatch.setattr("psutil.boot_time", lambda: boot + 3_600)

    assert psutil.Process(process.pid).create_time() > time.time() + 3_000
    assert alive(process)


def test_a_zombie_counts_as_ended_without_being_reaped(shell: Shell) -> None:
    """In a container, a process of an earlier command may have such a parent."""
    parent = shell("sleep 0.2 & echo $!; exec sleep 60")
    child = recorded_by_proc(int(output_of(parent)))
    wait_until(lambda: not alive(child), [parent], seconds=5)

    assert psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE
    end([child])


def test_a_process_lives_as_long_as_its_last_thread(tmp_path: Path) -> None:
    """Its first thread may be a zombie; its files and ports are still in use."""
    script = (
        "import ctypes, threading, time;"
        "threading.Thread(target=time.sleep, args=(60,)).start();"
        "print('up', flush=True);"
        "ctypes.CDLL(None).pthread_exit(None)"
    )
    command = (sys.executable, "-c", script)
    process = spawn("threads", command, env={}, log=tmp_path / "threads.log")
    try:
        first = psutil.Process(process.pid)
        wait_until(
            lambda: first.status() == psutil.STATUS_ZOMBIE, [process], seconds=10
        )

        assert alive(process)
    finally:
        kill(process)

    assert not alive(process)


def test_end_is_polite(shell: Shell) -> None:
    """SIGTERM comes first, so a station can leave its group and flush."""
    process = shell("trap 'echo bye; exit' TERM; echo up; while :; do sleep 0.01; done")
    output_of(process)

    end([process])

    assert not alive(process)
    assert output_of(process) == "up\nbye\n"


def test_end_does_not_wait_for_ever(shell: Shell) -> None:
    """A process that ignores SIGTERM is killed after the grace period."""
    process = shell("trap '' TERM; echo up; while :; do sleep 0.01; done")
    output_of(process)

    end([process], grace_seconds=0.2)

    assert not alive(process)


@pytest.mark.parametrize("ended_by", [kill, lambda process: end([process])])
def test_children_end_with_their_parent(
    shell: Shell, ended_by: Callable[[Process], None]
) -> None:
    """A station's own children end with it: they are in its group."""
    process = shell("sleep 60 & echo $!; wait")
    child = int(output_of(process))

    ended_by(process)

    # An orphan may stay a zombie where no process reaps; it no longer runs.
    wait_until(lambda: not runs(child), [], seconds=5)


def runs(pid: int) -> bool:
    """Return whether a process exists and is no zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_ending_the_dead_does_nothing(shell: Shell) -> None:
    """Ending is idempotent."""
    process = shell("exit 0")
    wait_until(lambda: not alive(process), [], seconds=5)

    end([process])
    kill(process)


def test_settings_of_the_callers_shell_stay_outside(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the local system could write into the shell's installation."""
    monkeypatch.setenv("REVOCATION_BOOTSTRAP_SERVERS", "production:9092")
    process = shell("env; echo done", REVOCATION_REGION="eu")

    output = output_of(process, word="done")

    assert "REVOCATION_REGION=eu" in output
    assert "production" not in output


def test_a_started_process_outlives_its_session(shell: Shell) -> None:
    """A session of its own: closing the terminal or Ctrl-C does not reach it."""
    process = shell("exec sleep 60")

    assert os.getsid(process.pid) == process.pid


def test_waiting_ends_with_the_process(shell: Shell) -> None:
    """A dead process ends the wait before its time limit; its log is shown."""
    process = shell("echo the disk is full; exit 1")

    with pytest.raises(EmbeddedError, match=r"script ended(?s:.*)the disk is full"):
        wait_until(lambda: False, [process], seconds=10)


def test_waiting_has_a_time_limit(shell: Shell) -> None:
    """The message names the station that is not ready and shows its log."""
    process = shell("echo still loading; exec sleep 60")
    output_of(process)

    with pytest.raises(EmbeddedError, match=r"script not ready(?s:.*)still loading"):
        wait_until(lambda: False, [process], seconds=0.05)


def test_a_missing_program(tmp_path: Path) -> None:
    """The message names the station and the program."""
    with pytest.raises(EmbeddedError, match=r"cannot start kafka .*nowhere/java"):
        spawn("kafka", (f"{tmp_path}/nowhere/java",), env={}, log=tmp_path / "log")


def test_without_psutil_nothing_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A started process must be found again; the message names the extra."""
    monkeypatch.setitem(sys.modules, "psutil", None)

    with pytest.raises(MissingExtraError, match=r"revocation\[embedded\]"):
        spawn("it", ("/bin/sleep", "60"), env={}, log=tmp_path / "log")
    assert not (tmp_path / "log").exists()


def test_the_last_lines_of_a_missing_log(tmp_path: Path) -> None:
    """A missing log does not hide the error that it belongs to."""
    assert str(tmp_path / "none.log") in last_words(tmp_path / "none.log")


def test_free_ports_are_outside_the_ephemeral_range() -> None:
    """A client that connects to a dead server's port never gets that port itself."""
    lowest = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0]

    ports = free_ports(20)

    assert len(set(ports)) == 20
    assert all(10_000 <= port < int(lowest) for port in ports)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_waits_until_the_record_is_written(number: int) -> None:
    """The signal is delayed inside, not lost."""
    done = []

    def start_and_record() -> None:
        with uninterrupted():
            os.kill(os.getpid(), number)
            time.sleep(0.01)
            done.append("recorded")

    with pytest.raises(KeyboardInterrupt):
        start_and_record()

    assert done == ["recorded"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("handler", [signal.SIG_DFL, signal.SIG_IGN])
def test_sigterm_becomes_an_exit_only_where_it_would_kill(handler) -> None:
    """A handler that the program has set stays; afterwards all is restored."""
    before = signal.signal(signal.SIGTERM, handler)
    left = False
    try:
        try:
            with terminable():
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(0.01)
        except SystemExit as error:
            left = error.code == 128 + signal.SIGTERM
        after = signal.getsignal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)

    assert left is (handler is signal.SIG_DFL)
    assert after is handler


def test_python_starts_detached(tmp_path: Path) -> None:
    """The command that starts stations works detached."""
    command = (sys.executable, "-c", "import sys; print(sys.stdin.read() == '')")
    process = spawn("python", command, env={}, log=tmp_path / "python.log")

    assert output_of(process) == "True\n"
    kill(process)
