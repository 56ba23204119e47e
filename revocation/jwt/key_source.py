"""One issuer's key set: when it is read, and what becomes of what was read.

What must not happen: that strangers make us read it often (`Pace.between`), that many
callers read it at once, that a failure stops the readings, that a reading that was
under way brings back what was withdrawn meanwhile, that a set without a key that could
be used, as a mistake may publish, ends all sessions.
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
"""Longer than a reading takes, which has its own time limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often and how long key sets are asked for. Times are in seconds.

    `between`: unknown keys and wrong signatures make a set be read at most this often,
    since anybody can invent them. `first_retry`: the first pause after a failure,
    doubled after each.
    """

    between: float = 10.0
    first_retry: float = 1.0
    timeout: float = 5.0
    max_bytes: int = 262_144


class KeyIndex(NamedTuple):
    """An issuer's keys as they are looked up. Replaced as a whole, never changed."""

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
    """Read an issuer's key set from its file or URL, or say why not."""
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
        # A long one takes a while, and requests are waiting.
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
        self._told: dict[str, int] = {}

    @property
    def keys(self) -> "tuple[VerificationKey, ...]":
        """The keys at hand; some may have become stale."""
        return self._index.keys

    @property
    def usable(self) -> bool:
        """Whether a key at hand counts."""
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
        """See `KeyRing.refresh`; `force` reads also when that was done just before."""
        reading = self._reading
        if reading is None or reading.done():
            if not force and self.too_soon():
                return False
            reading = asyncio.create_task(self._read(), name="read key set")
            self._reading = reading
        # One caller that gives up must not end it for the others.
        return await asyncio.shield(reading)

    def keep_fresh(self) -> None:
        """Read again and again from now on."""
        self._loop = asyncio.get_running_loop()
        self._keeping.start()

    async def stop(self) -> None:
        """Cease to read; may be called twice."""
        reading, self._reading, self._loop = self._reading, None, None
        await self._keeping.stop()
        if reading is not None:
            await end_task(reading)

    def wake(self, *, urgent: bool) -> None:
        """Have the set read soon; `urgent` also when that was done just before."""
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
        """Return the seconds to wait; spread, so that verifiers do not ask as one."""
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
                    found = f"no key of it can be used: {found.complaint}"
        except Exception as error:  # noqa: BLE001 - or keys would never be fresh again
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
        self._tell(found)
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
        """Never believe keys again whose private half was published once."""
        with self._lock:
            self._thumbprints |= exposed
            self._drop_withdrawn()

    def _drop_withdrawn(self) -> int:
        """Take withdrawn keys out; the lock is held. Returns how many there were."""
        keys = self._index.keys
        self._index = self._without_dropped(keys)
        withdrawn = {*keys}.difference(self._index.keys)
        for key in withdrawn:
            key.usable_until = 0
        metrics.KEYS_DROPPED.inc(len(withdrawn))
        return len(withdrawn)

    def _tell(self, found: "KeySet") -> None:
        """Say once what is left out: most sets hold keys for other purposes."""
        counts = {flaw.value: count for flaw, count in found.left_out.items()}
        told = {"usable": len(self._index.keys), **counts}
        if (counts or not told["usable"]) and told != self._told:
            _log.warning("keys left out", source=self._name, **told)
        self._told = told

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
