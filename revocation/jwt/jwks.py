"""The trusted issuers' keys: in memory, refreshed, and withdrawn for good (RFC 7517).

An issuer's key set is authoritative: a key that is removed from it becomes unusable
with the next reading, and so do the tokens it signed. While the set cannot be read, or
has no usable key, the keys last read stay usable for a limited time. A compromised key
is withdrawn at once and never returns, whatever the issuer still publishes.
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
"""How many sets are read at once at the start. Thousands, one per tenant, would slow
each other down beyond their time limits."""


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
            issuers: the trusted issuers, by the exact `iss`.
            pace: how often the sets are read, and the limits of time and size.
            clock: the time in ms since the epoch, as passed to `authenticate`.

        Raises:
            MissingExtraError: the extra `jwt` is not installed.
        """
        require_extra("jwt", "verifying tokens")
        # The issuers of many tenants share one set, which is read once for all.
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
        """Whether every issuer has a usable key."""
        return all(source.usable for source in self._distinct)

    def find(self, issuer: str, kid: str | None, alg: str) -> "VerificationKey | None":
        """Return the issuer's key for exactly this algorithm, from memory.

        Without `kid`: the only one for the algorithm, or None if there are several. The
        key may be stale: see its `usable_until`.
        """
        source = self._sources.get(issuer)
        return None if source is None else source.find(kid, alg)

    def unread(self, issuer: str) -> bool:
        """Whether no key is usable because the issuer's set could not be read.

        An unknown key is then no fault of the token: the verifier is not ready.
        """
        source = self._sources.get(issuer)
        return source is not None and bool(source.failure) and not source.usable

    def known(self) -> tuple[tuple[str, str], ...]:
        """Return issuer and `kid` of every key in memory that has one."""
        return tuple(
            (name, key.kid)
            for name, source in self._sources.items()
            for key in source.keys
            if key.kid is not None
        )

    async def start(self) -> None:
        """Read every key set once, then keep them fresh.

        A URL that does not answer is no error: until it does, its issuer's tokens are
        refused for an unknown key.

        Raises:
            SettingsError: a file cannot be read or has no usable key.
        """
        sources, limit = self._distinct, asyncio.Semaphore(_AT_ONCE)

        async def read_limited(source: KeySource) -> bool:
            async with limit:
                return await source.refresh(force=True)

        read = await asyncio.gather(*map(read_limited, sources))
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
        """Stop refreshing; may be called twice. The keys in memory remain."""
        for source in self._distinct:
            await source.stop()

    async def refresh(self, issuer: str) -> bool:
        """Read an issuer's key set now, unless it was read just before.

        Concurrent callers share one reading. Returns whether the set was read, so that
        `find` may have new keys. Never raises.
        """
        source = self._sources.get(issuer)
        return source is not None and await source.refresh()

    def too_soon(self, issuer: str) -> bool:
        """Whether `refresh` would do nothing because the set was read just before."""
        source = self._sources.get(issuer)
        return source is None or source.too_soon()

    def request_refresh(self, issuer: str) -> None:
        """Schedule a refresh of an issuer's key set, within the limit of `refresh`."""
        source = self._sources.get(issuer)
        if source is not None:
            source.wake(urgent=False)

    def drop(self, issuer: str, kid: str) -> int:
        """Withdraw a compromised key, for as long as this process lives.

        From now on it verifies nothing, whatever `kid` its issuer publishes it under,
        and no other key is accepted under this `kid`; tokens already verified with it
        are verified again and refused. The set is then read again for a successor.

        Returns how many keys were withdrawn: 0 if it was unknown; it is refused later
        all the same.
        """
        source = self._sources.get(issuer)
        return 0 if source is None else source.drop(kid)
