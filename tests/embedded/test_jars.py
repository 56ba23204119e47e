"""Where Kafka comes from, and what is said when something is missing."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from revocation.errors import EmbeddedError, PrerequisiteError
from revocation.local import jars

Program = Callable[[str, str], None]

# Stands in for Maven's copy goal: the folder is the last argument's value.
_MVN = """\
echo run >> {runs}
folder=$(echo "$@" | sed 's/.*-DoutputDirectory=//')
mkdir -p "$folder"; sleep 0.3; touch "$folder/kafka.jar"
"""


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on the PATH, but for the shell's own programs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "sed", "mkdir", "sleep", "touch"):
        (folder / name).symlink_to(shutil.which(name) or name)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return folder


@pytest.fixture
def program(bin_folder: Path) -> Program:
    """Put a shell script on the PATH."""

    def put(name: str, script: str) -> None:
        path = bin_folder / name
        path.write_text(f"#!{bin_folder}/sh\n{script}\n")
        path.chmod(0o755)

    return put


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    folder = tmp_path / "cache"
    monkeypatch.setenv(jars.CACHE_VARIABLE, str(folder))
    return folder


def test_no_java(bin_folder: Path) -> None:
    """The message names Java, the version and a command that installs it."""
    with pytest.raises(PrerequisiteError, match=r"no `java` on the PATH.*17.*install"):
        jars.java()


def test_no_java_where_java_home_says(
    bin_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JAVA_HOME goes first, so the message must name it."""
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))

    with pytest.raises(PrerequisiteError, match=r"no `java` in JAVA_HOME .*jdk"):
        jars.java()


@pytest.mark.parametrize(
    "said", ['openjdk version "11.0.2" 2019-01-15', 'java version "1.8.0_392"', ""]
)
def test_old_java(program: Program, said: str) -> None:
    """Kafka 4 does not start on it, so it is refused before with what was found."""
    program("java", f"echo '{said}' >&2")

    with pytest.raises(PrerequisiteError, match=r"too old \(.+\); Kafka needs Java 17"):
        jars.java()


@pytest.mark.parametrize("said", ['openjdk version "17.0.15"', 'java version "25"'])
def test_java_that_will_do(program: Program, bin_folder: Path, said: str) -> None:
    """From 17 on."""
    program("java", f"echo '{said}' >&2")

    assert jars.java() == f"{bin_folder}/java"


def test_no_maven(bin_folder: Path, cache: Path) -> None:
    """The message names Maven, a command that installs it, and a way without."""
    with pytest.raises(PrerequisiteError, match=r"no `mvn`.*install maven.*copy the"):
        jars.fetch()


def test_maven_is_needed_once(program: Program, cache: Path, bin_folder: Path) -> None:
    """With the jars in the cache nothing but Java is needed."""
    program("mvn", _MVN.format(runs="/dev/null"))
    folder = jars.fetch()
    (bin_folder / "mvn").unlink()

    assert jars.fetch() == folder
    assert jars.classpath() == f"{folder}/*"
    assert [path.name for path in folder.iterdir()] == ["kafka.jar"]


def test_a_fetch_that_fails_leaves_nothing(program: Program, cache: Path) -> None:
    """Half a set of jars must never be taken for a whole one."""
    program("mvn", _MVN.format(runs="/dev/null") + "echo no route to host; exit 1")

    with pytest.raises(EmbeddedError, match=r"could not fetch(?s:.*)no route to host"):
        jars.fetch()

    assert [path.name for path in cache.iterdir()] == ["lock"]


def test_two_at_once_fetch_once(program: Program, cache: Path, tmp_path: Path) -> None:
    """Maven's own cache is not made for two; the second waits and uses the first's."""
    runs = tmp_path / "runs"
    program("mvn", _MVN.format(runs=runs))
    fetch = "from revocation.local.jars import fetch; print(fetch())"
    command = [sys.executable, "-c", fetch]

    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, env=dict(os.environ))
        for _ in range(2)
    ]

    printed = {process.communicate()[0] for process in both}
    assert len(printed) == 1
    assert Path(printed.pop().decode().strip()).is_dir()
    assert runs.read_text() == "run\n"
