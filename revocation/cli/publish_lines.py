"""`revocation publish --file`: events as JSON lines, many at a time."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Final

import typer
from rich.console import Console
from rich.progress import Progress

from revocation import events
from revocation.claims.claim_sets import ClaimSet
from revocation.errors import ContractError
from revocation.events import Event
from revocation.events.event_data import require_revocable
from revocation.publisher import Publisher
from revocation.receipts import Receipt
from revocation.settings import PublisherSettings

_IN_FLIGHT: Final = 2_000

Published = tuple[dict[str, Any], tuple[Receipt, ...]]
"""The report, and the receipts that --wait waits for."""


async def publish_lines(lines: list[bytes]) -> Published:
    """Publish every line that is an event; report those that are not, with numbers."""
    refused: list[dict[str, Any]] = []
    latest: dict[int, Receipt] = {}
    issuers: set[str] = set()
    published = 0
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("publishing", total=len(lines))
        settings = PublisherSettings()
        async with Publisher(settings) as publisher:
            read = partial(_read_event, sets=settings.revocable_claims)
            for batch in _batches(_parse(lines, read, refused)):
                sent = [await publisher.send(event) for event in batch]
                for receipts in await asyncio.gather(*sent):
                    latest.update({each.partition: each for each in receipts})
                published += len(batch)
                issuers.update(event.data.issuer for event in batch)
                progress.update(task, completed=published + len(refused))
    for each in refused:
        typer.echo(f"line {each['line']}: {each['code']}: {each['message']}", err=True)
    report = {
        "published": published,
        "refused": refused,
        "unknown_issuers": unknown_issuers(issuers),
    }
    return report, tuple(latest.values())


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
    """Return those that no verifier trusts; none, if the settings do not say."""
    known = PublisherSettings().issuers
    return sorted(set(issuers) - known.keys()) if known else []
