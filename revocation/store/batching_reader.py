"""Looks every check up in the region's store, many checks in one round trip.

Lookups made in one iteration of the event loop are sent together, or as soon as there
are enough to keep the server busy. While the maximum of calls is in flight, lookups
queue up: the busier the process, the more of them share a call, and the less each
costs. Without load a lookup is sent alone and immediately.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from functools import partial
from typing import Any, Final

from revocation.claims.claims import Token
from revocation.decision import Found, Freshness
from revocation.entries import Target
from revocation.errors import RevocationError, StoreUnavailableError
from revocation.lifecycle import Lifecycle
from revocation.store.contract import Answer, Region
from revocation.store.layout import TokenKeys
from revocation.store.lookup import Hit, check_count, read_hits
from revocation.store.redis_store import RedisStore

MAX_KEYS_TOGETHER: Final = 1_000
"""The limit for lookups that share a call: it blocks the server for about 0.5 ms."""

_IN_FLIGHT: Final = 3
"""One call is answered while the next waits at the server and the last is read."""

SEND_THRESHOLD: Final = 32
"""So many lookups are sent at once: the server works while others are still made."""

_NONE_FOUND: Final[Found] = {}


_PendingLookup = tuple[
    Sequence[bytes], Token | Sequence[Target], asyncio.Future[Answer]
]
"""The keys, the token or targets that they belong to, and the answer's future."""


class BatchingReader(Lifecycle):
    """A `StoreReader` over a `RedisStore`, for one event loop.

    A call's error fails every lookup in it. Cancelling one lookup does not affect the
    others. A call takes at most the store's `timeout_ms`, and a lookup waits for at
    most one call before its own.
    """

    def __init__(self, store: RedisStore, *, in_flight: int = _IN_FLIGHT) -> None:
        """Prepare; starting and stopping this also starts and stops the store.

        Args:
            store: the region's store.
            in_flight: how many calls may be in flight at once.
        """
        self._store = store
        self._keys = TokenKeys(store.layout)
        self._waiting: list[_PendingLookup] = []
        self._scheduled = False
        self._in_flight = in_flight
        self._calls: set[asyncio.Future[Any]] = set()

    async def start(self) -> None:
        """Connect, and check that the store answers.

        Raises:
            StoreUnavailableError: retry later.
        """
        await self._store.start()
        await self._store.open_pipeline()

    async def stop(self) -> None:
        """Disconnect; pending lookups fail with `StoreUnavailableError`."""
        _fail(self._waiting, _stopped())
        self._waiting.clear()
        while calls := [*self._calls]:  # A lost call starts another.
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
            await asyncio.sleep(0)  # `gather` does not wait for callbacks.
        await self._store.stop()

    async def find(self, targets: Sequence[Target]) -> Answer:
        """Look targets up, with the freshness of the same instant.

        Raises:
            StoreUnavailableError: retry later, or apply the policy.
            ValueError: more than `MAX_KEYS_PER_CALL` keys.
        """
        keys = self._store.layout.keys(targets)
        check_count(keys)
        return await self._enqueue(keys, targets)

    def find_token(self, token: Token) -> Awaitable[Answer]:
        """Look up every entry about a token; see `find`."""
        return self._enqueue(self._keys.of(token), token)

    async def region(self) -> Region:
        """Return epoch, freshness and marks.

        Raises:
            StoreUnavailableError: retry later.
        """
        return await self._store.region()

    async def clock_skew_ms(self) -> int:
        """Return the store's clock minus ours.

        Raises:
            StoreUnavailableError: retry later.
        """
        return await self._store.clock_skew_ms()

    def _enqueue(
        self, keys: Sequence[bytes], about: Token | Sequence[Target]
    ) -> asyncio.Future[Answer]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        waiting = self._waiting
        waiting.append((keys, about, answer))
        if len(self._calls) < self._in_flight:
            if len(waiting) >= SEND_THRESHOLD:
                self._send()
            elif not self._scheduled:
                # Deferred, so that other tasks of this iteration can join.
                self._scheduled = True
                loop.call_soon(self._send_rest)
        return answer

    def _send_rest(self) -> None:
        self._scheduled = False
        self._send()

    def _send(self) -> None:
        while self._waiting and len(self._calls) < self._in_flight:
            lookups = self._take()
            # Without duplicates: most tokens share issuer and client.
            keys = tuple(set().union(*[keys for keys, _, _ in lookups]))
            reply = self._store.send_look_up(keys)
            if reply is None:
                self._start_retry(lookups, keys)
            else:
                self._calls.add(reply)
                reply.add_done_callback(partial(self._read, lookups, keys))

    def _take(self) -> list[_PendingLookup]:
        """Remove and return the lookups of one call, the oldest first."""
        waiting, total = self._waiting, 0
        for count, (keys, _, _) in enumerate(waiting):
            total += len(keys)
            if total > MAX_KEYS_TOGETHER and count:
                self._waiting = waiting[count:]
                return waiting[:count]
        self._waiting = []
        return waiting

    def _read(
        self,
        lookups: Sequence[_PendingLookup],
        keys: Sequence[bytes],
        reply: asyncio.Future[Any],
    ) -> None:
        """Distribute a reply, or retry if there is none."""
        self._calls.discard(reply)
        try:
            result = reply.result()
            if result is None:
                self._start_retry(lookups, keys)
            else:
                _deliver(lookups, keys, *self._store.read_look_up(result))
        except asyncio.CancelledError:
            _fail(lookups, _stopped())
        except Exception as error:  # noqa: BLE001 - callers must see it
            _fail(lookups, error)
        self._send()

    def _start_retry(
        self, lookups: Sequence[_PendingLookup], keys: Sequence[bytes]
    ) -> None:
        call = asyncio.create_task(self._retry(lookups, keys))
        self._calls.add(call)
        call.add_done_callback(partial(self._retried, lookups))

    async def _retry(
        self, lookups: Sequence[_PendingLookup], keys: Sequence[bytes]
    ) -> None:
        try:
            freshness, hits = await self._store.look_up(keys)
        except Exception as error:  # noqa: BLE001 - callers must see it
            _fail(lookups, error)
        else:
            _deliver(lookups, keys, freshness, hits)
            await self._store.open_pipeline()

    def _retried(
        self, lookups: Sequence[_PendingLookup], call: asyncio.Task[None]
    ) -> None:
        self._calls.discard(call)
        if call.cancelled():
            _fail(lookups, _stopped())
        self._send()


def _stopped() -> StoreUnavailableError:
    return StoreUnavailableError("the verifier was stopped; start it again")


def _deliver(
    lookups: Sequence[_PendingLookup],
    keys: Sequence[bytes],
    freshness: Freshness,
    hits: Sequence[Hit],
) -> None:
    nothing = Answer(_NONE_FOUND, freshness)
    if not any(hits):
        for _, _, answer in lookups:
            if not answer.done():
                answer.set_result(nothing)
        return
    found = {key: hit for key, hit in zip(keys, hits, strict=False) if hit is not None}
    for own, about, answer in lookups:
        if answer.done():
            continue
        if found.keys().isdisjoint(own):
            answer.set_result(nothing)
            continue
        targets = about.targets() if isinstance(about, Token) else about
        try:
            read = read_hits(targets, [found.get(key) for key in own])
        except ValueError as error:  # not written by a projector
            answer.set_exception(error)
        else:
            answer.set_result(Answer(read, freshness))


def _fail(lookups: Iterable[_PendingLookup], error: Exception) -> None:
    for _, _, answer in lookups:
        if not answer.done():
            answer.set_exception(_copy(error))


def _copy(error: Exception) -> Exception:
    """Return a copy, so that each caller raises it with a traceback of its own."""
    if not isinstance(error, RevocationError):
        return error
    copy = type(error)(*error.args)
    copy.__cause__ = error.__cause__
    return copy
