"""Another region's store that pauses in the middle of an answer, then resumes."""

import pytest

from revocation.decision import Reason
from revocation.store.contract import Batch, Mark
from revocation.store.layout import Layout
from revocation.store.redis_store import RedisStore
from revocation.verifier.fallback import RegionFallback
from tests.identities import identity
from tests.servers import start_valkey
from tests.stations.fallback.checks import ask, check_request, cut_off
from tests.stations.regions import now_ms
from tests.unit.strategies import LIMITS

pytestmark = pytest.mark.connected

LAYOUT = Layout("r", (b"0123456789abcdef" * 4,))
EXPECTED = {"alice": Reason.ISSUED_BEFORE_CUT_OFF, "bob": Reason.ACTIVE}


@pytest.fixture
def server(tmp_path):
    with start_valkey(tmp_path / "store") as running:
        yield running


async def test_a_late_answer_is_not_taken_for_the_next(server):
    """A reply to an abandoned request must not be read as the next one's."""
    patient = {"limits": LIMITS, "timeout_ms": 30_000}
    async with RedisStore(server.url, LAYOUT, max_connections=1, **patient) as store:
        await store.check_suitable()
        await store.begin("epoch", identity())
        mark = Mark(1, 1, now_ms() + 1_000, 1, rebuilt=True)
        await store.apply("epoch", Batch([cut_off()], {0: mark}, {}))
        fallback = RegionFallback(store, timeout_ms=200)
        assert (await ask(fallback)).reason is EXPECTED["alice"]
        for _ in range(2):
            server.pause()
            assert await ask(fallback, check_request("alice")) is None
            server.resume()
            for name in ("bob", "alice", "bob"):
                verdict = await ask(fallback, check_request(name))
                assert verdict is None or verdict.reason is EXPECTED[name]
        patiently = RegionFallback(store, timeout_ms=20_000)
        for name, reason in EXPECTED.items():
            assert (await ask(patiently, check_request(name))).reason is reason
