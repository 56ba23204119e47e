"""The targets that a claims set names, and what makes a token unverifiable."""

from collections import ChainMap
from dataclasses import replace
from types import MappingProxyType

import pytest
from hypothesis import given, strategies as st

from revocation.claims.claims import Token, read_token
from revocation.entries import Kind, Target, grant_id
from revocation.topics import record_key
from tests.unit.strategies import (
    CLAIMS,
    ISSUER,
    NAMES,
    NOW,
    RULES,
    json_values,
    odd_claims,
)

EVERYTHING = [
    (Kind.KEY, "k1"),
    (Kind.ISSUER, ISSUER),
    (Kind.TENANT, "acme"),
    (Kind.CLIENT, "shop"),
    (Kind.USER, "alice"),
    (Kind.GRANT, "shop|alice"),
    (Kind.SESSION, "session-1"),
    (Kind.TOKEN, "token-1"),
    (Kind.RESOURCE, "dataset:42"),
    (Kind.CLAIMS, "client_id=shop&tenant=acme"),
]


def targets_of(claims, rules=RULES, **asked):
    return read_token(claims, rules, **asked).targets()


def named(claims, rules=RULES, **asked):
    return {(each.kind, each.id) for each in targets_of(claims, rules, **asked)}


def problem(claims, rules=RULES, **asked):
    token = read_token(claims, rules, **asked)
    return token if isinstance(token, str) else None


def test_a_token_names_all_that_may_reject_it():
    found = targets_of(CLAIMS, RULES, kid="k1", resources=["dataset:42"])
    assert set(found) == {Target(kind, ISSUER, name) for kind, name in EVERYTHING}
    assert len(found) == len(EVERYTHING)


@pytest.mark.parametrize("wrap", [dict, MappingProxyType, ChainMap])
def test_any_mapping_is_a_claims_set(wrap):
    assert read_token(wrap(CLAIMS), RULES) == read_token(CLAIMS, RULES)


def test_what_is_absent_is_not_looked_up():
    times = {"iat": 1, "exp": 2}
    claims = {"iss": ISSUER, "jti": "token-1", "sid": "", "tenant": None, **times}
    rules = replace(RULES, names=replace(NAMES, required=()))
    assert named(claims, rules) == {(Kind.ISSUER, ISSUER), (Kind.TOKEN, "token-1")}


@pytest.mark.parametrize(
    ("client_id", "azp", "clients"),
    [
        ("shop", None, {"shop"}),
        (None, "shop", {"shop"}),
        ("", "shop", {"shop"}),
        ("shop", "shop", {"shop"}),
        ("shop", "bank", {"shop", "bank"}),
    ],
)
def test_a_client_is_named_by_oauth_or_openid_connect(client_id, azp, clients):
    claims = {**CLAIMS, "client_id": client_id, "azp": azp}
    ids = [each.id for each in targets_of(claims, RULES) if each.kind is Kind.CLIENT]
    assert sorted(ids) == sorted(clients)
    grants = {name for kind, name in named(claims) if kind is Kind.GRANT}
    assert grants == {grant_id("alice", client) for client in clients}


def test_a_grant_needs_a_user_and_a_client():
    for absent in "sub", "client_id":
        rules = replace(RULES, names=replace(NAMES, required=()))
        kinds = {kind for kind, _ in named({**CLAIMS, absent: None}, rules)}
        assert Kind.GRANT not in kinds


def test_the_tenants_claim_is_as_configured():
    rules = replace(RULES, names=replace(NAMES, tenant="org"))
    assert (Kind.TENANT, "acme") not in named(CLAIMS, rules)
    assert (Kind.TENANT, "acme") in named({**CLAIMS, "org": "acme"}, rules)


@given(odd_claims(), json_values, st.lists(json_values, max_size=3))
def test_whatever_is_named_can_be_looked_up(claims, kid, resources):
    token = read_token(claims, RULES, kid=kid, resources=resources)
    if isinstance(token, Token):
        for target in token.targets():
            assert record_key(target)
            assert target.id


@given(odd_claims())
def test_a_claim_is_looked_up_or_absent_or_reported(claims):
    """Nothing that might reject the token is silently left out."""
    if problem(claims) is None:
        ids = {each.id for each in targets_of(claims, RULES)}
        names = ["iss", "sub", "jti", "sid", "client_id", "azp", "tenant"]
        wanted = [claims.get(name) for name in names]
        assert ids.issuperset(value for value in wanted if value not in (None, ""))


UNNAMEABLE = [5, True, ["x"], {"x": 1}, 1.5, "x" * 513, "\ud800", 0, False, [], {}]


@pytest.mark.parametrize("name", ["sub", "jti", "sid", "client_id", "azp", "tenant"])
@pytest.mark.parametrize("value", UNNAMEABLE)
def test_a_claim_that_no_event_can_name_is_reported(name, value):
    assert f"`{name}`" in problem({**CLAIMS, name: value})
    required = replace(RULES, names=replace(NAMES, required=()))
    assert f"`{name}`" in problem({**CLAIMS, name: value}, required)


@pytest.mark.parametrize("value", [*UNNAMEABLE, "", None, "a|b", "a b", "é"])
def test_an_issuer_that_no_event_can_name_is_reported(value):
    assert "`iss`" in problem({**CLAIMS, "iss": value})
    required = replace(RULES, names=replace(NAMES, required=()))
    assert "`iss`" in problem({**CLAIMS, "iss": value}, required)


@pytest.mark.parametrize("value", UNNAMEABLE)
def test_a_kid_that_no_event_can_name_is_reported(value):
    assert "`kid`" in problem(CLAIMS, kid=value)


@pytest.mark.parametrize("value", [*UNNAMEABLE, "", None, "42", "dataset:", ":42"])
def test_a_resource_that_no_event_can_name_is_reported(value):
    """A slip such as `42` for `dataset:42` would protect nothing, unnoticed."""
    assert "resource" in problem(CLAIMS, resources=["dataset:1", value])


def test_absent_optional_claims_are_fine():
    for name in "sid", "client_id", "azp", "tenant", "ver":
        assert problem({**CLAIMS, name: None}) is None
    for name in "sid", "client_id", "azp", "tenant":
        assert problem({**CLAIMS, name: ""}) is None
    assert problem(CLAIMS, kid="") is None


@pytest.mark.parametrize("name", ["iss", "sub", "iat", "exp", "jti"])
@pytest.mark.parametrize("absent", [None, "", "missing"])
def test_a_required_claim_must_be_there(name, absent):
    claims = {**CLAIMS, name: absent}
    if absent == "missing":
        del claims[name]
    assert problem(claims) == f"the token has no `{name}` claim"


@pytest.mark.parametrize("name", ["iat", "exp"])
def test_times_are_required_even_when_not_configured(name):
    rules = replace(RULES, names=replace(NAMES, required=()))
    claims = {**CLAIMS, name: None}
    assert problem(claims, rules) == f"the token has no `{name}` claim"


def test_a_version_of_nothing_revoked_is_one():
    rules = replace(RULES, names=replace(NAMES, required=("ver",)))
    assert problem({**CLAIMS, "ver": 0}, rules) is None


def test_more_claims_can_be_required():
    rules = replace(RULES, names=replace(NAMES, required=("scope",)))
    assert problem(CLAIMS, rules) == "the token has no `scope` claim"


@pytest.mark.parametrize("odd", [{"org": "acme"}, {"org": {"id": 1}, "org.id": 1}])
def test_a_required_claim_that_cannot_be_read_is_not_there(odd):
    rules = replace(RULES, names=replace(NAMES, required=("org.id",)))
    assert problem({**CLAIMS, "org": {"id": 1}}, rules) is None
    assert "`org.id`" in str(problem({**CLAIMS, **odd}, rules))


@pytest.mark.parametrize("name", ["iat", "exp"])
@pytest.mark.parametrize(
    "value",
    [
        *("1800000000", True, [1], {"x": 1}),
        *(float("nan"), float("inf"), float("-inf"), 1e308),
        *(-1, -0.5, 10**400, NOW),
    ],
)
def test_a_time_must_be_one(name, value):
    message = f"the `{name}` claim is not a time in seconds"
    assert problem({**CLAIMS, name: value}) == message


@pytest.mark.parametrize("value", ["3", 3.0, True, [3], float("nan")])
def test_a_version_must_be_a_whole_number(value):
    assert problem({**CLAIMS, "ver": value}) == "the `ver` claim is not a whole number"


@pytest.mark.parametrize("claims", [None, 5, "iss", [], ["iss"], b"{}"])
def test_other_json_than_a_claims_set_is_reported(claims):
    assert problem(claims) == "the claims are not a JSON object"


@given(odd_claims(), json_values, st.lists(json_values, max_size=2))
def test_a_problem_never_quotes_a_value(claims, kid, resources):
    fixed = {
        *("the claims are not a JSON object", "no event can name the `kid`"),
        "no event can name a requested resource: it is not `type:id`",
        "the `ver` claim is not a whole number",
    }
    for name in [*CLAIMS, "azp"]:
        fixed |= {
            f"the token has no `{name}` claim",
            f"no event can name the `{name}` claim",
            f"the `{name}` claim is not a time in seconds",
        }
    assert problem(claims, kid=kid, resources=resources) in {None, *fixed}


class Odd(dict):
    """A mapping that is read thoroughly: the quick way is for plain dicts."""


@given(odd_claims(), st.none() | json_values)
def test_the_quick_way_finds_what_the_thorough_one_does(claims, kid):
    if isinstance(claims, dict):
        quick = read_token(claims, RULES, kid=kid)
        assert quick == read_token(Odd(claims), RULES, kid=kid)
