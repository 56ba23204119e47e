"""Calls to a server, and which servers are suitable, on Valkey and Redis alike.

Siblings: `test_store.py` (every store), `test_store_outages.py` (faults) and
`test_store_layout.py` (the content of a server).
"""

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from redis.asyncio import Redis

from revocation.entries import Kind, Status
from revocation.errors import SettingsError, StoreUnavailableError, StoreUnsuitableError
from revocation.store.client import redis_connection
from revocation.store.layout import Layout
from revocation.store.lookup import MAX_KEYS_PER_CALL
from revocation.store.redis_store import RedisStore
from revocation.store.suitability import find_fault
from tests.contract.conftest import (
    PEPPER,
    OpenStore,
    StartServer,
)
from tests.contract.samples import (
    NOT_READY,
    denied,
    put,
    subject,
    target,
)
from tests.identities import identity
from tests.servers import Server

pytestmark = pytest.mark.connected

# Calls --------------------------------------------------------------------------------


async def test_a_find_is_one_call_for_all_targets_and_peppers(
    start_own: StartServer, open_store: OpenStore
) -> None:
    server = start_own()
    store = open_store(server.url, Layout("r", (PEPPER, PEPPER[::-1])))
    await store.check_suitable()
    await put(store, denied())
    async with Redis.from_url(server.url, protocol=2) as raw:
        await raw.config_resetstat()
        await store.find([target(kind) for kind in Kind])
        calls = await raw.info("commandstats")

    counts = {
        name.removeprefix("cmdstat_"): each["calls"] for name, each in calls.items()
    }
    counts.pop("config|resetstat")
    # The found entry, and the canary.
    assert counts == {"fcall_ro": 1, "hmget": 1, "mget": 1, "pexpiretime": 2}


async def test_too_many_targets_for_one_call_are_refused(
    redis_store: RedisStore,
) -> None:
    asked = [target(Kind.TOKEN, str(at)) for at in range(MAX_KEYS_PER_CALL + 1)]

    with pytest.raises(ValueError, match="fewer targets"):
        await redis_store.find(asked)


async def test_as_many_targets_as_fit_are_found_in_one_call(
    redis_store: RedisStore,
) -> None:
    await put(redis_store, denied(name="5"))

    asked = [target(Kind.TOKEN, str(at)) for at in range(MAX_KEYS_PER_CALL)]

    assert set((await redis_store.find(asked)).found) == {target(Kind.TOKEN, "5")}


async def test_both_peppers_are_read_while_one_is_rotated(
    server: Server, open_store: OpenStore, redis_store: RedisStore, layout: Layout
) -> None:
    token = denied(1)
    await put(redis_store, token, subject(1, status=Status.DISABLED))
    peppers = (PEPPER[::-1], PEPPER)
    rotating = open_store(server.url, Layout(layout.prefix, peppers))
    after = open_store(server.url, Layout(layout.prefix, peppers[:1]))
    user = subject(2, version=2, status=Status.ACTIVE)

    await put(rotating, user)

    answer = await rotating.find([token.target, user.target])
    assert answer.found[token.target].expires_at == token.expires_at
    assert answer.found[user.target].status is Status.ACTIVE
    assert answer.found[user.target].version == 2
    assert set((await after.find([token.target, user.target])).found) == {user.target}


async def test_calls_beyond_the_pool_wait(
    server: Server, open_store: OpenStore, redis_store: RedisStore
) -> None:
    crowded = open_store(server.url, max_connections=2)

    answers = await asyncio.gather(*[crowded.find([]) for _ in range(100)])

    assert answers == [({}, NOT_READY)] * 100


async def test_under_steady_load_every_call_gets_a_connection(
    server: Server, open_store: OpenStore
) -> None:
    crowded = open_store(server.url, max_connections=2, timeout_ms=300)
    until = time.monotonic() + 1

    async def press() -> int:
        calls = 0
        while time.monotonic() < until:
            await crowded.find([])
            calls += 1
        return calls

    calls = await asyncio.gather(*[press() for _ in range(16)])

    assert min(calls) > 10


async def test_a_wait_for_the_pool_that_is_too_long_is_an_outage(
    start_own: StartServer, open_store: OpenStore
) -> None:
    server = start_own()
    store = open_store(server.url, max_connections=1, timeout_ms=200)
    await store.start()
    server.pause()
    questions = [store.find([]) for _ in range(8)]
    errors = await asyncio.gather(*questions, return_exceptions=True)

    assert {type(error) for error in errors} == {StoreUnavailableError}
    assert any("raise max_connections" in str(error) for error in errors)


async def test_a_unix_socket_works(
    start_own: StartServer, open_store: OpenStore, tmp_path: Path
) -> None:
    start_own(unixsocket=str(tmp_path / "s"))
    store = open_store(f"unix://{tmp_path}/s?db=0")
    await store.start()
    await store.check_suitable()

    await put(store, denied())

    assert (await store.find([target(Kind.TOKEN)])).found


async def test_a_store_can_start_and_stop_repeatedly(
    redis_store: RedisStore,
) -> None:
    for _ in range(2):
        await redis_store.start()
        await redis_store.start()
        await redis_store.stop()
        await redis_store.stop()

    async with redis_store:
        assert (await redis_store.region()).epoch is None


# Suitability --------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
async def test_a_server_that_evicts_is_refused(
    start_own: StartServer, open_store: OpenStore, policy: str
) -> None:
    server = start_own(maxmemory_policy=policy)

    with pytest.raises(StoreUnsuitableError, match="CONFIG SET maxmemory-pol"):
        await open_store(server.url).check_suitable()


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_wrong_clock_is_refused(
    redis_store: RedisStore, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    shifted = SimpleNamespace(time_ns=lambda: time.time_ns() + hours * 3_600 * 10**9)
    monkeypatch.setattr(redis_connection, "time", shifted)

    with pytest.raises(
        StoreUnsuitableError, match=f"from ours by {'-' * (hours > 0)}3(60|59).* NTP"
    ):
        await redis_store.check_suitable()


async def test_functions_are_loaded_only_when_they_differ(
    start_own: StartServer, open_store: OpenStore
) -> None:
    server = start_own()
    store = open_store(server.url)
    old = (
        "#!lua name=revocation\n"
        "redis.register_function('revocation_old', function() return 1 end)"
    )
    async with Redis.from_url(server.url, protocol=2) as raw:
        await raw.function_load(old)
        await raw.config_resetstat()
        for _ in range(3):
            await store.check_suitable()
        calls = await raw.info("commandstats")

    assert calls["cmdstat_function|load"]["calls"] == 1
    assert await store.begin("epoch", identity()) == "epoch"


@pytest.mark.parametrize(
    ("versions", "suitable"),
    [
        ({"redis_version": "6.2.14"}, False),
        ({"redis_version": "7.0.0"}, True),
        ({"redis_version": "10.0.1"}, True),
        ({"redis_version": "7.2.4", "valkey_version": "7.2.11"}, False),
        ({"redis_version": "7.2.4", "valkey_version": "8.0.0"}, True),
        ({}, False),
    ],
)
def test_servers_that_are_too_old_are_refused(versions, *, suitable: bool) -> None:
    complaint = find_fault({"maxmemory_policy": "noeviction", **versions})

    assert (complaint is None) == suitable
    assert suitable or "use Redis 7.0, Valkey 8 or later" in str(complaint)


@pytest.mark.parametrize("url", ["http://host:1", "redis://host:port", "host"])
def test_a_url_of_another_kind_is_refused(open_store: OpenStore, url: str) -> None:
    with pytest.raises(SettingsError, match="redis://host:6379/0"):
        open_store(url)
