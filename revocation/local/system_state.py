"""The state file of a local system, and the answer to `status`."""

import os
import tempfile
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from revocation.errors import EmbeddedError
from revocation.local.process import LOOPBACK, Process, alive
from revocation.local.system_folder import usable

_ANSWER_SECONDS = 2


class SystemRegion(BaseModel):
    """The addresses of a region's parts."""

    model_config = ConfigDict(frozen=True)

    store_url: str
    sidecar_url: str


class SystemState(BaseModel):
    """All that a later command must know about the started stations."""

    model_config = ConfigDict(frozen=True)

    bootstrap_servers: str
    config_file: Path
    """For the user's own commands: `export REVOCATION_CONFIG=...`."""
    regions: dict[str, SystemRegion]
    stations: dict[str, Process] = {}

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Return the state in the file, or None if there is no file.

        Raises:
            EmbeddedError: the file cannot be read or parsed.
        """
        with usable(path.parent):
            try:
                content = path.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            raise EmbeddedError(f"{path} {_explain(error)}") from None

    def write(self, path: Path) -> None:
        """Replace the file atomically: readers see the old state or the new one."""
        # In the same folder: a rename across file systems fails.
        handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=".state-")
        try:
            with os.fdopen(handle, "w") as file:
                file.write(self.model_dump_json(indent=2))
            Path(scratch).replace(path)
        except BaseException:
            Path(scratch).unlink(missing_ok=True)
            raise

    def health_url(self, name: str) -> str:
        """Return the URL at which the authority, or a projector, serves its health."""
        port = self.stations[name].env["REVOCATION_METRICS_PORT"]
        return f"http://{LOOPBACK}:{port}"

    def with_station(self, station: Process) -> Self:
        """Return the state with this station, in place of any with the same name."""
        stations = {**self.stations, station.name: station}
        return self.model_copy(update={"stations": stations})


class StationStatus(BaseModel):
    """One process."""

    name: str
    pid: int
    alive: bool
    log: Path


class RegionStatus(BaseModel):
    """A region's state, as its sidecar reports it."""

    ready: bool
    staleness_ms: int | None = None
    """How old the region's knowledge is; None when that is unknown."""
    detail: str = ""
    """Why it is not ready."""


class SystemStatus(BaseModel):
    """The whole system at one moment."""

    bootstrap_servers: str
    stations: list[StationStatus]
    regions: dict[str, RegionStatus]

    @property
    def healthy(self) -> bool:
        """Whether every process runs and every region is ready."""
        return all(station.alive for station in self.stations) and all(
            region.ready for region in self.regions.values()
        )


def _explain(error: ValidationError) -> str:
    if error.errors()[0]["type"] == "json_invalid":
        return (
            "is damaged, so what it started is not known; look with `ps` for Kafka, "
            "Valkey and stations of it, end them, then delete its folder"
        )
    return (
        f"is not of this version ({error.error_count()} faults); end what it started "
        "by the version that wrote it, then delete its folder"
    )


def observe(state: SystemState) -> SystemStatus:
    """Return the current state of the system."""
    return SystemStatus(
        bootstrap_servers=state.bootstrap_servers,
        stations=[
            StationStatus(name=each.name, pid=each.pid, alive=alive(each), log=each.log)
            for each in state.stations.values()
        ],
        regions={
            name: region_status(region.sidecar_url)
            for name, region in state.regions.items()
        },
    )


def region_status(sidecar_url: str) -> RegionStatus:
    """Return the region's state, from `GET /readyz`."""
    try:
        code, body = _get(sidecar_url, "/readyz")
        said = orjson.loads(body)
    except (OSError, HTTPException, orjson.JSONDecodeError) as error:
        return RegionStatus(ready=False, detail=f"the sidecar does not answer: {error}")
    return _interpret(code, said if isinstance(said, dict) else {})


def answers(url: str) -> bool:
    """Return whether a station reports itself healthy, ready or not."""
    try:
        return _get(url, "/healthz")[0] == 200  # noqa: PLR2004 - HTTP's OK
    except (OSError, HTTPException):
        return False


def _interpret(code: int, said: dict[str, Any]) -> RegionStatus:
    as_of = said.get("as_of")
    staleness = None
    if isinstance(as_of, int) and as_of > 0:
        staleness = int(time.time() * 1_000) - as_of
    if code == 200:  # noqa: PLR2004 - HTTP's OK
        return RegionStatus(ready=True, staleness_ms=staleness)
    detail = said.get("error") or "the region is not complete yet"
    return RegionStatus(ready=False, staleness_ms=staleness, detail=str(detail))


def _get(base: str, path: str) -> tuple[int, bytes]:
    """Send a GET request, past the environment's proxies: the address is loopback."""
    place = urlsplit(base)
    connection = HTTPConnection(
        place.hostname or "", place.port, timeout=_ANSWER_SECONDS
    )
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
