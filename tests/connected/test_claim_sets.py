"""Revocable claims, from an event to the verdicts in services."""

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from revocation.entries import Kind, Target
from revocation.errors import ClaimsNotRevocableError
from revocation.events import ClaimsRevoked, encode
from revocation.kafka.clients import new_producer
from revocation.local import Kafka
from revocation.settings import KafkaSettings
from tests.connected.typed import has, publish, token, typed
from tests.guarantees.test_poison_is_parked import dead_letters
from tests.installation import Installation, eventually
from tests.traffic import ISSUER, SOURCE, claims, logged_out

pytestmark = [pytest.mark.connected, pytest.mark.timeout(120)]

SETS = ["device_id", "act.sub", ["azp", "device_id"], "groups"]


@pytest.fixture(scope="module")
def running(
    kafka: Kafka, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """One installation for all of these: a region, an authority and a sidecar."""
    folder = tmp_path_factory.mktemp("claim-sets")
    installation = Installation(folder, kafka.bootstrap_servers, partitions=4)
    installation.settings["revocable_claims"] = json.dumps(SETS)
    asyncio.run(installation.create_topics())
    installation.add_region("eu")
    installation.add_authority()
    asyncio.run(installation.ready())
    yield installation
    installation.stop()


def revoked(*, disable: bool | None = None, **named: Any) -> ClaimsRevoked:
    return ClaimsRevoked.new(
        source=SOURCE,
        issuer=ISSUER,
        claims={name.replace("__", "."): value for name, value in named.items()},
        disable=disable,
    )


def of(name: str, **more: Any) -> dict[str, object]:
    return claims(name, now=int(time.time()), **more)


async def test_one_event_cuts_off_an_agent_for_all_its_users(
    running: Installation,
) -> None:
    """RFC 8693: in services and in sidecars; users without the agent are unaffected."""
    agent = {"act": {"sub": "agent-7"}}
    users = [f"user-{number}" for number in range(5)]
    _, url = running.add_sidecar("eu")
    async with (
        running.verifier("eu") as verifier,
        httpx.AsyncClient(base_url=url, trust_env=False) as client,
    ):

        async def is_ready() -> bool:
            try:
                return (await client.get("/readyz")).status_code == 200
            except httpx.TransportError:
                return False

        async def reason(told: dict[str, object]) -> str:
            answer = await client.post("/v1/check", json={"claims": told})
            return str(answer.json()["reason"])

        await eventually(is_ready)
        assert all(verifier.check(of(name, **agent)) for name in users)
        receipts = await running.publish(revoked(act__sub="agent-7", disable=True))
        await running.applied(receipts)
        await eventually(lambda: not verifier.check(of("user-0", **agent)))
        for name in users:
            verdict = verifier.check(of(name, **agent), route="write")
            assert verdict.reason == "claims_revoked"
            assert verdict.receipt == str(receipts[0])
            assert verifier.check(of(name))
            assert verifier.check(of(name, act={"sub": "agent-8"}))
        await eventually(lambda: _is(reason(of("user-0", **agent)), "claims_revoked"))
        assert await reason(of("user-0")) == "active"

        enabled = await running.publish(revoked(act__sub="agent-7", disable=False))
        await running.applied(enabled)
        target = Target(Kind.CLAIMS, ISSUER, "act.sub=agent-7")
        entry = (await running.find("eu", target)).found[target]
        assert entry.status == "active"
        assert not verifier.check(of("user-0", **agent))


async def _is(asked: Any, expected: str) -> bool:
    return bool(await asked == expected)


async def test_devices_combinations_and_members_of_lists(running: Installation) -> None:
    receipts = await running.publish(
        revoked(device_id="stolen"),
        revoked(device_id="shared", azp="web"),
        revoked(groups="interns"),
        revoked(device_id=4711),
    )
    await running.applied(receipts)
    async with running.verifier("eu") as verifier:
        for rejected in (
            {"device_id": "stolen"},
            {"device_id": ["mine", "stolen"], "azp": "app"},
            {"device_id": "shared", "azp": "web"},
            {"groups": ["staff", "interns"]},
            {"device_id": "4711"},
            {"device_id": 4711},
        ):
            verdict = verifier.check(of("bob", **rejected))
            assert verdict.reason == "claims_revoked", rejected
        for passing in (
            {"device_id": "mine"},
            {"device_id": "shared", "azp": "app"},
            {"azp": "web"},
            {"groups": ["staff"]},
            {"groups": [f"group-{number}" for number in range(200)]},
            {"iss": "https://other.example/", "device_id": "stolen"},
        ):
            assert verifier.check(of("bob", **passing)), passing
        odd = verifier.check(of("bob", device_id={"id": "stolen"}))
        assert odd.reason == "unverifiable"


async def test_an_unknown_claim_set_is_refused_and_parked(
    running: Installation,
) -> None:
    """Our publisher refuses it at once; from others the authority parks it."""
    unknown = revoked(email="alice@idp.example")
    with pytest.raises(ClaimsNotRevocableError):
        await running.publish(unknown)
    settings = KafkaSettings(**running._typed())
    producer = new_producer(settings, client_id="tests")
    await producer.start()
    sent = await producer.send_and_wait(settings.topics.events, encode(unknown))
    await producer.stop()
    await running.applied(await running.publish(logged_out("later")))

    parked = await dead_letters(running)
    place = (sent.partition, sent.offset)
    assert parked[place] == (encode(unknown), "claims_not_revocable")


def test_a_parked_event_is_not_reported_as_applied(running: Installation) -> None:
    """As between two steps of a change, when the command has a claim set too early."""
    early = json.dumps([*SETS, "tenant_role"])
    words = ["claims-revoked", "--issuer", ISSUER, "--claims"]
    parked = publish(running, *words, "tenant_role=a", revocable_claims=early)
    applied = publish(running, *words, "device_id=early", revocable_claims=early)
    (receipt,) = parked.json["receipts"]
    assert (parked.code, parked.json["applied_ms"]) == (3, None)
    assert f"{receipt} (claims_not_revocable)" in parked.err
    assert (applied.code, "eu" in applied.json["applied_ms"]) == (0, True)


def test_the_commands_of_operators(running: Installation) -> None:
    words = ["--issuer", ISSUER, "--claims", "azp=web", "--claims", "device_id=a=b"]
    done = publish(running, "claims-revoked", *words, "--disable")
    assert done.code == 0, done.err
    assert has(running, Target(Kind.CLAIMS, ISSUER, "azp=web&device_id=a%3Db"))
    asked = token("bob", device_id="a=b", azp="web")
    checked = typed(running, "check", stdin=asked)
    assert (checked.code, "claims_revoked" in checked.out) == (3, True)

    refused = publish(running, "claims-revoked", "--issuer", ISSUER, "--claims", "x=y")
    assert refused.code == 1
    assert refused.err.startswith("claims_not_revocable: ")
    assert "azp with device_id" in refused.err
    misspelt = publish(running, "claims-revoked", "--issuer", ISSUER, "--claims", "x")
    assert misspelt.code == 2
    assert "NAME=VALUE" in misspelt.err


def test_a_line_with_an_unknown_claim_set_is_reported(
    running: Installation,
) -> None:
    lines = [revoked(device_id="line-1"), revoked(sub="alice"), logged_out("line-3")]
    stdin = b"\n".join(map(encode, lines))
    done = typed(running, "publish", "--file", "-", "--json", stdin=stdin)
    assert done.code == 1
    assert done.json["published"] == 2
    (refused,) = done.json["refused"]
    assert (refused["line"], refused["code"]) == (2, "claims_not_revocable")
