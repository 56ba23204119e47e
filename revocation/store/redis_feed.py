"""Reads a region's feed and snapshot, for replicas, from Redis or Valkey.

`docs/store-layout.md` specifies both for other languages.
"""

from collections.abc import Sequence
from typing import Final, Self

from revocation.decision import Freshness
from revocation.entries import UnixMs
from revocation.errors import StoreUnavailableError
from revocation.identity import decode_identity
from revocation.settings import StoreSettings
from revocation.store.client.redis_connection import (
    RedisConnection,
    lacks_functions,
    measure_skew_ms,
)
from revocation.store.contract import START, Change, FeedHead, Page
from revocation.store.layout import Layout
from revocation.tls import NO_TLS, Tls

PAGE_KEYS: Final = 1_000
"""How many keys a page scans: about 1 ms of the server's time."""

_CHANGES_PER_READ: Final = 16
_FIELDS: Final = (b"after", b"epoch", b"ready", b"as_of")
_NOT_READY: Final = Freshness(ready=False, as_of=UnixMs(0))


class RedisFeed:
    """Reads a region's entries and changes over a connection of its own."""

    def __init__(
        self, url: str, layout: Layout, *, timeout_ms: int = 1_000, tls: Tls = NO_TLS
    ) -> None:
        """Prepare; nothing connects yet.

        Args:
            url: as for `RedisStore`.
            layout: the keys of the region.
            timeout_ms: the maximum wait to connect, and for a reply once it is due.
            tls: certificates, for `rediss://`.

        Raises:
            SettingsError: the URL's scheme is unsupported, or a certificate cannot be
                used.
        """
        self._url = url
        self._layout = layout
        self._timeout_ms = timeout_ms
        self._tls = tls
        self._connection = RedisConnection(
            url,
            timeout_ms=timeout_ms,
            max_connections=1,
            tls=tls,
            slot_key=layout.meta,
            # All feeds of a region lose their connection at the same moment.
            retries=False,
        )

    @classmethod
    def from_settings(cls, settings: StoreSettings) -> Self:
        """Return the feed of the settings' region.

        Raises:
            SettingsError: a secret cannot be read, or the URL's scheme is unsupported.
        """
        layout = Layout(settings.store_prefix, settings.peppers)
        return cls(settings.store_url, layout, tls=settings.tls)

    def another(self) -> Self:
        """Return a reader of the same region with a connection of its own."""
        return type(self)(
            self._url, self._layout, timeout_ms=self._timeout_ms, tls=self._tls
        )

    async def stop(self) -> None:
        """Disconnect; may be called twice."""
        await self._connection.stop()

    async def head(self) -> FeedHead:
        """Return epoch, freshness and position at one instant.

        Raises:
            StoreUnavailableError: retry later.
        """
        epoch, ready, as_of, fed, identity = await self._connection.call(
            "HMGET", self._layout.meta, "epoch", "ready", "as_of", "fed", "identity"
        )
        if epoch is None:
            return FeedHead(None, _NOT_READY, START)
        freshness = Freshness(ready == b"1", UnixMs(int(as_of)))
        position = (fed or START.encode()).decode()
        stated = decode_identity(identity or b"")
        return FeedHead(epoch.decode(), freshness, position, stated)

    async def page(self, cursor: str) -> Page:
        """Return some entries, from the cursor `"0"` on.

        Raises:
            StoreUnavailableError: retry later, from the first page.
        """
        try:
            reply = await self._connection.call(
                *("FCALL_RO", "revocation_snapshot", 1, self._layout.meta),
                *(cursor, PAGE_KEYS),
            )
        except StoreUnavailableError as error:
            if not lacks_functions(error):
                raise
            return Page(None, "0", 0, {})
        epoch, following, keys, run = reply[:4]
        entries = dict(zip(reply[4::2], reply[5::2], strict=True))
        named = None if epoch is None else epoch.decode()
        return Page(named, following.decode(), keys, entries, run.decode())

    async def changes(self, position: str, *, wait_ms: int) -> Sequence[Change]:
        """Return what follows a position; empty if nothing comes within `wait_ms`.

        Raises:
            StoreUnavailableError: retry later, from the same position.
            ValueError: `wait_ms` is not less than the timeout.
        """
        if wait_ms >= self._timeout_ms:
            raise ValueError(
                f"wait_ms is {wait_ms}; it must be less than {self._timeout_ms}"
            )
        block = ("BLOCK", wait_ms) if wait_ms else ()
        streams = await self._connection.call(
            *("XREAD", "COUNT", _CHANGES_PER_READ, *block),
            *("STREAMS", self._layout.feed, position),
        )
        if not streams:
            return ()
        ((_, records),) = streams
        return [_change(position.decode(), fields) for position, fields in records]

    async def clock_skew_ms(self) -> int:
        """Return the store's clock minus ours.

        Raises:
            StoreUnavailableError: retry later.
        """
        return await measure_skew_ms(self._connection)


def _change(position: str, fields: dict[bytes, bytes]) -> Change:
    after, epoch, ready, as_of = map(fields.pop, _FIELDS)
    freshness = Freshness(ready == b"1", UnixMs(int(as_of)))
    return Change(position, after.decode(), epoch.decode(), freshness, fields)
