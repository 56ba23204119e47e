"""A whole installation for one test: real processes on the session's broker.

Stations run as child processes, as operators run them, and are killed, paused and
restarted as a machine might do. With `unprotected` a station runs with one protection
removed (see `unprotected.py`): a promise's test first shows the result of that.
"""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from redis.asyncio import Redis

from revocation.entries import Target
from revocation.errors import StoreUnavailableError
from revocation.events import Event
from revocation.local.process import free_ports
from revocation.publisher import Publisher
from revocation.receipts import Receipt, wait_applied
from revocation.settings import PublisherSettings, RegionsSettings, VerifierSettings
from revocation.store.contract import Answer
from revocation.store.layout import Layout
from revocation.store.redis_store import RedisStore
from revocation.verifier import Verifier
from tests.forked import FORKER, ForkedProcess
from tests.servers import Server, freeze


class Station:
    """One station as a child process."""

    def __init__(
        self, name: str, command: list[str], env: dict[str, str], log: Path
    ) -> None:
        """Prepare; `command` is a module and its arguments."""
        self.name = name
        self._command = command
        self._env = env
        self.log = log
        self._process: ForkedProcess | None = None

    def start(self) -> None:
        """Start, or start again after a kill."""
        module, *arguments = self._command
        self._process = FORKER.start(module, arguments, self._env, self.log)

    def kill(self) -> None:
        """End the process as a power cut would."""
        self._signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    def pause(self) -> None:
        """Stop the process as a long garbage collection or a frozen VM would."""
        assert self._process is not None
        freeze(self._process.pid)

    def resume(self) -> None:
        """Let it continue."""
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """End the process, with SIGTERM at first."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @property
    def log_text(self) -> str:
        """Its whole log."""
        return self.log.read_text()

    async def ended(self, *, within: float = 30) -> tuple[int, str]:
        """Wait until the process ends by itself; return exit code and last line."""
        await eventually(lambda: self.exit_code is not None, within=within)
        code = self.exit_code
        assert code is not None
        return code, self.log_text.splitlines()[-1]

    @property
    def exit_code(self) -> int | None:
        """The exit code, or None while it runs."""
        return None if self._process is None else self._process.poll()

    def _signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)


class Installation:
    """Stations, stores and clients of one test."""

    def __init__(
        self, folder: Path, bootstrap_servers: str, *, partitions: int
    ) -> None:
        self.folder = folder
        self.stations: dict[str, Station] = {}
        self.stores: dict[str, Server] = {}
        pepper = folder / "pepper"
        pepper.write_text(secrets.token_hex(32))
        self.settings = {
            "bootstrap_servers": bootstrap_servers,
            "topic_prefix": f"test-{secrets.token_hex(4)}",
            "partitions": str(partitions),
            "replication_factor": "1",
            "pepper_file": str(pepper),
            "session_timeout_ms": "3000",
            "heartbeat_interval_ms": "500",
            "claims": '{"version_claim": "ver"}',
            "revocable_claims": "[]",
        }

    def env(self, **more: str) -> dict[str, str]:
        """Return the environment of a station."""
        settings = {**self.settings, **more}
        named = {
            f"REVOCATION_{name.upper()}": value for name, value in settings.items()
        }
        return {**os.environ, **named}

    def add_authority(
        self, name: str = "authority", *, unprotected: str | None = None, **more: str
    ) -> Station:
        """Start a worker of the authority."""
        data_dir = str(self.folder / name)
        settings = {"data_dir": data_dir, "instance_id": name, **more}
        return self._add(name, ["authority"], unprotected, settings)

    def add_region(
        self, region: str, *, unprotected: str | None = None, **more: str
    ) -> Station:
        """Start a store and a projector for a region."""
        store = self.stores[region] = Server.start(self.folder / f"store-{region}")
        self.projector(region, store.url, unprotected=unprotected, **more)
        return self.stations[f"projector-{region}"]

    def projector(
        self, region: str, url: str, *, unprotected: str | None = None, **more: str
    ) -> Station:
        """Start a projector for a region with a store."""
        name = more.setdefault("instance_id", f"projector-{region}")
        settings = {"region": region, "store_url": url, **more}
        return self._add(name, ["projector"], unprotected, settings)

    def add_sidecar(
        self, region: str, /, *, unprotected: str | None = None, **more: str
    ) -> tuple[Station, str]:
        """Start a sidecar for a region with a store; returns its URL too."""
        port = str(free_ports(1)[0])
        name, url = more.pop("name", f"sidecar-{region}"), self.stores[region].url
        own = {"region": region, "store_url": url, "sidecar_port": port}
        settings = {**own, **more}
        station = self._add(name, ["sidecar"], unprotected, settings)
        return station, f"http://127.0.0.1:{port}"

    def _add(
        self,
        name: str,
        command: list[str],
        unprotected: str | None,
        more: dict[str, str],
    ) -> Station:
        program = ["revocation"]
        if unprotected is not None:
            program = ["tests.guarantees.unprotected", unprotected]
        log, env = self.folder / f"{name}.log", self.env(**more)
        station = Station(name, [*program, *command], env, log)
        self.stations[name] = station
        station.start()
        return station

    def run(self, name: str, command: list[str], **more: str) -> Station:
        """Start a command that ends by itself."""
        return self._add(name, command, None, more)

    async def create_topics(self) -> None:
        """Run `revocation topics init`."""
        words = ["topics", "init"]
        done = await asyncio.to_thread(FORKER.run, "revocation", words, self.env())
        assert done.code == 0, done.err

    def publisher(self) -> Publisher:
        """Return a publisher for this installation."""
        return Publisher(PublisherSettings(**self._typed()))

    def verifier(self, region: str, **more: object) -> Verifier:
        """Return a verifier for a region, in this process; `more` are settings."""
        settings = {
            **self._typed(),
            "store_url": self.stores[region].url,
            "claims": json.loads(self.settings["claims"]),
            **more,
        }
        return Verifier.from_settings(VerifierSettings(region=region, **settings))

    @contextlib.asynccontextmanager
    async def reader(self, region: str) -> AsyncIterator[RedisStore]:
        """Connect to a region's store."""
        settings = RegionsSettings(
            **self._typed(), regions={region: self.stores[region].url}
        )
        store = RedisStore(
            self.stores[region].url,
            Layout("r", settings.peppers),
            limits=settings.limits,
        )
        await store.start()
        try:
            yield store
        finally:
            await store.stop()

    async def applied(
        self, receipts: list[Receipt], *regions: str, within: float = 40
    ) -> dict[str, float]:
        """Wait until regions have applied receipts; all regions if none is named."""
        async with contextlib.AsyncExitStack() as stack:
            readers = {
                region: await stack.enter_async_context(self.reader(region))
                for region in regions or self.stores
            }
            return await wait_applied(receipts, readers, timeout_seconds=within)

    async def publish(self, *events: Event) -> list[Receipt]:
        """Publish events concurrently; return once all are acknowledged."""
        async with self.publisher() as publisher:
            sent = [await publisher.send(event) for event in events]
            return [receipt for each in sent for receipt in await each]

    async def ready(self, *regions: str, within: float = 40) -> None:
        """Wait until regions are complete; all regions if none is named."""

        async def complete() -> bool:
            for region in regions or self.stores:
                async with self.reader(region) as reader:
                    if not (await reader.region()).freshness.ready:
                        return False
            return True

        await eventually(complete, within=within)

    async def find(self, region: str, *targets: Target) -> Answer:
        """Look targets up in a region."""
        async with self.reader(region) as reader:
            return await reader.find(targets)

    def stop(self) -> None:
        """End everything that was started."""
        for station in self.stations.values():
            station.stop()
        for store in self.stores.values():
            store.stop()

    def _typed(self) -> dict[str, object]:
        names = ("bootstrap_servers", "topic_prefix", "pepper_file")
        typed: dict[str, object] = {name: self.settings[name] for name in names}
        sets = json.loads(self.settings["revocable_claims"])
        typed["revocable_claims"] = sets
        return {**typed, "partitions": int(self.settings["partitions"])}


Install = Callable[..., Awaitable[Installation]]
"""The type of the fixture `install`: makes an installation with nothing running."""


async def eventually(
    condition: Callable[[], object], *, within: float = 20, pause: float = 0.05
) -> None:
    """Wait until the condition, plain or a coroutine function, holds."""
    deadline = time.monotonic() + within
    while True:
        try:
            answer = condition()
            if asyncio.iscoroutine(answer):
                answer = await answer
            if answer:
                return
        except StoreUnavailableError:
            pass
        assert time.monotonic() < deadline, f"not within {within} s"
        await asyncio.sleep(pause)


async def flush(store: Server) -> None:
    """Empty a store, like an operator's mistake or a failover to an empty replica."""
    async with Redis.from_url(store.url) as client:
        await client.flushall()
