"""A whole JWT in place of an id is refused, and the claim to send is named."""

import base64
import json

import pytest
from hypothesis import given
from pydantic import ValidationError

from revocation import events
from revocation.errors import InvalidEventError, TokenAsIdError
from revocation.events.whole_token import peek
from tests.unit.strategies import ids
from tests.unit.structured import to_json
from tests.unit.tokens import CLAIMS, ISSUER, mint


def part(members):
    text = json.dumps(members).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


WHOLE = mint()
ENCRYPTED = f"{part({'alg': 'dir', 'enc': 'A256GCM'})}..aXY.dGV4dA.dGFn"
UNSECURED = f"{part({'alg': 'none'})}.{part({'jti': 'token-1'})}."


@pytest.mark.parametrize(
    "text",
    [
        *(WHOLE, f"Bearer {WHOLE}", f"bearer {WHOLE}\n", f"BEARER\t {WHOLE}"),
        *(f"DPoP {WHOLE}", f"Authorization: Bearer {WHOLE}", f"Bearer Bearer {WHOLE}"),
        *(f'"{WHOLE}"', f"'{WHOLE}',", f"<{WHOLE}>", f"\xa0{WHOLE}"),
    ],
)
def test_a_token_is_looked_into(text):
    peeked = peek(text)
    assert peeked is not None
    assert peeked.header["kid"] == "key-1"
    assert peeked.claims is not None
    assert peeked.claims["jti"] == CLAIMS["jti"]


def test_an_encrypted_token_shows_its_header_only():
    peeked = peek(ENCRYPTED)
    assert peeked is not None
    assert peeked.header["enc"] == "A256GCM"
    assert peeked.claims is None


@pytest.mark.parametrize(
    "text",
    [
        *("", "a.b.c", "1.2.3", "com.example.app", "\ud800.x.y", "é.é.é"),
        part({"alg": "ES256"}),
        f"{part({'kid': 'key-1'})}.{part({})}.x",
        f"{part(['alg'])}.{part({})}.x",
        f"{part('alg')}.{part({})}.x",
    ],
)
def test_an_id_is_no_token(text):
    assert peek(text) is None


@given(ids)
def test_ids_are_no_tokens(text):
    assert peek(text) is None


@pytest.mark.parametrize("whole", [WHOLE, f"Bearer {WHOLE}", ENCRYPTED, UNSECURED])
@pytest.mark.parametrize(
    ("model", "data", "claim"),
    [
        (events.TokenRevoked, {"jti": ...}, "jti"),
        (events.SessionEnded, {"sid": ...}, "sid"),
        (events.UserLoggedOut, {"user": ...}, "sub"),
        (events.UserDisabled, {"user": ...}, "sub"),
        (events.DataDeleted, {"user": ...}, "sub"),
        (events.GrantRevoked, {"user": "alice", "client": ...}, "client_id"),
        (events.ClientRevoked, {"client": ...}, "client_id"),
        (events.TenantRevoked, {"tenant": ...}, "tenant"),
        (events.KeyRevoked, {"kid": ...}, "kid"),
        (events.UsersRevoked, {"users": ["alice", ...]}, "sub"),
    ],
)
def test_it_is_no_id_of_anything(whole, model, data, claim):
    text = json.dumps(data, default=lambda _: whole)
    members = {"issuer": ISSUER, **json.loads(text)}
    with pytest.raises(ValidationError, match=f"whole JWT; send its `{claim}` claim"):
        model.new(source="/idp", **members)
    kind = model.model_fields["type"].default
    with pytest.raises(TokenAsIdError, match="this is a whole JWT") as refused:
        events.decode(to_json(type=kind, data=members))
    assert refused.value.code == "token_as_id"
    assert "token-1" not in str(refused.value)


def test_it_is_no_value_of_a_claim_either():
    """Which claim it was given for is not said: its name may be anything."""
    claims = {"device_id": WHOLE, "azp": "web"}
    with pytest.raises(ValidationError, match="a claim is a whole JWT"):
        events.ClaimsRevoked.new(source="/idp", issuer=ISSUER, claims=claims)
    data = {"issuer": ISSUER, "claims": claims}
    with pytest.raises(TokenAsIdError, match=r"data\.claims: this is a whole JWT"):
        events.decode(to_json(type="revocation.claims.revoked", data=data))


def test_the_jti_that_it_offers_is_named_to_who_builds_the_event():
    for whole in (WHOLE, UNSECURED):
        with pytest.raises(ValidationError, match="`jti` claim, which is 'token-1'"):
            events.TokenRevoked.new(source="/idp", issuer=ISSUER, jti=whole)


def test_a_person_is_not_named():
    with pytest.raises(ValidationError) as refused:
        events.UserLoggedOut.new(source="/idp", issuer=ISSUER, user=WHOLE)
    assert CLAIMS["sub"] not in str(refused.value)


def test_longer_ones_than_any_id_are_known_too():
    whole = mint(padding="x" * 600)
    with pytest.raises(ValidationError, match="which is 'token-1'"):
        events.TokenRevoked.new(source="/idp", issuer=ISSUER, jti=whole)


def test_what_is_too_long_and_no_token_is_too_long():
    with pytest.raises(InvalidEventError, match="at most 512"):
        events.decode(
            to_json(
                type="revocation.token.revoked",
                data={"issuer": ISSUER, "jti": "x" * 513},
            )
        )
