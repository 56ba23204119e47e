"""Runs a station with one protection removed, to show what it protects from.

Usage: `python -m tests.guarantees.unprotected PROTECTION STATION`.
"""

import asyncio
import secrets
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from faust.transport.drivers.aiokafka import Consumer

from revocation import __main__, identity, ledger
from revocation.authority import faust_app, ordered_producer, seeking_consumer
from revocation.decision import Freshness
from revocation.entries import UnixMs
from revocation.kafka import clients
from revocation.projector import epoch, progress
from revocation.store import canary, layout, lookup
from revocation.store.contract import Keep
from revocation.verifier import remote_verifier, replica


def replace(owner: Any, name: str, value: Any) -> None:
    """Replace an existing attribute: a renamed protection must not stay on."""
    assert hasattr(owner, name), f"{owner} has no {name}"
    setattr(owner, name, value)


def recall_nothing() -> None:
    """The ledger no longer recognises a record or an event that it has seen."""
    replace(ledger, "_applied", lambda *_: False)
    replace(ledger, "fingerprint", lambda _: secrets.token_hex(12))


def recognise_copies_by_id_only() -> None:
    """A twin replays the past, and recognises copies of a user's last events only."""

    def of_the_source(current: Any, at: Any) -> bool:
        source = current.source
        return source.partition == at.partition and at.offset <= source.offset

    replace(ledger, "_applied", of_the_source)
    replace(faust_app.Authority, "concluded", lambda *_: -1)


def date_when_forwarded() -> None:
    """A forwarded event gets the time at which its copy is concluded on."""
    origin = faust_app.origin

    def now(*arguments: Any, **options: Any) -> Any:
        return origin(*arguments, **options)._replace(time=time.time_ns() // 1_000_000)

    replace(faust_app, "origin", now)


def claim_forwarded_early() -> None:
    """A region claims a forwarded event before the event is applied there."""
    replace(progress, "_applied", lambda *_: True)


def acknowledge_at_once() -> None:
    """A record is acknowledged when taken, while its outputs linger in memory."""
    delay_outputs()
    emit = faust_app.Authority._emit

    async def emit_after_acknowledging(self: Any, update: Any) -> Any:
        for held in self._held[update.source.partition]:
            held.event.ack()
        return await emit(self, update)

    replace(faust_app.Authority, "_emit", emit_after_acknowledging)


def delay_outputs() -> None:
    """Outputs stay in the producer for 4 s, as on a slow network."""
    new_producer = clients.new_producer

    def lingering(*arguments: Any, **options: Any) -> Any:
        producer = new_producer(*arguments, **options)
        replace(producer._message_accumulator, "_linger_time", 4.0)
        return producer

    replace(ordered_producer, "new_producer", lingering)


def linger_after_seeking() -> None:
    """A recovery ends 1.5 s after its seek, and records are taken only then.

    A fetch may wait at the broker for a third of that before it returns.
    """
    perform_seek, take = Consumer.perform_seek, faust_app.Authority._take

    async def seek_and_linger(self: Any) -> None:
        await perform_seek(self)
        await asyncio.sleep(1.5)

    async def take_when_recovered(self: Any, event: Any) -> None:
        await self.tables.recovery.completed.wait()
        await take(self, event)

    replace(Consumer, "perform_seek", seek_and_linger)
    replace(faust_app.Authority, "_take", take_when_recovered)


def read_before_seeking() -> None:
    """Partitions are fetched as soon as Faust resumes them, as in Faust itself."""
    linger_after_seeking()
    for name in ("resume_partitions", "resume_flow"):
        replace(seeking_consumer.SeekingConsumer, name, getattr(Consumer, name))


def read_before_seeking_unnoticed() -> None:
    """The same, and the loss goes undetected."""
    read_before_seeking()
    replace(faust_app.Authority, "_require_no_gap", lambda *_: None)


def skip_unreadable() -> None:
    """An unreadable record is logged and dropped."""

    async def skip(*_: Any) -> Any:
        nowhere = asyncio.get_running_loop().create_future()
        nowhere.set_result(SimpleNamespace(topic=""))
        return nowhere

    replace(faust_app.Authority, "_park", skip)


def identifiers_as_keys() -> None:
    """Keys are target names, except for canaries, which readers look up."""
    digest = layout.digest

    def plain(target: Any, pepper: bytes) -> bytes:
        if target.issuer == canary.ISSUER:
            return digest(target, pepper)
        return str(target).encode()

    replace(layout, "digest", plain)


def skip_agreement() -> None:
    """Settings are not compared, and canaries are not looked up."""
    replace(identity.Expectation, "require", lambda *_: None)
    replace(replica.Replica, "finds_canary", lambda *_: True)

    def read(_: Any, reply: Any) -> Any:
        epoch, ready, as_of, *hits = reply
        fresh = Freshness(ready == b"1", UnixMs(int(as_of)))
        return (lookup.NOT_READY, ()) if epoch is None else (fresh, hits)

    replace(lookup.LookUp, "read", read)
    replace(remote_verifier, "require_agreement", agree_at_once)


async def agree_at_once(*_: Any) -> None:
    """Report no problem."""


def adopt_every_region() -> None:
    """A projector writes to any store that it finds."""
    replace(epoch.Epochs, "_is_open", begin_unless_begun)


async def begin_unless_begun(self: Any, region: Any) -> bool:
    """Begin an epoch where there is none, without any comparison."""
    if region.epoch is None:
        await self._begin(None, self._identity, Keep.ENTRIES)
    return region.epoch is not None


PROTECTIONS: dict[str, Callable[[], None]] = {
    protection.__name__: protection
    for protection in (
        recall_nothing,
        recognise_copies_by_id_only,
        date_when_forwarded,
        claim_forwarded_early,
        acknowledge_at_once,
        delay_outputs,
        linger_after_seeking,
        read_before_seeking,
        read_before_seeking_unnoticed,
        skip_unreadable,
        identifiers_as_keys,
        skip_agreement,
        adopt_every_region,
    )
}

if __name__ == "__main__":
    PROTECTIONS[sys.argv.pop(1)]()
    __main__.main()
