"""The refresh guard on real servers: its revocations reach the region, and back."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from revocation.decision import Reason
from revocation.events import Event, GrantRevoked, UserLoggedOut
from revocation.guard.refresh_guard import (
    RefreshDecision,
    RefreshGuard,
    RefreshReason,
    RefreshRequest,
)
from revocation.publisher import Publisher
from revocation.settings import VerifierSettings
from revocation.verifier import Verifier
from tests.installation import Install, Installation
from tests.traffic import ISSUER, SOURCE

pytestmark = [pytest.mark.connected, pytest.mark.timeout(120)]


def request(now: int, **changes: Any) -> RefreshRequest:
    """Return a request with alice's refresh token, issued a minute ago."""
    asked = RefreshRequest(
        issuer=ISSUER,
        user="alice",
        client="shop",
        session="session-1",
        token_id="refresh-1",
        issued_at=(now - 60) * 1_000,
        expires_at=(now + 86_400) * 1_000,
        version=0,
    )
    return replace(asked, **changes)


def minted(refresh: RefreshRequest, decision: RefreshDecision) -> dict[str, Any]:
    """Return the claims of the access token that an issuer mints on a decision."""
    iat = decision.latest_iat
    assert iat is not None
    return {
        "iss": refresh.issuer,
        "sub": refresh.user,
        "client_id": refresh.client,
        "sid": refresh.session,
        "jti": f"access-{time.time_ns()}",
        "iat": iat,
        "exp": iat + 600,
        "ver": decision.version,
    }


class Issuer(NamedTuple):
    """An issuer's guard, and its dependencies."""

    region: Installation
    verifier: Verifier
    publisher: Publisher
    guard: RefreshGuard


@pytest.fixture
async def issuer(install: Install) -> AsyncIterator[Issuer]:
    region = await install()
    region.add_authority()
    region.add_region("eu")
    await region.ready()
    settings = VerifierSettings(
        region="eu",
        store_url=region.stores["eu"].url,
        pepper_file=region.settings["pepper_file"],
        claims={"version_claim": "ver"},
    )
    verifier = Verifier.from_settings(settings)
    async with verifier, region.publisher() as publisher:
        guard = RefreshGuard(
            verifier,
            publisher,
            longest_session_ms=settings.limits.longest_session_ms,
        )
        yield Issuer(region, verifier, publisher, guard)


async def until_refused(guard: RefreshGuard, refresh: RefreshRequest) -> list[Any]:
    """Refresh until refused; return the decisions in order."""
    decisions = []
    async with asyncio.timeout(20):
        while True:
            decisions.append(await guard.guard_refresh(refresh))
            if not decisions[-1]:
                return decisions
            await asyncio.sleep(0.001)


async def test_reuse_ends_the_session_everywhere(issuer: Issuer) -> None:
    """For the thief and for the user, whichever came first."""
    guard, verifier = issuer.guard, issuer.verifier
    now = int(time.time())
    first = request(now)
    allowed = await guard.guard_refresh(first)
    assert allowed.reason is RefreshReason.ALLOWED
    access = minted(first, allowed)
    assert (await verifier.check_async(access, route="write")).active

    reused = await guard.guard_refresh(replace(first, rotated_at=(now - 30) * 1_000))
    assert reused.reason is RefreshReason.REUSED
    assert reused.error is None
    await verifier.wait_applied(reused.receipts, timeout_seconds=20)

    successor = replace(first, token_id="refresh-2", issued_at=now * 1_000)
    refused = (await until_refused(guard, successor))[-1]
    assert refused.reason is RefreshReason.REVOKED
    assert refused.verdict.reason is Reason.SESSION_ENDED
    verdict = await verifier.check_async(access)
    assert verdict.reason is Reason.SESSION_ENDED
    assert verdict.receipt == str(reused.receipts[0])


WITHDRAWN = GrantRevoked.new(source=SOURCE, issuer=ISSUER, user="alice", client="shop")
LOGGED_OUT = UserLoggedOut.new(source=SOURCE, issuer=ISSUER, user="alice")


@pytest.mark.parametrize(
    ("event", "version", "saved_by"),
    [
        (LOGGED_OUT, 0, "version"),
        (LOGGED_OUT, None, "date"),
        (WITHDRAWN, 0, "date"),
    ],
    ids=["logout", "logout without versions", "withdrawn grant"],
)
async def test_no_token_of_a_racing_refresh_survives_a_revocation(
    issuer: Issuer, event: Event, version: int | None, saved_by: str
) -> None:
    """The region gets the revocation too late.

    Tokens dated by a clock past the cut-off and the allowance would survive.
    """
    refresh = request(int(time.time()), version=version)
    projector = issuer.region.stations["projector-eu"]
    projector.pause()
    try:
        receipts = await issuer.publisher.publish(event)
        decision = await issuer.guard.guard_refresh(refresh)
    finally:
        projector.resume()
    assert decision.reason is RefreshReason.ALLOWED
    refused = (await until_refused(issuer.guard, refresh))[-1]
    assert refused.reason is RefreshReason.REVOKED
    await issuer.verifier.wait_applied(receipts, timeout_seconds=20)
    access = minted(refresh, decision)
    verdict = await issuer.verifier.check_async(access)
    assert verdict.receipt == str(receipts[0])
    assert verdict.entry is not None
    reach = verdict.entry.not_before + issuer.verifier.rules.clock_allowance_ms
    later = {**access, "iat": (reach + 1) / 1_000}
    dated_later = await issuer.verifier.check_async(later)
    assert dated_later.active == (saved_by == "date")
