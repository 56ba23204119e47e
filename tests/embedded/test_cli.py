"""`revocation embedded` as a person or a script sees it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from revocation.cli.embedded import app
from revocation.errors import EmbeddedError
from revocation.local.process import Process, alive, kill, spawn
from revocation.local.system_state import SystemState


def run(*words: str | Path) -> Result:
    """Run a command."""
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def kafka_station(tmp_path: Path) -> Process:
    """Something that runs under the name of kafka, and its state file."""
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
    """One screen is enough to begin."""
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
    """And starts nothing."""
    folder = ("--folder", tmp_path / "system") if len(words) > 1 else ()

    assert run(*words, *folder).exit_code == 2
    assert not (tmp_path / "system").exists()


def test_nothing_is_up(tmp_path: Path) -> None:
    """An error for the entry point, which makes exit code 1 of it."""
    assert isinstance(run("status", "--folder", tmp_path).exception, EmbeddedError)


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
    # Whole, however narrow: what somebody copies to read.
    assert str(kafka_station.log) in "".join(result.stdout.split())


def test_stop(tmp_path: Path, kafka_station: Process) -> None:
    """What happened is said on stderr; stdout stays for data."""
    first = run("stop", "kafka", "--kill", "--folder", tmp_path)
    second = run("stop", "kafka", "--folder", tmp_path)

    assert not alive(kafka_station)
    assert first.exit_code == second.exit_code == 0
    assert first.stdout == second.stdout == ""
    assert "kafka killed" in first.stderr
    assert "was not running" in second.stderr


def test_down(tmp_path: Path, kafka_station: Process) -> None:
    """All that was recorded is ended."""
    result = run("down", "--folder", tmp_path)

    assert result.exit_code == 0
    assert "ended: kafka" in result.stderr
    assert not alive(kafka_station)
