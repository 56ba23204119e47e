"""`make demo-proxies` as users run it: its output, and that it can fail."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from examples.behind_proxies.services import LANGUAGES, Service, installed
from examples.behind_proxies.story import Answer, Logout, Refusal, Visitor, judge
from examples.behind_proxies.system import TITLES, Door
from revocation.errors import PrerequisiteError
from revocation.local import Process
from tests.installation import eventually
from tests.optional import need

ROOT = Path(__file__).parents[2]
THERE = [each.name for each in LANGUAGES if shutil.which(each.program)]
ROW = re.compile(
    r"│ (.+?) +│ passed +│ 401 after ([\d.]+) ms +│ passes +│ alice +│\n"
    r"│ → (.+?) +│ \d+ times +│ invalid_token +│ \d+ times +│ never mallory +│"
)

needs_a_language = pytest.mark.usefixtures("a_language")


@pytest.fixture
def a_language():
    """One language for the services behind the proxies is enough."""
    need("node", "go")


@pytest.fixture
def folder():
    """The demo's folder; pytest's own has too long a name for sockets."""
    with tempfile.TemporaryDirectory(prefix="demo-") as name:
        yield Path(name)


@contextlib.contextmanager
def demo(folder, *arguments, **env):
    """Run it; in any case it ends by a signal, so that it ends its processes."""
    with subprocess.Popen(
        [sys.executable, "-m", "examples.behind_proxies", *arguments],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder), "COLUMNS": "80", **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def left_over(folder):
    """Return its processes that still run."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"TMPDIR={folder}".encode() in (each / "environ").read_bytes():
                found.append((each / "cmdline").read_text())
    return found


def left_nothing(folder):
    asyncio.run(eventually(lambda: not left_over(folder)))
    return not list(folder.iterdir())


# Whole runs ---------------------------------------------------------------------------


@needs_a_language
@pytest.mark.connected
@pytest.mark.timeout(240)
def test_it_shows_how_every_proxy_refuses(folder):
    with demo(folder) as process:
        output, _ = process.communicate()
    assert process.returncode == 0, output
    rows = ROW.findall(output)
    assert [proxy for proxy, _, _ in rows] == list(TITLES.values()), output
    assert {language for _, _, language in rows} == set(THERE)
    assert re.search(r"4 proxies refused alice's token \d+ to \d+ ms after", output)
    assert "wrong:" not in output
    assert left_nothing(folder)


@needs_a_language
@pytest.mark.connected
@pytest.mark.timeout(240)
def test_it_fails_where_a_rule_makes_everything_public(folder):
    """It names the proxies that did, and the folder of the logs."""
    rules = folder / "rules.toml"
    public = [f'[[rules]]\npath = "{path}"\npublic = true\n' for path in OPEN]
    rules.write_text("\n".join(public))
    with demo(folder, "--rules", str(rules)) as process:
        output, _ = process.communicate()
    assert process.returncode == 1, output
    for proxy in TITLES.values():
        assert f"wrong: {proxy} still let the logged-out token pass" in output
    assert "saw nobody, not alice, ask for /datasets/7" in output.replace("\n", " ")
    assert "her new login passed" not in output
    logs = Path(re.search(r"The logs of everything are below (\S+)", output)[1])
    assert logs.is_relative_to(folder)
    written = {each.stem for each in logs.rglob("*.log")}
    assert written > {*TITLES, "kafka", "authority", "sidecar"}
    asyncio.run(eventually(lambda: not left_over(folder)))


OPEN = ("/health", "/datasets/{id:int}")


@needs_a_language
@pytest.mark.connected
@pytest.mark.timeout(240)
def test_one_language_is_enough_and_ctrl_c_leaves_nothing(folder, tmp_path):
    """It says how to install the other."""
    language, *others = installed()[0]
    (tmp_path / language.program).symlink_to(shutil.which(language.program))
    with demo(folder, PATH=str(tmp_path)) as process:
        output = ""
        while f"Traefik answers, in front of {language.name}" not in output:
            line = process.stdout.readline()
            assert line, output
            output += line
        process.send_signal(signal.SIGINT)
        output += process.stdout.read()
    assert process.returncode == 130, output
    for other in others:
        assert f"no service in {other.name}: `apt-get install" in output
    assert "The logs of everything" not in output
    assert left_nothing(folder)


# Parts --------------------------------------------------------------------------------


def test_without_any_language_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PrerequisiteError, match=r"(?s)nodejs.*golang-go"):
        installed()


def test_make_reports_it_before_it_installs_anything(tmp_path):
    done = subprocess.run(
        [shutil.which("make"), "languages"],
        cwd=ROOT,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "neither node nor go on the PATH" in done.stderr


@pytest.fixture
def seen(tmp_path):
    """A visitor without complaints, and the log of its service."""
    log = tmp_path / "service.log"
    process = Process(name="", command=(), env={}, log=log, pid=0, born="")
    service = Service("Go", 0, process)
    visitor = Visitor(Door("nginx", service, ""), client=None, issuer=None)
    visitor.passed = visitor.came_back = visitor.served = 1
    visitor.logout = Logout(0, 0, 1)
    visitor.refusal = Refusal(1, Answer(401, "invalid_token"))
    log.write_text("GET /ready nobody\nGET /health nobody\nGET /datasets/7 alice\n")
    return visitor, service


def test_a_correct_run_has_no_complaints(seen):
    visitor, service = seen
    assert judge([visitor], [service]) == []


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("GET /datasets/7 mallory", "saw mallory, not alice, ask for /datasets/7 (1x)"),
        ("GET /datasets/7 alice, mallory", "saw alice, mallory, not alice"),
        ("GET /health mallory", "saw mallory, not nobody, ask for /health (1x)"),
        ("GET /datasets/7 alice", "2 requests for /datasets/7 reached"),
    ],
)
def test_a_forbidden_request_at_a_service_is_reported(seen, line, complaint):
    visitor, service = seen
    with service.process.log.open("a") as log:
        log.write(f"{line}\n")
    response = judge([visitor], [service])
    assert any(complaint in each for each in response), response


def test_a_wrong_status_or_error_is_reported(seen):
    visitor, service = seen
    visitor.refusal = Refusal(1, Answer(401, "invalid_request"))
    visitor.wrong["answered 502 to the token of the new login"] = 2
    assert judge([visitor], [service]) == [
        "nginx answered 502 to the token of the new login (2x)",
        "nginx refused with 401 invalid_request, no invalid_token",
    ]
