"""Two sidecars that are each other's fallback, both behind."""

import httpx

from revocation.decision import StalenessPolicy
from revocation.http.http_server import Request
from revocation.sidecar.checks import Checker
from revocation.verifier import Verifier
from revocation.verifier.base_verifier import VerifierParts
from revocation.verifier.fallback import SidecarFallback
from tests.stations.fallback.checks import POLICY, RULES, store_as_of, token
from tests.stations.sidecars import listening

POLICIES = {"write": POLICY, "read": StalenessPolicy()}


class Counting:
    """A sidecar that counts its check requests."""

    def __init__(self, verifier: Verifier) -> None:
        routes = frozenset(POLICIES)
        self.checker = Checker(verifier, region="eu", routes=routes, verifies=False)
        self.verifier = verifier
        self.checks = 0

    def handle(self, request: Request):
        assert request.path == "/v1/check"
        self.checks += 1
        return self.checker.answer(request)


async def test_each_is_asked_once_and_asks_no_other():
    """Else one check would go back and forth without end."""
    late = [await store_as_of(60_000) for _ in range(2)]
    verifiers = [
        Verifier(
            VerifierParts(store=store, rules=RULES, policies=POLICIES),
            store,
            peppers=(store.pepper,),
        )
        for store in late
    ]
    apps = [Counting(each) for each in verifiers]
    async with (
        listening(apps[0].handle) as one,
        listening(apps[1].handle) as other,
        verifiers[0],
        verifiers[1],
    ):
        fallbacks = [SidecarFallback(other), SidecarFallback(one)]
        for verifier, fallback in zip(verifiers, fallbacks, strict=True):
            await fallback.start()
            verifier._fallback = fallback
        async with httpx.AsyncClient(base_url=one, trust_env=False) as client:
            body = {"claims": token("bob"), "route": "write"}
            answer = await client.post("/v1/check", json=body)
        for fallback in fallbacks:
            await fallback.stop()

    assert answer.json()["reason"] == "stale"
    assert [app.checks for app in apps] == [1, 1]
