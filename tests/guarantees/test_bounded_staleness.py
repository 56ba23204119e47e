"""bounded-staleness: `as_of` is never later than the truth.

A verdict whose `as_of` is some instant must reflect every event acknowledged before it.
These tests log users out one after another during a fault, and check each verdict's
claim against the events.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest

from revocation.decision import Freshness
from revocation.verifier import Verifier
from revocation.verifier.replica import Replica
from tests.cable import Cable
from tests.guarantees.faults import FAULTS, Fault
from tests.installation import Install, Installation, eventually
from tests.misplaced import elsewhere, publish_at, two_workers
from tests.traffic import claims, logged_out

pytestmark = [pytest.mark.guarantee, pytest.mark.connected, pytest.mark.timeout(120)]

USERS = 60


class Connected(Replica):
    """Without the protection: a replica counts as fresh because it is connected."""

    @property
    def freshness(self) -> Freshness:
        """Claim to know everything up to now."""
        return Freshness(ready=True, as_of=now_ms())

    @freshness.setter
    def freshness(self, _: Freshness) -> None:
        """Keep no watermark."""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@contextlib.asynccontextmanager
async def followed(install: Install) -> AsyncIterator[tuple]:
    """Start a region, and a verifier that follows it over a cable."""
    installation = await install()
    installation.add_region("eu")
    installation.add_authority()
    await installation.ready()
    async with (
        Cable(installation.stores["eu"].url) as cable,
        installation.verifier("eu", store_url=cable.url) as verifier,
    ):
        assert verifier.ready
        yield installation, cable, verifier


async def log_out_and_watch(
    installation: Installation,
    verifier: Verifier,
    prefix: str,
    *,
    misplaced: bool = False,
) -> tuple[list[str], int]:
    """Log users out; return those whose logout a verdict claimed to know and missed."""
    issued = int(time.time())
    acknowledged: dict[str, int] = {}
    wronged: set[str] = set()
    checked = 0

    async def log_out() -> None:
        async with installation.publisher() as publisher:
            for number in range(USERS):
                event = logged_out(f"{prefix}-{number}")
                if misplaced:
                    await publish_at(installation, [(event, elsewhere(event, 4))])
                else:
                    await publisher.publish(event)
                acknowledged[event.data.user] = now_ms()
                await asyncio.sleep(0.02)

    publishing = asyncio.create_task(log_out())
    while not publishing.done():
        for name, at in list(acknowledged.items()):
            verdict = verifier.check(claims(name, now=issued))
            checked += 1
            if verdict.active and verdict.as_of > at:
                wronged.add(name)
        await asyncio.sleep(0.005)
    await publishing
    return sorted(wronged), checked


async def test_a_replica_that_trusts_its_connection_claims_too_much(
    install: Install,
) -> None:
    """Without the protection, pausing the projector is enough."""
    async with followed(install) as (installation, _, verifier):
        installation.stations["projector-eu"].pause()
        verifier._feed.replica.__class__ = Connected
        wronged, _ = await log_out_and_watch(installation, verifier, "believed")
        installation.stations["projector-eu"].resume()

    assert len(wronged) > USERS / 2


@pytest.mark.parametrize("fault", FAULTS)
async def test_no_verdict_claims_events_that_it_does_not_know(
    install: Install, fault: Fault
) -> None:
    """Before, during and after each fault."""
    async with followed(install) as (installation, cable, verifier):
        before, _ = await log_out_and_watch(installation, verifier, "before")
        async with fault(installation, cable):
            cut_off_at = now_ms()
            during, checked = await log_out_and_watch(installation, verifier, "during")
            claimed = verifier.freshness.as_of
        after, _ = await log_out_and_watch(installation, verifier, "after")
        names = [f"{when}-{USERS - 1}" for when in ("before", "during", "after")]
        issued = int(time.time())
        await eventually(
            lambda: not any(verifier.check(claims(each, now=issued)) for each in names)
        )

    assert before == during == after == []
    assert checked > USERS
    assert claimed < cut_off_at + 1_000, "the watermark stood still"


# Forwarded events ---------------------------------------------------------------------


async def test_no_verdict_claims_a_forwarded_event_too_early(install: Install) -> None:
    """While no worker concludes on what is forwarded to some of the partitions."""
    installation = await install()
    installation.add_region("eu")
    other = await two_workers(installation)
    async with installation.verifier("eu") as verifier:
        before, _ = await log_out_and_watch(
            installation, verifier, "before", misplaced=True
        )
        other.kill()
        during, checked = await log_out_and_watch(
            installation, verifier, "during", misplaced=True
        )
        other.start()
        after, _ = await log_out_and_watch(
            installation, verifier, "after", misplaced=True
        )
        issued = int(time.time())
        await eventually(
            lambda: (
                not any(
                    verifier.check(claims(f"{when}-{number}", now=issued))
                    for when in ("before", "during", "after")
                    for number in range(USERS)
                )
            ),
            within=60,
        )
    assert before == during == after == []
    assert checked > USERS
