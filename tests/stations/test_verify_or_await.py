"""`check_or_await` and `verify_or_await`: at once, unless a fallback is needed."""

import inspect

import pytest

from revocation.decision import (
    DEFAULT_POLICIES,
    Beyond,
    Reason,
    StalenessPolicy,
    Verdict,
)
from revocation.entries import Kind
from revocation.errors import SettingsError
from tests.installation import eventually
from tests.stations.sidecars import published, signed, verifier_of
from tests.stations.test_verifier import (
    counted,
    cut_off,
    store_as_of,
    token,
    with_replica,
)

POLICIES = {
    **DEFAULT_POLICIES,
    "payment": StalenessPolicy(max_staleness_ms=1_000, beyond=Beyond.INTROSPECT),
}
REGION = {"policies": POLICIES}


class Silent:
    """A fallback without an answer."""

    async def start(self):
        """Begin."""

    async def stop(self):
        """End."""

    async def ask(self, question, *, policy, rules, now, skew_ms=0):
        return None


@pytest.fixture
def jwks(tmp_path):
    path = tmp_path / "jwks.json"
    path.write_bytes(published())
    return path


@pytest.mark.parametrize("fallback", [None, Silent()], ids=["alone", "fallback"])
@pytest.mark.parametrize("age_ms", [0, 30_000])
@pytest.mark.parametrize("route", ["read", "write", "payment"])
async def test_the_answer_is_that_of_the_call_that_waits(jwks, fallback, age_ms, route):
    store = await store_as_of(age_ms, cut_off(Kind.USER, "alice"))
    verifier = verifier_of(store, jwks, fallback=fallback, **REGION)
    waits = fallback is not None and age_ms > 0 and route == "payment"
    async with verifier:
        for name in ("alice", "bob"):
            for kind, asked in (("verify", signed(name)), ("check", token(name))):
                soon = getattr(verifier, f"{kind}_or_await")(asked, route=route)
                assert inspect.isawaitable(soon) == waits
                one = await soon if waits else soon
                other = await getattr(verifier, f"{kind}_async")(asked, route=route)
                assert ageless(one) == ageless(other)


def ageless(answer):
    """Return a verdict or a verification without the fields that change with time."""
    if isinstance(answer, Verdict):
        return answer._replace(staleness_ms=0)
    return answer._replace(verdict=ageless(answer.verdict))


@pytest.mark.parametrize("age_ms", [0, 30_000])
async def test_a_verdict_is_counted_once(jwks, age_ms):
    verifier = verifier_of(await store_as_of(age_ms), jwks, fallback=Silent(), **REGION)
    reason = Reason.ACTIVE if age_ms == 0 else Reason.STALE
    stale = age_ms > 0
    before = counted(reason, "payment", stale=stale)
    async with verifier:
        for soon in (
            verifier.verify_or_await(signed(), route="payment"),
            verifier.check_or_await(token(), route="payment"),
        ):
            if inspect.isawaitable(soon):
                await soon
    assert counted(reason, "payment", stale=stale) == before + 2


async def test_without_introspection_no_check_waits(jwks):
    verifier = verifier_of(await store_as_of(30_000), jwks, fallback=Silent(), **REGION)
    async with verifier:
        soon = verifier.check_or_await(token(), route="payment", introspect=False)
    assert soon.reason is Reason.STALE


async def test_a_missing_key_is_awaited(jwks):
    async with verifier_of(await store_as_of(), jwks) as verifier:
        soon = verifier.verify_or_await(signed(kid="key-2"))
        assert (await soon).verdict.reason is Reason.KEY_UNKNOWN


@pytest.mark.parametrize("ask", ["verify", "verify_or_await", "verify_async"])
@pytest.mark.parametrize("stranger", [{"kid": "key-2"}, {"key": "key-9"}])
async def test_strangers_cause_one_fetch_of_the_keys_only(jwks, ask, stranger):
    """Whether they invent kids or signatures, and whichever method is called."""
    store = await store_as_of()
    async with verifier_of(store, jwks, between_seconds=3_600) as verifier:
        (source,) = verifier._tokens.keys._sources.values()
        source._not_before = 0
        read, reads = source._read, []
        source._read = lambda: reads.append(1) or read()
        for _ in range(20):
            answer = getattr(verifier, ask)(signed(**stranger))
            if inspect.isawaitable(answer):
                assert not reads or ask == "verify_async"
                answer = await answer
            assert not answer
        await eventually(lambda: len(reads) == 1, pause=0.001)
    assert len(reads) == 1


async def test_genuine_tokens_never_wait_for_keys(jwks):
    async with verifier_of(await store_as_of(), jwks) as verifier:
        (source,) = verifier._tokens.keys._sources.values()
        source._not_before = 0
        assert verifier.verify_or_await(signed())
        assert source.too_soon() is False, "nobody has asked"


@pytest.mark.parametrize("wrong", ["", "a.b.c", signed(aud="other"), signed(iss="x:y")])
async def test_a_token_that_no_key_could_verify_is_refused_at_once(jwks, wrong):
    async with verifier_of(await store_as_of(), jwks) as verifier:
        assert not verifier.verify_or_await(wrong)


async def test_a_missing_region_uses_the_fallback_as_well(jwks):
    store = await store_as_of()
    verifier = verifier_of(store, jwks, fallback=Silent(), **REGION)
    assert verifier.check_or_await(token()).reason is Reason.NOT_READY
    soon = verifier.check_or_await(token(), route="payment")
    assert (await soon).reason is Reason.NOT_READY


async def test_errors_are_the_same():
    async with with_replica(await store_as_of()) as verifier:
        with pytest.raises(SettingsError, match="no policy for route class"):
            verifier.check_or_await(token(), route="wirte")
        with pytest.raises(SettingsError, match="no issuers are configured"):
            verifier.verify_or_await(signed())
