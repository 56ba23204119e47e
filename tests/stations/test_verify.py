"""`verify` of both verifiers: a token's own rules and revocations in one call.

Siblings: `unit/test_jwt*.py`, the rules one by one.
"""

import contextlib
import time

import pytest

from revocation import metrics
from revocation.decision import Reason, Verdict
from revocation.entries import Entry, Kind, Position, Status, Target
from revocation.jwt.authenticator import Authenticator
from revocation.jwt.jwks import KeyRing
from revocation.jwt.key_source import Pace
from revocation.jwt.trust import TrustedIssuer
from revocation.store.contract import Batch, Mark
from revocation.verifier import RemoteVerifier, Verifier
from revocation.verifier.base_verifier import VerifierParts
from revocation.verifier.tokens import Tokens
from revocation.verifier.verification import Verification
from tests.installation import eventually
from tests.stations.regions import now_ms
from tests.stations.test_verifier import RULES, cut_off, store_as_of
from tests.unit.tokens import AUDIENCE, ISSUER, jwk, key_for, key_set, mint

KEY, NEXT, FORGED = "key-1", "key-2", "forged"


def token(name="alice", *, kid=KEY, key=None):
    """Return a token of a minute ago; `key` signs it instead of the named key."""
    now = int(time.time())
    return mint(
        header={"kid": kid},
        key=key_for("ES256", key or kid),
        iat=now - 60,
        exp=now + 600,
        sub=name,
        jti=f"of-{name}",
    )


def from_ahead(**options):
    """Return a token dated half a minute ahead."""
    now = int(time.time())
    return mint(key=key_for("ES256"), iat=now + 30, exp=now + 600, **options)


def published(*kids):
    return key_set(*[jwk("ES256", kid) for kid in kids])


@pytest.fixture
def jwks(tmp_path):
    """The issuer's key set, which tests change."""
    path = tmp_path / "jwks.json"
    path.write_bytes(published(KEY))
    return path


@pytest.fixture(params=["replica", "remote"])
def over(request, jwks):
    """Open a verifier of each kind over a store."""

    @contextlib.asynccontextmanager
    async def open_one(store, **options):
        source = {"jwks_file": jwks, **options}
        issuer = TrustedIssuer(algorithms=("ES256",), audiences=(AUDIENCE,), **source)
        keys = KeyRing({ISSUER: issuer}, pace=Pace(between=0.01))
        tokens = Tokens(Authenticator({ISSUER: issuer}, RULES, keys), keys)
        parts = VerifierParts(store=store, rules=RULES, tokens=tokens)
        verifier = RemoteVerifier(parts)
        if request.param == "replica":
            verifier = Verifier(parts, store, peppers=(store.pepper,))
        async with verifier:
            yield verifier

    return open_one


def about(kind, name, **state):
    at = Position(0, 7, now_ms())
    return Entry(Target(kind, ISSUER, name), at, not_before=at.time, **state)


async def test_a_good_token_gives_its_claims(over):
    async with over(await store_as_of()) as verifier:
        verification = await verifier.verify_async(token(), route="write")
    assert verification
    assert verification.verdict.reason is Reason.ACTIVE
    assert verification.claims["sub"] == "alice"
    assert verification.kid == KEY


async def test_a_revoked_token_is_genuine_and_rejected(over):
    store = await store_as_of(0, about(Kind.USER, "alice"))
    async with over(store) as verifier:
        for _ in range(2):  # The second time its signature is cached.
            verification = await verifier.verify_async(token())
            assert not verification
            reason = verification.verdict.reason
            assert reason is Reason.ISSUED_BEFORE_CUT_OFF
            assert verification.verdict.receipt == "0-7"
        assert await verifier.verify_async(token("bob"))


async def test_a_verified_token_is_rejected_as_soon_as_it_is_revoked(over):
    """The cache holds a token's verified signature, never the verdict."""
    store = await store_as_of()
    async with over(store) as verifier:
        good = token()
        assert await verifier.verify_async(good)
        await store.apply("epoch", batch(about(Kind.TOKEN, "of-alice")))

        async def rejected():
            verification = await verifier.verify_async(good)
            return verification.verdict.reason is Reason.TOKEN_REVOKED

        await eventually(rejected, pause=0.001)


def batch(*entries):
    later = now_ms() + 900_000
    timed = [
        Entry(each.target, each.source, expires_at=later)
        if each.target.kind is Kind.TOKEN
        else each
        for each in entries
    ]
    return Batch(timed, {0: Mark(2, 2, now_ms(), 2, rebuilt=True)}, {})


async def test_a_forged_token_gives_no_claims(over):
    async with over(await store_as_of()) as verifier:
        verification = await verifier.verify_async(token(key=FORGED))
    assert verification.verdict.reason is Reason.SIGNATURE_INVALID
    assert verification.claims is None
    assert verification.verdict.detail


async def test_only_genuine_tokens_dated_ahead_are_counted(over):
    """Else a stranger could make an issuer's clock look wrong."""
    counted = metrics.TOKENS_FROM_AHEAD.labels(ISSUER)._value
    before = counted.get()
    async with over(await store_as_of()) as verifier:
        forged = await verifier.verify_async(f"{from_ahead()[:-8]}AAAAAAAA")
        assert counted.get() == before
        for _ in range(2):  # The second time its signature is cached.
            verification = await verifier.verify_async(from_ahead(jti="of-alice"))
            assert verification.verdict.reason is Reason.UNVERIFIABLE
    assert forged.verdict.reason is Reason.SIGNATURE_INVALID
    assert "s in the future" in verification.verdict.detail
    assert counted.get() == before + 2


async def test_resources_are_looked_up(over):
    store = await store_as_of(0, about(Kind.RESOURCE, "dataset:42"))
    async with over(store) as verifier:
        touched = await verifier.verify_async(token(), resources=["dataset:42"])
        other = await verifier.verify_async(token(), resources=["dataset:7"])
    assert touched.verdict.reason is Reason.RESOURCE_DELETED
    assert other


async def test_a_newly_published_key_is_fetched(over, jwks):
    """Rotation: both keys count, without waiting for the next scheduled fetch."""
    async with over(await store_as_of()) as verifier:
        jwks.write_bytes(published(KEY, NEXT))

        assert await eventually_verified(verifier, token(kid=NEXT))
        assert await verifier.verify_async(token(kid=KEY))


async def eventually_verified(verifier, made):
    async def verified():
        return bool(await verifier.verify_async(made))

    await eventually(verified, pause=0.01)
    return True


async def test_a_revoked_key_is_dropped_and_never_trusted_again(over, jwks):
    """Even if its issuer continues to publish it."""
    revoked = about(Kind.KEY, KEY, status=Status.DISABLED)
    store = await store_as_of()
    dropped = metrics.KEYS_DROPPED._value
    before = dropped.get()
    async with over(store) as verifier:
        made = token()
        assert await verifier.verify_async(made)
        jwks.write_bytes(published(KEY, NEXT))
        await store.apply("epoch", batch(revoked))

        async def rejected():
            return not await verifier.verify_async(made)

        await eventually(rejected, pause=0.001)
        await eventually(lambda: dropped.get() == before + 1, pause=0.001)
        reason = (await verifier.verify_async(token("bob"))).verdict.reason
        assert reason in {Reason.KEY_UNKNOWN, Reason.KEY_REVOKED}
        assert await eventually_verified(verifier, token(kid=NEXT))


async def test_a_revoked_key_causes_one_fetch_of_its_successor(over):
    """However often claims with its `kid` are presented."""
    store = await store_as_of(0, about(Kind.KEY, KEY, status=Status.DISABLED))
    now = int(time.time())
    times = {"iat": now - 60, "exp": now + 600}
    claims = {"iss": ISSUER, "sub": "alice", "jti": "of-alice", **times}
    async with over(store) as verifier:
        drops, drop = [], verifier._tokens.keys.drop
        verifier._tokens.keys.drop = lambda *key: drops.append(key) or drop(*key)
        for _ in range(5):
            verdict = await verifier.check_async(claims, kid=KEY)
            assert verdict.reason is Reason.KEY_REVOKED
    assert len(drops) <= 1


@pytest.mark.parametrize("over", ["replica"], indirect=True)
async def test_keys_are_scanned_only_if_one_was_revoked(over):
    """With the keys of thousands of tenants, every change would take long otherwise."""
    store, looks = await store_as_of(), []
    async with over(store) as verifier:
        keys, replica = verifier._tokens.keys, verifier._feed.replica
        known = keys.known
        keys.known = lambda: looks.append(1) or known()
        for name in ("bob", "carol"):
            entry = about(Kind.USER, name)
            await store.apply("epoch", batch(entry))
            await eventually(lambda target=entry.target: replica.holds(target))
        assert not looks
        await store.apply("epoch", batch(about(Kind.KEY, "another")))
        await eventually(lambda: looks)


async def test_a_new_key_with_a_known_kid_is_fetched(over, jwks):
    """Its issuer replaced it: a good token must not wait for the next fetch."""
    async with over(await store_as_of()) as verifier:
        assert await verifier.verify_async(token())
        jwks.write_bytes(key_set(jwk("ES256", NEXT, kid=KEY)))
        assert await eventually_verified(verifier, token(key=NEXT))
        assert not await verifier.verify_async(token())


async def test_without_any_key_the_verifier_is_not_ready(over):
    """A client must not discard its token for that."""
    nowhere = {"jwks_url": "http://127.0.0.1:1/", "allow_private_addresses": True}
    async with over(await store_as_of(), jwks_file=None, **nowhere) as verifier:
        verdict = (await verifier.verify_async(token())).verdict
    assert verdict.reason is Reason.NOT_READY
    assert "key" in verdict.detail


async def test_verify_returns_the_same_as_verify_async(jwks):
    store = await store_as_of(0, cut_off(Kind.USER, "nobody"))
    issuer = TrustedIssuer(jwks_file=jwks, algorithms=("ES256",), audiences=(AUDIENCE,))
    keys = KeyRing({ISSUER: issuer})
    tokens = Tokens(Authenticator({ISSUER: issuer}, RULES, keys), keys)
    parts = VerifierParts(store=store, rules=RULES, tokens=tokens)
    async with Verifier(parts, store, peppers=(store.pepper,)) as verifier:
        for made in (token(), token(key=FORGED), "no.token.atall"):
            at_once, waited = verifier.verify(made), await verifier.verify_async(made)
            assert at_once.verdict.reason is waited.verdict.reason
            assert at_once.claims == waited.claims


def test_a_printed_verification_shows_nothing_personal():
    verdict = Verdict(active=True, reason=Reason.ACTIVE, as_of=0, staleness_ms=0)
    known = Verification(verdict, {"sub": "zaphod", "iss": "idp"}, "zaphod")
    assert "zaphod" not in f"{known} {known!r}"
    assert repr(known).endswith(", 2 claims)")
    assert repr(Verification(verdict)).endswith(", no claims)")
