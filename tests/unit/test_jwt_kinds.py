"""Access tokens, and nothing else that the same issuer signs with the same keys."""

import pytest

from revocation.decision import Reason
from revocation.jwt.authenticator import Authenticated
from tests.unit.tokens import NOW, SECONDS, authenticator, mint

EVENTS = {"http://schemas.openid.net/event/backchannel-logout": {}}
BARE = {"client_id": ..., "scope": ...}

OTHERS = {
    "ID token": {**BARE, "nonce": "n", "at_hash": "h", "auth_time": SECONDS},
    "ID token of the code flow": {**BARE, "auth_time": SECONDS, "azp": "shop"},
    "ID token with a hash of the code": {"c_hash": "h"},
    "ID token of Keycloak": {**BARE, "typ": "ID", "azp": "shop"},
    "ID token of Cognito": {**BARE, "token_use": "id"},
    "logout token": {**BARE, "events": EVENTS, "sid": "s"},
    "logout token of a session": {**BARE, "events": EVENTS, "sid": "s", "sub": ...},
    "logout token that took a client": {"events": EVENTS, "client_id": "shop"},
    "security event": {"events": {"urn:x": {}}, "toe": SECONDS, "txn": "t"},
    "security event with a subject id": {"sub_id": {"format": "opaque", "id": "a"}},
    "refresh token of Keycloak": {"typ": "Refresh", "scope": "openid"},
    "refresh token by name": {"token_type": "refresh", "scope": "openid"},
    "introspection response": {"token_introspection": {"active": True}},
    "DPoP proof": {"htm": "GET", "htu": "https://api.example/"},
    "request object": {"response_type": "code", "redirect_uri": "https://x.example/"},
    "authorisation response": {"code": "c", "state": "s"},
    "client assertion": {"sub": "https://idp.example/", "client_id": "shop"},
    "entity statement": {"jwks": {"keys": []}, "scope": "x"},
    "credential": {"vct": "urn:x", "_sd": []},
    "user info": {**BARE, "email": "a@b.example", "name": "Alice"},
    "a kind that is no text": {"typ": ["Bearer"], "scope": "x"},
}


def refused(token, **options):
    found = authenticator(**options).authenticate(token, NOW)
    assert found.reason is Reason.TYPE_REFUSED, found
    return found.detail


def counts(token, **options):
    found = authenticator(**options).authenticate(token, NOW)
    return isinstance(found, Authenticated)


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt"])
def test_an_access_token_says_so(typ):
    assert counts(mint(header={"typ": typ}))


@pytest.mark.parametrize(
    "typ",
    [
        *(None, "JWT", "jwt", "secevent+jwt", "logout+jwt", "dpop+jwt", "ID", "JOSE"),
        *("at+jwt ", "at+jwtx", "at", "text/at+jwt", "application/", "/at+jwt", ""),
        *("application/x/at+jwt", "at+\u212awt", "at+jwt; a=b", "*", "at+jwt\0"),
        "application/application/at+jwt",
    ],
)
def test_whatever_does_not_say_so_is_refused(typ):
    refused(mint(header={"typ": typ}))


@pytest.mark.parametrize("typ", [None, "JWT", "jwt", "application/jwt"])
def test_an_untyped_token_is_for_issuers_that_are_allowed_it(typ):
    token = mint(header={"typ": typ}, scope="read")
    refused(token)
    assert counts(token, allow_untyped=True)


@pytest.mark.parametrize(
    "typ", ["secevent+jwt", "logout+jwt", "JOSE", "", "\u212awt", "text/jwt", "jwt "]
)
def test_another_type_is_another_kind_also_for_untyped_issuers(typ):
    refused(mint(header={"typ": typ}, scope="read"), allow_untyped=True)


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("typ", [None, "JWT"])
def test_another_kind_of_an_untyped_issuer_is_told_by_its_claims(kind, typ):
    refused(mint(header={"typ": typ}, **OTHERS[kind]), allow_untyped=True)


@pytest.mark.parametrize(
    "claims",
    [
        {"events": EVENTS},
        {"at_hash": "h"},
        {"c_hash": "h"},
        {"token_introspection": {}},
        {"htm": "GET"},
        {"vct": "urn:x"},
        {"events": None},
    ],
)
def test_no_type_makes_an_access_token_of_what_has_anothers_claims(claims):
    refused(mint(**claims))


@pytest.mark.parametrize(
    "claims",
    [
        {"scope": "read"},
        {"scp": ["read"]},
        {"cid": "shop"},
        {"appid": "shop", "roles": ["x"]},
        {"client_id": "shop"},
        {"typ": "Bearer", "azp": "shop"},
        {"token_use": "access"},
    ],
)
def test_what_issuers_put_into_access_tokens_shows_one(claims):
    token = mint(header={"typ": "JWT"}, **{**BARE, **claims})
    assert counts(token, allow_untyped=True)


def test_a_typed_token_may_carry_what_else_its_issuer_likes():
    assert counts(mint(nonce="n", state="s", auth_time=SECONDS, acr="2"))


def test_a_type_of_ones_own_is_possible():
    token = mint(header={"typ": "acme-access+jwt"})
    refused(token)
    assert counts(token, types=["acme-access+jwt"])
