"""The setting `issuers`: presets filled in, and templates for many tenants."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from revocation.trusted_issuers import TrustedIssuer, TrustedIssuers

ADAPTER: TypeAdapter[dict[str, TrustedIssuer]] = TypeAdapter(TrustedIssuers)
PLACE = "https://login.example/{tid}/v2.0"
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
        (PLACE, None, "list the tenants"),
        (PLACE, [], "list the tenants"),
        (PLACE, "acme", "list the tenants"),
        *[(PLACE, [each], "wildcards") for each in ("*", "", "a/b", "a b", "{tid}", 5)],
        ("https://login.example/{}/v2.0", ["acme"], "no claim in its braces"),
        ("https://login.example/{a}/{b}", ["acme"], "one claim in braces"),
        ("https://login.example/{tid", ["acme"], "one claim in braces"),
        ("https://login.example/acme", ["acme"], "no place for them"),
        (PLACE, ["acme", "acme"], "named twice"),
    ],
)
def test_a_template_that_trusts_nobody_in_particular_is_refused(
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


def test_a_preset_that_is_none_is_refused_with_those_that_are() -> None:
    with pytest.raises(ValidationError, match=r"'oktaa'; known: .*okta"):
        ADAPTER.validate_python({"https://a.example": {"preset": "oktaa"}})


def test_issuers_that_are_made_already_are_taken_as_they_are() -> None:
    made = TrustedIssuer(**{**OPTIONS, "jwks_url": "https://login.example/keys"})
    assert ADAPTER.validate_python({"https://a.example": made}) == {
        "https://a.example": made
    }
