"""Which claims a sidecar's identity headers carry."""

import pytest

from revocation.claims.claim_names import ClaimNames
from revocation.errors import SettingsError
from revocation.sidecar.authorizer import IdentityHeaders


@pytest.mark.parametrize("name", ["cid", "appid"])
def test_client_id_comes_from_the_claim_that_the_issuer_uses(name):
    claims = {"iss": "https://idp.example", name: "till", "azp": "no client"}
    values = dict(
        IdentityHeaders().values(claims, lambda _: ClaimNames(clients=(name,)))
    )
    assert values["x-auth-client"] == "till"


def test_a_header_may_have_a_claim_that_lies_in_an_object():
    identity = IdentityHeaders(headers={"x-auth-actor": "act.sub"})
    assert identity.values({"act": {"sub": "agent-1"}}) == [("x-auth-actor", "agent-1")]
    assert identity.values({"act": "agent-1"}) == [("x-auth-actor", "")]
    with pytest.raises(SettingsError, match="empty part"):
        IdentityHeaders(headers={"x-auth-actor": "act..sub"})
