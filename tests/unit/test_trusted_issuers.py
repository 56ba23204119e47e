"""The setting `issuers`: presets applied, and templates for many tenants."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from revocation.jwt.authenticator import Authenticated, Authenticator, Refusal
from revocation.jwt.trusted_issuers import TrustedIssuer, TrustedIssuers
from tests.unit.issuer_tokens import CLIENT, RULES, SAMPLES
from tests.unit.tokens import NOW, FixedKeys, jwk, key_set

ADAPTER: TypeAdapter[dict[str, TrustedIssuer]] = TypeAdapter(TrustedIssuers)
PLACE = "https://login.example/{tid}/v2.0"
FUSION = "https://auth.example/{tid}"
OPTIONS: dict[str, Any] = {
    "algorithms": ["RS256"],
    "audiences": ["api://orders"],
    "jwks_url": "https://login.example/{tid}/keys",
}


def read(name: str, **options: Any) -> dict[str, TrustedIssuer]:
    return ADAPTER.validate_python({name: {**OPTIONS, **options}})


def test_a_template_stands_for_each_tenant_that_is_listed() -> None:
    found = read(PLACE, tenants=["acme", "umbrella"], required_values={"idtyp": "app"})
    assert sorted(found) == [
        "https://login.example/acme/v2.0",
        "https://login.example/umbrella/v2.0",
    ]
    acme = found["https://login.example/acme/v2.0"]
    assert acme.jwks_url == "https://login.example/acme/keys"
    assert acme.required_values == {"idtyp": "app", "tid": "acme"}


@pytest.mark.parametrize(
    ("name", "tenants", "said"),
    [
        (PLACE, None, "list the trusted tenants"),
        (PLACE, [], "list the trusted tenants"),
        (PLACE, "acme", "list the trusted tenants"),
        *[(PLACE, [each], "wildcards") for each in ("*", "", "a/b", "a b", "{tid}", 5)],
        ("https://login.example/{}/v2.0", ["acme"], "no claim in its braces"),
        ("https://login.example/{a}/{b}", ["acme"], "one claim in braces"),
        ("https://login.example/{tid", ["acme"], "one claim in braces"),
        ("https://login.example/acme", ["acme"], "no placeholder for them"),
        (PLACE, ["acme", "acme"], "named twice"),
    ],
)
def test_a_template_without_trusted_tenants_is_refused(
    name: str, tenants: Any, said: str
) -> None:
    options = {} if tenants is None else {"tenants": tenants}
    with pytest.raises(ValidationError, match=said):
        read(name, **options)


def test_a_preset_fills_in_what_is_not_set() -> None:
    name = "https://dev-1.okta.com/oauth2/default"
    given = {"preset": "okta", "audiences": ["api://orders"]}
    found = ADAPTER.validate_python({name: given})[name]
    assert found.client_claims == ("cid",)
    assert found.version_claim == ""
    assert found.jwks_url == f"{name}/v1/keys"
    own = {**given, "client_claims": ["appid"], "jwks_url": "https://keys.example/"}
    found = ADAPTER.validate_python({name: own})[name]
    assert found.client_claims == ("appid",)
    assert found.jwks_url == "https://keys.example/"


def test_what_a_value_is_for_is_not_lost_beside_ones_own() -> None:
    """The preset's value tells FusionAuth's access tokens from its ID tokens."""
    given = {"preset": "fusionauth", "audiences": [CLIENT]}
    expected = {"tty": "at", "tid": "acme"}
    own = {**given, "required_values": {"tid": "acme"}}
    template = {**given, "tenants": ["acme"]}
    for name, options in ((FUSION.format(tid="acme"), own), (FUSION, template)):
        (found,) = ADAPTER.validate_python({name: options}).values()
        assert found.required_values == expected
    own["required_values"] = {"tty": "jwt"}
    (found,) = ADAPTER.validate_python({FUSION.format(tid="acme"): own}).values()
    assert found.required_values == {"tty": "jwt"}


def test_an_id_token_of_a_tenant_is_not_an_access_token() -> None:
    given = {"preset": "fusionauth", "tenants": ["acme"], "audiences": [CLIENT]}
    trusted = ADAPTER.validate_python({FUSION: given})
    (issuer,) = trusted
    keys = FixedKeys(key_set(jwk("RS256")), trusted[issuer])
    authenticator = Authenticator(trusted, RULES, keys)
    sample = SAMPLES["fusionauth"].but(iss=issuer, tid="acme")
    assert isinstance(authenticator.authenticate(sample.compact, NOW), Authenticated)
    refused = authenticator.authenticate(sample.but(tty="id_token").compact, NOW)
    assert isinstance(refused, Refusal)
    assert "`tty`" in refused.detail


@pytest.mark.parametrize("odd", [["okta"], {}, 5, True])
def test_a_preset_that_is_no_name_is_refused_as_any_setting(odd: Any) -> None:
    for more in ({}, {"jwks_url": "https://login.example/keys"}):
        given = {"preset": odd, "audiences": ["api://orders"], **more}
        with pytest.raises(ValidationError, match="valid string"):
            ADAPTER.validate_python({"https://a.example": given})


@pytest.mark.parametrize("odd", [["a"], "tid", 0, None, {"a": 1}, {1: "a"}])
@pytest.mark.parametrize("preset", ["okta", None])
def test_values_that_are_no_table_are_refused_as_any_setting(
    odd: Any, preset: str | None
) -> None:
    for name, more in ((PLACE, {"tenants": ["acme"]}), ("https://a.example", {})):
        given = {**OPTIONS, "jwks_url": "https://login.example/keys", **more}
        given |= {"preset": preset, "required_values": odd}
        with pytest.raises(ValidationError, match="required_values"):
            ADAPTER.validate_python({name: given})


def test_the_claim_of_a_template_has_no_other_value() -> None:
    with pytest.raises(ValidationError, match="which `tenants` already sets"):
        read(PLACE, tenants=["acme"], required_values={"tid": "umbrella"})


def test_what_is_made_already_is_no_template() -> None:
    made = TrustedIssuer(**{**OPTIONS, "jwks_url": "https://login.example/keys"})
    with pytest.raises(ValidationError, match="write its settings as a table"):
        ADAPTER.validate_python({PLACE: made})


def test_an_unknown_preset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValidationError, match=r"'oktaa'; known: .*okta"):
        ADAPTER.validate_python({"https://a.example": {"preset": "oktaa"}})


def test_issuers_that_are_made_already_are_taken_as_they_are() -> None:
    made = TrustedIssuer(**{**OPTIONS, "jwks_url": "https://login.example/keys"})
    assert ADAPTER.validate_python({"https://a.example": made}) == {
        "https://a.example": made
    }
