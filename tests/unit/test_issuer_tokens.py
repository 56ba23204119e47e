"""The tokens of real identity providers, signed, by their presets."""

import pytest
from hypothesis import given, settings, strategies as st
from pydantic import TypeAdapter

from revocation.decision import Reason
from revocation.events import UserLoggedOut
from revocation.jwt.authenticator import Authenticated, Authenticator, Refusal
from revocation.jwt.presets import presets
from revocation.jwt.trusted_issuers import TrustedIssuers
from tests.unit.issuer_events import verdict
from tests.unit.issuer_samples import (
    AS_REPORTED,
    COUNT,
    ENTRA,
    ENTRA_V1,
    KEYCLOAK,
    OTHER_KINDS,
    REFUSED,
)
from tests.unit.issuer_tokens import API, RULES, SAMPLES, TENANT, USER, Sample
from tests.unit.tokens import NOW, FixedKeys, jwk, key_set


def read(sample: Sample) -> Authenticated | Refusal:
    return sample.authenticator().authenticate(sample.compact, NOW)


def test_every_preset_has_a_token_that_counts_and_one_that_must_not() -> None:
    for samples in (COUNT, OTHER_KINDS):
        assert {sample.preset for sample in samples.values()} == {*presets()}


@pytest.mark.parametrize("name", COUNT)
def test_an_access_token_counts(name: str) -> None:
    found = read(COUNT[name])
    assert isinstance(found, Authenticated), found


@pytest.mark.parametrize("name", OTHER_KINDS)
def test_another_token_of_the_issuer_never_passes(name: str) -> None:
    """Also when it is meant for the same audience."""
    found = read(OTHER_KINDS[name])
    assert isinstance(found, Refusal), found
    assert found.reason is Reason.TYPE_REFUSED, found


@st.composite
def id_tokens(draw: st.DrawFn) -> Sample:
    """An ID token by OpenID Connect Core section 2, meant for a client that we are."""
    name = draw(st.sampled_from(sorted(presets().keys() - {"firebase", "google"})))
    sample = SAMPLES[name]
    optional = {
        "auth_time": 0,
        "nonce": "n",
        "acr": "1",
        "amr": ["pwd"],
        "at_hash": "h",
        "azp": sample.audience,
        "client_id": sample.audience,
        "sid": "s-1",
        "email": "alice@shop.example",
        "name": "Alice",
        "scope": "openid",
        **({} if name == "zitadel" else {"jti": "t-1"}),
    }
    chosen = draw(st.sets(st.sampled_from(sorted(optional))))
    audience = draw(st.sampled_from([sample.audience, [sample.audience]]))
    more = {each: optional[each] for each in chosen}
    typ = draw(st.sampled_from(["JWT", None]))
    return sample._replace(
        claims={"sub": USER, "aud": audience, **more}, header={"typ": typ}
    )


@settings(max_examples=150, deadline=None)
@given(id_tokens())
def test_no_id_token_by_the_standard_passes(sample: Sample) -> None:
    found = read(sample)
    assert isinstance(found, Refusal), found
    assert found.reason is Reason.TYPE_REFUSED, found


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_says_what_to_change(name: str) -> None:
    sample, reason, said = REFUSED[name]
    found = read(sample)
    assert isinstance(found, Refusal), found
    assert found.reason is reason, found
    assert said in found.detail


@pytest.mark.parametrize("name", AS_REPORTED)
def test_a_token_that_other_libraries_fail_on_is_accepted(name: str) -> None:
    found = read(AS_REPORTED[name])
    assert isinstance(found, Authenticated), found
    other = UserLoggedOut.new(source="/idp", issuer=found.issuer, user="nobody")
    assert verdict(found, other)


def test_200_groups_are_longer_than_is_usual() -> None:
    assert 10_000 < len(AS_REPORTED["200 groups"].compact) < 16_384


def test_a_key_set_that_names_no_algorithms_verifies() -> None:
    trusted = KEYCLOAK.trusted
    raw = key_set(jwk("RS256", alg=None))
    ring = FixedKeys(raw, trusted[KEYCLOAK.issuer])
    authenticator = Authenticator(trusted, RULES, ring)
    found = authenticator.authenticate(KEYCLOAK.compact, NOW)
    assert isinstance(found, Authenticated)


def test_the_issuer_in_entras_metadata_is_no_issuer() -> None:
    literal = ENTRA.but(iss="https://login.microsoftonline.com/{tenantid}/v2.0")
    found = ENTRA.authenticator().authenticate(literal.compact, NOW)
    assert isinstance(found, Refusal)
    assert found.reason is Reason.ISSUER_UNTRUSTED


@pytest.mark.parametrize("sample", [ENTRA, ENTRA_V1], ids=["v2", "v1"])
def test_a_template_stands_for_the_tenants_that_are_listed(sample: Sample) -> None:
    """And each has its own key set, where Entra publishes it."""
    template = sample.issuer.replace(TENANT, "{tid}")
    options = {"preset": "entra", "audiences": [API], "tenants": [TENANT, "other"]}
    trusted = TypeAdapter(TrustedIssuers).validate_python({template: options})
    keys = "https://login.microsoftonline.com/{}/discovery/v2.0/keys"
    assert {each.jwks_url for each in trusted.values()} == {
        *(keys.format(tenant) for tenant in (TENANT, "other"))
    }
    ring = FixedKeys(key_set(jwk("RS256")), trusted[sample.issuer])
    authenticator = Authenticator(trusted, RULES, ring)
    found = authenticator.authenticate(sample.compact, NOW)
    assert isinstance(found, Authenticated)
    lying = authenticator.authenticate(sample.but(tid="other").compact, NOW)
    assert isinstance(lying, Refusal)
    assert lying.reason is Reason.UNVERIFIABLE
