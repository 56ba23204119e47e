"""Which tokens are accepted, by their own rules, and what is cached of them."""

import json
import random
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType

import pytest

from revocation.claims.claims import Rules
from revocation.decision import Reason
from revocation.entries import Kind, Target, UnixMs
from revocation.jwt.authenticator import Authenticated, Authenticator, Refusal
from tests.unit.tokens import (
    ALGORITHMS,
    AUDIENCE,
    CLAIMS,
    ISSUER,
    NOW,
    RULES,
    SECONDS,
    FixedKeys,
    authenticator,
    header_of,
    issuer,
    jwk,
    key_for,
    key_set,
    mint,
    sign,
)


def refused(token, reason, who=None, now=NOW):
    found = (who or authenticator()).authenticate(token, now)
    assert isinstance(found, Refusal), found
    assert found.reason is reason, found
    return found.detail


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_token_that_the_issuer_signed_for_us_counts(alg):
    found = authenticator(alg).authenticate(mint(alg), NOW)
    assert isinstance(found, Authenticated)
    assert dict(found.claims) == CLAIMS
    assert (found.kid, found.issuer) == ("key-1", ISSUER)
    assert found.token.issued_at == CLAIMS["iat"] * 1_000
    assert found.expires_at == CLAIMS["exp"] * 1_000 + RULES.leeway_ms


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_token_that_another_key_signed_does_not(alg):
    token = mint(alg, key=key_for(alg, "key-2"))
    refused(token, Reason.SIGNATURE_INVALID, authenticator(alg))


@pytest.mark.parametrize("audience", [AUDIENCE, ["x", AUDIENCE], [AUDIENCE]])
def test_an_audience_may_be_one_or_several(audience):
    assert isinstance(
        authenticator().authenticate(mint(aud=audience), NOW), Authenticated
    )


@pytest.mark.parametrize(
    "audience",
    [
        *(..., None, "", [], "https://api.example", f"{AUDIENCE}x", {AUDIENCE: 1}),
        *([AUDIENCE, 5], [[AUDIENCE]], 5, True, AUDIENCE.upper(), [None]),
    ],
)
def test_a_token_for_somebody_else_does_not_count(audience):
    refused(mint(aud=audience), Reason.AUDIENCE_REFUSED)


@pytest.mark.parametrize(
    "name",
    [..., None, "", "https://IDP.example/", ISSUER[:-1], f"{ISSUER}x", 5, [ISSUER], {}],
)
def test_a_token_of_an_untrusted_issuer_is_refused(name):
    who = authenticator()
    refused(mint(iss=name), Reason.ISSUER_UNTRUSTED, who)
    assert who._keys.asked == []


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": SECONDS - 60}, Reason.EXPIRED),
        ({"exp": SECONDS - 1_000, "iat": SECONDS - 2_000}, Reason.EXPIRED),
        ({"nbf": SECONDS + 61}, Reason.NOT_YET_VALID),
        ({"nbf": 1e300}, Reason.NOT_YET_VALID),
        ({"exp": SECONDS + 3_541}, Reason.LIFETIME_EXCEEDED),
        ({"exp": 253_402_300_799}, Reason.LIFETIME_EXCEEDED),
    ],
)
def test_a_token_counts_between_its_times_only(claims, reason):
    refused(mint(**claims), reason)


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": SECONDS - 59},
        {"nbf": SECONDS + 60},
        {"exp": SECONDS + 3_540},
        {"exp": SECONDS + 60.5, "nbf": SECONDS - 0.5},
    ],
)
def test_the_leeway_is_part_of_its_times(claims):
    found = authenticator().authenticate(mint(**claims), NOW)
    assert isinstance(found, Authenticated)


def test_a_token_dated_ahead_is_left_to_decide():
    """`decide` says it, of genuine tokens; `test_ahead_laws.py` has both together."""
    who, token = authenticator(), mint(iat=SECONDS + 300)
    found = who.authenticate(token, NOW)
    assert found.token.issued_at == NOW + 300_000
    assert who.authenticate(token, NOW) is found


@pytest.mark.parametrize("claim", ["exp", "iat", "nbf"])
@pytest.mark.parametrize("value", ["1800000000", True, None, [1], {"a": 1}])
def test_a_time_is_a_number_of_seconds_and_nothing_else(claim, value):
    refused(mint(**{claim: value}), Reason.UNVERIFIABLE)


@pytest.mark.parametrize("claim", ["exp", "iat"])
@pytest.mark.parametrize("value", [-1, 1e12, 253_402_300_800, 1e300])
def test_a_time_lies_in_the_years_that_there_are(claim, value):
    refused(mint(**{claim: value}), Reason.UNVERIFIABLE)


@pytest.mark.parametrize("claim", ["exp", "iat", "sub", "jti"])
def test_a_token_without_what_a_check_needs_does_not_count(claim):
    detail = refused(mint(**{claim: ...}), Reason.UNVERIFIABLE)
    assert f"`{claim}`" in detail


def test_an_issuer_may_be_asked_for_more_claims():
    who = authenticator(required_claims=["acr"])
    assert "`acr`" in refused(mint(), Reason.UNVERIFIABLE, who)
    refused(mint(acr=""), Reason.UNVERIFIABLE, who)
    assert isinstance(who.authenticate(mint(acr="2"), NOW), Authenticated)


def test_a_name_that_no_event_could_say_is_refused():
    refused(mint(sub="x" * 513), Reason.UNVERIFIABLE)
    refused(mint(sub=5), Reason.UNVERIFIABLE)


def test_without_kid_the_issuer_must_have_one_key_for_the_algorithm():
    token = mint(header={"kid": None})
    alone = key_set(jwk("ES256"), jwk("ES384"))
    found = authenticator("ES256", "ES384", keys=alone).authenticate(token, NOW)
    assert found.kid == "key-1"
    assert Target(Kind.KEY, ISSUER, "key-1") in found.token.targets()
    two = key_set(jwk("ES256"), jwk("ES256", "key-2"))
    refused(token, Reason.KEY_UNKNOWN, authenticator(keys=two))


def test_a_refusal_names_the_issuer_whose_key_set_may_have_changed():
    found = authenticator().authenticate(mint(header={"kid": "new"}), NOW)
    assert (found.reason, found.issuer) == (Reason.KEY_UNKNOWN, ISSUER)


def test_a_key_that_became_stale_verifies_nothing():
    trusted = issuer()
    ring = FixedKeys(key_set(jwk("ES256")), trusted, until=NOW)
    who = Authenticator({ISSUER: trusted}, RULES, ring)
    assert isinstance(who.authenticate(mint(), UnixMs(NOW - 1)), Authenticated)
    refused(mint(), Reason.KEY_UNKNOWN, who)


def test_a_token_that_comes_again_is_remembered():
    who, token = authenticator(), mint()
    first = who.authenticate(token, NOW)
    assert who.authenticate("".join(list(token)), NOW) is first
    assert len(who._keys.asked) == 1


@pytest.mark.parametrize(
    ("claims", "later", "reason"),
    [
        ({}, 600_000, Reason.EXPIRED),
        ({"nbf": SECONDS}, -60_001, Reason.NOT_YET_VALID),
    ],
)
def test_a_token_that_is_remembered_is_still_judged_by_the_clock(claims, later, reason):
    who, token = authenticator(), mint(**claims)
    assert isinstance(who.authenticate(token, NOW), Authenticated)
    refused(token, reason, who, UnixMs(NOW + later))
    assert isinstance(who.authenticate(token, NOW), Authenticated)


def test_a_token_is_not_remembered_beyond_its_key():
    who, token = authenticator(), mint()
    assert isinstance(who.authenticate(token, NOW), Authenticated)
    who._keys.keys.pop().usable_until = 0
    refused(token, Reason.KEY_UNKNOWN, who)


def test_only_the_tokens_of_the_forgotten_key_are_verified_again():
    keys = key_set(jwk("ES256"), jwk("ES256", "key-2"))
    who = authenticator(keys=keys)
    first, second = mint(), mint(header={"kid": "key-2"}, key=key_for("ES256", "key-2"))
    kept = [who.authenticate(each, NOW) for each in (first, second)]
    who.forget(ISSUER, "key-1")
    who.forget("https://another.example/", "key-2")
    assert who.authenticate(first, NOW) is not kept[0]
    assert who.authenticate(second, NOW) is kept[1]


def test_what_is_refused_is_not_remembered():
    who = authenticator()
    for number in range(20):
        refused(mint(jti=str(number))[:-8] + "AAAAAAAA", Reason.SIGNATURE_INVALID, who)
    assert not who._young


def test_the_memory_is_bounded_and_keeps_what_is_used():
    who = authenticator("HS256", cache_size=8)
    used = mint("HS256", jti="used")
    kept = who.authenticate(used, NOW)
    for number in range(50):
        who.authenticate(mint("HS256", jti=str(number)), NOW)
        assert who.authenticate(used, NOW) is kept
        assert len(who._young) + len(who._old) <= 8


def test_many_threads_may_ask_at_once():
    who = authenticator("HS256", cache_size=8)
    tokens = [mint("HS256", jti=str(number)) for number in range(24)]

    def ask(seed):
        order = random.Random(seed).choices(tokens, k=400)
        found = [who.authenticate(each, NOW) for each in order]
        who.forget(ISSUER, "key-1")
        return all(isinstance(each, Authenticated) for each in found)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(ask, range(8)))


def test_no_memory_is_a_choice():
    who = authenticator(cache_size=0)
    assert who.authenticate(mint(), NOW) is not who.authenticate(mint(), NOW)
    assert not who._young


def test_the_memory_holds_no_token():
    who, token = authenticator(), mint()
    who.authenticate(token, NOW)
    (digest,) = who._young
    assert len(digest) == 32
    assert token not in repr(vars(who))


def test_what_was_verified_cannot_be_changed_by_a_caller():
    found = authenticator().authenticate(mint(list=[{"a": [1]}]), NOW)
    assert isinstance(found.claims, MappingProxyType)
    (inner,) = found.claims["list"]
    with pytest.raises(TypeError):
        inner["a"] = ()
    assert inner["a"] == (1,)


@pytest.mark.parametrize(
    "token",
    [*(None, b"a.b.c", 5, ["a.b.c"], object()), type("Text", (str,), {})(mint())],
)
def test_what_is_no_text_is_no_token(token):
    refused(token, Reason.MALFORMED)


def test_the_longest_token_is_the_issuers():
    who = authenticator(max_token_bytes=1_024)
    assert isinstance(who.authenticate(mint(), NOW), Authenticated)
    assert "long" in refused(mint(pad="x" * 800), Reason.MALFORMED, who)


def test_what_is_too_long_for_every_issuer_is_not_even_read():
    assert "long" in refused("x" * 8_193, Reason.MALFORMED)


def test_the_longest_token_of_one_issuer_is_not_another_ones():
    generous = issuer(max_token_bytes=8_192)
    strict = issuer(max_token_bytes=512)
    ring = FixedKeys(key_set(jwk("ES256")), strict)
    other = "https://other.example/"
    who = Authenticator({ISSUER: strict, other: generous}, RULES, ring)
    refused(mint(pad="x" * 400), Reason.MALFORMED, who)
    found = who.authenticate(mint(iss=other, pad="x" * 400), NOW)
    assert isinstance(found, Authenticated)


@pytest.mark.parametrize("claim", ["aud", "iss", "exp", "nbf", "typ"])
def test_a_detail_never_quotes_a_claim(claim):
    marked = "personal-data"
    who = authenticator(allow_untyped=True)
    token = mint(header={"typ": None}, **{"sub": marked, claim: marked})
    assert marked not in who.authenticate(token, NOW).detail


@pytest.mark.parametrize("member", ["kid", "typ", "alg"])
def test_a_detail_never_quotes_the_header(member):
    marked = "personal-data"
    header = json.dumps(header_of(**{member: marked}))
    token = sign(header, json.dumps(CLAIMS), "ES256", key_for("ES256"))
    assert marked not in authenticator().authenticate(token, NOW).detail


def test_the_installations_rules_are_kept():
    strict = Rules(longest_token_ms=60_000, leeway_ms=0)
    who = authenticator(rules=strict, required_claims=["tid"])
    refused(mint(), Reason.UNVERIFIABLE, who)
    refused(mint(tid="t"), Reason.LIFETIME_EXCEEDED, who)
    refused(mint(tid="t", exp=SECONDS), Reason.EXPIRED, who)
