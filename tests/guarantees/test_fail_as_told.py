"""fail-as-told: behind its bound, a verifier does what its policy says."""

import contextlib
import time
from collections.abc import AsyncIterator

import pytest
from prometheus_client import REGISTRY

from revocation.decision import Beyond, Reason, StalenessPolicy, Verdict
from revocation.verifier import Verifier, verifier as verifier_module
from tests.cable import Cable
from tests.guarantees.faults import FAULTS, Fault
from tests.installation import Install, eventually
from tests.traffic import claims, logged_out

pytestmark = [pytest.mark.guarantee, pytest.mark.connected, pytest.mark.timeout(120)]

BOUND_MS = 1_500
POLICIES = {
    "read": StalenessPolicy(fresh_ms=BOUND_MS, max_staleness_ms=60_000),
    "write": StalenessPolicy(fresh_ms=BOUND_MS, max_staleness_ms=BOUND_MS),
    "lax": StalenessPolicy(
        fresh_ms=BOUND_MS, max_staleness_ms=BOUND_MS, beyond=Beyond.ALLOW
    ),
    "ask": StalenessPolicy(
        fresh_ms=BOUND_MS, max_staleness_ms=BOUND_MS, beyond=Beyond.INTROSPECT
    ),
}


def token(name: str) -> dict:
    return claims(name, now=int(time.time()))


def counted(reason: Reason, route: str, *, stale: bool) -> float:
    labels = {"reason": reason, "route": route, "stale": str(stale)}
    return REGISTRY.get_sample_value("revocation_verdicts_total", labels) or 0


@contextlib.asynccontextmanager
async def followed(install: Install) -> AsyncIterator[tuple]:
    """Start two regions, and a verifier that follows eu over a cable."""
    installation = await install()
    for region in ("eu", "us"):
        installation.add_region(region)
    installation.add_authority()
    await installation.ready()
    async with Cable(installation.stores["eu"].url) as cable:
        verifier = installation.verifier(
            "eu",
            store_url=cable.url,
            routes=POLICIES,
            fallback_store_url=installation.stores["us"].url,
        )
        async with verifier:
            assert verifier.ready
            yield installation, cable, verifier


async def behind(verifier: Verifier) -> Verdict:
    """Wait until the verifier is past its bound; return its first verdict there."""
    verdict = verifier.check(token("bob"), route="write")

    def stale() -> bool:
        nonlocal verdict
        verdict = verifier.check(token("bob"), route="write")
        return verdict.reason is not Reason.ACTIVE

    await eventually(stale, within=10, pause=0.01)
    return verdict


async def test_without_a_bound_revoked_tokens_may_write(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the protection: a verdict that ignores freshness misses revocations."""
    decide = verifier_module.decide

    def decide_without_bound(*arguments: object, **options: object) -> Verdict:
        policy = StalenessPolicy(beyond=Beyond.ALLOW)
        return decide(*arguments, **{**options, "policy": policy})

    async with followed(install) as (installation, cable, verifier):
        monkeypatch.setattr(verifier_module, "decide", decide_without_bound)
        cable.cut()
        await installation.publish(logged_out("mallory"))
        await eventually(
            lambda: verifier.check(token("mallory")).staleness_ms > 2 * BOUND_MS
        )
        verdict = verifier.check(token("mallory"), route="write")
        cable.mend()

    assert verdict.active


@pytest.mark.parametrize("fault", FAULTS)
async def test_past_its_bound_each_route_class_follows_its_policy(
    install: Install, fault: Fault
) -> None:
    """Writes are rejected, reads pass marked as stale, and both recover afterwards."""
    async with followed(install) as (installation, cable, verifier):
        assert verifier.check(token("bob"), route="write")
        rejected = counted(Reason.STALE, "write", stale=True)
        accepted = counted(Reason.ACTIVE, "read", stale=True)
        async with fault(installation, cable):
            first = await behind(verifier)
            read = verifier.check(token("bob"), route="read")
            lax = verifier.check(token("bob"), route="lax")
            asked = verifier.check(token("bob"), route="ask")
            counts = (
                counted(Reason.STALE, "write", stale=True),
                counted(Reason.ACTIVE, "read", stale=True),
            )
        await eventually(lambda: verifier.check(token("bob"), route="write"))

    assert first.reason is Reason.STALE
    assert first.stale
    assert BOUND_MS < first.staleness_ms < BOUND_MS + 1_000, "at once, not later"
    assert (read.active, read.stale) == (lax.active, lax.stale) == (True, True)
    assert counts == (rejected + 1, accepted + 1), "each was counted"
    assert asked.reason is Reason.STALE, "`check` asks no fallback: it may not wait"


async def test_introspection_returns_the_answer_of_a_fresher_region(
    install: Install,
) -> None:
    """Eu is cut off; us is not, and has the revocation."""
    async with followed(install) as (installation, cable, verifier):
        cable.cut()
        await behind(verifier)
        receipts = await installation.publish(logged_out("mallory"))
        await installation.applied(receipts, "us")
        good = await verifier.check_async(token("bob"), route="ask")
        bad = await verifier.check_async(token("mallory"), route="ask")
        installation.stations["projector-us"].pause()
        await eventually(
            lambda: verifier.check(token("bob")).staleness_ms > 3 * BOUND_MS
        )
        bob = await verifier.check_async(token("bob"), route="ask")
        installation.stations["projector-us"].resume()
        cable.mend()

    assert (good.active, good.stale) == (True, False)
    assert bad.reason is Reason.ISSUED_BEFORE_CUT_OFF
    assert bad.receipt == str(receipts[0])
    assert bob.reason is Reason.STALE
