"""Stations that restart when they end, as with `restart: unless-stopped`."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path

from revocation.local.process import free_ports
from tests.installation import Installation, Station, eventually


class Supervised:
    """A station, and the exit codes of its earlier runs."""

    def __init__(
        self,
        installation: Installation,
        name: str,
        *command: str,
        watched: bool = True,
        **settings: str,
    ) -> None:
        self.exit_codes: list[int] = []
        self._orders = installation.folder / f"{name}.orders"
        port = free_ports(1)[0]
        self.url = f"http://127.0.0.1:{port}"
        kind = "sidecar_port" if command[0] == "sidecar" else "metrics_port"
        ports = {kind: str(port)}
        program = ["tests.connected.broken_stations", str(self._orders)]
        if not watched:
            program.append("--unwatched")
        self.station = installation.stations[name] = Station(
            name,
            [*program, *command],
            installation.env(instance_id=name, **ports, **settings),
            installation.folder / f"{name}.log",
        )
        self.station.start()

    async def supervise(self) -> None:
        """Restart it whenever it ends."""
        while True:
            if (code := self.station.exit_code) is not None:
                self.exit_codes.append(code)
                self.station.start()
            await asyncio.sleep(0.05)

    async def order(self, order: str) -> str:
        """Send it a command; see `broken_stations`."""
        done = self._orders.with_suffix(".done")
        done.unlink(missing_ok=True)
        self._orders.write_text(order)
        self.station._signal(signal.SIGRTMIN)
        await eventually(done.exists, within=10)
        return done.read_text()

    @property
    def log(self) -> Path:
        return self.station.log


@contextlib.asynccontextmanager
async def supervising(*stations: Supervised) -> AsyncIterator[None]:
    """Restart stations for as long as the block lasts."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each.supervise()) for each in stations]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
