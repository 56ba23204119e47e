"""no-silent-disagreement: a part whose settings differ says so and stops.

Each setting that must agree is changed in one process at a time. Siblings:
`tests/contract/test_store_agreement.py` (stores), `tests/stations/test_agreement.py`
(rules of stations), `tests/recipe/` (the model in JavaScript).
"""

import json
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from revocation.errors import DisagreementError
from revocation.events import UserDisabled
from revocation.kafka.provisioning import verify
from revocation.local import Kafka
from revocation.settings import KafkaSettings, VerifierSettings
from revocation.verifier import RemoteVerifier, Verifier
from tests.installation import Installation, eventually
from tests.traffic import ISSUER, SOURCE, claims, user

pytestmark = [
    pytest.mark.guarantee,
    pytest.mark.connected,
    pytest.mark.timeout(240),
    pytest.mark.asyncio(loop_scope="module"),
]

LONGER = {
    "max_token_lifetime_seconds": "7200",
    "max_session_seconds": "172800",
    "leeway_seconds": "120",
    "clock_allowance_seconds": "10",
}
"""Settings with which a verifier needs more than its region keeps."""
SHORTER = {
    "max_token_lifetime_seconds": "1800",
    "max_session_seconds": "43200",
    "leeway_seconds": "30",
    "clock_allowance_seconds": "3",
}
"""Settings with which a projector would keep less."""
NEEDED = ("pepper_file", "region", "revocable_claims")
"""Settings that must be the same in a verifier and its region."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(
    kafka: Kafka, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installation]:
    """Start a region in which a user is disabled."""
    folder = tmp_path_factory.mktemp("disagreement")
    installation = Installation(folder, kafka.bootstrap_servers, partitions=2)
    installation.settings["revocable_claims"] = '["device_id"]'
    try:
        await installation.create_topics()
        installation.add_region("eu")
        installation.add_authority()
        disabled = UserDisabled.new(source=SOURCE, issuer=ISSUER, user="mallory")
        await installation.applied(await installation.publish(disabled))
        yield installation
    finally:
        installation.stop()


def other_pepper(installation: Installation) -> str:
    path = Path(installation.folder, f"pepper-{secrets.token_hex(4)}")
    path.write_text(secrets.token_hex(32))
    return str(path)


def changed(
    installation: Installation, name: str, others: dict[str, str] = LONGER
) -> dict[str, str]:
    """Return one setting that differs from the region's."""
    if name == "pepper_file":
        return {name: other_pepper(installation)}
    if name == "region":
        return {name: "mars"}
    if name == "revocable_claims":
        return {name: '["act.sub"]'}
    return {name: others[name]}


async def ask(url: str, path: str, **body: object) -> httpx.Response | None:
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        try:
            if body:
                return await client.post(path, json=body)
            return await client.get(path)
        except httpx.TransportError:
            return None


async def is_ready(url: str) -> bool:
    answer = await ask(url, "/readyz")
    return answer is not None and answer.status_code == 200


async def verdict(url: str) -> dict[str, object]:
    presented = claims("mallory", now=int(time.time()))
    answer = await ask(url, "/v1/check", claims=presented)
    assert answer is not None
    return dict(answer.json())


# Verifiers ----------------------------------------------------------------------------


async def test_a_sidecar_that_skips_the_comparison_admits_a_disabled_user(
    running: Installation,
) -> None:
    """Without the protection: it is ready and fresh, and looks in the wrong place."""
    _, url = running.add_sidecar(
        "eu",
        unprotected="skip_agreement",
        name="believing",
        pepper_file=other_pepper(running),
    )
    await eventually(lambda: is_ready(url), within=30)

    said = await verdict(url)

    assert said["active"]
    assert int(str(said["staleness_ms"])) < 2_000


async def test_a_sidecar_with_the_regions_settings_refuses_the_user(
    running: Installation,
) -> None:
    _, url = running.add_sidecar("eu", name="agreeing")
    await eventually(lambda: is_ready(url), within=30)
    assert (await verdict(url))["reason"] == "user_disabled"


@pytest.mark.parametrize("name", [*NEEDED, *LONGER])
async def test_a_sidecar_with_a_different_setting_does_not_start(
    running: Installation, name: str
) -> None:
    """Exit code 2, and a message that names the setting and both values."""
    more = changed(running, name)
    station, _ = running.add_sidecar("eu", name=f"other-{name}", **more)

    code, said = await station.ended()

    assert code == 2
    assert said.startswith("settings_disagree: ")
    assert name in said
    if name != "pepper_file":
        assert more[name].strip('[]"') in said


async def test_a_sidecar_with_a_different_prefix_is_not_ready(
    running: Installation,
) -> None:
    """It sees a region without an epoch, and cannot distinguish it from a new one."""
    _, url = running.add_sidecar("eu", name="elsewhere", store_prefix="other")

    async def answers() -> bool:
        return await ask(url, "/readyz") is not None

    await eventually(answers, within=30)
    assert not await is_ready(url)
    assert (await verdict(url))["reason"] == "not_ready"


@pytest.mark.parametrize("kind", [Verifier, RemoteVerifier])
@pytest.mark.parametrize("name", [*NEEDED, *LONGER])
async def test_a_library_with_a_different_setting_does_not_start(
    running: Installation, kind: type[Verifier | RemoteVerifier], name: str
) -> None:
    own = {
        **running.settings,
        "region": "eu",
        "store_url": running.stores["eu"].url,
        **changed(running, name),
    }
    known = VerifierSettings.model_fields
    typed: dict[str, Any] = {key: own[key] for key in own if key in known}
    typed |= {key: json.loads(own[key]) for key in ("claims", "revocable_claims")}
    settings = VerifierSettings(**typed)

    with pytest.raises(DisagreementError, match=name):
        async with kind.from_settings(settings):
            pass


@pytest.mark.parametrize("name", ["pepper_file", "revocable_claims", *LONGER])
async def test_waiting_fails_for_a_region_that_disagrees(
    running: Installation, name: str
) -> None:
    """Else `--wait applied` would report "eu 10 ms" for entries no verifier finds."""
    regions = f'{{"eu": "{running.stores["eu"].url}"}}'
    command = ["publish", "user-logged-out", "--issuer", ISSUER, "--user", "bob"]
    station = running.run(
        f"waiting-{name}",
        [*command, "--wait", "applied"],
        regions=regions,
        **changed(running, name),
    )

    code, said = await station.ended()

    assert code == 2
    assert name in said


# Projectors ---------------------------------------------------------------------------


async def test_a_projector_that_skips_the_comparison_hides_revocations(
    running: Installation, kafka: Kafka, tmp_path: Path
) -> None:
    """Without the protection: no verifier finds what it writes under its pepper."""
    alone = Installation(tmp_path, kafka.bootstrap_servers, partitions=1)
    try:
        await alone.create_topics()
        projector = alone.add_region("eu")
        alone.add_authority()
        await alone.ready()
        projector.stop()
        unprotected = alone.projector(
            "eu",
            alone.stores["eu"].url,
            unprotected="adopt_every_region",
            pepper_file=other_pepper(alone),
        )
        disabled = UserDisabled.new(source=SOURCE, issuer=ISSUER, user="mallory")
        await alone.applied(await alone.publish(disabled), "eu")
        assert not (await alone.find("eu", user("mallory"))).found
        unprotected.stop()
    finally:
        alone.stop()


@pytest.mark.parametrize("name", ["pepper_file", "region", *LONGER])
async def test_a_second_projector_with_a_different_setting_is_refused(
    running: Installation, name: str
) -> None:
    """And the first one is unaffected."""
    more = {"region": "eu", **changed(running, name, SHORTER)}
    region = more.pop("region")
    station = running.projector(
        region,
        running.stores["eu"].url,
        instance_id=f"second-{name}",
        **more,
    )

    code, said = await station.ended()

    assert code == 2
    assert said.startswith("settings_disagree: ")
    assert name in said
    answer = await running.find("eu", user("mallory"))
    assert answer.found
    assert answer.freshness.ready


async def test_a_projector_of_another_installation_is_refused(
    running: Installation, kafka: Kafka, tmp_path: Path
) -> None:
    """Its own topics are correct; the store follows those of another installation."""
    other = Installation(tmp_path, kafka.bootstrap_servers, partitions=2)
    other.settings["pepper_file"] = running.settings["pepper_file"]
    try:
        await other.create_topics()
        station = other.projector("eu", running.stores["eu"].url)
        code, said = await station.ended()
    finally:
        other.stop()

    assert code == 2
    assert running.settings["topic_prefix"] in said
    assert other.settings["topic_prefix"] in said


async def test_a_region_states_the_kafka_cluster_that_it_follows(
    running: Installation,
) -> None:
    """So a projector on another cluster is refused; see `tests/stations/`."""
    settings = KafkaSettings(
        bootstrap_servers=running.settings["bootstrap_servers"],
        topic_prefix=running.settings["topic_prefix"],
        partitions=2,
        replication_factor=1,
    )
    async with running.reader("eu") as reader:
        stated = (await reader.region()).identity
    assert stated is not None
    assert stated.cluster_id is not None
    assert stated.cluster_id == await verify(settings)


@pytest.mark.parametrize(
    ("name", "value", "said_is"),
    [
        ("max_token_lifetime_seconds", "8", "is 8 there and 3600 here"),
        ("revocable_claims", '["device_id"]', "is device_id there and none here"),
    ],
)
async def test_an_authority_with_a_different_setting_is_refused(
    kafka: Kafka, tmp_path: Path, name: str, value: str, said_is: str
) -> None:
    """By the projectors: the log would lack what they rely on."""
    alone = Installation(tmp_path, kafka.bootstrap_servers, partitions=1)
    try:
        await alone.create_topics()
        projector = alone.add_region("eu")
        alone.add_authority(**{name: value})
        code, said = await projector.ended()
    finally:
        alone.stop()

    assert code == 2
    assert f"{name} {said_is}" in said
