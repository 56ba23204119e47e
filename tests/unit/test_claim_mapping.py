"""The settings for an issuer's claims, and how tokens are read by them."""

import pytest
from pydantic import ValidationError

from revocation.claims.claim_mapping import ClaimMapping
from revocation.claims.claim_names import ClaimNames
from revocation.claims.claims import Rules, Token, read_token
from revocation.entries import Kind, Target
from tests.unit.strategies import CLAIMS, ISSUER

ENTRA = ClaimMapping(
    user_claim="oid",
    token_id_claim="uti",
    client_claims=["appid", "azp"],
    tenant_claim="tid",
    iat_backdated_seconds=300,
    max_token_lifetime_seconds=1_800,
)


def rules(mapping: ClaimMapping) -> Rules:
    return Rules(longest_token_ms=3_600_000, issuers={ISSUER: mapping.names})


def read(mapping: ClaimMapping, **claims: object) -> Token | str:
    return read_token({**CLAIMS, **claims}, rules(mapping))


def test_the_usual_mapping_has_no_version() -> None:
    assert ClaimMapping().names == ClaimNames()
    assert ClaimNames().version is None


def test_an_issuers_claims_name_what_can_be_revoked() -> None:
    own = {"oid": "u-2", "uti": "t-2", "azp": "c-2", "tid": "n-2"}
    token = read(ENTRA, **own)
    assert isinstance(token, Token)
    named = {target.kind: target.id for target in token.targets()}
    assert named[Kind.USER] == "u-2"
    assert named[Kind.TOKEN] == "t-2"
    assert named[Kind.TENANT] == "n-2"
    assert Target(Kind.CLIENT, ISSUER, "c-2") in token.targets()
    assert token.issued_at == CLAIMS["iat"] * 1_000 + 300_000
    assert token.longest == 1_801_000


def test_other_issuers_are_read_by_the_usual_names() -> None:
    other = "https://other.example"
    token = read_token({**CLAIMS, "iss": other}, rules(ENTRA))
    assert isinstance(token, Token)
    assert Target(Kind.USER, other, CLAIMS["sub"]) in token.targets()


@pytest.mark.parametrize("name", ["oid", "uti"])
def test_a_required_claim_may_be_declared_optional(name: str) -> None:
    own = {"oid": "u-2", "uti": "t-2", name: ...}
    claims = {key: value for key, value in own.items() if value is not ...}
    assert read(ENTRA, **claims) == f"the token has no `{name}` claim"
    values = {**ENTRA.model_dump(), "optional_claims": [name]}
    assert isinstance(read(ClaimMapping(**values), **claims), Token)


def test_an_issuer_without_token_ids_says_so() -> None:
    mapping = ClaimMapping(token_id_claim="")
    token = read(mapping, jti=["no id at all"])
    assert isinstance(token, Token)
    assert Kind.TOKEN not in {target.kind for target in token.targets()}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"user_claim": "jti"}, "two different things"),
        ({"version_claim": "sub"}, "two different things"),
        ({"client_claims": ["azp", "azp"]}, "two different things"),
        ({"optional_claims": ["tenant"]}, "optional_claims"),
        ({"user_claim": ""}, "user_claim"),
        ({"session_claims": ["a..b"]}, "empty part"),
        ({"iat_backdated_seconds": -1}, "iat_backdated_seconds"),
        ({"versions_claim": "ver"}, "versions_claim"),
    ],
)
def test_a_contradictory_mapping_is_refused(values: dict, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ClaimMapping(**values)
