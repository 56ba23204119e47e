"""Laws of a replica: whatever happens, it converges to its region."""

import random
from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings, strategies as st

from revocation.claims.claims import Token
from revocation.decision import (
    DEFAULT_POLICIES,
    Beyond,
    Freshness,
    StalenessPolicy,
    decide,
    read_token,
)
from revocation.entries import Target
from revocation.errors import StoreUnavailableError
from revocation.store import canary
from revocation.store.contract import Batch, Change, FeedHead, Mark, Page
from revocation.verifier import replica_feed as feed_module, snapshot_waiter
from revocation.verifier.replica import Replica
from tests import memory_store
from tests.identities import identity
from tests.installation import eventually
from tests.memory_store import MemoryStore
from tests.stations.test_feed import HOUR, following
from tests.unit.strategies import CLAIMS, ISSUER, LIMITS, NOW, RULES, entries
from tests.unit.verdicts import IDS

TARGETS = [Target(kind, ISSUER, name) for kind, name in IDS.items()]
writes = st.sampled_from(TARGETS).flatmap(entries)
steps = st.one_of(
    writes,
    st.sampled_from(["forget the feed", "flush", "fail", "an hour later"]),
)


class Eventful(MemoryStore):
    """A store where something happens between any two answers, until all has."""

    def __init__(self, happenings, luck) -> None:
        self.now = NOW
        super().__init__(limits=LIMITS, clock=lambda: self.now)
        self.happenings, self.luck, self.epochs = list(happenings), luck, 0
        self.at = 0

    async def happen(self) -> None:
        while self.happenings and self.luck.random() < 0.6:
            what = self.happenings.pop()
            if what == "fail":
                raise StoreUnavailableError("as was to be expected")
            if what == "forget the feed":
                self._feed.clear()
            elif what == "an hour later":
                self.now += HOUR
            elif what == "flush":
                await self.rebuild(list(self._kept.values()))
            else:
                await self.write([what])

    async def rebuild(self, kept) -> None:
        self.lose_everything()
        self.epochs += 1
        await self.begin(f"epoch-{self.epochs}", identity())
        known = [each.entry for each in kept]
        await self.write(
            [entry for entry in known if entry.target.issuer != canary.ISSUER]
        )

    async def write(self, written) -> None:
        self.at += 1
        mark = Mark(self.at, self.at, self.now + self.at, self.at, rebuilt=True)
        await self.apply(f"epoch-{self.epochs}", Batch(written, {0: mark}, {}))

    async def head(self) -> FeedHead:
        await self.happen()
        return await super().head()

    async def page(self, cursor: str) -> Page:
        await self.happen()
        return await super().page(cursor)

    async def changes(self, position: str, *, wait_ms: int) -> Sequence[Change]:
        await self.happen()
        return await super().changes(position, wait_ms=wait_ms)


@given(st.lists(steps, max_size=25), st.integers(0, 2**32))
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
async def test_a_replica_converges_to_its_region(monkeypatch, happenings, seed):
    """Snapshots, changes, gaps, flushes, outages and expiries, in any order."""
    monkeypatch.setattr(memory_store, "_PAGE_ENTRIES", 2)
    monkeypatch.setattr(memory_store, "_CHANGES_PER_READ", 2)
    monkeypatch.setattr(feed_module, "_PAGES_PER_READ", 1)
    monkeypatch.setattr(feed_module, "_WAIT_MS", 1)
    monkeypatch.setattr(feed_module, "_FIRST_BACKOFF_SECONDS", 0.0)
    monkeypatch.setattr(snapshot_waiter, "_COLD_POLL_SECONDS", 0.001)
    monkeypatch.setattr(snapshot_waiter, "_NEAR_POLL_SECONDS", 0.0)
    store = Eventful(happenings, random.Random(seed))
    await store.rebuild([])
    made = read_token(CLAIMS, RULES, kid="k1", resources=["dataset:42"])
    assert isinstance(made, Token)
    async with following(store) as feed:

        async def settled() -> bool:
            head = await MemoryStore.head(store)
            caught_up = feed.replica.freshness == head.freshness
            return not store.happenings and caught_up

        await eventually(settled, pause=0)
        answer = await MemoryStore.find(store, made.targets())
        assert feed.replica.find(made, store.now) == answer


@given(st.integers(0, 10**9), st.sampled_from(["read", "write", "lax", "ask"]))
def test_a_disconnected_verifier_is_never_active_beyond_its_policy(cut_ms, route):
    """Unless the policy allows it."""
    policies = {
        **DEFAULT_POLICIES,
        "lax": StalenessPolicy(beyond=Beyond.ALLOW),
        "ask": StalenessPolicy(beyond=Beyond.INTROSPECT),
    }
    replica = Replica((b"p" * 32,))
    replica.advance(Freshness(ready=True, as_of=NOW))
    now, policy = NOW + cut_ms, policies[route]
    seconds = now // 1_000
    made = read_token({**CLAIMS, "iat": seconds, "exp": seconds + 60}, RULES)
    assert isinstance(made, Token)
    verdict = decide(
        made,
        *replica.find(made, now),
        policy=policy,
        rules=RULES,
        now=now,
    )
    within = cut_ms <= policy.max_staleness_ms
    assert verdict.active == (within or policy.beyond is Beyond.ALLOW)
    assert verdict.stale == (cut_ms > min(policy.fresh_ms, policy.max_staleness_ms))
