"""Members of one region's group: how partitions are shared and taken over."""

import asyncio
import re
import urllib.error
import urllib.request

import pytest

from revocation.local import free_ports
from tests.installation import Install, eventually
from tests.traffic import logouts, user

pytestmark = [pytest.mark.connected, pytest.mark.timeout(120)]

USERS = 30
SHOWN = re.compile(r'revocation_watermark_timestamp_seconds\{partition="(\d+)"')


async def partitions_at(port: int) -> set[str]:
    """Return the partitions whose age a projector exports."""
    try:
        return set(SHOWN.findall(await asyncio.to_thread(scrape, port)))
    except urllib.error.URLError:
        return set()


def scrape(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        return answer.read().decode()


async def test_a_killed_members_partitions_move(install: Install) -> None:
    """Two share them; the survivor gets them all, and misses no event."""
    installation = await install()
    everything = set(map(str, range(4)))
    ports = free_ports(2)
    first = installation.add_region("eu", metrics_port=str(ports[0]))
    installation.projector(
        *("eu", installation.stores["eu"].url),
        instance_id="second",
        metrics_port=str(ports[1]),
    )
    installation.add_authority()
    await installation.ready()

    async def shared() -> bool:
        one, two = [await partitions_at(port) for port in ports]
        return bool(one and two) and not one & two and one | two == everything

    await eventually(shared)
    published, expected = logouts(400, USERS, seed=41)
    receipts = await installation.publish(*published)
    first.kill()

    async def moved() -> bool:
        return await partitions_at(ports[1]) == everything

    await eventually(moved)
    await installation.applied(receipts)
    answer = await installation.find("eu", *map(user, expected))
    found = {target.id: entry.version for target, entry in answer.found.items()}
    assert found == expected


async def test_more_members_than_partitions(install: Install) -> None:
    """One is idle until the other is killed."""
    installation = await install(partitions=1)
    first = installation.add_region("eu")
    spare = installation.projector(
        "eu", installation.stores["eu"].url, instance_id="spare"
    )
    installation.add_authority()
    await installation.ready()
    published, expected = logouts(50, USERS, seed=42)
    await installation.applied(await installation.publish(*published))
    first.kill()
    again, more = logouts(50, USERS, seed=43)
    await installation.applied(await installation.publish(*again))

    answer = await installation.find("eu", *map(user, expected + more))
    found = {target.id: entry.version for target, entry in answer.found.items()}
    assert found == expected + more
    assert spare.exit_code is None
