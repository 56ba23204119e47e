"""Access tokens are accepted, other kinds from the same issuer are not."""

import pytest

from revocation.decision import Reason
from revocation.jwt.authenticator import Authenticated
from tests.unit.tokens import AUDIENCE, ISSUER, NOW, SECONDS, authenticator, mint

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
def test_another_kind_of_an_untyped_issuer_is_recognised_by_its_claims(kind, typ):
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


def test_what_the_issuer_says_weighs_more_than_a_nonce():
    """Keycloak 24 and older put a `nonce` into access tokens, and `typ: Bearer`."""
    keycloak = {"typ": "Bearer", "nonce": "n-0S6_WzA2Mj", "session_state": "s"}
    header = {"typ": "JWT"}
    assert counts(mint(header=header, **keycloak), allow_untyped=True)
    refused(mint(header=header, **{**keycloak, "typ": "ID"}), allow_untyped=True)
    refused(mint(header=header, **{**keycloak, "typ": "Refresh"}), allow_untyped=True)
    refused(mint(header=header, nonce="n", scope="read"), allow_untyped=True)


def test_an_issuer_may_have_signs_of_its_own_or_need_none():
    header = {"typ": "JWT"}
    plain = mint(header=header, gty="client-credentials", **BARE)
    said = refused(plain, allow_untyped=True)
    assert "`scope`" in said
    assert "access_token_claims" in said
    assert counts(plain, allow_untyped=True, access_token_claims=["azp", "gty"])
    assert counts(plain, allow_untyped=True, access_token_claims=[])
    nested = mint(header=header, **{"kubernetes.io": {"namespace": "shop"}}, **BARE)
    sign = ["kubernetes\\.io.namespace"]
    assert counts(nested, allow_untyped=True, access_token_claims=sign)
    refused(plain, allow_untyped=True, access_token_claims=sign)


def test_id_tokens_count_on_demand_only():
    header, id_token = {"typ": "JWT"}, {"nonce": "n", "at_hash": "h", **BARE}
    token = mint(header=header, **id_token)
    refused(token, allow_untyped=True, access_token_claims=[])
    assert counts(token, allow_untyped=True, id_tokens=True)
    refused(token, id_tokens=True)
    cognito = mint(header=header, token_use="id", **BARE)
    assert counts(cognito, allow_untyped=True, id_tokens=True)


@pytest.mark.parametrize(
    "claims",
    [
        *({"events": EVENTS}, {"sub_id": {"format": "opaque"}}, {"htm": "GET"}),
        *({"token_use": "refresh"}, {"typ": "Refresh"}, {"response_type": "code"}),
        *({"access_token": "x"}, {"sub": ISSUER}),
    ],
)
def test_where_id_tokens_count_other_kinds_do_not(claims):
    token = mint(header={"typ": "JWT"}, **claims)
    refused(token, allow_untyped=True, id_tokens=True)


@pytest.mark.parametrize("scope", ["openid", ["openid"]])
def test_a_scope_that_id_tokens_have_too_shows_nothing(scope):
    """UAA puts it into ID tokens, beside the client."""
    header = {"typ": "JWT"}
    token = mint(header=header, **{**BARE, "scope": scope})
    refused(token, allow_untyped=True)
    more = mint(header=header, **{**BARE, "scope": ["openid", "orders.read"]})
    assert counts(more, allow_untyped=True)


def test_a_sign_that_cannot_be_read_shows_nothing():
    token = mint(header={"typ": "JWT"}, act="somebody", **BARE)
    refused(token, allow_untyped=True, access_token_claims=["act.sub"])


def test_a_nonce_shows_an_id_token_unless_access_tokens_have_one():
    token = mint(header={"typ": "JWT"}, nonce="n", scp="read", **BARE)
    refused(token, allow_untyped=True)
    assert counts(token, allow_untyped=True, allow_nonce=True)
    bare = mint(header={"typ": "JWT"}, nonce="n", **BARE)
    refused(bare, allow_untyped=True, allow_nonce=True)


@pytest.mark.parametrize("claim", ["client_id", "cid", "appid"])
@pytest.mark.parametrize("audience", [AUDIENCE, [AUDIENCE, "other"]])
def test_a_client_that_the_token_is_meant_for_shows_nothing(audience, claim):
    """ID tokens are meant for their client; some name it once more, as UAA's do."""
    header = {"typ": "JWT"}
    meant = mint(header=header, aud=audience, **{**BARE, claim: AUDIENCE})
    refused(meant, allow_untyped=True)
    other = mint(header=header, aud=audience, **{**BARE, claim: "shop"})
    assert counts(other, allow_untyped=True)


@pytest.mark.parametrize("claim", ["nonce", "at_hash"])
def test_the_sender_of_an_id_token_learns_what_to_send(claim):
    token = mint(header={"typ": "JWT"}, **{claim: "x"})
    detail = refused(token, allow_untyped=True)
    assert detail.endswith("that of an ID token: send the access token")
