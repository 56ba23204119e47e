"""The local system in one folder: `up`, `start`, `stop`, `down`, `status`.

The stations outlive this process; the state file in the folder is written after each
start, so that a later command can end them. An `up` that fails or is interrupted ends
what it started.
"""

import os
import secrets
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

from revocation.errors import EmbeddedError
from revocation.local import (
    kafka_server,
    process,
    system_state as states,
    valkey_server,
)
from revocation.local.kafka_server import Kafka
from revocation.local.local_server import LocalServer
from revocation.local.plan import DEFAULT_PARTITIONS, DEFAULT_REGIONS, Launch, Plan
from revocation.local.process import Process, free_ports
from revocation.local.system_folder import STATE_FILE, holds_system, only_command
from revocation.local.system_state import SystemRegion, SystemState, SystemStatus
from revocation.local.valkey_server import Valkey

DEFAULT_FOLDER: Final = Path(".revocation")
_READY_SECONDS: Final = 120
_START_SECONDS: Final = 60


class Embedded:
    """The local system whose state is in `folder`.

    As a context manager, it is up inside the block and always down afterwards:

        with Embedded(folder) as system:
            print(system.state().regions["eu"].sidecar_url)
    """

    def __init__(
        self,
        folder: Path = DEFAULT_FOLDER,
        *,
        regions: Sequence[str] = DEFAULT_REGIONS,
        partitions: int = DEFAULT_PARTITIONS,
        settings: Mapping[str, str | int] | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Start nothing yet.

        Args:
            folder: Holds all state; may be deleted when everything is down.
            regions: The regions, each with a store, a projector and a sidecar.
            partitions: Of each topic; fixed for the folder's lifetime.
            settings: More settings of every station, by their names in `settings/`.
            tell: Called with one line per step.
        """
        self.folder = folder.absolute()
        self._regions = tuple(regions)
        self._partitions = partitions
        self._settings = dict(settings or {})
        self._tell = tell
        self._inside = ExitStack()

    def up(self) -> SystemState:
        """Start everything and wait until every region gives verdicts.

        Raises:
            MissingExtraError: the extra `embedded` is not installed.
            EmbeddedError: it is already up, or a station did not start; then none of
                it is left running.
        """
        with process.terminable(), only_command(self.folder):
            self._refuse_if_up()
            try:
                return self._bring_up()
            except BaseException:
                self._tell("ending what was started")
                # A second Ctrl-C means hurry, not leave it half done.
                with process.uninterrupted():
                    self._take_down()
                raise

    def down(self) -> list[str]:
        """End what `up` and `start` started; return the names of what was running.

        The data stays in the folder for the next `up`.
        """
        if not holds_system(self.folder):
            self._tell(f"nothing is up in {self.folder}")
            return []
        with only_command(self.folder), process.uninterrupted():
            return self._take_down()

    def start(self, name: str) -> Process:
        """Restart a dead station with the same command, port, settings and data.

        Raises:
            EmbeddedError: it runs, is unknown, or does not start; then it is ended.
        """
        self.state()
        with only_command(self.folder):
            state = self.state()
            station = _station(state, name)
            if process.alive(station):
                raise EmbeddedError(f"{name} runs already (pid {station.pid})")
            launch = Launch(name=name, command=station.command, env=station.env)
            started = self._spawn(state, launch).stations[name]
            try:
                process.wait_until(
                    _probe(state, name), [started], seconds=_START_SECONDS
                )
            except BaseException:
                process.kill(started)
                raise
            self._tell(f"{name} runs (pid {started.pid})")
            return started

    def stop(self, name: str, *, kill: bool = False) -> bool:
        """End one station, with SIGTERM or SIGKILL; return whether it was running.

        Raises:
            EmbeddedError: there is no such station.
        """
        self.state()
        with only_command(self.folder):
            station = _station(self.state(), name)
            if not process.alive(station):
                return False
            if kill:
                process.kill(station)
            else:
                process.end([station])
            self._tell(f"{name} {'killed' if kill else 'stopped'} (pid {station.pid})")
            return True

    def status(self) -> SystemStatus:
        """Return the state of every process and region.

        Raises:
            EmbeddedError: nothing is up.
        """
        return states.observe(self.state())

    def state(self) -> SystemState:
        """Return the stations that were started, and their addresses.

        Raises:
            EmbeddedError: nothing is up.
        """
        state = SystemState.read(self._state_file)
        if state is None:
            raise EmbeddedError(
                f"nothing is up in {self.folder}; `revocation embedded up` starts it"
            )
        return state

    def __enter__(self) -> Self:
        self._inside.enter_context(process.terminable())
        self.up()
        self._inside.callback(self.down)
        return self

    def __exit__(self, *_: object) -> None:
        self._inside.close()

    @property
    def _state_file(self) -> Path:
        return self.folder / STATE_FILE

    def _refuse_if_up(self) -> None:
        state = SystemState.read(self._state_file)
        stations = state.stations.values() if state else ()
        running = [each.name for each in stations if process.alive(each)]
        if running:
            raise EmbeddedError(
                f"already up in {self.folder} ({', '.join(running)}); `revocation "
                "embedded down` ends it, `start NAME` starts one of its stations again"
            )

    def _bring_up(self) -> SystemState:
        broker = Kafka(self.folder / "kafka", tell=self._tell)
        stores = {
            region: Valkey(self.folder / f"store-{region}") for region in self._regions
        }
        if withheld := process.withheld_variables():
            self._tell(f"not passed on to the stations: {', '.join(withheld)}")
        plan = self._plan(broker, stores)
        self._write_secrets(plan)
        state = _new_state(plan)
        state = self._start_servers(state, [broker, *stores.values()])
        self._create_topics(plan)
        for launch in plan.stations():
            state = self._spawn(state, launch)
        self._tell("authority, projectors and sidecars started")
        self._wait_for_regions(state)
        return state

    def _plan(self, broker: Kafka, stores: Mapping[str, Valkey]) -> Plan:
        ports = free_ports(len(stores))
        workers = ["authority", *(f"projector-{region}" for region in stores)]
        worker_ports = zip(workers, free_ports(len(workers)), strict=True)
        return Plan(
            folder=self.folder,
            bootstrap_servers=broker.bootstrap_servers,
            store_urls={region: store.url for region, store in stores.items()},
            sidecar_ports=dict(zip(stores, ports, strict=True)),
            worker_ports=dict(worker_ports),
            partitions=self._partitions,
            settings=self._settings,
        )

    def _write_secrets(self, plan: Plan) -> None:
        plan.config_file.write_text(plan.config)
        if not plan.pepper_file.exists():
            mode = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            with os.fdopen(os.open(plan.pepper_file, mode, 0o600), "w") as file:
                file.write(secrets.token_hex(32))

    def _start_servers(
        self, state: SystemState, servers: Sequence[LocalServer]
    ) -> SystemState:
        for server in servers:
            server.prepare()
            launch = Launch(name=server.name, command=server.command, env={})
            state = self._spawn(state, launch)
        for server in servers:
            station = state.stations[server.name]
            process.wait_until(server.answers, [station], seconds=server.launch_seconds)
            self._tell(f"{server.name} answers on port {server.port}")
        return state

    def _create_topics(self, plan: Plan) -> None:
        launch = plan.topics()
        log = self._log(launch.name)
        # `topics init` has its own time limit for when Kafka does not answer.
        with log.open("wb") as output:
            done = subprocess.run(  # noqa: S603 - our own command
                launch.command,
                env=process.environment(launch.env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
            )
        if done.returncode != 0:
            words = process.last_words(log)
            raise EmbeddedError(f"the topics could not be created. {words}")
        self._tell(f"the topics are there, each with {plan.partitions} partitions")

    def _wait_for_regions(self, state: SystemState) -> None:
        stations = state.stations.values()
        for name, region in state.regions.items():

            def ready(url: str = region.sidecar_url) -> bool:
                return states.region_status(url).ready

            process.wait_until(ready, stations, seconds=_READY_SECONDS)
            self._tell(f"region {name} gives verdicts at {region.sidecar_url}")

    def _spawn(self, state: SystemState, launch: Launch) -> SystemState:
        """Start a station and record it in the state file, or nothing could end it."""
        with process.uninterrupted():
            started = process.spawn(
                launch.name,
                launch.command,
                env=launch.env,
                log=self._log(launch.name),
            )
            state = state.with_station(started)
            try:
                state.write(self._state_file)
            except OSError:
                process.kill(started)
                raise
        return state

    def _take_down(self) -> list[str]:
        state = SystemState.read(self._state_file)
        if state is None:
            return []
        stations = list(state.stations.values())
        running = [each.name for each in stations if process.alive(each)]
        # Against the flow: a station that ends can still sign off from its servers.
        servers = [each for each in stations if _is_server(each.name)]
        process.end(each for each in stations if not _is_server(each.name))
        process.end(servers)
        left = [each for each in stations if process.alive(each)]
        if left:
            names = ", ".join(f"{each.name} (pid {each.pid})" for each in left)
            raise EmbeddedError(
                f"{names} cannot be ended, not even by SIGKILL; look for a hanging "
                "disk, then try again"
            )
        self._state_file.unlink()
        self._tell(f"ended: {', '.join(running) or 'nothing was running'}")
        return running

    def _log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"


def _new_state(plan: Plan) -> SystemState:
    return SystemState(
        bootstrap_servers=plan.bootstrap_servers,
        config_file=plan.config_file,
        regions={
            region: SystemRegion(store_url=url, sidecar_url=plan.sidecar_url(region))
            for region, url in plan.store_urls.items()
        },
    )


def _station(state: SystemState, name: str) -> Process:
    if name not in state.stations:
        known = ", ".join(state.stations)
        raise EmbeddedError(f"there is no station {name}; there are {known}")
    return state.stations[name]


def _is_server(name: str) -> bool:
    return name == "kafka" or name.startswith("store-")


def _probe(state: SystemState, name: str) -> Callable[[], bool]:
    """Return a check of whether a station answers and, if a worker, is healthy."""
    kind, _, region = name.partition("-")
    match kind:
        case "kafka":
            port = int(state.bootstrap_servers.rpartition(":")[2])
            return lambda: kafka_server.answers(port)
        case "store":
            url = urlsplit(state.regions[region].store_url)
            return lambda: valkey_server.answers(url.port or 0)
        case "sidecar":
            return lambda: states.answers(state.regions[region].sidecar_url)
        case _:
            return lambda: states.answers(state.health_url(name))
