"""One issuer's key set: when it is read, and how the result is adopted.

The design prevents that strangers cause frequent readings (`Pace.between`), that many
callers read at once, that a failure stops further readings, that a reading in progress
restores a key that was withdrawn meanwhile, and that a set without usable keys, as may
be published by mistake, ends all sessions.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Self
from urllib.parse import urlsplit

import structlog

from revocation import metrics
from revocation.background import Background, end_task
from revocation.entries import UnixMs
from revocation.jwt.trust import TrustedIssuer

if TYPE_CHECKING:
    from revocation.jwt.keys import KeySet, VerificationKey

_log = structlog.get_logger()

_SILENT_SECONDS = 30.0
"""Longer than a reading, which has its own time limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often key sets are read, and the limits. Times are in seconds.

    `between`: the shortest time between two readings that unknown keys and wrong
    signatures cause, since anybody can invent these. `first_retry`: the pause after the
    first failure, doubled after each.
    """

    between: float = 10.0
    first_retry: float = 1.0
    timeout: float = 5.0
    max_bytes: int = 262_144


class KeyIndex(NamedTuple):
    """An issuer's keys, indexed for lookup. Replaced as a whole, never changed."""

    keys: "tuple[VerificationKey, ...]" = ()
    named: "Mapping[tuple[str, str], VerificationKey]" = MappingProxyType({})
    sole: "Mapping[str, VerificationKey]" = MappingProxyType({})

    @classmethod
    def of(cls, keys: "tuple[VerificationKey, ...]") -> Self:
        """Index the keys of a set."""
        named, groups = {}, dict[str, list["VerificationKey"]]()
        for key in keys:
            for alg in key.names:
                groups.setdefault(alg, []).append(key)
                if key.kid is not None:
                    named[key.kid, alg] = key
        sole = {alg: group[0] for alg, group in groups.items() if len(group) == 1}
        return cls(keys, named, sole)

    def find(self, kid: str | None, alg: str) -> "VerificationKey | None":
        """See `KeyRing.find`."""
        return self.sole.get(alg) if kid is None else self.named.get((kid, alg))


async def read_keys(issuer: TrustedIssuer, pace: Pace) -> "KeySet | str":
    """Read an issuer's key set from its file or URL, or return why not."""
    # Here, so that the package can be imported without the extra.
    from revocation.jwt import fetch, keys  # noqa: PLC0415

    if issuer.jwks_file is not None:
        raw = await fetch.read_file(issuer.jwks_file, max_bytes=pace.max_bytes)
    else:
        raw = await fetch.read_url(
            issuer.jwks_url or "",
            private=issuer.allow_private_addresses,
            max_bytes=pace.max_bytes,
            timeout_seconds=pace.timeout,
            proxy=issuer.jwks_proxy,
        )
    if isinstance(raw, str):
        return raw
    try:
        # In a thread: parsing a long set would delay requests.
        return await asyncio.to_thread(keys.read_key_set, raw, issuer)
    except ValueError as error:
        return str(error)


class KeySource:
    """One issuer's key set. `KeyRing` says what each method is for."""

    def __init__(
        self, issuer: TrustedIssuer, pace: Pace, clock: Callable[[], UnixMs]
    ) -> None:
        self.issuer = issuer
        self.failure = "it was not read yet"
        self._pace = pace
        self._clock = clock
        self._index = KeyIndex()
        self._dropped: set[str] = set()
        self._thumbprints: set[str] = set()
        self._lock = Lock()
        self._not_before = 0.0
        self._failures = 0
        self._reading: asyncio.Task[bool] | None = None
        self._keeping = Background(
            "key set", self._keep_fresh, silent_seconds=_SILENT_SECONDS
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._awake = asyncio.Event()
        self._urgent = False
        self._logged: dict[str, int] = {}

    @property
    def keys(self) -> "tuple[VerificationKey, ...]":
        """The keys in memory; some may be stale."""
        return self._index.keys

    @property
    def usable(self) -> bool:
        """Whether any key is usable."""
        now = self._clock()
        return any(now < key.usable_until for key in self._index.keys)

    def find(self, kid: str | None, alg: str) -> "VerificationKey | None":
        """See `KeyRing.find`."""
        return self._index.find(kid, alg)

    def too_soon(self) -> bool:
        """See `KeyRing.too_soon`; counted."""
        reading = self._reading
        under_way = reading is not None and not reading.done()
        too_soon = not under_way and time.monotonic() < self._not_before
        if too_soon:
            metrics.JWKS_REFRESHES.labels("limited").inc()
        return too_soon

    async def refresh(self, *, force: bool = False) -> bool:
        """See `KeyRing.refresh`; `force` reads even if the set was read just before."""
        reading = self._reading
        if reading is None or reading.done():
            if not force and self.too_soon():
                return False
            reading = asyncio.create_task(self._read(), name="read key set")
            self._reading = reading
        # Shielded: the cancellation of one caller must not affect the others.
        return await asyncio.shield(reading)

    def keep_fresh(self) -> None:
        """Start the periodic refresh."""
        self._loop = asyncio.get_running_loop()
        self._keeping.start()

    async def stop(self) -> None:
        """Stop the periodic refresh; may be called twice."""
        reading, self._reading, self._loop = self._reading, None, None
        await self._keeping.stop()
        if reading is not None:
            await end_task(reading)

    def wake(self, *, urgent: bool) -> None:
        """Schedule a refresh; `urgent` even if the set was read just before."""
        if urgent:
            with self._lock:
                self._urgent = True
        elif self._awake.is_set() or time.monotonic() < self._not_before:
            return
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._awake.set)

    def drop(self, kid: str) -> int:
        """See `KeyRing.drop`."""
        with self._lock:
            self._dropped.add(kid)
            keys = self._index.keys
            self._thumbprints |= {key.thumbprint for key in keys if key.kid == kid}
            withdrawn = self._drop_withdrawn()
        self.wake(urgent=True)
        return withdrawn

    async def _keep_fresh(self) -> None:
        while True:
            due, pause = False, self._pause()
            self._keeping.beat(pause_seconds=pause)
            try:
                async with asyncio.timeout(pause):
                    await self._awake.wait()
            except TimeoutError:
                due = True
            self._awake.clear()
            self._keeping.beat()
            with self._lock:
                urgent, self._urgent = self._urgent, False
            await self.refresh(force=due or urgent)

    def _pause(self) -> float:
        """Return the seconds to wait, with jitter so that verifiers spread out."""
        longest = float(self.issuer.refresh_seconds)
        if self._failures:
            retry = self._pace.first_retry * 2.0 ** (self._failures - 1)
            longest = min(longest, retry)
        return longest * random.uniform(0.75, 1)  # noqa: S311 - no secret

    async def _read(self) -> bool:
        try:
            found = await read_keys(self.issuer, self._pace)
            if not isinstance(found, str):
                self._withdraw(found.exposed)
                if found.keys:
                    self._adopt(found)
                else:
                    found = f"it has no usable key: {found.problem}"
        except Exception as error:  # noqa: BLE001 - or refreshing would end for good
            found = f"it cannot be read: {type(error).__name__}"
        self._not_before = time.monotonic() + self._pace.between
        if isinstance(found, str):
            self.failure = found
            self._failures = min(self._failures + 1, 32)
            metrics.JWKS_REFRESHES.labels("failed").inc()
            _log.warning("key set not read", source=self._name, cause=found)
            return False
        self.failure, self._failures = "", 0
        metrics.JWKS_REFRESHES.labels("read").inc()
        self._log_left_out(found)
        return True

    def _adopt(self, found: "KeySet") -> None:
        until = self._clock() + self.issuer.max_stale_seconds * 1_000
        with self._lock:
            # The same key stays the same object: its tokens remain verified.
            known = {_identity(key): key for key in self._index.keys}
            keys = [known.get(_identity(key), key) for key in found.keys]
            self._index = self._without_dropped(keys)
            for key in self._index.keys:
                key.usable_until = until
            for key in {*known.values()}.difference(self._index.keys):
                key.usable_until = 0

    def _withdraw(self, exposed: "frozenset[str]") -> None:
        """Withdraw keys for good whose private half was published."""
        with self._lock:
            self._thumbprints |= exposed
            self._drop_withdrawn()

    def _drop_withdrawn(self) -> int:
        """Remove withdrawn keys, with the lock held. Returns how many there were."""
        keys = self._index.keys
        self._index = self._without_dropped(keys)
        withdrawn = {*keys}.difference(self._index.keys)
        for key in withdrawn:
            key.usable_until = 0
        metrics.KEYS_DROPPED.inc(len(withdrawn))
        return len(withdrawn)

    def _log_left_out(self, found: "KeySet") -> None:
        """Log ignored keys once per change: most sets have keys for other purposes."""
        counts = {flaw.value: count for flaw, count in found.left_out.items()}
        summary = {"usable": len(self._index.keys), **counts}
        if (counts or not summary["usable"]) and summary != self._logged:
            _log.warning("keys left out", source=self._name, **summary)
        self._logged = summary

    def _without_dropped(self, keys: "Iterable[VerificationKey]") -> KeyIndex:
        left = tuple(
            key
            for key in keys
            if key.kid not in self._dropped and key.thumbprint not in self._thumbprints
        )
        return KeyIndex.of(left)

    @property
    def _name(self) -> str:
        issuer = self.issuer
        return str(issuer.jwks_file or urlsplit(issuer.jwks_url or "").hostname)


def _identity(key: "VerificationKey") -> tuple[str | None, str, str]:
    return key.kid, key.algorithm, key.thumbprint
