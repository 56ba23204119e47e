"""The system of benchmarks/soak.py, all of it real, and what is done to it.

Kafka, authority, projector, a Valkey that keeps its data, and `revocation sidecar` as a
process with a core of its own; everything else shares the other cores.
"""

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import httpx
import orjson
from _options import new_prefix
from _soak_questions import AUDIENCE, ISSUER, LEEWAY_SECONDS, Revocable, rules
from _soak_record import mb_of
from redis.asyncio import Redis

from revocation.entries import Entry, Kind, Offset, Position, Target, UnixMs
from revocation.local import Valkey
from revocation.local.plan import Launch, Plan
from revocation.local.process import (
    Process,
    alive,
    end,
    free_ports,
    last_words as end_of,
    spawn,
)
from revocation.settings import VerifierSettings
from revocation.store.contract import Batch
from revocation.store.layout import encode_value
from revocation.store.redis_store import RedisStore

REGION: Final = "eu"
_HOUR_MS: Final = 3_600_000
_FILL: Final = 10_000
_READY_SECONDS: Final = 60
_POLL_SECONDS: Final = 0.05


class Seen(NamedTuple):
    """The sidecar at one time: MB, seconds of CPU so far, and the age of its data."""

    memory_mb: float
    cpu_seconds: float
    stale_s: float


class System:
    """The running system. Made by `running`."""

    def __init__(self, folder: Path, plan: Plan, store: Valkey) -> None:
        """Note where everything is."""
        self.socket = folder / "sidecar.sock"
        self.rules_file = folder / "rules.toml"
        self.keys_file = folder / "jwks.json"
        self._plan = plan
        self._valkey = store
        self._sidecar: Process | None = None
        self._client = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(self.socket)),
            base_url="http://sidecar",
            timeout=_READY_SECONDS,
        )
        settings = VerifierSettings(region=REGION, store_url=store.url)
        self.relevance_ms = settings.relevance_ms
        self.bound_s = settings.policies["write"].max_staleness_ms / 1e3
        self.store = RedisStore.from_settings(settings)

    # The sidecar ---------------------------------------------------------------------

    def start_sidecar(self) -> None:
        """Start the sidecar."""
        trusted = {
            "jwks_file": str(self.keys_file),
            "algorithms": ["ES256"],
            "audiences": [AUDIENCE],
        }
        launch = next(
            each for each in self._plan.stations() if each.name.startswith("sidecar")
        )
        settings = {
            "REVOCATION_ISSUERS": orjson.dumps({ISSUER: trusted}).decode(),
            "REVOCATION_SIDECAR_TCP": "false",
            "REVOCATION_SIDECAR_SOCKET": str(self.socket),
            "REVOCATION_SIDECAR_RULES_FILE": str(self.rules_file),
        }
        launch = Launch(
            name=launch.name, command=launch.command, env={**launch.env, **settings}
        )
        self._sidecar = _spawn(launch, self._plan.folder)

    @property
    def last_words(self) -> str:
        """The end of the sidecar's log."""
        assert self._sidecar is not None
        return end_of(self._sidecar.log)

    def stop_sidecar(self) -> None:
        """End it with SIGTERM."""
        if self._sidecar is not None:
            end([self._sidecar])

    async def until_complete(self) -> None:
        """Wait until the region is."""
        deadline = time.monotonic() + _READY_SECONDS
        while not (await self.store.region()).freshness.ready:
            if time.monotonic() > deadline:
                logs = sorted(self._plan.folder.glob("*.log"))
                raise SystemExit("\n".join(["no complete region.", *map(end_of, logs)]))
            await asyncio.sleep(_POLL_SECONDS)

    async def until_ready(self) -> None:
        """Wait until the sidecar says that it is."""
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            with contextlib.suppress(httpx.TransportError):
                if (await self._client.get("/readyz")).is_success:
                    return
            assert self._sidecar is not None
            if time.monotonic() > deadline or not alive(self._sidecar):
                raise SystemExit(f"the sidecar is not ready. {self.last_words}")
            await asyncio.sleep(_POLL_SECONDS)

    async def look(self) -> Seen:
        """Look at the sidecar, from outside and as it sees itself."""
        assert self._sidecar is not None
        memory, cpu = _used(self._sidecar.pid)
        as_of = orjson.loads((await self._client.get("/readyz")).content)["as_of"]
        return Seen(memory, cpu, round(time.time() - as_of / 1e3, 3))

    async def metrics(self, *names: str) -> list[str]:
        """Return the lines of some metrics that are not 0."""
        lines = (await self._client.get("/metrics")).text.splitlines()
        return [
            line
            for line in lines
            if line.startswith(names) and "_created" not in line and line[-4:] != " 0.0"
        ]

    async def stop(self) -> None:
        """Disconnect."""
        await self._client.aclose()
        await self.store.stop()

    # What is done to it --------------------------------------------------------------

    async def fill(self, entries: int) -> None:
        """Write entries about sessions of nobody, beside those of the projector."""
        region = await self.store.region()
        assert region.epoch is not None
        now = time.time_ns() // 1_000_000
        source, until = Position(0, Offset(0), UnixMs(now)), UnixMs(now + _HOUR_MS)
        for first in range(0, entries, _FILL):
            batch = [
                Entry(_session(f"nobody-{number}"), source, expires_at=until)
                for number in range(first, min(first + _FILL, entries))
            ]
            await self.store.apply(region.epoch, Batch(batch, {}, {}))

    def kill_store(self) -> None:
        """End the store as a crash would."""
        self._valkey.kill()

    def launch_store(self) -> None:
        """Start it again with its data; returns when it answers."""
        self._valkey.launch()

    async def lose(self, revoked: Revocable) -> None:
        """Revoke a session by a record that is cut off the feed before it can be read.

        In one transaction, as no reader is quick enough to come in between. It is what
        a reader finds who was away while the feed, which is bounded, went on.
        """
        region = await self.store.region()
        now = time.time_ns() // 1_000_000
        (target,) = revoked.event.data.targets()
        entry = Entry(target, Position(0, Offset(0), UnixMs(now)))
        layout = self.store.layout
        async with (
            Redis.from_url(self._valkey.url) as redis,
            redis.pipeline(transaction=True) as pipe,
        ):
            pipe.execute_command(
                *("FCALL", "revocation_apply", 3),
                *(layout.meta, layout.feed, layout.key(target)),
                *(region.epoch, self.relevance_ms, 0),
                *(encode_value(entry), now + _HOUR_MS),
            )
            pipe.execute_command("XTRIM", layout.feed, "MAXLEN", 0)
            told, trimmed = await pipe.execute()
        if not told or not trimmed:
            raise SystemExit("the store took no entry, so the feed lost none")

    def change_rules(self, *, changed: bool) -> None:
        """Rewrite the rules file."""
        self.rules_file.write_text(rules(changed=changed))


def _used(pid: int) -> tuple[float, float]:
    """Return MB of memory, and seconds of CPU so far, the kernel's among them."""
    status = Path(f"/proc/{pid}/status").read_text()
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    cpu = (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
    return mb_of(int(status.partition("VmRSS:")[2].split()[0])), cpu


def _session(name: str) -> Target:
    return Target(Kind.SESSION, ISSUER, f"session-of-{name}")


def _spawn(launch: Launch, folder: Path) -> Process:
    log = folder / f"{launch.name}.log"
    return spawn(launch.name, launch.command, env=launch.env, log=log)


@contextlib.contextmanager
def running(
    folder: Path, servers: str, keys: bytes, *, broken: bool
) -> Iterator[System]:
    """Run everything but Kafka and the sidecar.

    Args:
        folder: for all data; a short path.
        servers: where Kafka is.
        keys: the issuer's key set.
        broken: whether the rules are to protect nothing.
    """
    store = Valkey(folder / "store-eu", persistent=True)
    with store:
        plan = Plan(
            folder=folder,
            bootstrap_servers=servers,
            store_urls={REGION: store.url},
            sidecar_ports={REGION: free_ports(1)[0]},
            settings={"leeway_seconds": LEEWAY_SECONDS, "topic_prefix": new_prefix()},
        )
        plan.pepper_file.write_text(secrets.token_hex(32))
        plan.config_file.write_text(plan.config)
        os.environ["REVOCATION_CONFIG"] = str(plan.config_file)
        system = System(folder, plan, store)
        system.keys_file.write_bytes(keys)
        system.rules_file.write_text(rules(broken=broken))
        topics = _spawn(plan.topics(), folder)
        while alive(topics):
            time.sleep(_POLL_SECONDS)
        stations = [
            _spawn(launch, folder)
            for launch in plan.stations()
            if not launch.name.startswith("sidecar")
        ]
        try:
            yield system
        finally:
            system.stop_sidecar()
            end(stations)
