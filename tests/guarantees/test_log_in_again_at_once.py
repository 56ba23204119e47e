"""log-in-again-at-once: with a `ver` claim, within the second of a global logout."""

import time
from dataclasses import replace

import pytest

from revocation.claims.claim_names import ClaimNames
from revocation.decision import Reason, Rules
from revocation.settings import LimitSettings
from revocation.verifier import RemoteVerifier
from revocation.verifier.base_verifier import VerifierParts
from tests.installation import Install, Installation
from tests.traffic import claims, logged_out, user

pytestmark = [pytest.mark.guarantee, pytest.mark.connected]


async def log_out_and_in(
    installation: Installation, rules: Rules
) -> tuple[Reason, Reason, Reason]:
    """Log out everywhere, then in again: verdicts of the old, new and bare token."""
    receipts = await installation.publish(logged_out("alice"))
    await installation.applied(receipts)
    answer = await installation.find("eu", user("alice"))
    entry = answer.found[user("alice")]
    # The second of the cut-off itself: `iat` has no milliseconds to show the order.
    second = entry.not_before // 1_000
    async with installation.reader("eu") as store:
        verifier = RemoteVerifier(VerifierParts(store=store, rules=rules))
        await verifier.start()
        now = int(time.time())
        asked = {
            "old": claims(
                "alice", now=now, age=now - second + 30, ver=entry.version - 1
            ),
            "new": claims("alice", now=now, age=now - second, ver=entry.version),
            "bare": claims("alice", now=now, age=now - second),
        }
        verdicts = {
            name: await verifier.check_async(each) for name, each in asked.items()
        }
    return verdicts["old"].reason, verdicts["new"].reason, verdicts["bare"].reason


async def test_a_login_within_the_second_of_the_logout(install: Install) -> None:
    """By the clock alone the new token is rejected too; with `ver` it passes."""
    installation = await install()
    installation.add_region("eu")
    installation.add_authority()
    await installation.ready()
    rules = replace(LimitSettings().rules, names=ClaimNames(version="ver"))
    by_clock_alone = replace(rules, clock_allowance_ms=0)
    while True:  # A cut-off at a full second proves nothing.
        unprotected = await log_out_and_in(installation, by_clock_alone)
        if unprotected[1] is not Reason.ACTIVE:
            break

    assert unprotected[1] is Reason.ISSUED_BEFORE_CUT_OFF

    old, new, bare = await log_out_and_in(installation, rules)

    assert old is Reason.VERSION_SUPERSEDED
    assert new is Reason.ACTIVE
    assert bare is Reason.ISSUED_BEFORE_CUT_OFF, (
        "nothing distinguishes it from an old one"
    )
