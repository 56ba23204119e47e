"""No station hangs for good: its watchdog ends one with hanging tasks, and it restarts.

These are some tasks whose loss stops everything; all were tried by hand.
Siblings: `tests/unit/test_watchdog.py`, and `test_outages.py`, where none may end.
"""

import asyncio
import re
import time

import httpx
import pytest

from revocation.events import UserLoggedOut
from revocation.watchdog import EXIT_STALLED
from tests.connected.supervised import Supervised, supervising
from tests.installation import Install, Installation, eventually
from tests.servers import Server

pytestmark = [pytest.mark.connected, pytest.mark.timeout(120)]

BAR_SECONDS = 15


def event(user: str) -> UserLoggedOut:
    return UserLoggedOut.new(source="/idp", issuer="https://idp.example/", user=user)


def projector(installation: Installation, region: str, *, watched=True) -> Supervised:
    store = Server.start(installation.folder / f"store-{region}")
    installation.stores[region] = store
    name, settings = f"projector-{region}", {"region": region, "store_url": store.url}
    return Supervised(installation, name, "projector", watched=watched, **settings)


async def noticed(station: Supervised) -> str:
    """Return the first failure that `/healthz` reports, and check its metrics."""
    async with httpx.AsyncClient(base_url=station.url) as client:
        while True:
            with_answer = await client.get("/healthz")
            if with_answer.status_code == 503:
                break
            await asyncio.sleep(0.05)
        metrics = (await client.get("/metrics")).text
    assert re.search(
        r'^revocation_stalls_total\{cause="\w+"\} 1.0$', metrics, re.MULTILINE
    )
    return with_answer.text


async def test_a_stalled_projector_is_ended_and_recovers(
    install: Install,
):
    """First without the watchdog: it makes no progress for ever."""
    installation = await install()
    watched = projector(installation, "eu")
    unwatched = projector(installation, "us", watched=False)
    installation.add_authority()
    async with supervising(watched, unwatched):
        await installation.ready()
        receipts = await installation.publish(event("before"))
        began = time.monotonic()
        await asyncio.gather(
            *(each.order("hang consumer fetcher") for each in (watched, unwatched))
        )
        complaint = asyncio.create_task(noticed(watched))
        receipts += await installation.publish(*map(event, ["alice", "bob", "carol"]))
        await installation.applied(receipts, "eu", within=BAR_SECONDS + 10)
        took = time.monotonic() - began
        assert (await complaint).startswith("entries: no progress for ")
        async with installation.reader("us") as reader:
            marks = (await reader.region()).marks
            assert any(
                marks[each.partition].source_offset < each.offset for each in receipts
            )
    assert watched.exit_codes == [EXIT_STALLED]
    assert unwatched.exit_codes == []
    assert took < BAR_SECONDS


async def test_a_hanging_authority_and_sidecar_are_ended_and_recover(
    install: Install,
):
    """A sidecar that only loses its feed need not end: it restarts the feed."""
    installation = await install()
    folder = installation.folder / "authority"
    authority = Supervised(installation, "authority", "authority", data_dir=str(folder))
    installation.add_region("eu")
    url = installation.stores["eu"].url
    sidecar = Supervised(installation, "sidecar", "sidecar", region="eu", store_url=url)
    async with supervising(authority, sidecar):
        await eventually(lambda: is_fresh(sidecar))
        await sidecar.order("kill Feed._run")
        assert await noticed(sidecar) == "feed: its task ended\n"
        await eventually(lambda: is_fresh(sidecar), within=BAR_SECONDS)
        assert sidecar.exit_codes == []

        receipts = await installation.publish(event("before"))
        began = time.monotonic()
        await authority.order("kill OrderedProducer._hand_over")
        complaint = asyncio.create_task(noticed(authority))
        await sidecar.order("block")
        receipts += await installation.publish(*map(event, ["alice", "bob", "carol"]))
        await installation.applied(receipts, within=BAR_SECONDS + 10)
        await eventually(lambda: is_fresh(sidecar), within=BAR_SECONDS)
        took = time.monotonic() - began
        assert re.match("events|pulses|loop", await complaint)
    assert authority.exit_codes == sidecar.exit_codes == [EXIT_STALLED]
    assert took < BAR_SECONDS


async def is_fresh(sidecar: Supervised) -> bool:
    """Return whether a sidecar is ready, with a replica at most a second old."""
    async with httpx.AsyncClient(base_url=sidecar.url, timeout=1) as client:
        try:
            answer = (await client.get("/readyz")).json()
        except httpx.HTTPError:
            return False
    return answer["ready"] and time.time() * 1_000 - answer["as_of"] < 1_000
