"""The services behind the proxies: one in Node.js and one in Go, as processes.

Each writes a line for every request that reaches it: method, path, and who calls, by
what it was told. So what a proxy let through is known from behind it, too.
"""

import contextlib
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import httpx

from revocation.errors import PrerequisiteError
from revocation.local.process import LOOPBACK, Process, free_ports, spawn, wait_until

_HERE = Path(__file__).parent
# Go compiles at first, and most of its standard library with it.
_START_SECONDS = 180


class Language(NamedTuple):
    """What a service is written in, and how it is run."""

    name: str
    program: str
    arguments: tuple[str, ...]
    package: str
    """Debian's, which has the program."""


LANGUAGES = (
    Language("Node.js", "node", (str(_HERE / "service.mjs"),), "nodejs"),
    Language("Go", "go", ("run", str(_HERE / "service.go")), "golang-go"),
)


class Service(NamedTuple):
    """A service that was started."""

    language: str
    port: int
    process: Process

    @property
    def url(self) -> str:
        """Where only its proxy should ask."""
        return f"http://{LOOPBACK}:{self.port}"

    def wait(self) -> None:
        """Wait until it answers.

        Raises:
            EmbeddedError: it ended or did not answer in time; with the end of its log.
        """
        wait_until(self._answers, [self.process], seconds=_START_SECONDS)

    def arrived(self) -> Counter[tuple[str, str]]:
        """Return what reached it so far: how many requests by path and caller."""
        log = self.process.log.read_text()
        return Counter(re.findall(r"^GET (\S+) (.+)$", log, re.MULTILINE))

    def _answers(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/ready", trust_env=False).is_success
        return False


def installed() -> tuple[list[Language], list[str]]:
    """Return the languages that are there; and of each that is not, how to get it.

    Raises:
        PrerequisiteError: none is.
    """
    there = [each for each in LANGUAGES if shutil.which(each.program)]
    missing = [
        f"no `{each.program}` on the PATH, so no service in {each.name}: "
        f"`apt-get install {each.package}` or the like"
        for each in LANGUAGES
        if each not in there
    ]
    if not there:
        lines = "\n  ".join(missing)
        raise PrerequisiteError(f"one of these is needed:\n  {lines}")
    return there, missing


def start(language: Language, folder: Path) -> Service:
    """Start a service; until it answers is for `Service.wait`.

    Raises:
        EmbeddedError: the program cannot be started.
    """
    (port,) = free_ports(1)
    env = {
        "PORT": str(port),
        # Go compiles in a folder that goes with all others here, and fetches nothing:
        # its standard library is all that the service needs.
        "GOTMPDIR": str(folder),
        "GOPROXY": "off",
        "GOTOOLCHAIN": "local",
    }
    program = shutil.which(language.program) or language.program
    name = f"service-{language.program}"
    log = folder / "logs" / f"{name}.log"
    process = spawn(name, (program, *language.arguments), env=env, log=log)
    return Service(language.name, port, process)
