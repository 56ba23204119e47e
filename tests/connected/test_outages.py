"""Outages of Kafka and of the store end no station, and cause few log lines.

Siblings: `test_recovery.py`, for completeness; `test_broken_stations.py`.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from revocation.events import UserLoggedOut
from revocation.local import Kafka
from revocation.local.process import free_ports
from revocation.logs import HOLD_SECONDS
from tests.installation import Install, Installation, flush

pytestmark = [pytest.mark.connected, pytest.mark.timeout(120)]

OUTAGE_SECONDS = 11.0
"""Longer than a station may be without progress: 7 s here, 10 s for a sidecar."""


@contextlib.asynccontextmanager
async def health(urls: dict[str, str]) -> AsyncIterator[list[tuple[str, int, str]]]:
    """Collect every answer of `/healthz` that is not 200."""
    unwell: list[tuple[str, int, str]] = []

    async def probe(name: str, url: str) -> None:
        async with httpx.AsyncClient(base_url=url) as client:
            while True:
                answer = await client.get("/healthz")
                if answer.status_code != 200:
                    unwell.append((name, answer.status_code, answer.text))
                await asyncio.sleep(0.2)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(probe(*each)) for each in urls.items()]
        yield unwell
        for task in tasks:
            task.cancel()


async def running(installation: Installation) -> dict[str, str]:
    """Start a station of each kind; return where each serves its health."""
    ports = free_ports(2)
    installation.add_authority(metrics_port=str(ports[0]))
    installation.add_region("eu", metrics_port=str(ports[1]))
    _, url = installation.add_sidecar("eu", report_rejections="true")
    await installation.ready()
    names = ("authority", "projector-eu")
    workers = {
        name: f"http://127.0.0.1:{port}"
        for name, port in zip(names, ports, strict=True)
    }
    return {**workers, "sidecar-eu": url}


def lines_of(log: Path) -> list[dict[str, object]]:
    """Return the lines of a log, each of which must be JSON."""
    return [json.loads(line) for line in log.read_bytes().splitlines()]


async def test_an_outage_ends_no_station_and_fills_no_log(
    install: Install, own_kafka: Kafka
):
    """A broker that is killed, a store that is frozen, and one that is flushed."""
    installation = await install(bootstrap_servers=own_kafka.bootstrap_servers)
    urls = await running(installation)
    store = installation.stores["eu"]
    async with health(urls) as unwell:
        began = time.monotonic()
        own_kafka.kill()
        await asyncio.sleep(OUTAGE_SECONDS)
        await asyncio.to_thread(own_kafka.launch)
        logged_out = UserLoggedOut.new(
            source="/idp", issuer="https://idp.example/", user="alice"
        )
        receipts = await installation.publish(logged_out)
        await installation.applied(receipts)
        store.pause()
        await asyncio.sleep(OUTAGE_SECONDS)
        store.resume()
        await flush(store)
        await installation.ready()
        await installation.applied(receipts)
        seconds = time.monotonic() - began
    assert unwell == []
    for name, station in installation.stations.items():
        assert station.exit_code is None, name
        failures = [
            line
            for line in lines_of(station.log)
            if line["level"] in {"warning", "error"}
        ]
        assert failures, f"{name} says nothing about it"
        # For either outage, and for the discovery of the flushed store.
        assert len(failures) <= 2 * (seconds / HOLD_SECONDS + 1) + 3, name
        held_back = [line["held_back"] for line in failures if "held_back" in line]
        if name != "sidecar-eu":
            assert sum(held_back) > 20, name
