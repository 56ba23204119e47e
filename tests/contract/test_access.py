"""Access rights: servers behave as docs/store-layout.md and deploy/redis state."""

import hashlib
import re
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, NoPermissionError

from revocation.entries import Kind, Status
from revocation.errors import StoreUnavailableError, StoreUnsuitableError
from revocation.store.batching_reader import BatchingReader
from revocation.store.contract import Batch
from revocation.store.layout import Layout
from revocation.store.redis_feed import RedisFeed
from revocation.store.redis_store import FUNCTIONS
from tests.contract.conftest import MAX_TOKEN_MS, PEPPER, OpenStore, StartServer
from tests.contract.samples import denied, mark, put, subject, target
from tests.contract.test_feed import read_on, snapshot
from tests.servers import Server

pytestmark = pytest.mark.connected

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "store-layout.md"
TEMPLATE = ROOT / "deploy" / "redis" / "users.acl.template"
PASSWORD = "CHANGE-ME"
LAYOUT = Layout("r", (PEPPER,))


async def _documented(start: StartServer) -> Server:
    server = start()
    rules = re.findall(r"^ +(ACL SETUSER .+)$", DOCUMENT.read_text(), re.MULTILINE)
    assert len(rules) == 2
    async with Redis.from_url(server.url, protocol=2) as raw:
        for rule in rules:
            await raw.execute_command(*rule.split())
    return server


def _deployed(start: StartServer, folder: Path) -> Server:
    digest = hashlib.sha256(PASSWORD.encode()).hexdigest()
    lines = TEMPLATE.read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    file = folder / "users.acl"
    file.write_text(
        "\n".join(re.sub("(PROJECTOR|VERIFIER)_SHA256", digest, line) for line in rules)
    )
    return start(aclfile=str(file))


@pytest.fixture(params=["documented", "deployed"])
async def users(
    request: pytest.FixtureRequest, start_own: StartServer, tmp_path: Path
) -> Server:
    """Start a server with the users of the document, or of the Compose deployment."""
    if request.param == "documented":
        return await _documented(start_own)
    return _deployed(start_own, tmp_path)


def as_user(server: Server, name: str, password: str = PASSWORD) -> str:
    return server.url.replace("://", f"://{name}:{password}@")


async def test_a_verifier_can_look_up_and_keep_a_replica(
    users: Server, open_store: OpenStore
) -> None:
    projector = open_store(as_user(users, "projector"), LAYOUT)
    await projector.check_suitable()
    long_ago = 2 * MAX_TOKEN_MS
    disabled = subject(1, status=Status.DISABLED, age_ms=long_ago)
    # Of two statuses in one millisecond the more severe would count.
    enabled = subject(2, status=Status.ACTIVE, age_ms=long_ago - 1_000)
    await put(projector, denied(1), disabled)
    await put(projector, denied(2), enabled)
    await projector.apply("epoch", Batch([], {0: mark(1)}, {}))
    verifier = BatchingReader(open_store(as_user(users, "verifier"), LAYOUT))
    await verifier.start()
    feed = RedisFeed(as_user(users, "verifier"), LAYOUT)

    answer = await verifier.find([target(Kind.TOKEN), target(Kind.USER)])

    assert set(answer.found) == {target(Kind.TOKEN)}
    assert (await verifier.region()).epoch == "epoch"
    assert abs(await verifier.clock_skew_ms()) < 1_000
    assert (await feed.head()).freshness.ready
    assert len(await snapshot(feed)) == 1
    assert await read_on(feed)
    assert abs(await feed.clock_skew_ms()) < 1_000
    for each in (verifier, feed):
        await each.stop()


REFUSED = {
    "SET": ("SET", LAYOUT.key(target(Kind.TOKEN)), "7"),
    "DEL": ("DEL", LAYOUT.meta),
    "HSET": ("HSET", LAYOUT.meta, "ready", "1"),
    "XADD": ("XADD", LAYOUT.feed, "*", "after", ""),
    "XTRIM": ("XTRIM", LAYOUT.feed, "MAXLEN", "0"),
    "FCALL apply": ("FCALL", "revocation_apply", "2", LAYOUT.meta, LAYOUT.feed),
    "FCALL_RO apply": ("FCALL_RO", "revocation_apply", "2", LAYOUT.meta, LAYOUT.feed),
    "FCALL begin": ("FCALL", "revocation_begin", "2", LAYOUT.meta, LAYOUT.feed),
    "FUNCTION LOAD": ("FUNCTION", "LOAD", "REPLACE", FUNCTIONS),
    "FUNCTION FLUSH": ("FUNCTION", "FLUSH"),
    "EVAL": ("EVAL", "return redis.call('DEL', KEYS[1])", "1", LAYOUT.meta),
    "FLUSHALL": ("FLUSHALL",),
    "CONFIG": ("CONFIG", "SET", "maxmemory-policy", "allkeys-lru"),
    "ACL": ("ACL", "LIST"),
    "KEYS": ("KEYS", "*"),
    "another prefix": ("GET", "{other}key"),
}


@pytest.fixture
async def as_verifier(users: Server, open_store: OpenStore):
    await put_first(users, open_store)
    async with Redis.from_url(as_user(users, "verifier"), protocol=2) as raw:
        yield raw


async def put_first(users: Server, open_store: OpenStore) -> None:
    projector = open_store(as_user(users, "projector"), LAYOUT)
    await projector.check_suitable()
    await put(projector, denied())


async def test_a_verifier_cannot_write_or_read_anything_else(
    as_verifier: Redis, users: Server, open_store: OpenStore
) -> None:
    for name, command in REFUSED.items():
        error = "write flag" if name == "FCALL_RO apply" else "permission"
        with pytest.raises(Exception, match=f"(?i){error}"):
            await as_verifier.execute_command(*command)

    verifier = open_store(as_user(users, "verifier"), LAYOUT)
    assert (await verifier.find([target(Kind.TOKEN)])).found
    with pytest.raises(StoreUnavailableError, match=r"store-layout\.md"):
        await verifier.apply("epoch", Batch([], {}, {}))
    with pytest.raises(StoreUnsuitableError, match=r"store-layout\.md"):
        await verifier.check_suitable()


async def test_a_wrong_password_is_reported_without_quoting_it(
    users: Server, open_store: OpenStore
) -> None:
    store = open_store(as_user(users, "verifier", "wrong-password"))

    with pytest.raises(StoreUnsuitableError) as caught:
        await store.check_suitable()

    assert "check the user and password" in str(caught.value)
    assert "wrong-password" not in str(caught.value)


async def test_no_anonymous_client_is_accepted(
    start_own: StartServer, tmp_path: Path
) -> None:
    server = _deployed(start_own, tmp_path)

    async with Redis.from_url(server.url, protocol=2) as raw:
        with pytest.raises((AuthenticationError, NoPermissionError)):
            await raw.ping()
    async with Redis.from_url(as_user(server, "health"), protocol=2) as raw:
        assert await raw.ping()
        with pytest.raises(NoPermissionError):
            await raw.get(LAYOUT.meta)
