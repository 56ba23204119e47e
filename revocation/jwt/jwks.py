"""The trusted issuers' keys: in memory, kept fresh, and withdrawn for good (RFC 7517).

An issuer's key set is the truth about its keys: one that leaves it ceases to count with
the next reading, and so do the tokens it signed. While the set cannot be read, or has
no key that could be used, the keys last read count on, for a while. A compromised key
is withdrawn at once and never comes back, whatever the issuer goes on publishing.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from revocation.clock import now_ms
from revocation.entries import UnixMs
from revocation.errors import SettingsError
from revocation.extras import require_extra
from revocation.jwt.key_source import KeySource, Pace
from revocation.jwt.trust import TrustedIssuer
from revocation.lifecycle import Lifecycle

if TYPE_CHECKING:
    from revocation.jwt.keys import VerificationKey

_AT_ONCE: Final = 128
"""How many sets are read at once at the start: each has a time limit, and thousands,
one for each tenant, would keep each other from being read in time."""


class KeyRing(Lifecycle):
    """The keys of all trusted issuers; an async context manager.

    `find`, `drop` and `request_refresh` may be called from any thread, the others from
    the event loop in which it was started. Usage:

        async with KeyRing(issuers) as keys:
            authenticator = Authenticator(issuers, rules, keys)
    """

    def __init__(
        self,
        issuers: Mapping[str, TrustedIssuer],
        *,
        pace: Pace | None = None,
        clock: Callable[[], UnixMs] | None = None,
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            issuers: whom to trust, by the exact `iss`.
            pace: how often and how long to ask.
            clock: the time in ms since the epoch, the same as `authenticate` is given.

        Raises:
            MissingExtraError: the extra `jwt` is not installed.
        """
        require_extra("jwt", "verifying tokens")
        # The issuers of many tenants publish one set: it is read once for all of them.
        shared: dict[object, KeySource] = {}
        for issuer in issuers.values():
            if issuer.key_set not in shared:
                source = KeySource(issuer, pace or Pace(), clock or now_ms)
                shared[issuer.key_set] = source
        self._sources = {
            name: shared[issuer.key_set] for name, issuer in issuers.items()
        }
        self._distinct = tuple(shared.values())

    @property
    def complete(self) -> bool:
        """Whether every issuer has a key at hand that counts."""
        return all(source.usable for source in self._distinct)

    def find(self, issuer: str, kid: str | None, alg: str) -> "VerificationKey | None":
        """Return the issuer's key for exactly this algorithm, from memory.

        Without `kid`: the only one for the algorithm, or None if there are several. The
        key may have become stale: see its `usable_until`.
        """
        source = self._sources.get(issuer)
        return None if source is None else source.find(kid, alg)

    def unread(self, issuer: str) -> bool:
        """Whether no key counts because the issuer's set could not be read.

        An unknown key then says nothing about the token: it is we who are not ready.
        """
        source = self._sources.get(issuer)
        return source is not None and bool(source.failure) and not source.usable

    def known(self) -> tuple[tuple[str, str], ...]:
        """Return issuer and `kid` of every key at hand that has one."""
        return tuple(
            (name, key.kid)
            for name, source in self._sources.items()
            for key in source.keys
            if key.kid is not None
        )

    async def start(self) -> None:
        """Read every key set once, then keep them fresh.

        A URL that does not answer is no error: its tokens have an unknown key until it
        does.

        Raises:
            SettingsError: a file cannot be read or holds no key that can be used.
        """
        sources, turns = self._distinct, asyncio.Semaphore(_AT_ONCE)

        async def read_in_turn(source: KeySource) -> bool:
            async with turns:
                return await source.refresh(force=True)

        read = await asyncio.gather(*map(read_in_turn, sources))
        for source, found in zip(sources, read, strict=True):
            if not found and source.issuer.jwks_file is not None:
                await self.stop()
                raise SettingsError(
                    f"the key set in {source.issuer.jwks_file} cannot be used: "
                    f"{source.failure}; a JWK Set is needed there (RFC 7517 section 5) "
                    "with a key for one of the issuer's algorithms"
                )
        for source in sources:
            source.keep_fresh()

    async def stop(self) -> None:
        """Cease to read; may be called twice. The keys in memory remain."""
        for source in self._distinct:
            await source.stop()

    async def refresh(self, issuer: str) -> bool:
        """Read an issuer's key set now, unless that was done just before.

        All who ask at the same time wait for one reading. Returns whether the set was
        read, so that `find` may now know more. Never raises.
        """
        source = self._sources.get(issuer)
        return source is not None and await source.refresh()

    def too_soon(self, issuer: str) -> bool:
        """Whether `refresh` would not read: that was done just before."""
        source = self._sources.get(issuer)
        return source is None or source.too_soon()

    def request_refresh(self, issuer: str) -> None:
        """Have an issuer's key set read soon, as often as `refresh` would; no wait."""
        source = self._sources.get(issuer)
        if source is not None:
            source.wake(urgent=False)

    def drop(self, issuer: str, kid: str) -> int:
        """Withdraw a compromised key, for as long as this process lives.

        From now on it verifies nothing, under whatever `kid` its issuer publishes it,
        and no other key is taken under this `kid`; tokens already verified by it are
        verified again, and refused. The set is then read again for a successor.

        Returns how many keys were withdrawn: 0 when it was not known, which does not
        keep it from being refused later.
        """
        source = self._sources.get(issuer)
        return 0 if source is None else source.drop(kid)
