"""`revocation status`: the state of the authority and the regions.

It only reads Kafka and the stores: it joins no consumer group, commits nothing and
creates no topic. It queries all parts at the same time, each for at most
`_PATIENCE_SECONDS`, and shows the answers that arrive.
"""

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
import typer
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from revocation.cli import EXIT_DEAD_LETTERS, EXIT_NEGATIVE, JsonOption
from revocation.cli.interruption import interruptible
from revocation.cli.regions import open_regions, require_agreements
from revocation.cli.status_table import render
from revocation.clock import now_ms
from revocation.entries import Position, UnixMs
from revocation.errors import (
    DisagreementError,
    MalformedUpdateError,
    StoreError,
    TopicError,
)
from revocation.kafka.clients import new_consumer
from revocation.operate.dead_letters import find_dead_letters
from revocation.operate.status_judge import judge
from revocation.operate.status_report import (
    Bound,
    DeadLetters,
    Findings,
    Found,
    Log,
    LogPartition,
    Report,
    State,
)
from revocation.settings import RegionsSettings
from revocation.store.contract import Region, StoreReader
from revocation.updates import decode_update

_PATIENCE_SECONDS: Final = 5.0
_TAIL_RECORDS: Final = 100
"""How many of a partition's last records to read. Standing entries that are emitted
again name old events; pulses, four times a second, name the latest."""


def status(*, as_json: JsonOption = False) -> None:
    """Show how far the authority and the regions are; code 3 if anything is wrong.

    A part is wrong if it may accept a revoked token for longer than the tightest route
    class tolerates, or if it cannot be reached. Code 4: there are dead letters, and
    nothing else is wrong.
    """
    settings = RegionsSettings()
    # The report covers what it would log about an unreachable broker.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)

    async def run() -> Report:
        with interruptible(lambda: "not all parts have answered yet"):
            return await _report(settings)

    report = uvloop.run(run())
    typer.echo(orjson.dumps(report.to_json()) if as_json else render(report, _paint))
    if report.problems:
        raise typer.Exit(EXIT_DEAD_LETTERS if report.works else EXIT_NEGATIVE)


def _paint(state: State, text: str) -> str:
    return typer.style(text, fg="green" if state is State.READY else "red")


async def _report(settings: RegionsSettings) -> Report:
    route, policy = min(
        settings.policies.items(), key=lambda each: each[1].max_staleness_ms
    )
    async with open_regions(settings) as readers:
        (log, dead_letters), regions, disagreements = await asyncio.gather(
            _ask_kafka(settings),
            asyncio.gather(*map(_ask_store, readers.values())),
            _find_disagreements(settings, readers),
        )
    return judge(
        Findings(
            bootstrap_servers=settings.bootstrap_servers,
            log=log,
            regions=dict(zip(readers, regions, strict=True)),
            partitions=settings.partitions,
            bound=Bound(route, policy.max_staleness_ms),
            clock_allowance_ms=settings.clock_allowance_seconds * 1_000,
            disagreements=disagreements,
            dead_letters=dead_letters,
        )
    )


async def _ask_store(reader: StoreReader) -> Found[Region]:
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            region = await reader.region()
    except StoreError as error:
        return Found(now_ms(), str(error))
    except TimeoutError:
        return Found(
            now_ms(), f"its store did not answer within {_PATIENCE_SECONDS:g} s"
        )
    return Found(now_ms(), region)


async def _find_disagreements(
    settings: RegionsSettings, readers: Mapping[str, StoreReader]
) -> dict[str, str]:
    found = {}
    for name, reader in readers.items():
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await require_agreements(settings, {name: reader})
        except DisagreementError as error:
            found[name] = str(error)
        except TimeoutError:
            continue  # `_ask_store` reports it.
    return found


# The log ------------------------------------------------------------------------------


async def _ask_kafka(
    settings: RegionsSettings,
) -> tuple[Found[Log], DeadLetters | str | None]:
    consumer = new_consumer(
        settings, client_id="revocation-status", request_timeout_ms=2_000
    )
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await consumer.start()
            await _require_topics(consumer, settings)
            log = await _read_log(consumer, settings)
            dead_letters = await _ask_dead_letters(consumer, settings)
    except TopicError as error:
        return Found(now_ms(), str(error)), None
    except (KafkaError, OSError, RuntimeError) as error:
        complaint = (
            f"no broker answers at {settings.bootstrap_servers} "
            f"({type(error).__name__}); see whether Kafka is running, and check "
            "REVOCATION_BOOTSTRAP_SERVERS"
        )
        return Found(now_ms(), complaint), None
    else:
        return Found(now_ms(), log), dead_letters
    finally:
        await consumer.stop()


async def _ask_dead_letters(
    consumer: AIOKafkaConsumer, settings: RegionsSettings
) -> DeadLetters | str:
    """Return what is parked, or why it is unknown: ACLs may forbid this topic alone."""
    topic = settings.topics.dead_letters
    try:
        return await find_dead_letters(consumer, _places(settings, topic))
    except KafkaError as error:
        return (
            f"the topic {topic} cannot be read ({type(error).__name__}), so it is "
            "unknown which revocations did not happen; allow it by Kafka's ACLs"
        )


async def _read_log(consumer: AIOKafkaConsumer, settings: RegionsSettings) -> Log:
    """Return the contents of the events and entries topics that the report needs."""
    events, entries = settings.topics.events, settings.topics.entries
    numbers = range(settings.partitions)
    places = [*_places(settings, events), *_places(settings, entries)]
    begins = await consumer.beginning_offsets(places)
    ends = await consumer.end_offsets(places)
    tails = [tp for tp in places[len(numbers) :] if begins[tp] < ends[tp]]
    consumer.assign(tails)
    for tp in tails:
        consumer.seek(tp, max(begins[tp], ends[tp] - _TAIL_RECORDS))
    concluded: dict[int, Position] = {}
    written_at: dict[int, UnixMs] = {}
    while tails:
        batches = await consumer.getmany(*tails, timeout_ms=200)
        for tp, records in batches.items():
            written_at[tp.partition] = UnixMs(records[-1].timestamp)
            _note_concluded(concluded, tp.partition, records)
        tails = [tp for tp in tails if await consumer.position(tp) < ends[tp]]
    return {
        n: LogPartition(
            events_begin=begins[TopicPartition(events, n)],
            events_end=ends[TopicPartition(events, n)],
            entries_begin=begins[TopicPartition(entries, n)],
            entries_end=ends[TopicPartition(entries, n)],
            concluded=concluded.get(n),
            written_at=written_at.get(n),
        )
        for n in numbers
    }


def _places(settings: RegionsSettings, topic: str) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for number in range(settings.partitions)]


async def _require_topics(
    consumer: AIOKafkaConsumer, settings: RegionsSettings
) -> None:
    """Check the topics first: a broker may create the ones that a client requests.

    Raises:
        TopicError: a topic is missing, or its partitions differ from the settings.
    """
    names = settings.topics
    topics = (names.entries, names.events, names.dead_letters)
    known = await consumer.topics()
    for topic in topics:
        if topic not in known:
            raise TopicError(
                f"topic {topic} does not exist; run `revocation topics init`"
            )
    await consumer.end_offsets([TopicPartition(topic, 0) for topic in topics])
    for topic in topics:
        found = len(consumer.partitions_for_topic(topic))
        if found != settings.partitions:
            raise TopicError(
                f"topic {topic} has {found} partitions, settings say "
                f"{settings.partitions}; set REVOCATION_PARTITIONS to {found}"
            )


def _note_concluded(
    concluded: dict[int, Position], partition: int, records: Sequence[Any]
) -> None:
    for record in records:
        with contextlib.suppress(MalformedUpdateError):  # A projector parks it.
            source = decode_update(record.value or b"", partition).source
            known = concluded.setdefault(partition, source)
            if source.offset > known.offset:
                concluded[partition] = source
