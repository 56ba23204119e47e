"""A refresh guard over a simulated region and the real rule of verdicts."""

import asyncio
from dataclasses import dataclass, field, replace

from revocation import events
from revocation.claims.claim_names import ClaimNames
from revocation.claims.claims import Rules, read_token
from revocation.decision import DEFAULT_POLICIES, Freshness, decide
from revocation.entries import Entry, Kind, Position, Target, grant_id
from revocation.errors import StoreUnavailableError
from revocation.guard.refresh_guard import RefreshGuard, RefreshRequest
from revocation.receipts import Receipt
from revocation.settings import LimitSettings

ISSUER = "https://idp.example/"
NOW = 1_795_273_445_000
MINUTE = 60_000
GRACE_MS = 10_000
SETTINGS = LimitSettings()
RULES = replace(SETTINGS.rules, names=ClaimNames(version="ver"))
REMEMBERED_MS = SETTINGS.limits.longest_token_ms
REQUEST = RefreshRequest(
    issuer=ISSUER,
    user="alice",
    client="shop",
    session="session-1",
    token_id="refresh-1",
    issued_at=NOW - 10 * MINUTE,
    expires_at=NOW + 30 * 86_400_000,
    version=7,
    tenant="acme",
    resources=("dataset:42",),
)
IDS = {
    Kind.ISSUER: ISSUER,
    Kind.TENANT: "acme",
    Kind.CLIENT: "shop",
    Kind.USER: "alice",
    Kind.GRANT: grant_id("alice", "shop"),
    Kind.SESSION: "session-1",
    Kind.TOKEN: "refresh-1",
    Kind.RESOURCE: "dataset:42",
    Kind.CLAIMS: "device_id=d-1",
}
HERE = Position(3, 17, NOW - MINUTE)
FRESH = Freshness(ready=True, as_of=NOW - 300)
CUT_OFF = {"not_before": NOW - MINUTE}
DENIED = {"expires_at": NOW + MINUTE}


def known(kind, **state):
    return Entry(Target(kind, ISSUER, IDS[kind]), HERE, **state)


@dataclass
class FakeVerifier:
    """A region that holds some entries; `stored` is what its store has already."""

    entries: tuple[Entry, ...] = ()
    freshness: Freshness = FRESH
    stored: int = 7
    away: bool = False
    now: int = NOW
    rules: Rules = RULES
    asked: list[dict] = field(default_factory=list)

    async def check_async(self, claims, *, route="read", resources=()):
        self.asked.append(claims)
        token = read_token(claims, self.rules, resources=resources)
        targets = () if isinstance(token, str) else token.targets()
        return decide(
            token,
            {each.target: each for each in self.entries if each.target in targets},
            self.freshness,
            policy=DEFAULT_POLICIES[route],
            rules=self.rules,
            now=self.now,
        )

    async def current_version(self, issuer, user):
        assert (issuer, user) == (ISSUER, "alice")
        if self.away:
            raise StoreUnavailableError("the store does not answer; retry later")
        return self.stored


@dataclass
class FakePublisher:
    """Keeps what is published, or raises `refusal`, or does not answer."""

    refusal: Exception | None = None
    silent: bool = False
    published: list[events.Event] = field(default_factory=list)

    async def publish(self, event):
        if self.silent:
            await asyncio.Event().wait()
        if self.refusal is not None:
            raise self.refusal
        self.published.append(event)
        return (Receipt(1, 40 + len(self.published)),)


class Case:
    """A guard with its region, publisher and clock."""

    def __init__(self, *entries, publisher=None, guard=None, **region):
        self.region = FakeVerifier(entries, **region)
        self.publisher = publisher or FakePublisher()
        self.now = self.region.now
        self.guard = RefreshGuard(
            self.region,
            self.publisher,
            longest_session_ms=SETTINGS.limits.longest_session_ms,
            grace_ms=GRACE_MS,
            clock=lambda: self.now / 1_000,
            **guard or {},
        )

    async def refresh(self, **changes):
        return await self.guard.guard_refresh(replace(REQUEST, **changes))

    @property
    def published(self):
        return self.publisher.published
