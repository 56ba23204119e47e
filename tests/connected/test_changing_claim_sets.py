"""Claim sets added and removed while tokens are being revoked.

The steps are those of docs/changing-settings.md.
"""

import pytest

from revocation.events import ClaimsRevoked
from tests.connected.test_changing_settings import (
    Sidecar,
    all_refused,
    alone,  # noqa: F401 - a fixture
    regions,
    revoking,
)
from tests.installation import Installation, eventually
from tests.traffic import ISSUER, SOURCE

pytestmark = [pytest.mark.connected, pytest.mark.timeout(240)]

WITH_SET = {"revocable_claims": '["device_id"]'}
STOLEN = ClaimsRevoked.new(
    source=SOURCE, issuer=ISSUER, claims={"device_id": "stolen"}, disable=True
)


async def stated(installation: Installation) -> tuple[tuple[str, ...], ...]:
    async with installation.reader("eu") as reader:
        identity = (await reader.region()).identity
    assert identity is not None
    return identity.revocable_claims


async def test_a_claim_set_is_added_while_tokens_are_revoked(
    alone: Installation,  # noqa: F811
) -> None:
    """Verifiers, projectors, authorities, producers, without a rebuild."""
    projector = alone.add_region("eu")
    await alone.ready()
    sidecar = Sidecar(alone)
    await eventually(sidecar.ready, within=60)
    async with revoking(alone, sidecar) as load:
        await eventually(lambda: len(load.applied) > 15, within=60)
        sidecar.restart(**WITH_SET)  # 1.
        await eventually(sidecar.ready, within=60)
        projector.stop()  # 2.
        alone.projector("eu", alone.stores["eu"].url, instance_id="with", **WITH_SET)

        async def adopted() -> bool:
            return await stated(alone) == (("device_id",),)

        await eventually(adopted, within=60)
        alone.stations["authority"].stop()  # 3.
        alone.add_authority(**WITH_SET)
        count = len(load.applied)
        await eventually(lambda: len(load.applied) > count + 15, within=60)
    alone.settings |= WITH_SET  # 4.
    await alone.applied(await alone.publish(STOLEN))
    assert await sidecar.reason("alice", device_id="stolen") == "claims_revoked"
    assert await sidecar.reason("alice", device_id="mine") == "active"
    await all_refused(load, sidecar)
    log = alone.stations["with"].log_text
    assert "settings adopted" in log
    assert "rebuilding" not in log


async def test_a_claim_set_missing_in_a_verifier_admits_no_one(
    alone: Installation,  # noqa: F811
) -> None:
    """Projectors first: verifiers report it, and answer again once they have it too."""
    projector = alone.add_region("eu")
    await alone.ready()
    sidecar = Sidecar(alone)
    await eventually(sidecar.ready, within=60)
    projector.stop()
    alone.projector("eu", alone.stores["eu"].url, instance_id="with", **WITH_SET)

    async def says_why() -> bool:
        return "revocable_claims is device_id" in await sidecar.error()

    await eventually(says_why, within=30)
    assert await sidecar.reason("alice", device_id="stolen") == "not_ready"
    sidecar.restart(**WITH_SET)
    await eventually(sidecar.ready, within=60)
    assert await sidecar.reason("alice", device_id="stolen") == "active"


async def test_a_claim_set_is_removed_only_by_a_rebuild(
    alone: Installation,  # noqa: F811
) -> None:
    alone.settings |= WITH_SET
    projector = alone.add_region("eu")
    alone.stations["authority"].stop()
    alone.add_authority()
    await alone.applied(await alone.publish(STOLEN))
    sidecar = Sidecar(alone)
    await eventually(sidecar.ready, within=60)
    assert await sidecar.reason("alice", device_id="stolen") == "claims_revoked"

    alone.settings["revocable_claims"] = "[]"
    alone.stations["authority"].stop()
    alone.add_authority()
    projector.stop()
    alone.projector("eu", alone.stores["eu"].url, instance_id="without")
    await alone.applied(await alone.publish())
    assert await stated(alone) == (("device_id",),)
    rebuild = alone.run("rebuild", ["rebuild", "eu"], regions=regions(alone))
    code, said = await rebuild.ended(within=60)
    assert (code, "eu is complete again" in said) == (0, True)
    assert await stated(alone) == ()
    sidecar.restart(revocable_claims="[]")
    await eventually(sidecar.ready, within=60)
    assert await sidecar.reason("alice", device_id="stolen") == "active"
