"""Which preset fits an issuer or a token."""

import pytest

from revocation.jwt.presets import presets
from revocation.jwt.presets.likely import likely

OF_ANY_NAME = {"clerk", "fusionauth", "hydra", "rfc9068"}
"""Presets of issuers whose names show nothing: on any host, without a path."""


@pytest.mark.parametrize("name", presets())
def test_a_presets_own_example_looks_like_it(name):
    expected = () if name in OF_ANY_NAME else (name,)
    assert likely(presets()[name].issuer, {}) == expected


@pytest.mark.parametrize(
    ("issuer", "expected"),
    [
        ("https://acme.okta.com/oauth2/aus1", "okta"),
        ("https://login.acme.org/oauth2/aus1", "okta"),
        ("https://acme.auth0.com/", "auth0"),
        ("https://cognito-idp.us-east-1.amazonaws.com/us-east-1_x", "cognito"),
        ("https://sts.windows.net/6f9a3f0c/", "entra"),
        ("https://login.microsoftonline.com/common/v2.0", "entra"),
        ("https://login.microsoftonline.com/{tenantid}/v2.0", "entra"),
        ("http://localhost:8080/realms/master", "keycloak"),
        ("https://oidc.eks.eu-west-1.amazonaws.com/id/X", None),
        ("https://oauth2.com", None),
        ("https://example.com", None),
        ("https://com", None),
        ("https://[bad", None),
        ("", None),
    ],
)
def test_an_issuer_looks_like_one_by_its_name(issuer, expected):
    assert likely(issuer, {}) == (() if expected is None else (expected,))


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"oid": "a", "uti": "b", "tid": "c"}, ("entra",)),
        ({"cid": "a", "uid": "b", "scp": ["c"]}, ("okta",)),
        ({"sub": "a", "jti": "b", "client_id": "c", "scope": "d"}, ()),
        ({"oid": 5, "uti": None, "tid": {}}, ()),
        ({}, ()),
    ],
)
def test_where_the_name_shows_nothing_claims_do(claims, expected):
    assert likely("https://idp.acme.org", claims) == expected
