"""Checks with a region's store whether our settings can read it."""

from revocation.errors import DisagreementError
from revocation.identity import Expectation
from revocation.store import canary
from revocation.store.contract import StoreReader


async def require_agreement(store: StoreReader, expected: Expectation) -> None:
    """Require that the region has our settings and that we find its canaries.

    A cold region passes: it states nothing yet, and gives no verdicts either.

    Raises:
        DisagreementError: names each setting, the region's value and ours.
        StoreUnavailableError: retry later.
    """
    region = await store.region()
    if region.epoch is None:
        return
    expected.require(region.identity)
    found = (await store.find(tuple(canary.TARGETS.values()))).found
    receipt = canary.receipt(region.epoch).decode()
    lost = [
        kind
        for kind, target in canary.TARGETS.items()
        if target not in found or found[target].source.receipt != receipt
    ]
    # Unless another epoch began between the two calls.
    if lost and (await store.region()).epoch == region.epoch:
        raise DisagreementError(
            f"the canaries of region {expected.region} are not found (kinds: "
            f"{', '.join(lost)}), so no revocation would be found either: pepper, "
            "prefix or layout differ from the projector's; set the projector's values"
        )
