"""Runs a station with one protection taken out, to show what it protects from.

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
    """Replace what must be there: a renamed protection must not stay on unseen."""
    assert hasattr(owner, name), f"{owner} has no {name}"
    setattr(owner, name, value)


def bump_on_every_sight() -> None:
    """The ledger no longer knows a record or an event that it has seen."""
    replace(ledger, "_applied", lambda *_: False)
    replace(ledger, "fingerprint", lambda _: secrets.token_hex(12))


def know_copies_by_id_only() -> None:
    """A twin replays the past, and knows copies among a user's last events only."""

    def of_the_source(current: Any, at: Any) -> bool:
        source = current.source
        return source.partition == at.partition and at.offset <= source.offset

    replace(ledger, "_applied", of_the_source)
    replace(faust_app.Authority, "concluded", lambda *_: -1)


def date_when_forwarded() -> None:
    """A forwarded event has the time of whenever its copy is concluded on."""
    origin = faust_app.origin

    def now(*arguments: Any, **options: Any) -> Any:
        return origin(*arguments, **options)._replace(time=time.time_ns() // 1_000_000)

    replace(faust_app, "origin", now)


def claim_what_was_forwarded() -> None:
    """A region claims an event that was forwarded before it is applied there."""
    replace(progress, "_applied", lambda *_: True)


def acknowledge_at_once() -> None:
    """A record counts as done when taken, and its outputs linger in memory."""
    keep_outputs_back()
    emit = faust_app.Authority._emit

    async def emit_after_acknowledging(self: Any, update: Any) -> Any:
        for held in self._held[update.source.partition]:
            held.event.ack()
        return await emit(self, update)

    replace(faust_app.Authority, "_emit", emit_after_acknowledging)


def keep_outputs_back() -> None:
    """Outputs stay in the producer for 4 s, as they do when a network is slow."""
    new_producer = clients.new_producer

    def lingering(*arguments: Any, **options: Any) -> Any:
        producer = new_producer(*arguments, **options)
        replace(producer._message_accumulator, "_linger_time", 4.0)
        return producer

    replace(ordered_producer, "new_producer", lingering)


def linger_after_seeking() -> None:
    """A recovery ends 1.5 s after it sought, and records are taken only then.

    A fetch may wait at the broker for a third of that before it comes back.
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
    """Partitions are fetched from at once when Faust says so, as Faust itself does."""
    linger_after_seeking()
    for name in ("resume_partitions", "resume_flow"):
        replace(seeking_consumer.SeekingConsumer, name, getattr(Consumer, name))


def read_before_seeking_unnoticed() -> None:
    """And what is lost by that is not missed."""
    read_before_seeking()
    replace(faust_app.Authority, "_require_no_gap", lambda *_: None)


def skip_what_is_unreadable() -> None:
    """A record that cannot be read is logged and forgotten."""

    async def skip(*_: Any) -> Any:
        nowhere = asyncio.get_running_loop().create_future()
        nowhere.set_result(SimpleNamespace(topic=""))
        return nowhere

    replace(faust_app.Authority, "_park", skip)


def identifiers_as_keys() -> None:
    """Keys name what they are about; but for canaries, which readers look for."""
    digest = layout.digest

    def plain(target: Any, pepper: bytes) -> bytes:
        if target.issuer == canary.ISSUER:
            return digest(target, pepper)
        return str(target).encode()

    replace(layout, "digest", plain)


def believe_every_region() -> None:
    """Settings are not compared, and canaries are not looked for."""
    replace(identity.Expectation, "require", lambda *_: None)
    replace(replica.Replica, "finds_canary", lambda *_: True)

    def read(_: Any, reply: Any) -> Any:
        epoch, ready, as_of, *hits = reply
        fresh = Freshness(ready == b"1", UnixMs(int(as_of)))
        return (lookup.NOT_READY, ()) if epoch is None else (fresh, hits)

    replace(lookup.LookUp, "read", read)
    replace(remote_verifier, "require_agreement", agree_at_once)


async def agree_at_once(*_: Any) -> None:
    """Find nothing wrong."""


def keep_every_region() -> None:
    """A projector writes to whatever it finds."""
    replace(epoch.Epochs, "_is_open", keep_what_is_there)


async def keep_what_is_there(self: Any, region: Any) -> bool:
    """Begin an epoch where there is none, and ask no questions."""
    if region.epoch is None:
        await self._begin(None, self._identity, Keep.ENTRIES)
    return region.epoch is not None


PROTECTIONS: dict[str, Callable[[], None]] = {
    protection.__name__: protection
    for protection in (
        bump_on_every_sight,
        know_copies_by_id_only,
        date_when_forwarded,
        claim_what_was_forwarded,
        acknowledge_at_once,
        keep_outputs_back,
        linger_after_seeking,
        read_before_seeking,
        read_before_seeking_unnoticed,
        skip_what_is_unreadable,
        identifiers_as_keys,
        believe_every_region,
        keep_every_region,
    )
}

if __name__ == "__main__":
    PROTECTIONS[sys.argv.pop(1)]()
    __main__.main()
