"""A verifier double for tests of how services use its answers."""

from revocation.decision import Reason, Verdict
from revocation.entries import UnixMs
from revocation.jwt.trust import DEFAULT_TOKEN_BYTES
from revocation.verifier import Verification


class StubVerifier:
    """Returns a configured answer, and records the calls."""

    max_token_bytes = DEFAULT_TOKEN_BYTES

    def __init__(self, reason=Reason.ACTIVE, **claims):
        self.reason = reason
        self.claims = {"sub": "alice", **claims}
        self.calls = []

    async def verify_async(self, token, *, route="read", resources=()):
        return self.verify(token, route=route, resources=resources)

    def verify_or_await(self, token, *, route="read", resources=()):
        return self.verify(token, route=route, resources=resources)

    def verify(self, token, *, route="read", resources=()):
        self.calls.append((token, route, tuple(resources)))
        active = self.reason is Reason.ACTIVE
        verdict = Verdict(
            active=active, reason=self.reason, as_of=UnixMs(7), staleness_ms=1
        )
        return Verification(verdict, self.claims, "key-1")
