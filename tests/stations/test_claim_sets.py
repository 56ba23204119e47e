"""Revocable claims in both verifiers, over a store in memory."""

import time
from dataclasses import replace

import pytest

from revocation.decision import Freshness, Reason
from revocation.entries import Kind, UnixMs
from revocation.jwt.authenticator import Authenticator
from revocation.jwt.jwks import KeyRing
from revocation.jwt.trust import TrustedIssuer
from revocation.store.contract import Batch
from revocation.store.layout import encode_value, name
from revocation.verifier import RemoteVerifier, Verifier
from revocation.verifier.base_verifier import VerifierParts
from revocation.verifier.replica import Replica
from revocation.verifier.tokens import Tokens
from tests.installation import eventually
from tests.stations.regions import now_ms
from tests.stations.test_verifier import RULES, cut_off, store_as_of, token
from tests.unit.tokens import AUDIENCE, ISSUER, jwk, key_for, key_set, mint

SETS = (("act.sub",), ("azp", "device_id"), ("device_id",))
WITH_SETS = replace(RULES, revocable_claims=SETS)
DEVICE = {"device_id": "d-1"}


def with_replica(store, rules=WITH_SETS):
    return Verifier(
        VerifierParts(store=store, rules=rules),
        store,
        peppers=(store.pepper,),
        start_timeout_seconds=1,
    )


def remote(store, rules=WITH_SETS):
    return RemoteVerifier(VerifierParts(store=store, rules=rules))


@pytest.fixture(params=[with_replica, remote], ids=["replica", "remote"])
def over(request):
    """Make a verifier of each kind over a store."""
    return request.param


def revoked(id_, **state):
    return cut_off(Kind.CLAIMS, id_, **state)


def odd(**more):
    """Claims of a token that no event about a device could name."""
    return token(device_id={"id": "d-1"}, **more)


@pytest.mark.parametrize(
    ("id_", "claims", "other"),
    [
        ("device_id=d-1", DEVICE, {"device_id": "d-2"}),
        ("device_id=5", {"device_id": 5}, {"device_id": 6}),
        ("device_id=d-1", {"device_id": ["d-0", "d-1"]}, {"device_id": ["d-0"]}),
        ("act.sub=a", {"act": {"sub": "a"}}, {"act": {"sub": "b"}}),
        ("azp=web&device_id=d-1", {**DEVICE, "azp": "web"}, {**DEVICE, "azp": "app"}),
    ],
)
async def test_only_tokens_with_all_claims_of_the_set_are_rejected(
    over, id_, claims, other
):
    async with over(await store_as_of(0, revoked(id_))) as verifier:
        verdict = await verifier.check_async(token(**claims))
        assert verdict.reason is Reason.CLAIMS_REVOKED
        assert verdict.receipt == "0-7"
        assert await verifier.check_async(token(**other))
        assert await verifier.check_async(token())


async def test_a_check_that_waits_for_nothing_says_the_same():
    store = await store_as_of(0, revoked("device_id=d-1"))
    async with with_replica(store) as verifier:
        for claims in (DEVICE, {"device_id": "d-2"}, {"device_id": {}}, {}):
            waited = await verifier.check_async(token(**claims))
            for at_once in (
                verifier.check(token(**claims)),
                verifier.check_or_await(token(**claims)),
            ):
                assert (at_once.reason, at_once.entry) == (waited.reason, waited.entry)


async def test_a_verifier_without_claim_sets_looks_none_up(over):
    """Therefore it must not start in a region that has some."""
    async with over(await store_as_of(0, revoked("device_id=d-1")), RULES) as verifier:
        assert await verifier.check_async(token(**DEVICE))


async def test_a_claim_that_no_event_can_name_is_unverifiable(over):
    """With a replica, only once there is an entry that it might miss."""
    async with over(await store_as_of(0, revoked("device_id=d-9"))) as verifier:
        verdict = await verifier.check_async(odd())
        assert verdict.reason is Reason.UNVERIFIABLE
        assert verdict.detail == "no event can name the `device_id` claim"
        assert (await verifier.check_async(token(act=1))).reason is Reason.UNVERIFIABLE
    async with over(await store_as_of()) as verifier:
        looks = isinstance(verifier, RemoteVerifier)
        assert (await verifier.check_async(odd())).active is not looks


async def test_claims_are_read_only_while_some_entry_names_claims(monkeypatch):
    store, read = await store_as_of(), []
    async with with_replica(store) as verifier:
        reader = verifier._claim_reader
        original = reader.read
        monkeypatch.setattr(
            reader, "read", lambda claims: read.append(claims) or original(claims)
        )
        assert verifier.check(token(**DEVICE))
        assert not read
        await store.apply("epoch", Batch([revoked("device_id=d-1")], {}, {}))
        await eventually(lambda: not verifier.check(token(**DEVICE)))
        assert read


class Overtaken(Replica):
    """A replica that gets an entry while a check runs in a thread."""

    def find(self, token, now):
        entry = revoked("device_id=d-1")
        value = b"-1 " + encode_value(entry)
        self.put({name(entry.target, self._peppers[0]): value})
        self.advance(Freshness(ready=True, as_of=now))
        return super().find(token, now)


async def test_a_verdict_claims_no_lookup_that_was_not_made():
    """Else a token would pass as of a time after the event that revoked it."""
    async with with_replica(await store_as_of()) as verifier:
        replica = Overtaken((verifier._store.pepper,))
        replica.advance(Freshness(ready=True, as_of=UnixMs(now_ms() - 1_000)))
        known = replica.freshness.as_of
        verifier._feed.replica = replica
        verdict = verifier.check(token(**DEVICE))
        assert (verdict.active, verdict.as_of) == (True, known)
        later = verifier.check(token(**DEVICE))
        assert later.reason is Reason.CLAIMS_REVOKED
        assert later.as_of > known


async def test_resources_and_claims_are_looked_up_together(over):
    deleted = cut_off(Kind.RESOURCE, "dataset:42")
    store = await store_as_of(0, revoked("device_id=d-1"), deleted)
    async with over(store) as verifier:
        asked = {"resources": ["dataset:42"]}
        assert (
            await verifier.check_async(token(**DEVICE), **asked)
        ).reason is Reason.CLAIMS_REVOKED
        other = await verifier.check_async(token(device_id="d-2"), **asked)
        assert other.reason is Reason.RESOURCE_DELETED


# Tokens -------------------------------------------------------------------------------


def signed(**more):
    now = int(time.time())
    return mint(key=key_for("ES256"), iat=now - 60, exp=now + 600, **more)


@pytest.mark.parametrize("kind", ["replica", "remote"])
async def test_the_claims_of_a_signed_token_are_looked_up(kind, tmp_path):
    """Each time: a cached token may have been revoked since."""
    path = tmp_path / "jwks.json"
    path.write_bytes(key_set(jwk("ES256")))
    issuer = TrustedIssuer(algorithms=("ES256",), audiences=(AUDIENCE,), jwks_file=path)
    keys = KeyRing({ISSUER: issuer})
    tokens = Tokens(Authenticator({ISSUER: issuer}, WITH_SETS, keys), keys)
    store = await store_as_of()
    parts = VerifierParts(store=store, rules=WITH_SETS, tokens=tokens)
    agent, lists = signed(act={"sub": "a"}), signed(azp="web", device_id=["d-0", "d-1"])
    other, odd = signed(act={"sub": "b"}), signed(device_id={})
    verifier = RemoteVerifier(parts)
    if kind == "replica":
        verifier = Verifier(parts, store, peppers=(store.pepper,))
    async with verifier:
        assert await verifier.verify_async(agent)
        entries = [revoked("act.sub=a"), revoked("azp=web&device_id=d-1")]
        await store.apply("epoch", Batch(entries, {}, {}))

        async def is_rejected():
            return not await verifier.verify_async(agent)

        await eventually(is_rejected)
        for token_, reason in (
            (agent, Reason.CLAIMS_REVOKED),
            (lists, Reason.CLAIMS_REVOKED),
            (other, Reason.ACTIVE),
            (odd, Reason.UNVERIFIABLE),
        ):
            found = [await verifier.verify_async(token_)]
            if kind == "replica":
                found += [verifier.verify(token_), verifier.verify_or_await(token_)]
            assert {each.verdict.reason for each in found} == {reason}
