"""How fast a projector catches up, beside the least that any consumer would do.

Ours: the projector with all that it promises (merge, marks, watermark, feed).
Alternative: bare `getmany`, decode, keyed digest and one Lua call of SET for each
batch, no merge, no positions. Both read the same backlog of single-entry updates into
the same store, flushed in between, in alternating rounds; the median counts.

    python benchmarks/projector.py [--records 60000] [--rounds 3]
        [--bootstrap-servers HOST:PORT] [--quick]
"""

import asyncio
import contextlib
import tempfile
import time
from hashlib import blake2b
from pathlib import Path
from statistics import median

import orjson
import uvloop
from _figures import Figure, report
from _options import add_kafka, kafka, new_prefix, parse, parser
from redis.asyncio import Redis

from revocation.entries import Entry, Kind, Offset, Position, Target, UnixMs, Version
from revocation.errors import StoreError
from revocation.kafka.clients import new_consumer, new_producer
from revocation.kafka.provisioning import provision
from revocation.local import Valkey
from revocation.projector.projector import Projector
from revocation.settings import ProjectorSettings
from revocation.store.redis_store import RedisStore
from revocation.updates import Update, encode_update

MIN_RATIO = 0.4
_ISSUER = "https://idp.example/"
_LUA = """
for at, key in ipairs(KEYS) do
  redis.call('SET', key, ARGV[at], 'PX', 3600000)
end
"""


def update(number: int, partition: int, now_ms: int) -> Update:
    """Return an update with one entry: a token or a user, in turns."""
    source = Position(partition, Offset(number), UnixMs(now_ms))
    if number % 2:
        target = Target(Kind.TOKEN, _ISSUER, f"token-{number}")
        entry = Entry(target, source, expires_at=UnixMs(now_ms + 600_000))
    else:
        target = Target(Kind.USER, _ISSUER, f"user-{number}")
        entry = Entry(target, source, Version(1), UnixMs(now_ms))
    return Update(source, (entry,))


async def fill(settings: ProjectorSettings, records: int) -> None:
    """Write the backlog."""
    producer = new_producer(settings, client_id="benchmark")
    await producer.start()
    now_ms = time.time_ns() // 1_000_000
    deliveries = []
    for number in range(records):
        partition = number % settings.partitions
        value = encode_update(update(number, partition, now_ms))
        topic = settings.topics.entries
        deliveries.append(await producer.send(topic, value, partition=partition))
    await asyncio.gather(*deliveries)
    await producer.stop()


async def ours(settings: ProjectorSettings) -> float:
    """Return the seconds until the store is complete."""
    store = RedisStore.from_settings(settings)
    began = time.perf_counter()
    projector = Projector(settings, store)
    await projector.start()
    ready = False
    while not ready:
        # A busy machine's store may answer too late; the projector asks again, too.
        with contextlib.suppress(StoreError):
            ready = (await store.region()).freshness.ready
        await asyncio.sleep(0.01)
    took = time.perf_counter() - began
    await projector.stop()
    return took


async def bare(settings: ProjectorSettings, records: int, group: str) -> float:
    """Return the seconds that the bare loop needs for the same backlog."""
    client = Redis.from_url(settings.store_url)
    (pepper,) = settings.peppers
    began = time.perf_counter()
    script = await client.script_load(_LUA)
    topic = settings.topics.entries
    consumer = new_consumer(settings, topic, client_id="bare", group_id=group)
    await consumer.start()
    done = 0
    while done < records:
        keys, values = [], []
        for batch in (await consumer.getmany(timeout_ms=500, max_records=500)).values():
            for record in batch:
                for entry in orjson.loads(record.value)["entries"]:
                    name = f"{entry['issuer']}|{entry['kind']}|{entry['id']}".encode()
                    keys.append(blake2b(name, key=pepper[:64], digest_size=16).digest())
                    values.append(entry.get("version", 1))
                done += 1
        if keys:
            await client.evalsha(script, len(keys), *keys, *values)
    took = time.perf_counter() - began
    await consumer.stop()
    await client.aclose()
    return took


async def measure(settings: ProjectorSettings, records: int, rounds: int) -> None:
    """Fill, alternate, report."""
    await provision(settings)
    await fill(settings, records)
    seconds: dict[str, list[float]] = {"ours": [], "bare": []}
    async with Redis.from_url(settings.store_url) as client:
        for number in range(rounds):
            await client.flushall()
            group = f"{settings.topic_prefix}-bare-{number}"
            seconds["bare"].append(await bare(settings, records, group))
            await client.flushall()
            seconds["ours"].append(await ours(settings))
            print(f"round {number + 1} of {rounds}: {seconds}")
    rates = {name: round(records / median(each)) for name, each in seconds.items()}
    title = f"Catching up with {records:,} updates (limit: ratio {MIN_RATIO})"
    limit = MIN_RATIO * rates["bare"]
    report(
        title,
        [
            Figure(
                "projector.catch_up", rates["ours"], rates["bare"], limit, "updates/s"
            )
        ],
    )


def main() -> None:
    """Start one broker and one store, measure, end them."""
    options = parser(__doc__)
    options.add_argument("--records", type=int, default=60_000)
    options.add_argument("--rounds", type=int, default=3)
    add_kafka(options)
    asked = parse(options, records=2_000, rounds=1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pepper = folder / "pepper"
        pepper.write_text("p" * 64)
        with (
            kafka(asked, folder) as servers,
            Valkey(folder / "store") as store,
        ):
            settings = ProjectorSettings(
                bootstrap_servers=servers,
                topic_prefix=new_prefix(),
                replication_factor=1,
                partitions=4,
                pepper_file=pepper,
                region="eu",
                store_url=store.url,
            )
            uvloop.run(measure(settings, asked.records, asked.rounds))


if __name__ == "__main__":
    main()
