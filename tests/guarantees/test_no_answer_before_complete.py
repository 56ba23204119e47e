"""no-answer-before-complete: a cold or half-loaded cache gives no verdict."""

import time
from typing import Any

import pytest

from revocation.decision import Reason
from revocation.settings import LimitSettings
from revocation.store import Answer
from revocation.store.redis import RedisStore
from revocation.verifier import Verifier
from tests.installation import Install, eventually, flush
from tests.traffic import claims, logged_out

pytestmark = [pytest.mark.guarantee, pytest.mark.connected]


class Believing(RedisStore):
    """The protection off: takes what it finds for all there is."""

    async def find(self, targets: Any) -> Answer:
        """Claim to be complete."""
        answer = await super().find(targets)
        now = time.time_ns() // 1_000_000
        return answer._replace(
            freshness=answer.freshness._replace(ready=True, as_of=now)
        )


async def test_a_flushed_region_says_not_ready_until_rebuilt(install: Install) -> None:
    """Never `active` from flush to the end of the rebuild; others notice nothing."""
    installation = await install()
    projector = installation.add_region("eu")
    installation.add_region("us")
    installation.add_authority()
    await installation.ready()
    await installation.applied(await installation.publish(logged_out("alice")))
    rules = LimitSettings().rules
    stale = claims("alice", now=int(time.time()))
    async with installation.reader("eu") as eu, installation.reader("us") as us:
        verifier, neighbour = Verifier(eu, rules), Verifier(us, rules)
        await verifier.start()
        await neighbour.start()
        assert (await verifier.check(stale)).reason is Reason.ISSUED_BEFORE_CUT_OFF

        projector.pause()  # so that there is time to look
        await flush(installation.stores["eu"])
        eu.__class__ = Believing
        assert (await verifier.check(stale)).reason is Reason.ACTIVE

        eu.__class__ = RedisStore
        assert (await verifier.check(stale)).reason is Reason.NOT_READY
        projector.resume()
        seen = []

        async def answers_again() -> bool:
            seen.append((await verifier.check(stale)).reason)
            reason = (await neighbour.check(stale)).reason
            assert reason is Reason.ISSUED_BEFORE_CUT_OFF
            return seen[-1] is not Reason.NOT_READY

        await eventually(answers_again, pause=0)

        assert set(seen) == {Reason.NOT_READY, Reason.ISSUED_BEFORE_CUT_OFF}
