"""An explanation has the verifier's answer, and all other faults besides."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from revocation.claims.claims import Rules
from revocation.decision import Freshness, Reason, StalenessPolicy, decide
from revocation.entries import Kind, UnixMs
from revocation.jwt.authenticator import Authenticated, Authenticator, Refusal
from revocation.jwt.explain import Explanation, PointState, explain
from revocation.jwt.findings import FOUND, FOUND_TIMES, shown
from revocation.jwt.token_rules import RULES as TOKEN_RULES, TIME_RULES, TokenFault
from tests.unit.test_jwt_laws import json_values, members, mutated, names
from tests.unit.tokens import (
    ALGORITHMS,
    CLAIMS,
    ISSUER,
    NOW,
    RULES,
    SECONDS,
    FixedKeys,
    header_of,
    issuer,
    jwk,
    key_for,
    key_set,
    mint,
    sign,
)

OPTIONS: list[dict[str, Any]] = [
    {},
    {"allow_untyped": True, "audience_claims": ("aud", "azp")},
    {"optional_claims": ("jti",), "version_claim": "ver", "iat_backdated_seconds": 300},
    {"token_id_claim": "", "session_claims": (), "max_token_lifetime_seconds": 60},
    {"tenant_claim": "org.id", "required_claims": ("scope",), "id_tokens": True},
    {"required_values": {"tenant": "acme"}, "max_token_bytes": 512},
    *({"preset": name} for name in ("okta", "entra", "cognito", "uaa")),
]
TRUSTED = [issuer(**each) for each in OPTIONS]
KEYS = [FixedKeys(key_set(jwk("ES256")), trusted) for trusted in TRUSTED]
CASES = list(zip(TRUSTED, KEYS, strict=True))
cases = st.sampled_from(CASES)
times = st.integers(-4_000, 4_000).map(lambda seconds: SECONDS + seconds) | json_values
named = st.text(max_size=5) | json_values
claims = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("iat", "exp", "nbf"), times),
        **dict.fromkeys(("sub", "jti", "sid", "azp", "tenant", "ver", "scope"), named),
        "aud": st.sampled_from(["other", [], ["other", CLAIMS["aud"]], 5]),
        "iss": st.just("https://other.example/") | json_values,
        "nonce": st.just("n"),
    },
)
left_out = st.lists(st.sampled_from(sorted(CLAIMS)), max_size=2)


def explained(token: Any, case: Any = CASES[0], *, now: UnixMs = NOW) -> Explanation:
    trusted, keys = case
    return explain(token, {ISSUER: trusted}, RULES, now, keys)


def judge(token: str, case: Any, now: UnixMs = NOW) -> TokenFault | None:
    """Return what verifiers say of a token, with nothing revoked."""
    trusted, keys = case
    found = Authenticator({ISSUER: trusted}, RULES, keys).authenticate(token, now)
    if isinstance(found, Refusal):
        return TokenFault(found.reason, found.detail)
    verdict = decide(
        found.token,
        {},
        Freshness(ready=True, as_of=now),
        policy=StalenessPolicy(),
        rules=RULES,
        now=now,
    )
    return None if verdict else TokenFault(verdict.reason, str(verdict.detail))


@given(claims, left_out, st.sampled_from(["at+jwt", "JWT", None]), cases)
def test_an_explanation_says_what_a_verifier_says(edits, missing, typ, case):
    edits = {**edits, **dict.fromkeys(missing, ...)}
    token = mint(header={"typ": typ}, **edits)
    assert explained(token, case).fault == judge(token, case)


@given(st.dictionaries(names, json_values, max_size=4), cases)
def test_whatever_claims_are_signed(edits, case):
    payload = json.dumps({**CLAIMS, **edits})
    token = sign(json.dumps(header_of()), payload, "ES256", key_for("ES256"))
    assert explained(token, case).fault == judge(token, case)


@given(st.dictionaries(members, json_values, max_size=3), cases)
def test_whatever_the_header_is(edits, case):
    header = json.dumps({**header_of(), **edits})
    token = sign(header, json.dumps(CLAIMS), "ES256", key_for("ES256"))
    assert explained(token, case).fault == judge(token, case)


@given(st.text() | mutated(mint()), cases)
def test_whatever_the_text_is(token, case):
    assert explained(token, case).fault == judge(token, case)


@given(st.integers(-10_000, 10_000), cases)
def test_whenever_it_is(seconds, case):
    token, now = mint(), UnixMs(NOW + seconds * 1_000)
    assert explained(token, case, now=now).fault == judge(token, case, now)


@given(st.dictionaries(names, named, max_size=4), left_out, cases)
def test_what_reaches_a_token_is_what_a_verifier_looks_up(edits, missing, case):
    trusted, keys = case
    token = mint(**{**CLAIMS, **edits, **dict.fromkeys(missing, ...)})
    who = Authenticator({ISSUER: trusted}, RULES, keys)
    found = who.authenticate(token, NOW)
    if isinstance(found, Authenticated):
        reached = {each.kind for each in explained(token, case).named if each.reached}
        assert reached == {target.kind for target in found.token.targets()}


def failing(found: Explanation) -> dict[str, list[Reason]]:
    told: dict[str, list[Reason]] = {}
    for each in found.points:
        if each.fault is not None:
            told.setdefault(each.about, []).append(each.fault.reason)
    return told


def test_every_fault_is_reported_and_not_only_the_first():
    token = mint(
        "RS256",
        header={"typ": "logout+jwt", "x5u": "https://other.example/"},
        aud="somebody",
        sub=...,
        jti=...,
        tenant=5,
        iat=SECONDS + 60,
        nbf=SECONDS + 1_000,
        exp=SECONDS + 9_000,
    )
    assert failing(explained(token)) == {
        "header": [Reason.MALFORMED],
        "alg": [Reason.ALGORITHM_REFUSED],
        "kind": [Reason.TYPE_REFUSED],
        "audience": [Reason.AUDIENCE_REFUSED],
        "required": [Reason.UNVERIFIABLE, Reason.UNVERIFIABLE],
        "names": [Reason.UNVERIFIABLE],
        "nbf": [Reason.NOT_YET_VALID],
        "lifetime": [Reason.LIFETIME_EXCEEDED],
        "signature": [Reason.KEY_UNKNOWN],
        "iat": [Reason.UNVERIFIABLE],
    }


def test_a_token_longer_than_its_issuers_is_explained_all_the_same():
    other = "https://other.example/"
    trusted = {ISSUER: issuer(max_token_bytes=256), other: issuer()}
    token, keys = mint(aud="somebody"), CASES[0][1]
    found = explain(token, trusted, RULES, NOW, keys)
    refused = Authenticator(trusted, RULES, keys).authenticate(token, NOW)
    assert isinstance(refused, Refusal)
    assert found.fault == TokenFault(refused.reason, refused.detail)
    assert list(failing(found)) == ["length", "audience"]


def test_a_claim_that_cannot_be_resolved_is_reported_once():
    trusted = issuer(tenant_claim="org.id", required_claims=("org.id",))
    found = explained(mint(org="acme"), (trusted, CASES[0][1]))
    assert failing(found) == {"required": [Reason.UNVERIFIABLE]}


@pytest.mark.parametrize("value", [..., "soon", None])
def test_times_that_cannot_be_read_are_not_judged(value):
    found = explained(mint(exp=value))
    (times,) = [each for each in found.points if each.about == "times"]
    assert times.state is PointState.NOT_LOOKED_AT
    assert failing(found).keys() <= {"required", "names"}
    assert len(failing(found)) == 1
    assert found.points[-1] == found.points[-1]._replace(
        about="signature", state=PointState.PASSES
    )


def test_without_keys_the_signature_is_not_looked_at():
    found = explain(mint(), {ISSUER: issuer()}, RULES, NOW)
    (signature,) = [each for each in found.points if each.about == "signature"]
    assert signature.state is PointState.NOT_LOOKED_AT
    assert found.fault is None


TWO = {ISSUER: issuer(), "https://two.example/": issuer()}


def test_a_token_of_an_untrusted_issuer_shows_only_its_issuer():
    found = explain(mint(iss="https://other.example/"), TWO, RULES, NOW)
    assert [each.about for each in found.points] == ["form", "issuer", "all else"]
    assert '"https://other.example/"' in found.points[1].found
    assert not found.named


@pytest.mark.parametrize("trusted", [TWO, {ISSUER: issuer()}])
def test_a_slash_too_few_is_named_and_all_else_looked_at(trusted):
    said = ISSUER.removesuffix("/")
    found = explain(mint(iss=said, aud="x", jti=...), trusted, RULES, NOW)
    assert list(failing(found)) == ["issuer", "audience", "required"]
    assert found.points[1].found.endswith("the slash at the end")
    assert not found.named


@pytest.mark.parametrize("said", ["https://other.example/", None, 5, ["x"], "a b"])
def test_the_only_trusted_issuer_judges_all_other_points(said):
    found = explained(mint(iss=said, exp=SECONDS - 100))
    assert next(iter(failing(found))) == "issuer"
    assert "exp" in failing(found)


def test_a_token_without_a_claim_is_out_of_reach_of_the_events_that_need_it():
    case = issuer(optional_claims=("jti",)), CASES[0][1]
    said = {
        event: each.found
        for each in explained(mint(jti=...), case).named
        for event in each.events
    }
    assert said["token.revoked"].endswith("the token has no `jti`")
    assert said["session.ended"].endswith("the token has no `sid`")
    assert said["user.logged_out"] == 'user "alice"'
    assert said["grant.revoked"] == 'user "alice", client "shop"'
    assert said["key.revoked"] == 'kid "key-1"'


def test_without_kid_it_is_the_key_that_a_revocation_names():
    (said,) = [
        each.found
        for each in explained(mint(header={"kid": None})).named
        if "key.revoked" in each.events
    ]
    assert said == "the key's `kid`, if it has one"


NONE_OF_SETS = (
    "OUT OF REACH until `exp`: the token lacks a claim of each set of "
    "`revocable_claims` (act.sub, azp with device)"
)


@pytest.mark.parametrize(
    ("sets", "claims", "told"),
    [
        ((), {}, "OUT OF REACH: no claim set is configured (`revocable_claims`)"),
        ((("act.sub",),), {"act": {"sub": "a 7"}}, 'claims "act.sub=a%207"'),
        (
            (("act.sub",), ("azp", "device")),
            {"device": ...},
            NONE_OF_SETS,
        ),
    ],
)
def test_the_ids_under_claim_sets_are_shown(sets, claims, told):
    rules = replace(RULES, revocable_claims=sets)
    found = explain(mint(**claims), {ISSUER: issuer()}, rules, NOW)
    (said,) = [each.found for each in found.named if each.kind is Kind.CLAIMS]
    assert said == told


@pytest.mark.parametrize("seconds", [0, 300])
def test_a_time_that_was_moved_says_so(seconds):
    trusted = {ISSUER: issuer(iat_backdated_seconds=seconds)}
    said = {
        each.about: each.found for each in explain(mint(), trusted, RULES, NOW).points
    }
    assert ("iat_backdated_seconds (300)" in said["iat"]) == bool(seconds)


def test_a_users_version_is_shown_or_what_its_absence_means():
    rules = Rules(longest_token_ms=3_600_000, clock_allowance_ms=7_000)
    trusted = issuer(version_claim="ver")
    assert explain(mint(ver=3), {ISSUER: trusted}, rules, NOW).version == "`ver` is 3"
    said = explain(mint(), {ISSUER: issuer()}, rules, NOW).version
    assert "within 7 s" in said


def test_every_rule_has_words_for_what_it_finds():
    assert FOUND.keys() == TOKEN_RULES.keys()
    assert FOUND_TIMES.keys() == {about for about, _ in TIME_RULES}


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_good_token_passes_each_point(alg):
    trusted = issuer(alg)
    keys = FixedKeys(key_set(jwk(alg)), trusted)
    found = explain(mint(alg), {ISSUER: trusted}, RULES, NOW, keys)
    assert {each.state for each in found.points} == {PointState.PASSES}
    assert [each.about for each in found.points] == [
        *("form", "issuer", "header", "alg", "kind", "audience", "required", "values"),
        *("names", "nbf", "exp", "lifetime", "signature", "iat"),
    ]


def test_a_value_cannot_draw_on_the_terminal():
    said = shown("\x1b[31mred\u202e\u0085")
    assert said.isascii()
    assert said.isprintable()
    assert len(shown("x" * 10_000)) < 300
