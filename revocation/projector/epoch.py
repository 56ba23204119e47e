"""Which epoch a projector may write in: one with the projector's own settings."""

import uuid
from typing import Final

import structlog

from revocation.clock import now_ms
from revocation.errors import StoreColdError
from revocation.identity import Identity, compare
from revocation.store.contract import Keep, Region, Store

_log = structlog.get_logger()

_STEPS: Final = 8
"""More than it takes from cold to open, as others may open an epoch meanwhile."""


class Epochs:
    """Opens epochs of one region's store, and refuses a foreign store."""

    def __init__(self, store: Store, identity: Identity, *, rebuilds: bool) -> None:
        """Prepare.

        Args:
            store: the region's.
            identity: what the region states while this projector maintains it.
            rebuilds: whether to empty a region that the same owner wrote with other
                settings.
        """
        self._store = store
        self._identity = identity
        self._rebuilds = rebuilds

    async def open(self) -> Region:
        """Return the region, in an epoch that may be written in.

        Raises:
            DisagreementError: the store has another owner or other settings.
            StoreColdError: others keep beginning epochs; try again.
            StoreUnavailableError: back off, retry.
        """
        for _ in range(_STEPS):
            region = await self._store.region()
            if await self._is_open(region):
                return region
        raise StoreColdError(
            f"the store of {self._identity.region} keeps getting new epochs; find out "
            "what else writes to it"
        )

    async def reopen(self, region: Region) -> Region:
        """Begin an epoch without marks: the log no longer has what follows them."""
        identity = region.identity or self._identity
        await self._begin(region.epoch, identity, Keep.ENTRIES)
        return await self.open()

    async def _is_open(self, region: Region) -> bool:
        """Return whether the epoch is open; if not, take one step towards it."""
        if region.epoch is None:
            await self._begin(None, self._identity, Keep.NOTHING)
            return False
        now = now_ms()
        found = compare(region.identity, self._identity, now)
        found.refuse_foreign()
        if not (self._rebuilds or found.outdated):
            found.refuse_changed()
        if found.outdated or found.changed:
            _log.warning("emptying the region", changed=found.changed)
            await self._begin(region.epoch, self._identity, Keep.NOTHING)
        elif region.clearing:
            self._refuse_to_clear_under(found.adopted.peppers[0])
            await self._store.clear(region.epoch)
        elif found.adopted != region.identity:
            _log.info("settings adopted", peppers=found.adopted.peppers)
            await self._begin(region.epoch, found.adopted, Keep.ALL)
        else:
            return True
        return False

    def _refuse_to_clear_under(self, written: str) -> None:
        """Leave it to a projector with that pepper, which knows its canaries."""
        if self._identity.peppers[0] != written:
            raise StoreColdError(
                f"the store of {self._identity.region} is being emptied by a projector "
                "with another pepper_file"
            )

    async def _begin(
        self, replacing: str | None, identity: Identity, keep: Keep
    ) -> None:
        epoch = uuid.uuid4().hex
        await self._store.begin(epoch, identity, replacing=replacing, keep=keep)
