"""What has to move on in a worker of the authority, seen from outside of it.

An authority that works concludes its own pulses, several each second. That its group
commits them and that new ones come is read from Kafka, over a connection of its own:
both need every part of the worker. Beside it only the loops are watched whose work
another worker, or a twin, would do unnoticed.
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
    """Tells a watchdog what to expect of a worker of the authority."""

    def __init__(self, authority: Authority, settings: AuthoritySettings) -> None:
        """Prepare."""
        self._authority = authority
        self._settings = settings
        self._sent = [0] * settings.partitions

    def always(self) -> list[ProgressExpectation]:
        """Return what must move on even while Kafka does not answer."""
        return [stopping(is_stopping=self._authority.should_stop)]

    async def if_answered(self) -> list[ProgressExpectation] | None:
        """Return what must move on; None if Kafka does not answer."""
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
        """Tell whether Kafka takes writes: a worker cannot conclude while it does not.

        What is written is a pulse for each partition.
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
        # One without partitions is spare, or was left out by what hangs in it.
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
        # Without those of `confirm`, which say nothing about the worker.
        ends = tuple(log.ends[at] - self._sent[at] for at in owned)
        yield ProgressExpectation("pulses", ends, bool(owned), seconds)
        for loop, turns in self._authority.turns.items():
            yield ProgressExpectation("loop", turns, True, seconds, loop, FIRST_SECONDS)  # noqa: FBT003 - always due
