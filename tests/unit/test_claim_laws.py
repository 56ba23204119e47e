"""The fast path and the slow path read the same, whatever the claim names."""

from types import MappingProxyType
from typing import Any

from hypothesis import given, settings, strategies as st

from revocation.claims.claim_names import ClaimNames, put_claim
from revocation.claims.claims import Rules, Token, read_token
from tests.unit.strategies import CLAIMS, ISSUER, json_values

FLAT = ["sub", "uti", "sid", "cid", "tid"]
NESTED = ["act.sub", "act.id", "o.id", "a.b.c", r"x\.y", r"x\.y.z", "urn:x:id.1"]
name = st.sampled_from([*FLAT, *NESTED])
some = st.lists(name, max_size=2, unique=True).map(tuple)
claim_names = st.builds(
    ClaimNames,
    user=name,
    token_id=st.none() | name,
    sessions=some,
    clients=some,
    tenant=st.none() | name,
    version=st.none() | st.sampled_from(["ver", "gen.ver", r"v\.n"]),
    required=some,
    backdated_ms=st.sampled_from([0, 300_000]),
)
ids = st.sampled_from(["one", "two", "one", "two", "é", "x" * 300, ""])


@st.composite
def cases(draw: st.DrawFn) -> tuple[ClaimNames, dict[str, Any]]:
    """Names, and claims that mostly have what they name; now and then anything."""
    names = draw(claim_names)
    claims = {each: CLAIMS[each] for each in ("iss", "iat", "exp")}
    version = [] if names.version is None else [names.version]
    for each in {*names.identifiers, *names.required, *version}:
        how = draw(st.sampled_from(["id"] * 9 + ["whole name", "absent", "odd"]))
        value = draw(st.integers(0, 3) if each in version else ids)
        if how == "odd":
            value = draw(json_values)
        if how == "whole name":
            claims[each] = value
        elif how != "absent":
            _put(claims, each, value)
    return names, claims


def _put(claims: dict[str, Any], name: str, value: Any) -> None:
    try:
        put_claim(claims, name, value)
    except (TypeError, AttributeError):  # It leads through what is no object.
        claims[name] = value


@settings(max_examples=1_000)
@given(cases(), st.sampled_from([None, "", "key-1"]))
def test_one_look_and_a_closer_one_read_the_same(
    case: tuple[ClaimNames, dict[str, Any]], kid: str | None
) -> None:
    names, claims = case
    rules = Rules(longest_token_ms=3_600_000, issuers={ISSUER: names})
    # Of what is no dict a closer look is always taken.
    closer = read_token(MappingProxyType(claims), rules, kid=kid)
    assert read_token(claims, rules, kid=kid) == closer


@settings(max_examples=300)
@given(cases())
def test_what_is_named_is_looked_up(case: tuple[ClaimNames, dict[str, Any]]) -> None:
    """Each text under a name rejects the token, or the token is unverifiable."""
    names, claims = case
    rules = Rules(longest_token_ms=3_600_000, issuers={ISSUER: names})
    token = read_token(claims, rules)
    if isinstance(token, Token):
        looked_up = {target.id for target in token.targets()}
        for each in names.identifiers:
            found: Any = claims
            for part in _parts(each):
                found = found.get(part) if isinstance(found, dict) else None
            assert found in (None, "") or found in looked_up


def _parts(name: str) -> list[str]:
    if ":" in name:
        return [name]
    return [part.replace("\0", ".") for part in name.replace("\\.", "\0").split(".")]
