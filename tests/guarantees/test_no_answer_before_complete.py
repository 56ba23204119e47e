"""no-answer-before-complete: a cold or half-loaded cache gives no verdict."""

import asyncio
import time

import pytest

from revocation.claims.claims import Token
from revocation.decision import Freshness, Reason
from revocation.settings import LimitSettings
from revocation.store import redis_feed as store_feed
from revocation.store.contract import Answer, Page
from revocation.store.redis_feed import RedisFeed
from revocation.store.redis_store import RedisStore
from revocation.verifier import RemoteVerifier, Verifier
from revocation.verifier.base_verifier import VerifierParts
from revocation.verifier.replica import Replica
from revocation.verifier.replica_feed import Feed
from tests.installation import Install, eventually, flush
from tests.traffic import claims, logged_out

pytestmark = [pytest.mark.guarantee, pytest.mark.connected]


class AlwaysComplete(RedisStore):
    """Without the protection: treats whatever it finds as complete."""

    async def find_token(self, token: Token) -> Answer:
        """Claim to be complete."""
        answer = await super().find_token(token)
        now = time.time_ns() // 1_000_000
        return answer._replace(
            freshness=answer.freshness._replace(ready=True, as_of=now)
        )


async def test_a_flushed_region_is_not_ready_until_rebuilt(install: Install) -> None:
    """Never `active` from flush to the end of the rebuild; others are unaffected."""
    installation = await install()
    projector = installation.add_region("eu")
    installation.add_region("us")
    installation.add_authority()
    await installation.ready()
    await installation.applied(await installation.publish(logged_out("alice")))
    rules = LimitSettings().rules
    stale = claims("alice", now=int(time.time()))
    async with installation.reader("eu") as eu, installation.reader("us") as us:
        verifier, neighbour = [
            RemoteVerifier(VerifierParts(store=store, rules=rules))
            for store in (eu, us)
        ]
        await verifier.start()
        await neighbour.start()
        assert (
            await verifier.check_async(stale)
        ).reason is Reason.ISSUED_BEFORE_CUT_OFF

        projector.pause()  # Leaves time to observe the rebuild.
        await flush(installation.stores["eu"])
        eu.__class__ = AlwaysComplete
        assert (await verifier.check_async(stale)).reason is Reason.ACTIVE

        eu.__class__ = RedisStore
        assert (await verifier.check_async(stale)).reason is Reason.NOT_READY
        projector.resume()
        seen = []

        async def answers_again() -> bool:
            seen.append((await verifier.check_async(stale)).reason)
            reason = (await neighbour.check_async(stale)).reason
            assert reason is Reason.ISSUED_BEFORE_CUT_OFF
            return seen[-1] is not Reason.NOT_READY

        await eventually(answers_again, pause=0)

        assert set(seen) == {Reason.NOT_READY, Reason.ISSUED_BEFORE_CUT_OFF}


@pytest.mark.parametrize("hasty", [True, False])
async def test_a_verifier_is_not_ready_until_its_replica_is_complete(
    install: Install, monkeypatch: pytest.MonkeyPatch, *, hasty: bool
) -> None:
    """Without the protection, half a replica misses the entries of the other half."""
    installation = await install()
    installation.add_region("eu")
    installation.add_authority()
    await installation.ready()
    names = [f"user-{number}" for number in range(40)]
    published = map(logged_out, names)
    await installation.applied(await installation.publish(*published))
    first_pages, go_on = asyncio.Event(), asyncio.Event()
    load_pages, page = Feed._load_pages, RedisFeed.page

    async def pause_after_the_first(self: RedisFeed, cursor: str) -> Page:
        if cursor != "0":
            first_pages.set()
            await go_on.wait()
        return await page(self, cursor)

    async def use_incomplete_replica(self: Feed, replica: Replica) -> None:
        replica.advance(Freshness(ready=True, as_of=time.time_ns() // 1_000_000))
        self.replica = replica
        await load_pages(self, replica)

    monkeypatch.setattr(store_feed, "PAGE_KEYS", 5)
    monkeypatch.setattr(RedisFeed, "page", pause_after_the_first)
    if hasty:
        monkeypatch.setattr(Feed, "_load_pages", use_incomplete_replica)
    verifier = installation.verifier("eu")
    await verifier.start()
    try:
        await first_pages.wait()
        half = reasons(verifier, names)
        go_on.set()
        await verifier.wait_ready()
        whole = reasons(verifier, names)
    finally:
        go_on.set()
        await verifier.stop()

    if hasty:
        assert Reason.ACTIVE in half
    else:
        assert half == {Reason.NOT_READY}
    assert whole == {Reason.ISSUED_BEFORE_CUT_OFF}


def reasons(verifier: Verifier, names: list[str]) -> set[Reason]:
    now = int(time.time())
    return {verifier.check(claims(name, now=now)).reason for name in names}
