"""Two sidecars that are each other's fallback, and both behind."""

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from revocation.decision import StalenessPolicy
from revocation.sidecar.http import create_app
from revocation.verifier import Verifier
from revocation.verifier.fallback import SidecarFallback
from revocation.verifier.verification import Parts
from tests.installation import eventually
from tests.stations.fallback.asking import POLICY, RULES, store_as_of, token

POLICIES = {"write": POLICY, "read": StalenessPolicy()}


class Counting:
    """An application, and how often it was asked for a check."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.checks = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.checks += scope.get("path") == "/v1/check"
        await self.app(scope, receive, send)


async def test_each_is_asked_once_and_asks_nobody(serve, monkeypatch):
    """Or one check would go to and fro until something gives way."""
    late = [await store_as_of(60_000) for _ in range(2)]
    verifiers = [
        Verifier(
            Parts(store=store, rules=RULES, policies=POLICIES),
            store,
            peppers=(store.pepper,),
        )
        for store in late
    ]
    apps = [Counting(create_app(each, region="eu")) for each in verifiers]
    async with (
        serve(apps[0], lifespan="on") as one,
        serve(apps[1], lifespan="on") as other,
    ):
        fallbacks = [SidecarFallback(other), SidecarFallback(one)]
        for verifier, fallback in zip(verifiers, fallbacks, strict=True):
            await fallback.start()
            verifier._fallback = fallback
            await eventually(lambda verifier=verifier: verifier.ready)
        async with httpx.AsyncClient(base_url=one, trust_env=False) as client:
            body = {"claims": token("bob"), "route": "write"}
            answer = await client.post("/v1/check", json=body)
        for fallback in fallbacks:
            await fallback.stop()

    assert answer.json()["reason"] == "stale"
    assert [app.checks for app in apps] == [1, 1]
