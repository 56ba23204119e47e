"""From publishing a revocation to its token being rejected, in each region.

Ours: 1,000 single revocations at 200/s through the whole embedded system; a watcher
process per region judges each token until it is rejected. Alternative, in the same run
and on the same broker: a bare chain without authority, watermark or feed (producer,
topic, aiokafka consumer, one SET, one reader that polls EXISTS), one region.

    python benchmarks/propagation.py [--count 1000] [--rate 200] [--warm-up 25]
        [--regions eu us ap] [--quick]
"""

import asyncio
import multiprocessing
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import uvloop
from _figures import Figure, percentiles, report
from _options import parse, parser
from redis.asyncio import Redis

from revocation.decision import Rules, Token, decide, read_token
from revocation.entries import UnixMs
from revocation.events import Event, TokenRevoked, UserLoggedOut
from revocation.kafka.clients import new_consumer, new_producer
from revocation.local import Embedded, SystemState
from revocation.local.plan import DEFAULT_REGIONS
from revocation.publisher import Publisher
from revocation.settings import KafkaSettings, PublisherSettings, VerifierSettings
from revocation.store.redis_store import RedisStore

ISSUER = "https://idp.example/"
P50_LIMIT_MS = 20
P99_LIMIT_MS = 60
_POLL_SECONDS = 0.005
_JAVA_OPTIONS = "-XX:TieredStopAtLevel=4 -XX:+UseSerialGC"
"""The broker with its second compiler, as in production; tests start faster without."""


def revocation(number: int) -> tuple[dict[str, Any], Event]:
    """Return claims and the event that revokes them; tokens and logouts in turn."""
    now, name = int(time.time()), f"{number}-{time.perf_counter_ns()}"
    claims = {"iss": ISSUER, "sub": name, "jti": name, "iat": now - 60}
    claims["exp"] = now + 600
    new: dict[str, Any] = {"source": "/benchmark", "issuer": ISSUER}
    if number % 2:
        return claims, UserLoggedOut.new(**new, user=name)
    return claims, TokenRevoked.new(**new, jti=name)


def watch(orders: Connection, region: str, store_url: str) -> None:
    """Judge each token that is sent until it is rejected; answer with all durations.

    All tokens that wait are looked up in one round trip, or the watching would be most
    of the load.
    """
    settings = VerifierSettings(region=region, store_url=store_url)
    orders.send(uvloop.run(_watch(orders, settings)))


async def _watch(orders: Connection, settings: VerifierSettings) -> list[float]:
    took: list[float] = []
    pending: list[tuple[dict[str, Any], float]] = []
    more = True
    policy, rules = settings.policies["read"], settings.rules
    async with RedisStore.from_settings(settings) as store:
        orders.send("ready")
        while more or pending:
            while more and orders.poll():
                order = orders.recv()
                more = order is not None
                pending += [order] if more else []
            tokens = [_read(claims, rules) for claims, _ in pending]
            looked_up = [token.targets() for token in tokens]
            answer = await store.find([each for one in looked_up for each in one])
            now = UnixMs(time.time_ns() // 1_000_000)
            waiting = []
            for order, token, targets in zip(pending, tokens, looked_up, strict=True):
                _, since = order
                found = {
                    each: answer.found[each] for each in targets if each in answer.found
                }
                verdict = decide(
                    token, found, answer.freshness, policy=policy, rules=rules, now=now
                )
                if verdict.active:
                    waiting.append(order)
                else:
                    took.append((time.perf_counter() - since) * 1_000)
            pending = waiting
            await asyncio.sleep(_POLL_SECONDS)
    return took


def _read(claims: dict[str, Any], rules: Rules) -> Token:
    token = read_token(claims, rules)
    assert isinstance(token, Token)
    return token


async def paced(
    count: int, rate: float, act: Callable[[int], Awaitable[object]]
) -> None:
    """Act `count` times at a steady rate."""
    began = time.perf_counter()
    for number in range(count):
        await act(number)
        ahead = began + (number + 1) / rate - time.perf_counter()
        await asyncio.sleep(max(0.0, ahead))


async def publish(watchers: list[Connection], count: int, rate: float) -> list[float]:
    """Publish at a steady rate; return how long acknowledgements took."""
    acknowledged: list[float] = []
    async with Publisher(PublisherSettings()) as publisher:

        async def one(number: int) -> None:
            claims, event = revocation(number)
            since = time.perf_counter()
            for watcher in watchers:
                watcher.send((claims, since))
            receipts = await publisher.send(event)
            receipts.add_done_callback(
                lambda _: acknowledged.append((time.perf_counter() - since) * 1_000)
            )

        await paced(count, rate, one)
    for watcher in watchers:
        watcher.send(None)
    return acknowledged


def ours(state: SystemState, count: int, rate: float) -> dict[str, list[float]]:
    """Return the durations per region, and those of the acknowledgements."""
    context = multiprocessing.get_context("spawn")
    pipes = {name: context.Pipe() for name in state.regions}
    processes = [
        context.Process(
            target=watch, args=(pipes[name][1], name, region.store_url), daemon=True
        )
        for name, region in state.regions.items()
    ]
    for process, (_, theirs) in zip(processes, pipes.values(), strict=True):
        process.start()
        # So that a process that ends is an EOFError here, and not an endless wait.
        theirs.close()
    mine = [pipe[0] for pipe in pipes.values()]
    for pipe in mine:
        pipe.recv()
    acknowledged = uvloop.run(publish(mine, count, rate))
    took = {name: pipe[0].recv() for name, pipe in pipes.items()}
    for process in processes:
        process.join()
    return {**took, "acknowledged": acknowledged}


async def bare(state: SystemState, count: int, rate: float) -> list[float]:
    """Return the durations of the bare chain into one store."""
    settings = KafkaSettings()
    store = Redis.from_url(next(iter(state.regions.values())).store_url)
    topic = settings.topics.dead_letters  # nobody else reads it here
    consumer = new_consumer(settings, topic, client_id="bare")
    producer = new_producer(settings, client_id="bare")
    await consumer.start()
    await producer.start()
    took: list[float] = []
    pending: dict[str, float] = {}

    async def project() -> None:
        while True:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    await store.set(record.value, 1, ex=600)

    async def read() -> None:
        while len(took) < count:
            for name, since in tuple(pending.items()):
                if await store.exists(name):
                    took.append((time.perf_counter() - since) * 1_000)
                    del pending[name]
            await asyncio.sleep(_POLL_SECONDS)

    async def one(number: int) -> None:
        name = f"bare-{number}-{time.perf_counter_ns()}"
        pending[name] = time.perf_counter()
        await producer.send(topic, name.encode(), key=name.encode())

    projecting, reading = asyncio.create_task(project()), asyncio.create_task(read())
    await paced(count, rate, one)
    await reading
    projecting.cancel()
    await consumer.stop()
    await producer.stop()
    await store.aclose()
    return took


def main() -> None:
    """Measure and report."""
    options = parser(__doc__)
    options.add_argument("--count", type=int, default=1_000)
    options.add_argument("--rate", type=float, default=200.0)
    options.add_argument("--warm-up", type=float, default=25.0, help="in seconds")
    options.add_argument("--regions", nargs="+", default=DEFAULT_REGIONS)
    asked = parse(options, count=50, warm_up=0.5, regions=["eu"])
    if not asked.quick:
        os.environ["_JAVA_OPTIONS"] = _JAVA_OPTIONS
    with (
        tempfile.TemporaryDirectory() as folder,
        Embedded(Path(folder) / "system", regions=asked.regions, tell=print) as system,
    ):
        state = system.state()
        os.environ["REVOCATION_CONFIG"] = str(state.config_file)
        ours(state, int(asked.warm_up * asked.rate), asked.rate)
        took = ours(state, asked.count, asked.rate)
        floor = percentiles(uvloop.run(bare(state, asked.count, asked.rate)))
    figures = []
    for name, values in took.items():
        p50, p99, longest = percentiles(values)
        limits = (
            (None, None) if name == "acknowledged" else (P50_LIMIT_MS, P99_LIMIT_MS)
        )
        figures += [
            Figure(f"propagation.{name}.p50", p50, floor[0], limits[0], "ms"),
            Figure(f"propagation.{name}.p99", p99, floor[1], limits[1], "ms"),
            Figure(f"propagation.{name}.max", longest, floor[2], None, "ms"),
        ]
    report(f"Publish to reject, {asked.count} at {asked.rate:g}/s", figures)


if __name__ == "__main__":
    main()
