"""`revocation publish --file`: events as JSON lines, many at a time."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Final

import typer
from rich.console import Console
from rich.progress import Progress

from revocation import events
from revocation.claims.claim_sets import ClaimSet
from revocation.cli.interruption import interruptible
from revocation.errors import ContractError, PublishError
from revocation.events import Event
from revocation.events.event_data import require_revocable
from revocation.publisher import Publisher
from revocation.receipts import Receipt
from revocation.settings import PublisherSettings

_IN_FLIGHT: Final = 2_000
_PATIENCE_SECONDS: Final = 5.0
"""How long an interrupted command still waits for acknowledgements."""

Published = tuple[dict[str, Any], tuple[Receipt, ...]]
"""The report, and the receipts that --wait waits for."""


async def publish_lines(lines: list[bytes]) -> Published:
    """Publish every line that is an event; report the others by line number."""
    refused: list[dict[str, Any]] = []
    issuers: set[str] = set()
    settings = PublisherSettings()
    read = partial(_read_event, sets=settings.revocable_claims)
    console = Console(stderr=True)
    shown = Progress(console=console, transient=True, disable=not console.is_terminal)
    with shown as progress:
        task = progress.add_task("publishing", total=len(lines))
        async with Publisher(settings) as publisher:
            sending = _Sending(publisher)
            with interruptible(sending.describe):
                for batch in _batches(_parse(lines, read, refused)):
                    await sending.send(batch)
                    issuers.update(event.data.issuer for event in batch)
                    done = sending.acknowledged + len(refused)
                    progress.update(task, completed=done)
    for each in refused:
        typer.echo(f"line {each['line']}: {each['code']}: {each['message']}", err=True)
    report = {
        "published": sending.acknowledged,
        "refused": refused,
        "unknown_issuers": unknown_issuers(issuers),
    }
    return report, tuple(sending.latest.values())


class _Sending:
    """Counts what Kafka has acknowledged, to report it at any moment."""

    def __init__(self, publisher: Publisher) -> None:
        self.acknowledged = 0
        self.latest: dict[int, Receipt] = {}
        self._publisher = publisher
        self._under_way: set[asyncio.Future[tuple[Receipt, ...]]] = set()

    async def send(self, events: Iterable[Event]) -> None:
        """Publish events and wait for the acknowledgements, also when interrupted.

        Raises:
            PublishError: says how many were acknowledged.
        """
        try:
            sent = [await self._send(event) for event in events]
            # Or an interruption would cancel what Kafka is about to acknowledge.
            await asyncio.shield(asyncio.gather(*sent))
        except asyncio.CancelledError:
            await self._settle()
            raise
        except PublishError as error:
            raise PublishError(f"{error}. {self.describe()}") from error

    async def _settle(self) -> None:
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=_PATIENCE_SECONDS)
        if self._under_way:
            # It would log futures of aiokafka's batches that nothing awaits.
            logging.getLogger("asyncio").setLevel(logging.CRITICAL)
            # Stopping it would wait for them, for as long as Kafka is unreachable.
            await self._publisher.abandon()
            await asyncio.wait(self._under_way, timeout=_PATIENCE_SECONDS)

    async def _send(self, event: Event) -> asyncio.Future[tuple[Receipt, ...]]:
        sent = await self._publisher.send(event)
        self._under_way.add(sent)
        sent.add_done_callback(self._note)
        return sent

    def _note(self, sent: asyncio.Future[tuple[Receipt, ...]]) -> None:
        if not sent.cancelled() and sent.exception() is None:
            self._under_way.discard(sent)
            self.acknowledged += 1
            for receipt in sent.result():
                known = self.latest.get(receipt.partition, receipt)
                self.latest[receipt.partition] = max(known, receipt)

    def describe(self) -> str:
        """Report progress, and that publishing all of it again is harmless."""
        waited_for = len(self._under_way)
        others = f" {waited_for} more may be in the log." if waited_for else ""
        return (
            f"{self.acknowledged} events were acknowledged.{others} Publish the same "
            "file again for the rest: events keep their ids, so none counts twice"
        )


def _read_event(line: bytes, sets: Iterable[ClaimSet]) -> Event:
    event = events.decode(line)
    require_revocable(event.data, sets)
    return event


def _parse(
    lines: list[bytes],
    read: Callable[[bytes], Event],
    refused: list[dict[str, Any]],
) -> Iterator[Event]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield read(line)
        except ContractError as error:
            found = {"line": number, "code": error.code, "message": str(error)}
            refused.append(found)


def _batches(parsed: Iterable[Event]) -> Iterator[list[Event]]:
    batch: list[Event] = []
    for event in parsed:
        batch.append(event)
        if len(batch) == _IN_FLIGHT:
            yield batch
            batch = []
    if batch:
        yield batch


def unknown_issuers(issuers: Iterable[str]) -> list[str]:
    """Return the issuers that no verifier trusts; empty if no setting names any."""
    known = PublisherSettings().issuers
    return sorted(set(issuers) - known.keys()) if known else []
