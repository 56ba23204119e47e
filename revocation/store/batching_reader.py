"""Asking a region for each check, many checks in one round trip.

What is asked for in one turn of the event loop goes out together, or as soon as it is
enough to keep the server at work. While enough calls are under way, questions gather:
the busier the process, the more share a call, and the less each costs. Without load a
question goes out at once, alone.
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
"""Questions share a call up to here: the server does nothing else for about 0.5 ms."""

_IN_FLIGHT: Final = 3
"""While the server answers one call, the next waits there and the last one is read."""

ENOUGH: Final = 32
"""So many questions go out at once: the server works while others still ask."""

_NOTHING: Final[Found] = {}


_Question = tuple[Sequence[bytes], Token | Sequence[Target], asyncio.Future[Answer]]
"""The keys, what they are the keys of, and who waits."""


class BatchingReader(Lifecycle):
    """A `StoreReader` over a `RedisStore`, for one event loop.

    A call's error reaches all whose question was in it. Whoever stops waiting disturbs
    nobody. A call takes as long as the store's `timeout_ms` at most, and a question
    waits for one call before its own.
    """

    def __init__(self, store: RedisStore, *, in_flight: int = _IN_FLIGHT) -> None:
        """Prepare; the store is started and stopped with this.

        Args:
            store: the region's store.
            in_flight: how many calls may be under way at once.
        """
        self._store = store
        self._keys = TokenKeys(store.layout)
        self._waiting: list[_Question] = []
        self._scheduled = False
        self._in_flight = in_flight
        self._calls: set[asyncio.Future[Any]] = set()

    async def start(self) -> None:
        """Connect, and see whether the store answers.

        Raises:
            StoreUnavailableError: retry later.
        """
        await self._store.start()
        await self._store.open_pipeline()

    async def stop(self) -> None:
        """Disconnect; whoever still waits hears `StoreUnavailableError`."""
        _fail(self._waiting, _stopped())
        self._waiting.clear()
        while calls := [*self._calls]:  # One that was lost is asked anew.
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
            await asyncio.sleep(0)  # It does not wait for callbacks.
        await self._store.stop()

    async def find(self, targets: Sequence[Target]) -> Answer:
        """Look targets up, with the freshness of the same instant.

        Raises:
            StoreUnavailableError: retry later, or do what the policy says.
            ValueError: more than `MAX_KEYS_PER_CALL` keys.
        """
        keys = self._store.layout.keys(targets)
        check_count(keys)
        return await self._ask(keys, targets)

    def find_token(self, token: Token) -> Awaitable[Answer]:
        """Look up whatever is about a token; see `find`."""
        return self._ask(self._keys.of(token), token)

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

    def _ask(
        self, keys: Sequence[bytes], about: Token | Sequence[Target]
    ) -> asyncio.Future[Answer]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        waiting = self._waiting
        waiting.append((keys, about, answer))
        if len(self._calls) < self._in_flight:
            if len(waiting) >= ENOUGH:
                self._send()
            elif not self._scheduled:
                # Not at once: whoever else is awake in this turn asks as well.
                self._scheduled = True
                loop.call_soon(self._send_rest)
        return answer

    def _send_rest(self) -> None:
        self._scheduled = False
        self._send()

    def _send(self) -> None:
        while self._waiting and len(self._calls) < self._in_flight:
            questions = self._take()
            # Each once: most tokens have issuer and client in common.
            keys = tuple(set().union(*[keys for keys, _, _ in questions]))
            reply = self._store.send_look_up(keys)
            if reply is None:
                self._ask_again(questions, keys)
            else:
                self._calls.add(reply)
                reply.add_done_callback(partial(self._read, questions, keys))

    def _take(self) -> list[_Question]:
        """Return the questions of one call, the oldest first."""
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
        questions: Sequence[_Question],
        keys: Sequence[bytes],
        reply: asyncio.Future[Any],
    ) -> None:
        """Hand out a reply, or ask again where there is more to learn."""
        self._calls.discard(reply)
        try:
            told = reply.result()
            if told is None:
                self._ask_again(questions, keys)
            else:
                _answer(questions, keys, *self._store.read_look_up(told))
        except asyncio.CancelledError:
            _fail(questions, _stopped())
        except Exception as error:  # noqa: BLE001 - whoever waits must hear it
            _fail(questions, error)
        self._send()

    def _ask_again(self, questions: Sequence[_Question], keys: Sequence[bytes]) -> None:
        call = asyncio.create_task(self._look_up(questions, keys))
        self._calls.add(call)
        call.add_done_callback(partial(self._looked_up, questions))

    async def _look_up(
        self, questions: Sequence[_Question], keys: Sequence[bytes]
    ) -> None:
        try:
            freshness, hits = await self._store.look_up(keys)
        except Exception as error:  # noqa: BLE001 - whoever waits must hear it
            _fail(questions, error)
        else:
            _answer(questions, keys, freshness, hits)
            await self._store.open_pipeline()

    def _looked_up(
        self, questions: Sequence[_Question], call: asyncio.Task[None]
    ) -> None:
        self._calls.discard(call)
        if call.cancelled():
            _fail(questions, _stopped())
        self._send()


def _stopped() -> StoreUnavailableError:
    return StoreUnavailableError("the verifier was stopped; start it again")


def _answer(
    questions: Sequence[_Question],
    keys: Sequence[bytes],
    freshness: Freshness,
    hits: Sequence[Hit],
) -> None:
    nothing = Answer(_NOTHING, freshness)
    if not any(hits):
        for _, _, answer in questions:
            if not answer.done():
                answer.set_result(nothing)
        return
    found = {key: hit for key, hit in zip(keys, hits, strict=False) if hit is not None}
    for own, about, answer in questions:
        if answer.done():
            continue
        if found.keys().isdisjoint(own):
            answer.set_result(nothing)
            continue
        targets = about.targets() if isinstance(about, Token) else about
        try:
            read = read_hits(targets, [found.get(key) for key in own])
        except ValueError as error:  # no projector wrote it
            answer.set_exception(error)
        else:
            answer.set_result(Answer(read, freshness))


def _fail(questions: Iterable[_Question], error: Exception) -> None:
    for _, _, answer in questions:
        if not answer.done():
            answer.set_exception(_again(error))


def _again(error: Exception) -> Exception:
    """Return the error for one of many: each raises it with a traceback of its own."""
    if not isinstance(error, RevocationError):
        return error
    copy = type(error)(*error.args)
    copy.__cause__ = error.__cause__
    return copy
