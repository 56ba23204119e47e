"""Lookups that share calls to real servers: the calls, and lost connections."""

import asyncio
import time
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from revocation.entries import Kind, Target
from revocation.errors import StoreUnavailableError
from revocation.store.batching_reader import BatchingReader
from tests.contract.conftest import OpenStore, StartServer
from tests.contract.samples import ISSUER, denied, put, subject, target
from tests.contract.test_batching_reader import LAYOUT, token, turns, waiter

pytestmark = pytest.mark.connected


async def test_a_hundred_checks_are_a_few_calls(
    start_own: StartServer, open_store: OpenStore
) -> None:
    server = start_own()
    plain = open_store(server.url, LAYOUT)
    await plain.check_suitable()
    user = replace(subject(), target=Target(Kind.USER, ISSUER, "user"))
    await put(plain, denied(name="5"), user)
    async with Redis.from_url(server.url, protocol=2) as raw:
        async with BatchingReader(plain) as reader:
            await raw.config_resetstat()
            answers = await asyncio.gather(
                *[reader.find_token(token(str(at))) for at in range(100)]
            )
        calls = await raw.info("commandstats")

    assert calls["cmdstat_fcall_ro"]["calls"] == 4
    found = [set(answer.found) for answer in answers]
    assert found[5] == {target(Kind.TOKEN, "5"), user.target}
    assert found[:5] + found[6:] == [{user.target}] * 99


async def test_a_corrupt_value_fails_only_its_own_lookups(
    start_own: StartServer, open_store: OpenStore
) -> None:
    server = start_own()
    plain = open_store(server.url, LAYOUT)
    await plain.check_suitable()
    await put(plain, denied())
    broken = target(Kind.USER, "broken")
    async with Redis.from_url(server.url, protocol=2) as raw:
        await raw.set(LAYOUT.key(broken), b"nonsense")
    async with BatchingReader(plain) as reader:
        one, other = await asyncio.gather(
            reader.find([broken]),
            reader.find([target(Kind.TOKEN)]),
            return_exceptions=True,
        )

    assert isinstance(one, ValueError)
    assert not isinstance(other, BaseException)
    assert set(other.found) == {target(Kind.TOKEN)}


async def test_a_lost_connection_is_replaced(
    start_own: StartServer, open_store: OpenStore
) -> None:
    server = start_own()
    plain = open_store(server.url, LAYOUT)
    async with (
        Redis.from_url(server.url, protocol=2) as raw,
        BatchingReader(plain) as reader,
    ):
        for _ in range(3):
            assert plain.send_look_up([]) is not None
            asked = waiter(reader.find([]))
            await raw.client_kill_filter(_type="normal")
            await asked
            await turns()
            await reader.find([])
        assert len(await raw.client_list()) <= 3


async def test_a_server_that_hangs_fails_in_time_and_recovers(
    start_own: StartServer, open_store: OpenStore
) -> None:
    server = start_own()
    async with BatchingReader(open_store(server.url, timeout_ms=100)) as reader:
        server.pause()
        began = time.monotonic()

        async def ask(pause: float) -> None:
            await asyncio.sleep(pause)
            await reader.find([])

        questions = [ask(at / 1_000) for at in range(50)]
        errors = await asyncio.gather(*questions, return_exceptions=True)

        assert {type(error) for error in errors} == {StoreUnavailableError}
        assert time.monotonic() - began < 2
        server.resume()
        await reader.find([])
