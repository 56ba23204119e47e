"""Kafka's jars, fetched once by Maven into a cache folder that all checkouts share."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from revocation.errors import EmbeddedError, PrerequisiteError
from revocation.settings.settings_source import CACHE_VARIABLE

_POM: Final = Path(__file__).with_name("pom.xml")
_OLDEST_JAVA: Final = 17


def java() -> str:
    """Return the path of a Java that can run Kafka.

    Raises:
        PrerequisiteError: there is none, or it is too old.
    """
    home = os.environ.get("JAVA_HOME")
    path = shutil.which("java", path=f"{home}/bin" if home else None)
    if path is None:
        where = f"in JAVA_HOME ({home})" if home else "on the PATH"
        raise PrerequisiteError(
            f"no `java` {where}; the local Kafka broker needs Java {_OLDEST_JAVA} or "
            "later: `apt-get install default-jre-headless`, `dnf install "
            "java-21-openjdk-headless` or the like, then try again"
        )
    said = subprocess.run(  # noqa: S603 - a fixed argument
        [path, "-version"], capture_output=True, text=True, check=False
    ).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < _OLDEST_JAVA:
        found = said.partition("\n")[0] or "says no version"
        raise PrerequisiteError(
            f"{path} is too old ({found}); Kafka needs Java {_OLDEST_JAVA} or later: "
            "install one and put it first on the PATH, or set JAVA_HOME"
        )
    return path


def classpath(tell: Callable[[str], None] = lambda _: None) -> str:
    """Return Java's class path of Kafka, after fetching it if it is not there yet.

    Raises:
        PrerequisiteError: the jars are not there and neither is Maven.
        EmbeddedError: Maven could not fetch them.
    """
    return f"{fetch(tell)}/*"


def fetch(tell: Callable[[str], None] = lambda _: None) -> Path:
    """Return the folder of Kafka's jars; the first time Maven fills it.

    Whole or not at all: Maven writes beside it, and the result is renamed. Of several
    processes at once one fetches and the others wait for it.

    Raises:
        PrerequisiteError: the jars are not there and neither is Maven.
        EmbeddedError: Maven could not fetch them.
    """
    folder = _cache() / _folder_name(_POM.read_text())
    if folder.is_dir():
        return folder
    mvn = _mvn(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(folder.parent / "lock"):
        if not folder.is_dir():
            tell(f"fetching Apache Kafka by Maven into {folder} (45 MB, once)")
            _fetch_into(folder, mvn)
    return folder


def _cache() -> Path:
    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen).absolute() if chosen else Path.home() / ".cache" / "revocation"


def _folder_name(pom: str) -> str:
    """A changed pom is another folder, or an old cache would hide the change."""
    version = re.search(r"<kafka.version>(.+?)</kafka.version>", pom)
    digest = hashlib.blake2b(pom.encode(), digest_size=4).hexdigest()
    return f"kafka-{version[1] if version else 'unknown'}-{digest}"


def _mvn(folder: Path) -> str:
    path = shutil.which("mvn")
    if path is None:
        raise PrerequisiteError(
            "no `mvn` on the PATH; Apache Maven fetches the local Kafka broker's jars, "
            "once: `apt-get install maven`, `dnf install maven` or the like, then try "
            f"again. Or copy the folder {folder} from a machine that has it"
        )
    return path


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch_into(folder: Path, mvn: str) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetch-") as scratch:
        # Maven must not see the package as its project folder and write beside it.
        shutil.copy(_POM, scratch)
        jars = Path(scratch, "jars")
        command = [mvn, "--batch-mode", "--no-transfer-progress", "--strict-checksums"]
        goal = ["dependency:copy-dependencies", f"-DoutputDirectory={jars}"]
        done = subprocess.run(  # noqa: S603 - no argument from outside
            [*command, *goal],
            cwd=scratch,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0 or not jars.is_dir():
            reason = "\n  ".join(done.stdout.splitlines()[-12:])
            raise EmbeddedError(
                "Maven could not fetch Kafka's jars; check its access to the network "
                f"(~/.m2/settings.xml) and try again. It said:\n  {reason}"
            )
        jars.rename(folder)
