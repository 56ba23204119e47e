"""The store in Redis 7.0 or Valkey 8 and later, built on `functions.lua`.

One call writes a batch and one call answers a check, each atomic on the server.
"""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

from revocation.claims.claims import Token
from revocation.clock import find_clock_fault
from revocation.decision import Freshness
from revocation.entries import Entry, Limits, Offset, Target, UnixMs
from revocation.errors import StoreUnavailableError, StoreUnsuitableError
from revocation.identity import Identity, decode_identity, encode_identity
from revocation.lifecycle import Lifecycle
from revocation.settings import StoreSettings
from revocation.store import canary
from revocation.store.client.redis_connection import (
    RedisConnection,
    lacks_functions,
    measure_skew_ms,
    needs_mending,
)
from revocation.store.contract import Answer, Batch, Keep, Mark, Region
from revocation.store.layout import Layout, decode_marks, encode_mark, encode_value
from revocation.store.lookup import MAX_KEYS_PER_CALL, NOT_READY, Hit, LookUp, read_hits
from revocation.store.suitability import find_fault
from revocation.tls import NO_TLS, Tls

MAX_ENTRIES_PER_CALL: Final = 1_000
"""A call blocks the server: 1,000 entries take 4 to 10 ms."""

FUNCTIONS: Final = Path(__file__).with_name("functions.lua").read_bytes()
"""The library that `check_suitable` loads into the server."""

_CLEARED_KEYS: Final = 1_000
_LIBRARY: Final = "revocation"
_NEVER: Final = -1


class RedisStore(Lifecycle):
    """One region's state in Redis or Valkey.

    Example:
        async with RedisStore(url, Layout("r", peppers), limits=...) as store:
            answer = await store.find(targets)
    """

    def __init__(  # noqa: PLR0913 - one keyword for each limit
        self,
        url: str,
        layout: Layout,
        *,
        limits: Limits,
        max_clock_skew_ms: int = 2_000,
        timeout_ms: int = 1_000,
        max_connections: int = 16,
        tls: Tls = NO_TLS,
    ) -> None:
        """Prepare; nothing connects yet.

        Args:
            url: as for `RedisConnection`: `redis://`, `rediss://`, `unix://` ...
            layout: the keys of the region.
            limits: the lifetimes of tokens and sessions, and so how long entries
                matter.
            max_clock_skew_ms: the clock difference above which `check_suitable`
                refuses.
            timeout_ms: the maximum wait to connect, and for each reply.
            max_connections: the size of the pool; further calls wait.
            tls: certificates, for `rediss://`.

        Raises:
            SettingsError: the URL's scheme is unsupported, or a certificate cannot be
                used.
        """
        self.layout = layout
        self._limits = limits
        self._max_clock_skew_ms = max_clock_skew_ms
        self._look_up = LookUp(layout)
        self._connection = RedisConnection(
            url,
            timeout_ms=timeout_ms,
            max_connections=max_connections,
            tls=tls,
            slot_key=layout.meta,
        )

    @classmethod
    def from_settings(cls, settings: StoreSettings) -> Self:
        """Return the store of the settings' region.

        Raises:
            SettingsError: a secret cannot be read, or the URL's scheme is unsupported.
        """
        return cls(
            settings.store_url,
            Layout(settings.store_prefix, settings.peppers),
            limits=settings.limits,
            max_clock_skew_ms=settings.max_clock_skew_ms,
            tls=settings.tls,
        )

    async def start(self) -> None:
        """Connect, and check that the store answers.

        Raises:
            StoreUnavailableError: retry later.
        """
        await self.find(())

    async def stop(self) -> None:
        """Disconnect; may be called twice, and `start` may follow."""
        await self._connection.stop()

    async def find(self, targets: Sequence[Target]) -> Answer:
        """Look targets up under every pepper, in one round trip.

        Raises:
            StoreUnavailableError: retry later, or apply the policy.
            ValueError: more than `MAX_KEYS_PER_CALL` keys.
        """
        freshness, hits = await self.look_up(self.layout.keys(targets))
        return Answer(read_hits(targets, hits), freshness)

    def find_token(self, token: Token) -> Awaitable[Answer]:
        """Look up every entry about a token; see `find`."""
        return self.find(token.targets())

    async def look_up(self, keys: Sequence[bytes]) -> tuple[Freshness, Sequence[Hit]]:
        """Return the region's freshness and the hits for some keys, in one round trip.

        A cold store has no hits.

        Raises:
            StoreUnavailableError: retry later, or apply the policy.
            ValueError: more than `MAX_KEYS_PER_CALL` keys.
        """
        try:
            reply = await self._connection.call(*self._look_up.command(keys))
        except StoreUnavailableError as error:
            if not lacks_functions(error):
                raise
            return NOT_READY, ()
        return self._look_up.read(reply)

    def send_look_up(self, keys: Sequence[bytes]) -> asyncio.Future[Any] | None:
        """Send a lookup immediately, over the dedicated connection.

        If it returns or resolves to None, use `look_up` and then `open_pipeline`. Any
        other result is a reply for `read_look_up`.

        Args:
            keys: from `layout`, at most `MAX_KEYS_PER_CALL`.

        Raises:
            StoreUnavailableError: from the future; retry later.
        """
        if len(keys) > MAX_KEYS_PER_CALL:
            return None
        return self._connection.send(self._look_up.packed(keys))

    def read_look_up(self, reply: Sequence[Any]) -> tuple[Freshness, Sequence[Hit]]:
        """Return what `look_up` returns, given a reply to `send_look_up`."""
        return self._look_up.read(reply)

    async def open_pipeline(self) -> None:
        """Dedicate a connection to `send_look_up`, if one is available."""
        await self._connection.open_pipeline()

    async def region(self) -> Region:
        """Return epoch, freshness, marks and identity.

        Raises:
            StoreUnavailableError: retry later.
        """
        state = await self._connection.call("HGETALL", self.layout.meta)
        if b"epoch" not in state:
            return Region(None, NOT_READY, {})
        ready, as_of = state[b"ready"] == b"1", UnixMs(int(state[b"as_of"]))
        if ready:  # Unless this reader would not find the region's entries.
            ready = (await self.look_up(()))[0].ready
        return Region(
            state[b"epoch"].decode(),
            Freshness(ready, as_of),
            decode_marks(state),
            decode_identity(state.get(b"identity", b"")),
            clearing=b"clearing" in state,
        )

    async def clock_skew_ms(self) -> int:
        """Return the store's clock minus ours.

        Raises:
            StoreUnavailableError: retry later.
        """
        return await measure_skew_ms(self._connection)

    async def begin(
        self,
        epoch: str,
        identity: Identity,
        *,
        replacing: str | None = None,
        keep: Keep = Keep.ENTRIES,
    ) -> str:
        """Open an epoch if the store is cold, or in the epoch `replacing`.

        Returns the epoch in force afterwards: `epoch`, or another if someone else was
        first.

        Raises:
            StoreUnavailableError: back off, retry.
        """
        # Written under the first pepper; the script deletes those under the previous
        # one.
        keys = self.layout.keys(tuple(canary.TARGETS.values()))
        values = tuple(encode_value(entry) for entry in canary.entries(epoch))
        in_force: bytes = await self._write(
            *("FCALL", "revocation_begin", 2 + len(keys)),
            *(self.layout.meta, self.layout.feed, *keys),
            *(epoch, identity.partitions, replacing or ""),
            *(encode_identity(identity), keep),
            *values,
        )
        return in_force.decode()

    async def clear(self, epoch: str) -> None:
        """Delete the entries that a `Keep.NOTHING` epoch found; any projector may help.

        Raises:
            StoreColdError: the store is not in this epoch.
            StoreMovedBackError: another server answers now; try again.
            StoreUnavailableError: back off, retry.
        """
        kept = self.layout.written_keys(canary.TARGETS.values())
        call = ("FCALL", "revocation_clear", 1 + len(kept), self.layout.meta)
        cursor, run = await self._write(*call, *kept, epoch, "0", _CLEARED_KEYS, "")
        while cursor != b"0":
            page = (epoch, cursor, _CLEARED_KEYS, run)
            cursor, run = await self._write(*call, *kept, *page)

    async def apply(self, epoch: str, batch: Batch) -> None:
        """Merge entries, move marks forward and feed replicas.

        A batch of more than `MAX_ENTRIES_PER_CALL` takes several calls. Only the last
        one moves the marks, so no mark ever claims what is not written.

        Raises:
            StoreColdError: the store is not in this epoch; rebuild it.
            StoreMovedBackError: a mark is behind `expected`; read marks and seek.
            StoreUnavailableError: down, read-only or out of memory; back off, retry.
            StoreUnsuitableError: the epoch was begun for fewer partitions.
        """
        entries, size = batch.entries, MAX_ENTRIES_PER_CALL
        last = max(0, len(entries) - 1) // size * size
        for first in range(0, last, size):
            positions = _positions({}, batch.expected)
            await self._apply(epoch, positions, entries[first : first + size])
        positions = _positions(batch.marks, batch.expected)
        await self._apply(epoch, positions, entries[last:])

    async def _apply(
        self, epoch: str, positions: Sequence[bytes | int], entries: Sequence[Entry]
    ) -> None:
        keys = self.layout.written_keys(entry.target for entry in entries)
        arguments: list[bytes | int] = []
        for entry in entries:
            relevant_until = entry.relevant_until(self._limits)
            arguments += (
                encode_value(entry),
                _NEVER if relevant_until is None else relevant_until,
            )
        await self._write(
            *("FCALL", "revocation_apply", 2 + len(keys)),
            *(self.layout.meta, self.layout.feed, *keys),
            *(epoch, self._limits.relevance_ms, len(positions) // 3),
            *positions,
            *arguments,
        )

    async def check_suitable(self) -> None:
        """Refuse a store that would lose revocations, and load the functions into it.

        Raises:
            StoreUnsuitableError: says what is wrong and what to set.
            StoreUnavailableError: retry later.
        """
        try:
            fault = find_fault(await self._connection.call("INFO"))
            if fault is None:
                skew = await self.clock_skew_ms()
                fault = find_clock_fault(skew, self._max_clock_skew_ms)
            if fault is None:
                await self._load_functions()
        except StoreUnavailableError as error:
            if needs_mending(error):
                raise StoreUnsuitableError(str(error)) from error
            raise
        if fault is not None:
            where = self._connection.where
            raise StoreUnsuitableError(f"the store at {where}: {fault}")

    async def _load_functions(self) -> None:
        # Only if they differ: a load is propagated to every replica and to the AOF.
        loaded = await self._connection.call(
            *("FUNCTION", "LIST", "LIBRARYNAME", _LIBRARY, "WITHCODE")
        )
        if not any(FUNCTIONS in library for library in loaded):
            await self._connection.call("FUNCTION", "LOAD", "REPLACE", FUNCTIONS)

    async def _write(self, *command: bytes | str | int) -> Any:
        """Return the reply; load the functions again if the server restarted empty."""
        try:
            return await self._connection.call(*command)
        except StoreUnavailableError as error:
            if not lacks_functions(error):
                raise
        await self._load_functions()
        return await self._connection.call(*command)


def _positions(
    marks: Mapping[int, Mark], expected: Mapping[int, Offset]
) -> list[bytes | int]:
    positions: list[bytes | int] = []
    for partition in {**marks, **expected}:
        mark = marks.get(partition)
        positions += (
            partition,
            expected.get(partition, b""),
            b"" if mark is None else encode_mark(mark),
        )
    return positions
