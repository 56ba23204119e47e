"""What a broker and a store have in common: one process, one folder, one port."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Self

from revocation.errors import EmbeddedError
from revocation.local.process import (
    Process,
    alive,
    end,
    free_ports,
    kill,
    spawn,
    wait_until,
)


class LocalServer(ABC):
    """A server in a folder of its own; it keeps its port and data across launches."""

    name: str
    launch_seconds: float = 30

    def __init__(self, folder: Path, *, port: int | None = None) -> None:
        self.folder = folder.absolute()
        self.port = port if port is not None else free_ports(1)[0]
        self.process: Process | None = None

    @classmethod
    def start(cls, folder: Path, **options: Any) -> Self:
        """Return a new server that answers; `options` are those of the class.

        Raises:
            PrerequisiteError: a required program is missing.
            EmbeddedError: it ended or did not answer in time; nothing is left running.
        """
        return cls(folder, **options).launch()

    @property
    @abstractmethod
    def command(self) -> tuple[str, ...]:
        """The command line, with absolute paths."""

    @abstractmethod
    def answers(self) -> bool:
        """Return whether it answers a real request now."""

    @abstractmethod
    def prepare(self) -> None:
        """Write what it needs before its start; keep existing data."""

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self.folder / f"{self.name}.log"

    def launch(self) -> Self:
        """Start or restart it, and wait until it answers.

        Raises:
            EmbeddedError: it already runs, ended, or did not answer in time; in the
                last two cases nothing is left running.
        """
        if self.process and alive(self.process):
            raise EmbeddedError(f"{self.name} runs already (pid {self.process.pid})")
        self.prepare()
        self.process = spawn(self.name, self.command, env={}, log=self.log)
        try:
            wait_until(self.answers, [self.process], seconds=self.launch_seconds)
        except BaseException:
            self.kill()
            raise
        return self

    def stop(self) -> None:
        """End it with SIGTERM; does nothing when it does not run."""
        if self.process:
            end([self.process])

    def kill(self) -> None:
        """End it with SIGKILL; does nothing when it does not run."""
        if self.process:
            kill(self.process)

    def __enter__(self) -> Self:
        return self.launch()

    def __exit__(self, *_: object) -> None:
        self.stop()
