"""Claims that were made revocable: the setting, events, and what tokens name.

`tests/recipe/cases/combined_cases.py` has the cases that other languages share.
"""

from itertools import product
from types import MappingProxyType
from urllib.parse import unquote

import pytest
from hypothesis import example, given, strategies as st
from pydantic import TypeAdapter, ValidationError

from revocation.claims.claim_sets import (
    MAX_CLAIMS,
    MAX_COMBINATIONS,
    MAX_SETS,
    ClaimReader,
    RevocableClaims,
    claim_reader,
    claims_id,
    require_revocable_names,
)
from revocation.claims.claims import Rules, Token, read_token
from revocation.entries import Kind
from revocation.errors import ClaimsNotRevocableError
from revocation.settings import LimitSettings
from tests.unit.strategies import CLAIMS, json_values, revocable

DEVICE, ACTOR = ("device_id",), ("act.sub",)
BOTH = ("azp", "device_id")
SETS = (ACTOR, BOTH, DEVICE)


def read_setting(value):
    return TypeAdapter(RevocableClaims).validate_python(value)


def ids(claims, *sets):
    found = ClaimReader(sets).read(claims)
    return found if isinstance(found, str) else [*found]


# The setting --------------------------------------------------------------------------


def test_a_name_stands_for_the_set_of_it_alone_and_order_means_nothing(monkeypatch):
    given_sets = ["device_id", ["device_id", "azp"], "act.sub"]
    assert read_setting(given_sets) == SETS
    monkeypatch.setenv(
        "REVOCATION_REVOCABLE_CLAIMS", '[["azp", "device_id"], "act.sub", "device_id"]'
    )
    settings = LimitSettings()
    assert settings.revocable_claims == settings.rules.revocable_claims == SETS
    monkeypatch.delenv("REVOCATION_REVOCABLE_CLAIMS")
    assert LimitSettings().revocable_claims == ()


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("device_id", "tuple"),
        ([[]], "at least 1"),
        (["a..b"], "empty part"),
        (["a.b.c.d.e"], "more than 4 parts"),
        ([["a", "a"]], "a set names a claim twice"),
        (["a", ["a"]], "names a set twice"),
        ([["a", "b"], ["b", "a"]], "names a set twice"),
        ([[*"abcde"]], f"at most {MAX_CLAIMS}"),
        ([f"c{number}" for number in range(MAX_SETS + 1)], f"at most {MAX_SETS}"),
        ([5], "tuple"),
        (["\ud800"], "."),
    ],
)
def test_what_is_no_setting_is_refused(value, says):
    with pytest.raises(ValidationError, match=says):
        read_setting(value)


def test_as_many_sets_of_as_many_claims_as_there_may_be():
    sets = [[f"{name}{at}" for name in "abcd"] for at in range(MAX_SETS)]
    assert len(read_setting(sets)) == MAX_SETS


# Events -------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [["device_id"], ["device_id", "azp"], ["act.sub"]])
def test_an_event_may_be_about_exactly_a_set(names):
    require_revocable_names(names, SETS)


@pytest.mark.parametrize(
    "names", [["azp"], ["act.sub", "device_id"], [*BOTH, "act.sub"], ["act"]]
)
def test_an_event_about_part_of_a_set_or_more_is_refused(names):
    with pytest.raises(ClaimsNotRevocableError, match="azp with device_id"):
        require_revocable_names(names, SETS)
    with pytest.raises(ClaimsNotRevocableError, match="the sets are: none"):
        require_revocable_names(names, ())


@given(revocable)
@example({"a": "x=y&b=z", "b": "\0 /?é\U0001f511"})
def test_an_id_says_all_of_what_it_stands_for(claims):
    """So no two combinations are one, but for how numbers and booleans are written."""
    written = {name: _text(value) for name, value in claims.items()}
    pairs = [pair.split("=") for pair in claims_id(claims).split("&")]
    assert {unquote(name): unquote(value) for name, value in pairs} == written
    assert [name for name, _ in pairs] == sorted(name for name, _ in pairs)


def _text(value):
    return value if isinstance(value, str) else str(value).lower()


# Tokens -------------------------------------------------------------------------------


@given(revocable, st.dictionaries(st.sampled_from(["iss", "act", "b"]), json_values))
def test_a_token_with_all_claims_of_an_event_has_its_id(claims, more):
    """However the claims are nested, and whatever else the token holds."""
    token = {**more, **claims}
    if "act.sub" in token:
        token["act"] = {"sub": token.pop("act.sub")}
    assert ids(token, tuple(claims)) == [claims_id(claims)]


@given(revocable, st.data())
def test_a_token_that_lacks_one_claim_of_an_event_has_no_id(claims, data):
    lacking = data.draw(st.sampled_from([*claims]))
    nothing = data.draw(st.sampled_from([None, "", [], [None], ...]))
    token = {**claims, lacking: nothing}
    token = {name: value for name, value in token.items() if value is not ...}
    if "act.sub" in token:
        token["act"] = {"sub": token.pop("act.sub")}
    assert ids(token, tuple(claims)) == []


@given(revocable, st.sampled_from(["device_id", "a b"]), json_values)
def test_a_token_with_another_value_has_not_the_id(claims, name, other):
    token = {"device_id": "d-1", "a b": "x", name: other}
    found = ids(token, ("a b", "device_id"))
    if isinstance(found, str):
        assert name in found
        return
    event = {"device_id": "d-1", "a b": "x", name: claims.get(name, "d-1")}
    members = other if isinstance(other, list) else [other]
    same = {_text(event[name])} & {_text(each) for each in members if each is not None}
    if not same and not any(isinstance(each, float) for each in members):
        assert claims_id(event) not in found


@given(json_values, json_values)
def test_every_value_is_read_or_named_in_a_problem(one, other):
    """Never an error; what is remembered of one token is never taken for another's."""
    reader = claim_reader(SETS)
    for claims in ({"azp": one, "device_id": other, "act": one}, {"act": {"sub": one}}):
        found = reader.read(claims)
        assert found == ClaimReader(SETS).read(claims)
        assert not isinstance(found, str) or "`" in found


@pytest.mark.parametrize("values", [[1, True, 1.0], [True, 1], [0, False, "0"]])
def test_equal_values_of_different_types_have_different_ids(values):
    reader = ClaimReader([DEVICE])
    for value in values + values[::-1]:
        expected = f"device_id={'true' if value is True else ''}"
        (found,) = reader.read({"device_id": value})
        assert found.startswith(expected)
        assert found == ClaimReader([DEVICE]).read({"device_id": value})[0]


def test_lists_are_combined():
    token = {"groups": ["a", "b"], "azp": ["web", 5]}
    found = ids(token, ("azp", "groups"))
    assert found == [
        f"azp={azp}&groups={group}" for azp, group in product(("web", "5"), "ab")
    ]


@pytest.mark.parametrize(("count", "passes"), [(0, True), (1, False)])
def test_so_many_combinations_and_no_more(count, passes):
    token = {"groups": [*map(str, range(MAX_COMBINATIONS + count))]}
    found = ids(token, ("groups",))
    assert isinstance(found, list) is passes
    half = {"groups": token["groups"][: MAX_COMBINATIONS // 2 + count]}
    assert isinstance(ids(half, ("groups",), ("groups", "iss")), list)
    both = ids({**half, "iss": "x"}, ("groups",), ("groups", "iss"))
    assert isinstance(both, list) is passes


def test_a_product_that_would_not_fit_into_memory_is_never_made():
    names = ("a", "b", "c", "d")
    many = [*map(str, range(100_000))]
    token = dict.fromkeys(names, many)
    assert "combinations" in ids(token, names)


def test_claims_that_cannot_be_changed_are_read_alike():
    frozen = MappingProxyType(
        {"act": MappingProxyType({"sub": "a"}), "azp": ("x", "y"), "device_id": "d"}
    )
    plain = {"act": {"sub": "a"}, "azp": ["x", "y"], "device_id": "d"}
    assert ids(frozen, *SETS) == ids(plain, *SETS) != []


def test_memory_of_texts_is_bounded(monkeypatch):
    monkeypatch.setattr("revocation.claims.claim_sets._CACHE_SIZE", 8)
    reader = ClaimReader([DEVICE, ACTOR])
    for number in range(100):
        assert reader.read({"device_id": f"d-{number}"})
        assert len(reader._known) <= 8


def test_memory_of_lists_is_bounded_and_what_cannot_be_named_is_not_kept(monkeypatch):
    monkeypatch.setattr("revocation.claims.claim_sets._CACHE_SIZE", 8)
    reader = ClaimReader([BOTH])
    for number in range(100):
        assert reader.read({"azp": "web", "device_id": [f"{number}", "d"]})
        assert sum(len(devices) for _, devices in reader._known) <= 8
        assert reader.read({"device_id": [f"{number}", "d", "e"]}) == ()
        assert sum(len(devices) for _, devices in reader._known) <= 8
    reader = ClaimReader([BOTH])
    assert reader.read({"device_id": "x" * 513}) == ()
    assert reader.read({"device_id": ["x" * 513]}) == ()
    assert not reader._known


def test_only_the_claims_that_sets_need_are_picked():
    token = {
        "act": {"sub": "a", "email": "x@example"},
        "azp": ["web"],
        "device_id": "d",
        "email": "x@example",
        "https://app.example/dept.id": "7",
    }
    assert ClaimReader([ACTOR, DEVICE]).pick(token) == {
        "act": {"sub": "a"},
        "device_id": "d",
    }
    uri = ("https://app.example/dept.id",)
    for sets in ([uri], [BOTH], [(*ACTOR, "nothing")]):
        reader = ClaimReader(sets)
        assert reader.read(reader.pick(token)) == reader.read(token)
    assert ClaimReader([(*ACTOR, "nothing")]).pick(token) == {}


# Rules --------------------------------------------------------------------------------


def test_a_token_is_read_with_what_it_names_of_the_rules_sets():
    rules = Rules(longest_token_ms=1, revocable_claims=(DEVICE,))
    token = read_token({**CLAIMS, "device_id": "d-1"}, rules, resources=["a:b"])
    assert isinstance(token, Token)
    assert token.more == ((Kind.CLAIMS, "device_id=d-1"), (Kind.RESOURCE, "a:b"))
    assert read_token(CLAIMS, rules).more == ()
    problem = read_token({**CLAIMS, "device_id": {}}, rules)
    assert problem == "no event can name the `device_id` claim"


def test_a_problem_never_shows_a_value():
    for value in ({"secret": 1}, "secret" * 100, ["secret", []], 0.5):
        said = ids({"device_id": value}, DEVICE)
        assert "secret" not in said
        assert "0.5" not in said
    for claims in ({"act": "secret"}, {"act": {"sub": "a"}, "act.sub": "secret"}):
        assert "secret" not in ids(claims, ACTOR)
