"""`revocation embedded` as people and scripts use it."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from revocation.cli.embedded import app
from revocation.errors import EmbeddedError
from revocation.local import process
from revocation.local.embedded_system import Embedded
from revocation.local.process import Process, alive, kill, spawn
from revocation.local.system_state import SystemState


def run(*words: str | Path) -> Result:
    """Run a command."""
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def kafka_station(tmp_path: Path) -> Process:
    """A running process with the name of kafka, and its state file."""
    station = spawn("kafka", ("/bin/sleep", "60"), env={}, log=tmp_path / "kafka.log")
    SystemState(
        bootstrap_servers="127.0.0.1:9092",
        config_file=tmp_path / "revocation.toml",
        regions={},
        stations={"kafka": station},
    ).write(tmp_path / "state.json")
    yield station
    kill(station)


def test_help_names_every_command() -> None:
    """One screen is enough to start."""
    output = run("--help").output

    for command in ("up", "down", "status", "start", "stop", "fetch"):
        assert f" {command} " in output


@pytest.mark.parametrize(
    "words",
    [
        ("up", "--regions", "EU"),
        ("up", "--regions", "eu,,us"),
        ("up", "--partitions", "0"),
        ("stop",),
        ("nonsense",),
    ],
)
def test_wrong_usage_is_exit_code_2(tmp_path: Path, words: tuple[str, ...]) -> None:
    """It starts nothing."""
    folder = ("--folder", tmp_path / "system") if len(words) > 1 else ()

    assert run(*words, *folder).exit_code == 2
    assert not (tmp_path / "system").exists()


def test_nothing_is_up(tmp_path: Path) -> None:
    """An error for the entry point, which turns it into exit code 1."""
    assert isinstance(run("status", "--folder", tmp_path).exception, EmbeddedError)


COMMANDS = (
    ("up", "--regions", "eu"),
    ("down",),
    ("status",),
    ("start", "kafka"),
    ("stop", "kafka"),
)


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
@pytest.mark.parametrize("is_in_the_way", ["lock", "state.json"])
def test_an_unusable_folder_is_reported(
    tmp_path: Path, words: tuple[str, ...], is_in_the_way: str
) -> None:
    """By each command, without a traceback; root may write to read-only folders."""
    (tmp_path / is_in_the_way).mkdir()

    error = run(*words, "--folder", tmp_path).exception

    assert isinstance(error, EmbeddedError)
    assert str(tmp_path) in str(error)


def test_a_folder_that_is_a_file_is_reported(tmp_path: Path) -> None:
    """Only `up` would create one; the others find nothing there."""
    (tmp_path / "file").write_text("mine")

    up, down, *others = [
        run(*words, "--folder", tmp_path / "file") for words in COMMANDS
    ]

    assert "File exists" in str(up.exception)
    assert "--folder" in str(up.exception)
    assert (down.exit_code, down.exception) == (0, None)
    assert "nothing is up in" in down.stderr
    for each in others:
        assert "nothing is up in" in str(each.exception)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    """Neither by `up`, which refuses, nor by `down`, which finds nothing."""
    (tmp_path / "thesis.tex").write_text("mine")

    up = run("up", "--folder", tmp_path)
    down = run("down", "--folder", tmp_path)

    assert "holds no local system; name an empty or a new folder" in str(up.exception)
    assert down.exit_code == 0
    assert [each.name for each in tmp_path.iterdir()] == ["thesis.tex"]


def test_up_names_the_variables_that_no_station_gets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else people would look for the fault in a value that no station reads."""
    monkeypatch.setenv("REVOCATION_LEEWAY_SECONDS", "3")
    lines: list[str] = []

    def interrupt(line: str) -> None:
        lines.append(line)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Embedded(tmp_path / "system", tell=interrupt).up()

    assert lines[0] == "not passed on to the stations: REVOCATION_LEEWAY_SECONDS"


def test_a_station_that_cannot_be_recorded_is_ended(
    tmp_path: Path, kafka_station: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk; else no command could find it to end it."""
    kill(kafka_station)
    started: list[Process] = []

    def start(*arguments: Any, **options: Any) -> Process:
        started.append(spawn(*arguments, **options))
        return started[-1]

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(process, "spawn", start)
    monkeypatch.setattr(SystemState, "write", full)
    error = run("start", "kafka", "--folder", tmp_path).exception

    assert isinstance(error, EmbeddedError)
    assert "No space left" in str(error)
    assert [alive(each) for each in started] == [False]


def test_status_in_json(tmp_path: Path, kafka_station: Process) -> None:
    """Machine-readable on stdout; healthy is exit code 0."""
    result = run("status", "--json", "--folder", tmp_path)

    assert result.exit_code == 0
    status = json.loads(result.stdout)
    assert status["bootstrap_servers"] == "127.0.0.1:9092"
    assert status["stations"] == [
        {
            "name": "kafka",
            "pid": kafka_station.pid,
            "alive": True,
            "log": str(kafka_station.log),
        }
    ]


def test_status_of_a_dead_station(tmp_path: Path, kafka_station: Process) -> None:
    """Exit code 1, and the station is named."""
    kill(kafka_station)

    result = run("status", "--folder", tmp_path)

    assert result.exit_code == 1
    assert "kafka" in result.stdout
    assert "dead" in result.stdout
    # Complete in any width: people copy it.
    assert str(kafka_station.log) in "".join(result.stdout.split())


def test_stop(tmp_path: Path, kafka_station: Process) -> None:
    """Messages go to stderr; stdout is for data."""
    first = run("stop", "kafka", "--kill", "--folder", tmp_path)
    second = run("stop", "kafka", "--folder", tmp_path)

    assert not alive(kafka_station)
    assert first.exit_code == second.exit_code == 0
    assert first.stdout == second.stdout == ""
    assert "kafka killed" in first.stderr
    assert "was not running" in second.stderr


def test_down(tmp_path: Path, kafka_station: Process) -> None:
    """It ends every recorded process."""
    result = run("down", "--folder", tmp_path)

    assert result.exit_code == 0
    assert "ended: kafka" in result.stderr
    assert not alive(kafka_station)
