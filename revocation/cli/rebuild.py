"""`revocation rebuild`: empties a region, so that its projectors read the log again."""

import asyncio
import time
import uuid
from collections.abc import Mapping
from typing import Annotated

import typer
import uvloop
from aiokafka import TopicPartition
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from revocation.cli import read_seconds
from revocation.cli.interruption import interruptible
from revocation.clock import now_ms
from revocation.errors import NotAppliedError
from revocation.identity import compare
from revocation.kafka.clients import new_consumer
from revocation.kafka.provisioning import verify
from revocation.settings import ProjectorSettings, RegionsSettings
from revocation.store.contract import Keep, Region
from revocation.store.redis_store import RedisStore

_POLL_SECONDS = 0.1

RegionArgument = Annotated[
    str, typer.Argument(metavar="REGION", help="One of REVOCATION_REGIONS.")
]
TakeOverOption = Annotated[
    bool,
    typer.Option(
        "--take-over",
        help="Even if the store belongs to another region or follows another Kafka.",
    ),
]
TimeoutOption = Annotated[
    float,
    typer.Option(
        help="Seconds to wait until the region is complete.",
        parser=read_seconds,
        metavar="SECONDS",
    ),
]


def rebuild(
    region: RegionArgument,
    *,
    take_over: TakeOverOption = False,
    timeout: TimeoutOption = 600.0,
) -> None:
    """Empty a region, record the settings used here, and wait until it is complete.

    Until then the region gives no verdicts. A projector with the same settings must be
    running; one with other settings stops. Exit code 3 if time is up first.
    """
    urls = RegionsSettings().regions
    if region not in urls:
        known = ", ".join(sorted(urls))
        raise typer.BadParameter(
            f"no region {region!r}; REVOCATION_REGIONS has {known}"
        )
    settings = ProjectorSettings(region=region, store_url=urls[region])

    async def run() -> float:
        with interruptible(
            lambda: (
                f"{region} may be incomplete; its projectors go on without this "
                "command, and `revocation status` says how far they are"
            )
        ):
            return await _rebuild(settings, timeout, take_over=take_over)

    seconds = uvloop.run(run())
    typer.echo(f"{region} is complete again after {seconds:.1f} s")


async def _rebuild(
    settings: ProjectorSettings, timeout_seconds: float, *, take_over: bool
) -> float:
    began = time.monotonic()
    identity = settings.identity(await verify(settings))
    async with RedisStore.from_settings(settings) as store:
        await store.check_suitable()
        region = await store.region()
        if region.epoch is not None and not take_over:
            compare(region.identity, identity, now_ms()).refuse_foreign()
        own = uuid.uuid4().hex
        epoch = await store.begin(
            own, identity, replacing=region.epoch, keep=Keep.NOTHING
        )
        if epoch != own:
            raise NotAppliedError(
                f"another process has just begun to rebuild {settings.region}, so it "
                "was not emptied; try again"
            )
        await store.clear(epoch)
        ends = await _ends(settings)
        try:
            async with asyncio.timeout(timeout_seconds):
                await _show_until_complete(store, ends)
        except TimeoutError:
            raise NotAppliedError(
                f"{settings.region} was emptied and is not complete after "
                f"{timeout_seconds:g} s; check whether a projector runs with these "
                "settings, and read its log"
            ) from None
    return time.monotonic() - began


async def _ends(settings: ProjectorSettings) -> dict[int, tuple[int, int]]:
    """Return the first and the end offset of each partition of the entries topic."""
    consumer = new_consumer(settings, client_id="revocation-rebuild")
    await consumer.start()
    try:
        topic, numbers = settings.topics.entries, range(settings.partitions)
        asked = [TopicPartition(topic, number) for number in numbers]
        first = await consumer.beginning_offsets(asked)
        end = await consumer.end_offsets(asked)
        return {tp.partition: (first[tp], end[tp]) for tp in asked}
    finally:
        await consumer.stop()


async def _show_until_complete(
    store: RedisStore, ends: Mapping[int, tuple[int, int]]
) -> None:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed} of {task.total} records"),
        TimeElapsedColumn(),
    )
    total = sum(end - first for first, end in ends.values())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("waiting for a projector", total=total)
        while not (region := await store.region()).freshness.ready:
            if region.marks:
                progress.update(
                    task, description="reading the log", completed=_read(region, ends)
                )
            await asyncio.sleep(_POLL_SECONDS)
        progress.update(task, description="complete", completed=total)


def _read(region: Region, ends: Mapping[int, tuple[int, int]]) -> int:
    return sum(
        min(max(region.marks[at].next_offset, first), end) - first
        for at, (first, end) in ends.items()
        if at in region.marks
    )
