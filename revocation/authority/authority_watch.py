"""The progress that the watchdog expects of an authority worker, seen from outside.

A healthy authority concludes its own pulses, several each second. The watch reads from
Kafka, over its own connection, that the group commits them and that new ones arrive:
both need every part of the worker. Apart from that it watches only the loops whose work
another worker, or a twin, could do unnoticed.
"""

from collections.abc import Iterable

from revocation.authority.faust_app import Authority
from revocation.kafka.clients import FAILURES, LogState, ask_log, new_producer
from revocation.settings import AuthoritySettings
from revocation.topics import PULSE_KEY, PULSE_VALUE
from revocation.watchdog import (
    FIRST_SECONDS,
    ProgressExpectation,
    client_expectations,
    stopping,
)


class AuthorityWatch:
    """Lists what a watchdog can expect of an authority worker."""

    def __init__(self, authority: Authority, settings: AuthoritySettings) -> None:
        """Prepare."""
        self._authority = authority
        self._settings = settings
        self._sent = [0] * settings.partitions

    def always(self) -> list[ProgressExpectation]:
        """Return what must progress even while Kafka is unreachable."""
        return [stopping(is_stopping=self._authority.should_stop)]

    async def if_answered(self) -> list[ProgressExpectation] | None:
        """Return what must progress; None if Kafka does not answer."""
        settings = self._settings
        topics, group = settings.topics, settings.authority_id
        log = await ask_log(settings, topics.events, group, beside=topics.forwarded)
        if log is None or self._authority.should_stop:
            return None
        seconds = settings.stall_seconds
        clients = client_expectations(self._authority.clients, seconds=seconds)
        working = (*self._concluding(log), self._forwarding(log), *self._pulsing(log))
        return [*working, *clients]

    async def confirm(self) -> bool:
        """Return whether Kafka accepts writes: without them no worker can conclude.

        It writes a pulse to each partition.
        """
        producer = new_producer(
            self._settings, client_id="watchdog", request_timeout_ms=3_000
        )
        try:
            await producer.start()
            for partition in range(self._settings.partitions):
                await producer.send_and_wait(
                    self._settings.topics.events,
                    PULSE_VALUE,
                    key=PULSE_KEY,
                    partition=partition,
                )
                self._sent[partition] += 1
        except FAILURES:
            return False
        else:
            return True
        finally:
            await producer.stop()

    def _concluding(self, log: LogState) -> Iterable[ProgressExpectation]:
        # A worker without partitions is a spare, or a hang has cost it its partitions.
        owned = sorted(self._authority.owned or log.ends)
        committed = tuple(log.committed[at] for at in owned)
        yield ProgressExpectation(
            "events",
            (committed, self._authority.recovered),
            any(log.committed[at] < log.ends[at] for at in owned),
            self._settings.stall_seconds,
            first_seconds=FIRST_SECONDS,
        )

    def _forwarding(self, log: LogState) -> ProgressExpectation:
        following = self._authority.following_forwarded
        ends = log.beside_ends
        due = any(offset < ends.get(at, 0) for at, offset in following.items())
        places = tuple(following.items())
        return ProgressExpectation(
            "forwarded", places, due, self._settings.stall_seconds
        )

    def _pulsing(self, log: LogState) -> Iterable[ProgressExpectation]:
        settings = self._settings
        seconds = settings.stall_seconds + settings.pulse_interval_ms / 1_000
        owned = sorted(self._authority.owned)
        # Pulses from `confirm` do not count: they say nothing about the worker.
        ends = tuple(log.ends[at] - self._sent[at] for at in owned)
        yield ProgressExpectation("pulses", ends, bool(owned), seconds)
        for loop, turns in self._authority.turns.items():
            yield ProgressExpectation("loop", turns, True, seconds, loop, FIRST_SECONDS)  # noqa: FBT003 - always due
