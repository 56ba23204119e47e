"""Settings that must agree, changed while tokens are being revoked.

The steps are those of docs/changing-settings.md. Sibling:
`tests/guarantees/test_no_silent_disagreement.py`, where settings differ.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from revocation.events import TokenRevoked, UserDisabled
from revocation.identity import fingerprint
from revocation.local import Kafka
from tests.installation import Installation, Station, eventually, flush
from tests.traffic import ISSUER, SOURCE, claims, logged_out, user

pytestmark = [pytest.mark.connected, pytest.mark.timeout(240)]

MALLORY = UserDisabled.new(source=SOURCE, issuer=ISSUER, user="mallory")
REFUSED = {"issued_before_cut_off", "token_revoked", "user_disabled"}
UNSURE = {"not_ready", "stale"}


@pytest.fixture
async def alone(kafka: Kafka, tmp_path: Path) -> AsyncIterator[Installation]:
    """Start an installation whose only region is `eu`, with an authority."""
    installation = Installation(tmp_path, kafka.bootstrap_servers, partitions=1)
    try:
        await installation.create_topics()
        installation.add_authority()
        yield installation
    finally:
        installation.stop()


def new_pepper(installation: Installation) -> str:
    path = Path(installation.folder, f"pepper-{secrets.token_hex(4)}")
    path.write_text(secrets.token_hex(32))
    return str(path)


def secret(path: str) -> bytes:
    return Path(path).read_bytes().strip()


def regions(installation: Installation) -> str:
    return f'{{"eu": "{installation.stores["eu"].url}"}}'


class Sidecar:
    """A sidecar with its checks, and restarts with other settings."""

    def __init__(self, installation: Installation, **more: str) -> None:
        self._installation = installation
        self._starts = 0
        self.restart(**more)

    def restart(self, **more: str) -> None:
        if self._starts:
            self._station.stop()
        self._starts += 1
        self._station, self._url = self._installation.add_sidecar(
            "eu", name=f"sidecar-{self._starts}", **more
        )

    @property
    def station(self) -> Station:
        return self._station

    async def ready(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return (await self._get("/readyz")).status_code == 200
        return False

    async def error(self) -> str:
        with contextlib.suppress(httpx.TransportError):
            return str((await self._get("/readyz")).json().get("error", ""))
        return ""

    async def reason(self, name: str = "mallory", **more: object) -> str:
        return str((await self.verdict(name, **more)).get("reason", "not_ready"))

    async def verdict(self, name: str, **more: object) -> dict[str, Any]:
        presented = claims(name, now=int(time.time()), **more)
        async with httpx.AsyncClient(base_url=self._url, trust_env=False) as client:
            answer = await client.post("/v1/check", json={"claims": presented})
        return dict(answer.json())

    async def _get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self._url, trust_env=False) as client:
            return await client.get(path)


class Revoking:
    """Logs users out and revokes tokens, and checks each from then on."""

    def __init__(self, installation: Installation, sidecar: Sidecar) -> None:
        self._installation = installation
        self._sidecar = sidecar
        self.applied: list[str] = []
        self.wrong: list[tuple[str, str]] = []
        self._known_by: dict[str, int] = {}

    async def run(self) -> None:
        async with self._installation.publisher() as publisher:
            for number in range(1_000_000):
                name = f"user-{number}"
                token = TokenRevoked.new(source=SOURCE, issuer=ISSUER, jti=f"t-{name}")
                for event in (logged_out(name), token):
                    await publisher.publish(event)
                self.applied.append(name)
                self._known_by[name] = time.time_ns() // 1_000_000
                await self.ask(self.applied[-12:-10])
                await asyncio.sleep(0.02)

    async def ask(self, names: list[str]) -> None:
        """Record every answer that passes a token whose revocation it claims to know.

        While the projector restarts, a sidecar gets no news, and its `as_of` shows it.
        """
        for name in names:
            for jti in (f"t-{name}", "another"):
                with contextlib.suppress(httpx.TransportError):
                    said = await self._sidecar.verdict(name, jti=jti)
                    knows = said.get("as_of", 0) >= self._known_by[name]
                    if knows and said["reason"] not in REFUSED | UNSURE:
                        self.wrong.append((name, said["reason"]))


@contextlib.asynccontextmanager
async def revoking(
    installation: Installation, sidecar: Sidecar
) -> AsyncIterator[Revoking]:
    load = Revoking(installation, sidecar)
    task = asyncio.create_task(load.run())
    try:
        yield load
    finally:
        task.cancel()
        await asyncio.wait({task})
    assert task.cancelled()


async def all_refused(load: Revoking, sidecar: Sidecar) -> None:
    """Check everyone once more."""
    await eventually(sidecar.ready, within=60)
    assert len(load.applied) > 20
    for name in load.applied:
        assert await sidecar.reason(name, jti=f"t-{name}") in REFUSED
    assert load.wrong == []


# Peppers ------------------------------------------------------------------------------


async def test_a_pepper_is_rotated_while_tokens_are_revoked(
    alone: Installation,
) -> None:
    """Verifiers first, then projectors; no revoked token passes, and no rebuild."""
    old, new = alone.settings["pepper_file"], new_pepper(alone)
    both = {"pepper_file": new, "previous_pepper_file": old}
    written = fingerprint(secret(new))
    projector = alone.add_region("eu")
    await alone.ready()
    sidecar = Sidecar(alone)
    await eventually(sidecar.ready, within=60)
    async with revoking(alone, sidecar) as load:
        await eventually(lambda: len(load.applied) > 15, within=60)
        sidecar.restart(**both)  # 1.
        await eventually(sidecar.ready, within=60)
        projector.stop()  # 2.
        alone.projector("eu", alone.stores["eu"].url, instance_id="rotated", **both)

        async def rotated() -> bool:
            async with alone.reader("eu") as reader:
                stated = (await reader.region()).identity
            assert stated is not None
            return stated.peppers[0] == written

        await eventually(rotated, within=60)
        count = len(load.applied)
        await eventually(lambda: len(load.applied) > count + 15, within=60)
    await all_refused(load, sidecar)
    log = alone.stations["rotated"].log_text
    assert "settings adopted" in log
    assert "rebuilding" not in log


async def test_a_pepper_rotated_in_the_wrong_order_admits_no_one(
    alone: Installation,
) -> None:
    """Projectors first: verifiers report it, and answer again once they have it too."""
    old, new = alone.settings["pepper_file"], new_pepper(alone)
    both = {"pepper_file": new, "previous_pepper_file": old}
    projector = alone.add_region("eu")
    await alone.applied(await alone.publish(MALLORY))
    sidecar = Sidecar(alone)
    await eventually(sidecar.ready, within=60)
    projector.stop()
    alone.projector("eu", alone.stores["eu"].url, instance_id="rotated", **both)

    async def says_why() -> bool:
        return "previous_pepper_file" in await sidecar.error()

    await eventually(says_why, within=30)
    assert await sidecar.reason() == "not_ready"
    sidecar.restart(**both)
    await eventually(sidecar.ready, within=60)
    assert await sidecar.reason() == "user_disabled"


async def test_a_pepper_of_the_projector_alone_is_noticed_and_repaired(
    alone: Installation,
) -> None:
    """A flushed region begins with it: no revoked token passes, and no key remains."""
    first = alone.add_region("eu")
    sidecar = Sidecar(alone)
    await alone.applied(await alone.publish(MALLORY))
    await eventually(sidecar.ready, within=30)
    first.stop()
    await flush(alone.stores["eu"])
    wrong = alone.projector("eu", alone.stores["eu"].url, pepper_file=new_pepper(alone))

    async def says_why() -> bool:
        return "pepper" in await sidecar.error()

    await eventually(says_why, within=30)
    assert await sidecar.reason() == "not_ready"

    wrong.stop()
    alone.projector("eu", alone.stores["eu"].url, on_changed_settings="rebuild")
    await eventually(sidecar.ready, within=30)
    assert await sidecar.reason() == "user_disabled"


# Lifetimes ----------------------------------------------------------------------------


async def test_lifetimes_are_raised_while_tokens_are_revoked(
    alone: Installation,
) -> None:
    """Topics, authority, projectors by a rebuild, and verifiers last."""
    longer = {"max_token_lifetime_seconds": "7200"}
    projector = alone.add_region("eu")
    await alone.ready()
    sidecar = Sidecar(alone)
    await eventually(sidecar.ready, within=60)
    async with revoking(alone, sidecar) as load:
        await eventually(lambda: len(load.applied) > 15, within=60)
        # 1. The topics' default retention is longer than these need.
        alone.stations["authority"].stop()  # 2.
        alone.add_authority(**longer)
        projector.stop()  # 3.
        alone.projector(
            "eu",
            alone.stores["eu"].url,
            instance_id="longer",
            on_changed_settings="rebuild",
            **longer,
        )

        async def rebuilt() -> bool:
            async with alone.reader("eu") as reader:
                region = await reader.region()
            assert region.identity is not None
            lifetimes = region.identity.lifetimes
            longest = str(lifetimes.max_token_lifetime_seconds)
            return longest == "7200" and region.freshness.ready

        await eventually(rebuilt, within=60)
        sidecar.restart(**longer)  # 4.
        await eventually(sidecar.ready, within=60)
        count = len(load.applied)
        await eventually(lambda: len(load.applied) > count + 15, within=60)
    await all_refused(load, sidecar)


async def test_rebuild_repairs_a_region_on_demand(alone: Installation) -> None:
    """With the command's own settings, once a projector has them too."""
    first = alone.add_region("eu", max_token_lifetime_seconds="8")
    receipts = await alone.publish(MALLORY)

    async def begun() -> bool:
        async with alone.reader("eu") as reader:
            return bool((await reader.region()).marks)

    await eventually(begun, within=30)
    rebuild = alone.run("rebuild", ["rebuild", "eu"], regions=regions(alone))
    code, said = await first.ended()
    assert (code, "max_token_lifetime_seconds" in said) == (2, True)

    alone.projector("eu", alone.stores["eu"].url, instance_id="right")

    code, said = await rebuild.ended(within=60)
    assert (code, "eu is complete again" in said) == (0, True)
    await alone.applied(receipts)
    assert (await alone.find("eu", user("mallory"))).found
    assert MALLORY.data.user == "mallory"


async def test_rebuild_leaves_another_installations_store_alone(
    alone: Installation,
) -> None:
    """Unless an option says to take it over."""
    alone.add_region("eu")
    await alone.ready()
    url = alone.stores["eu"].url
    mistaken = f'{{"us": "{url}"}}'
    refused = alone.run("refused", ["rebuild", "us"], regions=mistaken)
    code, said = await refused.ended()
    assert (code, "region is eu in the region and us here" in said) == (2, True)
    assert "--take-over" in said
    assert (await alone.find("eu")).freshness.ready

    taken = alone.run("taken", ["rebuild", "us", "--take-over"], regions=mistaken)
    code, said = await alone.stations["projector-eu"].ended()
    assert (code, "region is us in the region and eu here" in said) == (2, True)
    alone.projector("us", url)
    code, said = await taken.ended(within=60)
    assert (code, "us is complete again" in said) == (0, True)


async def test_rebuild_without_a_projector_names_what_it_awaits(
    alone: Installation,
) -> None:
    alone.add_region("eu")
    await alone.ready()
    alone.stations["projector-eu"].stop()
    rebuild = alone.run(
        "rebuild", ["rebuild", "eu", "--timeout", "1"], regions=regions(alone)
    )
    code, said = await rebuild.ended()
    assert code == 3
    assert "check whether a projector runs with these settings" in said
