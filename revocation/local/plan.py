"""The parts of the local system: each station's command, settings and folder.

Pure: nothing is started here, so the whole installation can be read in one file.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from revocation.local.process import LOOPBACK

DEFAULT_REGIONS: Final = ("eu", "us", "ap")
DEFAULT_PARTITIONS: Final = 4
"""Each costs pulses and space in every fetch; two cores need no more."""
PYTHON: Final = (sys.executable, "-m", "revocation")
# For all stations. A killed station is replaced within seconds, so its session need not
# outlive it for long.
_SETTINGS: Final = {
    "replication_factor": 1,
    "session_timeout_ms": 3_000,
    "heartbeat_interval_ms": 500,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A station to start."""

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """An installation in a folder, with its ports chosen."""

    folder: Path
    bootstrap_servers: str
    store_urls: Mapping[str, str]
    sidecar_ports: Mapping[str, int]
    worker_ports: Mapping[str, int] = field(default_factory=dict)
    """The health ports of the authority and projectors, by station."""
    partitions: int = DEFAULT_PARTITIONS
    settings: Mapping[str, str | int] = field(default_factory=dict)
    """Additional or overriding settings for every station, by field name."""

    @property
    def pepper_file(self) -> Path:
        """The secret of this installation."""
        return self.folder / "pepper"

    @property
    def config_file(self) -> Path:
        """The settings that all stations share; also for the user's own commands."""
        return self.folder / "revocation.toml"

    @property
    def config(self) -> str:
        """The content of the config file."""
        shared = {
            "bootstrap_servers": self.bootstrap_servers,
            "partitions": self.partitions,
            "pepper_file": str(self.pepper_file),
            **_SETTINGS,
            **self.settings,
        }
        # JSON's strings and numbers are valid TOML.
        lines = [f"{key} = {json.dumps(value)}" for key, value in shared.items()]
        regions = [f"{key} = {json.dumps(url)}" for key, url in self.store_urls.items()]
        tables = ["", "[regions]", *regions, "", "[claims]", 'version_claim = "ver"']
        return "\n".join([*lines, *tables, ""])

    def sidecar_url(self, region: str) -> str:
        """Return the address of the region's sidecar."""
        return f"http://{LOOPBACK}:{self.sidecar_ports[region]}"

    def topics(self) -> Launch:
        """Return the command that creates the topics and then ends."""
        command = (*PYTHON, "topics", "init")
        return Launch(name="topics", command=command, env=self._env())

    def stations(self) -> Iterator[Launch]:
        """Yield the stations, in the order of the flow."""
        yield Launch(
            name="authority",
            command=(*PYTHON, "authority"),
            env=self._worker_env("authority", data_dir=self.folder / "authority"),
        )
        for region, url in self.store_urls.items():
            name = f"projector-{region}"
            yield Launch(
                name=name,
                command=(*PYTHON, "projector", "--region", region),
                env=self._worker_env(name, store_url=url),
            )
        for region, url in self.store_urls.items():
            port = self.sidecar_ports[region]
            yield Launch(
                name=f"sidecar-{region}",
                command=(*PYTHON, "sidecar", "--region", region),
                env=self._env(store_url=url, sidecar_port=port),
            )

    def _worker_env(self, name: str, **own: str | Path) -> dict[str, str]:
        port = self.worker_ports.get(name, 0)
        return self._env(instance_id=name, metrics_port=port, **own)

    def _env(self, **own: str | int | Path) -> dict[str, str]:
        settings = {"config": self.config_file, **own}
        named = {f"REVOCATION_{key.upper()}": str(settings[key]) for key in settings}
        # Without it, a killed station would lose the last lines in its buffer.
        return {**named, "PYTHONUNBUFFERED": "1"}
