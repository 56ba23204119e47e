"""The whole system up and down. Siblings: test_process.py, test_servers.py."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from revocation.errors import EmbeddedError
from revocation.local.embedded_system import Embedded
from revocation.local.process import Process, alive, kill, spawn, wait_until
from revocation.local.system_state import StationStatus, SystemState
from revocation.settings import PepperSettings

# A whole system on a busy machine.
pytestmark = pytest.mark.timeout(180)

_UP = "from revocation.cli.embedded import app; app()"


@pytest.fixture
def bystander(tmp_path: Path) -> Iterator[Process]:
    """A process that the system did not start."""
    process = spawn("bystander", ("/bin/sleep", "60"), env={}, log=tmp_path / "log")
    yield process
    kill(process)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """The system's folder; processes that a failed test leaves are ended."""
    folder = tmp_path / "system"
    yield folder
    Embedded(folder).down()


@pytest.fixture
def starting(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`revocation embedded up` in a process of its own, with Kafka started."""
    command = [sys.executable, "-c", _UP, "up", "--folder", folder, "--regions", "eu"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: started(folder), [], seconds=30)
            yield process
        finally:
            process.kill()


def started(folder: Path) -> dict[str, Process]:
    """Return the processes recorded as started."""
    state = SystemState.read(folder / "state.json")
    return dict(state.stations) if state else {}


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds."""
    wait_until(condition, [], seconds=30)


def status_of(system: Embedded, name: str) -> StationStatus:
    """Return one station's status."""
    return next(each for each in system.status().stations if each.name == name)


@pytest.mark.connected
def test_a_day_in_the_life(folder: Path, bystander: Process) -> None:
    """Up, a crash and its repair, down: everything runs, then nothing."""
    lines: list[str] = []
    system = Embedded(folder, regions=("eu",), partitions=3, tell=lines.append)

    state = system.up()

    names = ["kafka", "store-eu", "authority", "projector-eu", "sidecar-eu"]
    assert list(state.stations) == names
    assert system.status().healthy
    assert any("region eu gives verdicts" in line for line in lines)
    with pytest.raises(EmbeddedError, match="already up"):
        Embedded(folder).up()

    assert system.stop("authority", kill=True)
    assert not status_of(system, "authority").alive
    assert not system.status().healthy
    system.start("authority")
    eventually(lambda: fresh(system, "eu"))
    with pytest.raises(EmbeddedError, match="runs already"):
        system.start("authority")

    stations = system.state().stations.values()
    assert system.down() == names
    assert not any(alive(each) for each in stations)
    assert alive(bystander)
    assert not (folder / "state.json").exists()
    assert system.down() == []


def fresh(system: Embedded, region: str) -> bool:
    """Return whether the region is ready and nearly up to date."""
    seen = system.status().regions[region]
    return seen.ready and seen.staleness_ms is not None and seen.staleness_ms < 1_000


@pytest.mark.connected
def test_the_servers_return_at_their_addresses(folder: Path) -> None:
    """A killed broker and a killed, empty store: the region is complete again."""
    with Embedded(folder, regions=("eu",), partitions=3) as system:
        for name in ("kafka", "store-eu", "sidecar-eu"):
            assert system.stop(name, kill=True)
            assert not system.stop(name)
            system.start(name)

        eventually(lambda: fresh(system, "eu"))
        stations = system.state().stations.values()

    assert not any(alive(each) for each in stations)


@pytest.mark.connected
def test_a_worker_without_its_server_is_not_reported_as_running(folder: Path) -> None:
    """It ends at once, and its output is in the message."""
    with Embedded(folder, regions=("eu",), partitions=3) as system:
        for name in ("store-eu", "projector-eu"):
            system.stop(name, kill=True)
        with pytest.raises(EmbeddedError, match=r"(?s)projector-eu ended\..*store_un"):
            system.start("projector-eu")
        for name in ("kafka", "authority"):
            system.stop(name, kill=True)
        with pytest.raises(EmbeddedError, match=r"(?s)authority ended\..*no broker"):
            system.start("authority")
        assert not status_of(system, "authority").alive


@pytest.mark.connected
@pytest.mark.parametrize(
    ("number", "place"), [(signal.SIGINT, "store-eu"), (signal.SIGTERM, "authority")]
)
def test_an_interrupted_up_leaves_nothing(
    starting: subprocess.Popen[bytes],
    folder: Path,
    bystander: Process,
    number: int,
    place: str,
) -> None:
    """Ctrl-C, or a supervisor's SIGTERM, in the middle."""
    eventually(lambda: place in started(folder))
    stations = started(folder)

    starting.send_signal(number)

    assert starting.wait(30) in {128 + number, -number}
    assert not any(alive(each) for each in stations.values())
    assert not (folder / "state.json").exists()
    assert alive(bystander)


@pytest.mark.connected
def test_down_ends_the_processes_of_a_killed_up(
    starting: subprocess.Popen[bytes], folder: Path
) -> None:
    """After kill -9 no cleanup runs, but the record remains."""
    starting.kill()
    starting.wait()
    stations = started(folder)

    ended = Embedded(folder).down()

    assert "kafka" in ended
    assert not any(alive(each) for each in stations.values())


@pytest.mark.connected
def test_an_up_that_fails_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is the first one, with the end of the log that explains it."""
    seen: list[dict[str, Process]] = []
    system = Embedded(folder, regions=("eu",), settings={"topic_prefix": "no good"})

    def tell(line: str) -> None:
        seen.append(started(folder))

    monkeypatch.setattr(system, "_tell", tell)
    with pytest.raises(EmbeddedError, match=r"topics could not(?s:.*)TOPIC_PREFIX"):
        system.up()

    stations = seen[-1] or seen[-2]
    assert "kafka" in stations
    assert not any(alive(each) for each in stations.values())


def test_nothing_is_up(folder: Path) -> None:
    """The message says how to start; `status` and `down` create no folder."""
    system = Embedded(folder)

    for ask in (system.status, lambda: system.start("kafka")):
        with pytest.raises(EmbeddedError, match=r"nothing is up.*embedded up"):
            ask()

    assert system.down() == []
    assert not folder.exists()


def test_one_command_at_a_time(folder: Path) -> None:
    """Two at once could start a station twice or forget one."""
    folder.mkdir()
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        with pytest.raises(EmbeddedError, match="another command is at work"):
            Embedded(folder).up()


def test_down_spares_a_process_with_a_reused_pid(
    folder: Path, bystander: Process
) -> None:
    """After a reboot the pids in the file belong to other processes."""
    folder.mkdir()
    recorded = bystander.model_copy(update={"name": "kafka", "born": "before/1"})
    SystemState(
        bootstrap_servers="127.0.0.1:1",
        config_file=folder / "revocation.toml",
        regions={},
        stations={"kafka": recorded},
    ).write(folder / "state.json")

    assert Embedded(folder).down() == []
    assert alive(bystander)


def test_an_unknown_station(folder: Path, bystander: Process) -> None:
    """The message lists the existing ones."""
    folder.mkdir()
    SystemState(
        bootstrap_servers="127.0.0.1:1",
        config_file=folder / "revocation.toml",
        regions={},
        stations={"kafka": bystander},
    ).write(folder / "state.json")

    with pytest.raises(EmbeddedError, match="no station broker; there are kafka"):
        Embedded(folder).stop("broker")
    assert alive(bystander)


@pytest.mark.connected
def test_the_pepper_is_secret_and_permanent(
    starting: subprocess.Popen[bytes], folder: Path
) -> None:
    """Only its owner may read it; a new one would make the stores' keys unreadable."""
    pepper = folder / "pepper"
    first = pepper.read_text()
    starting.send_signal(signal.SIGINT)
    starting.wait(30)

    assert pepper.stat().st_mode & 0o777 == 0o600
    assert pepper.stat().st_uid == os.getuid()
    assert PepperSettings(pepper_file=pepper).peppers == (first.encode(),)
    assert time.time() - pepper.stat().st_mtime < 60
