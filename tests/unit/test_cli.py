"""The command line without any server. Sibling: connected/test_cli.py."""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import typer
from aiokafka.errors import TopicAuthorizationFailedError
from typer.testing import CliRunner

from revocation.__main__ import app
from revocation.cli import ask, publish
from revocation.cli.publish_lines import Published
from revocation.decision import Reason, Verdict
from revocation.entries import UnixMs
from revocation.events import Event
from tests.unit.tokens import CLAIMS, mint

SCHEMAS = Path(__file__).parents[2] / "schemas"


def commands(command: object, *path: str) -> Iterator[tuple[str, ...]]:
    """Yield the words of a command and of all below it."""
    yield path
    for name, each in getattr(command, "commands", {}).items():
        yield from commands(each, *path, name)


@pytest.mark.parametrize(
    "path", list(commands(typer.main.get_command(app))), ids=" ".join
)
def test_help(path: tuple[str, ...]) -> None:
    """Every command explains itself without any settings."""
    result = CliRunner().invoke(app, [*path, "--help"])

    assert result.exit_code == 0
    assert "Usage: " in result.output


def test_every_option_says_what_it_is() -> None:
    def nameless(command: object, *path: str) -> Iterator[tuple[str, ...]]:
        for each in getattr(command, "params", ()):
            if not getattr(each, "help", None):
                yield (*path, each.name)
        for name, each in getattr(command, "commands", {}).items():
            yield from nameless(each, *path, name)

    assert list(nameless(typer.main.get_command(app))) == []


def test_schemas_export(tmp_path: Path) -> None:
    """What it writes, and names, is what the repository holds."""
    folder = tmp_path / "new" / "schemas"
    result = CliRunner().invoke(app, ["schemas", "export", str(folder)])
    written = {
        path.relative_to(folder): path.read_bytes()
        for path in map(Path, result.output.split())
    }

    assert result.exit_code == 0
    held = [path for path in SCHEMAS.iterdir() if path.is_file()]
    assert written == {path.relative_to(SCHEMAS): path.read_bytes() for path in held}


def test_what_to_type_for_a_token_may_be_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some issuers write `exp` with a fraction, and so it is suggested."""
    sent: list[Event] = []

    async def publish_one(event: Event) -> Published:
        sent.append(event)
        return {"unknown_issuers": []}, ()

    monkeypatch.setattr(publish, "_publish_one", publish_one)
    words = ["publish", "token-revoked", "--issuer", "https://idp", "--jti", "t-1"]
    for exp in ("1790000000", "1790000000.25"):
        result = CliRunner().invoke(app, [*words, "--exp", exp])
        assert result.exit_code == 0, result.output

    assert [cast("Any", event).data.exp for event in sent] == [
        1_790_000_000,
        1_790_000_001,
    ]


@pytest.mark.parametrize(
    ("ago", "warning"),
    [
        (-60, None),
        (30, None),
        (300, "no verifier accepts that token any more, so the event can no longer"),
        (40 * 86_400, "longer ago than any token lives, so it counts as not given"),
    ],
)
def test_an_exp_in_the_past_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, ago: float, warning: str | None
) -> None:
    """Not while some verifier may still accept the token, by its leeway and clock."""

    async def publish_one(_: Event) -> Published:
        return {"unknown_issuers": []}, ()

    monkeypatch.setattr(publish, "_publish_one", publish_one)
    words = ["publish", "token-revoked", "--issuer", "https://idp", "--jti", "t-1"]
    result = CliRunner().invoke(app, [*words, "--exp", str(int(time.time() - ago))])

    assert result.exit_code == 0
    assert "warning" not in result.stdout
    assert (warning or "") in result.stderr
    assert result.stderr.count("warning: ") == (warning is not None)


def test_a_folder_of_schemas_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = CliRunner(env={"COLUMNS": "400"}).invoke(
        app, ["schemas", "export", str(tmp_path / "file")]
    )

    assert result.exit_code == 2
    assert "cannot write to" in result.output


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
@pytest.mark.parametrize(
    "words",
    [
        ["publish", "user-logged-out", "--issuer", "https://idp", "--user", "alice"],
        ["rebuild", "eu"],
    ],
    ids=lambda words: words[0],
)
def test_a_time_to_wait_is_a_number_of_seconds(words: list[str], seconds: str) -> None:
    """Nothing is published, or emptied, by a command that could not wait for it."""
    result = CliRunner().invoke(app, [*words, "--timeout", seconds])
    assert result.exit_code == 2
    assert "'--timeout': give a number of seconds above 0" in result.output


def test_a_claim_is_given_one_value() -> None:
    """The last would count, and whoever typed both would believe both revoked."""
    words = ["publish", "claims-revoked", "--issuer", "https://idp"]
    words += ["--claims", "device_id=d-1", "--claims", "device_id=d-2"]
    result = CliRunner(env={"COLUMNS": "400"}).invoke(app, words)

    assert result.exit_code == 2
    assert "names a claim twice" in result.output


def test_a_whole_jwt_as_jti_is_refused_with_what_to_type() -> None:
    """Published, it would be "applied", and the token stay in use."""
    words = ["publish", "token-revoked", "--issuer", "https://idp", "--jti", mint()]
    result = CliRunner(env={"COLUMNS": "400"}).invoke(app, words)

    assert result.exit_code == 2
    options = f"--issuer {CLAIMS['iss']} --jti {CLAIMS['jti']} --exp {CLAIMS['exp']}"
    assert options in result.output


async def test_dead_letters_that_cannot_be_read_are_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A producer's ACLs may well deny it; the event was applied or parked before."""

    async def denied(*_: object, **__: object) -> None:
        raise TopicAuthorizationFailedError

    monkeypatch.setattr(publish, "find_parked", denied)
    await publish._require_none_parked([], since=UnixMs(0))
    assert "TopicAuthorizationFailedError" in capsys.readouterr().err


def test_what_strangers_wrote_into_a_token_cannot_draw_on_the_terminal():
    """Whoever revokes a token that was found somewhere shows it to this command."""
    token = mint(iss="https://a/\x1b[2J", jti="\x1b]0;x\x07", exp=["\x1b[31m"])
    words = ["publish", "token-revoked", "--issuer", "https://idp", "--jti", token]
    found = CliRunner(env={"COLUMNS": "400"}).invoke(app, words)
    assert found.exit_code == 2
    assert "--issuer '?' --jti '?' --exp '?'" in found.output
    assert found.output.replace("\n", " ").isprintable()


@pytest.mark.parametrize(
    ("reason", "as_of", "age"),
    [
        (Reason.ACTIVE, 7, "as of 0.004 s ago"),
        (Reason.STALE, 7, "as of 0.004 s ago"),
        (Reason.MALFORMED, 0, "not looked up"),
        (Reason.SIGNATURE_INVALID, 0, "not looked up"),
        (Reason.NOT_READY, 0, "age unknown"),
    ],
)
def test_an_age_is_that_of_what_was_looked_up(
    reason: Reason, as_of: int, age: str
) -> None:
    """A token that was refused before has no age of 57 years."""
    verdict = Verdict(
        active=reason is Reason.ACTIVE,
        reason=reason,
        as_of=UnixMs(as_of),
        staleness_ms=4,
    )
    assert ask._age(verdict) == age
    told = ask._to_json(verdict, "eu")
    assert (told["as_of"], told["staleness_ms"]) == (
        (as_of, 4) if as_of else (None,) * 2
    )


# Standard streams ---------------------------------------------------------------------

ASKING = (["check"], ["check", "-"], ["verify", "-"], ["issuers", "try", "-"])
READING = (*ASKING, ["publish", "--file", "-"])


def run(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[object, str]:
    """Run a command with the streams as they are; its exit code and what it says."""
    with pytest.raises(SystemExit) as ended:
        app(words)
    said = capsys.readouterr().err.replace("│", " ")
    return ended.value.code, " ".join(said.split())


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_a_closed_stdin_is_said(
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As `<&-` closes it, and some supervisors do."""
    monkeypatch.setattr(sys, "stdin", None)
    code, said = run(words, capsys)
    assert code == 2
    assert "stdin is closed; pipe the " in said


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_a_stdin_that_cannot_be_read_is_said(
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with (tmp_path / "log").open("wb") as file:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=file))
        code, said = run(words, capsys)
    assert code == 2
    assert "cannot read stdin" in said


@pytest.mark.parametrize("command", ["check", "verify"])
def test_a_token_that_is_typed_is_refused_and_not_repeated(command: str) -> None:
    """Processes and the shell's history would show it; so would this message."""
    result = CliRunner().invoke(app, [command, token := mint()])
    assert result.exit_code == 2
    assert "pipe the token" in result.output
    assert token[:20] not in result.output


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- >&- 2>&-"])
def test_a_command_that_connects_needs_no_standard_streams(closed: str) -> None:
    """A supervisor may close them; a socket in their place made libuv abort."""
    command = f"{shlex.quote(sys.executable)} -m revocation topics init {closed}"
    nowhere = {**os.environ, "REVOCATION_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    done = subprocess.run(
        ["/bin/sh", "-c", command], env=nowhere, capture_output=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout == b""
    assert (b"no broker answers at 127.0.0.1:1" in done.stderr) == ("2>" not in closed)


def test_a_full_disk_behind_stdout_is_said() -> None:
    words = [sys.executable, "-m", "revocation", "issuers", "show"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(words, stdout=full, stderr=-1, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(b"no_space: [Errno 28] No space left on device; free")
    assert done.stderr.count(b"\n") == 1


def test_what_reads_the_output_may_go_away_before_it_is_written() -> None:
    """As in `| head -1`, for a command that prints line by line."""
    words = [sys.executable, "-m", "revocation", "issuers", "show"]
    with subprocess.Popen(words, stdout=-1, stderr=-1) as command:
        assert command.stdout is not None
        command.stdout.close()
        assert command.stderr is not None
        assert command.stderr.read() == b""
    assert command.returncode == 1
