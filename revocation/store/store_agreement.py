"""Whether a region can be read with our settings, asked of its store."""

from revocation.errors import DisagreementError
from revocation.identity import Expectation
from revocation.store import canary
from revocation.store.contract import StoreReader


async def require_agreement(store: StoreReader, expected: Expectation) -> None:
    """Accept a region whose settings are ours and whose canaries we find.

    A cold region says nothing yet, and gives no verdicts either.

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
            f"the canaries of the region {expected.region} are not found (of the kinds "
            f"{', '.join(lost)}), so no revocation would be: pepper, prefix or layout "
            "differ from the projector's"
        )
