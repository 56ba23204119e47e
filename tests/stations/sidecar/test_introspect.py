"""RFC 7662: strangers learn nothing, callers what they are entitled to."""

import base64
import json
from hashlib import sha256
from types import MappingProxyType
from urllib.parse import quote_plus, urlencode

import pytest

from revocation.claims.claim_names import ClaimNames
from revocation.decision import Reason
from revocation.entries import Kind
from revocation.errors import SettingsError
from revocation.http.messages import Request
from revocation.sidecar import introspect
from revocation.sidecar.introspect import Introspection, describe, read_callers
from tests.stations.sidecars import bearer, serving, signed
from tests.stations.test_verifier import cut_off, store_as_of
from tests.stations.verifications import StubVerifier
from tests.unit.tokens import AUDIENCE, ISSUER

SECRET = "0f" * 32
FORM = (b"content-type", b"application/x-www-form-urlencoded")
SCOPE = "introspect"


def line(name="warehouse", secret=SECRET):
    return f"{name} sha256:{sha256(secret.encode()).hexdigest()}\n"


def basic(name="warehouse", secret=SECRET):
    pair = f"{quote_plus(name)}:{quote_plus(secret)}"
    return b"authorization", b"Basic " + base64.b64encode(pair.encode())


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "callers"
    path.write_text(f"# callers\n\n{line()}{line('shop', 'old')}{line('shop')}")
    return path


@pytest.fixture
async def client(jwks, file):
    store = await store_as_of(0, cut_off(Kind.USER, "alice"))
    who = {"callers": read_callers(file), "scope": SCOPE}
    # Rarely: a forged token would wait for a key to be fetched.
    async with serving(store, jwks, between_seconds=3_600, **who) as client:
        yield client


async def ask(client, *headers, token="", **form):
    body = urlencode({"token": token, **form}).encode()
    return await client.ask("POST", "/introspect", FORM, *headers, body=body)


# Tokens -------------------------------------------------------------------------------


async def test_an_active_token_is_described(client):
    token = signed("bob", scope="a b", roles=["admin"], sid="s1", email="b@example")
    answer = await ask(client, basic(), token=token, token_type_hint="access_token")
    body = answer.json()
    assert (answer.status, answer.at_once) == (200, True)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert body.pop("exp") - body.pop("iat") == 1_860
    assert body == {
        "active": True,
        "token_type": "Bearer",
        "iss": ISSUER,
        "sub": "bob",
        "aud": AUDIENCE,
        "jti": "of-bob",
        "scope": "a b",
        "client_id": "shop",
    }


@pytest.mark.parametrize(
    "make",
    [
        lambda: signed("alice"),
        lambda: signed("bob", exp=7, iat=1),
        lambda: signed("bob", aud="other"),
        lambda: signed("bob", iss="https://evil.example/"),
        lambda: signed("bob")[:-4] + "AAAA",
        lambda: "nonsense",
        lambda: "a" * 20_000,
        lambda: "é",
    ],
    ids=[
        *("revoked", "expired", "other-audience", "other-issuer", "other-signature"),
        *("nonsense", "too-long", "not-ascii"),
    ],
)
async def test_any_other_token_is_only_inactive(client, make):
    answer = await ask(client, basic(), token=make())
    assert (answer.status, answer.body) == (200, b'{"active":false}')


async def test_a_region_that_is_behind_does_not_answer_inactive(jwks, file):
    """Else a client would end the session."""
    callers = read_callers(file)
    async with serving(await store_as_of(90_000), jwks, callers=callers) as client:
        answer = await ask(client, basic(), token=signed("bob"))
    assert answer.status == 503
    assert answer.json() == {"error": "temporarily_unavailable"}
    assert "retry-after" in answer.headers


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (b"application/json", b'{"token": "a"}'),
        (b"text/plain", b"token=a"),
        (None, b"token=a"),
        (FORM[1], b""),
        (FORM[1], b"token="),
        (FORM[1], b"token"),
        (FORM[1], b"tokens=a"),
        (FORM[1], b"token=a&token=b"),
        (FORM[1], b"token=%ff"),
        (FORM[1], b"token=\xff"),
        (FORM[1], b"token=a&" + b"&".join(b"x%d=1" % n for n in range(64))),
    ],
)
async def test_a_malformed_form_is_refused(client, content_type, body):
    headers = [basic()]
    if content_type is not None:
        headers.append((b"content-type", content_type))
    answer = await client.ask("POST", "/introspect", *headers, body=body)
    assert (answer.status, answer.json()) == (400, {"error": "invalid_request"})


async def test_a_form_may_name_its_charset(client):
    headers = basic(), (FORM[0], FORM[1] + b"; charset=UTF-8")
    answer = await client.ask("POST", "/introspect", *headers, body=b"token=a&x=1")
    assert answer.json() == {"active": False}


async def test_a_token_in_the_query_is_ignored(client):
    query = urlencode({"token": signed("bob")})
    answer = await client.ask("POST", f"/introspect?{query}", basic(), FORM)
    assert answer.status == 400


# Callers ------------------------------------------------------------------------------


@pytest.mark.parametrize("who", [basic(), basic("shop", "old"), basic("shop")])
async def test_a_caller_authenticates_by_name_and_secret(client, who):
    """Two secrets of one name both count, so that one can replace the other."""
    assert (await ask(client, who, token=signed("bob"))).json()["active"]


def unencoded(name, secret=SECRET):
    """As `curl -u` sends it (RFC 7617)."""
    pair = f"{name}:{secret}".encode()
    return b"authorization", b"Basic " + base64.b64encode(pair)


@pytest.mark.parametrize(
    "name", ["warehouse+eu", "ware%68ouse", "a%2Bb", "r\u00e9gion"]
)
@pytest.mark.parametrize("secret", [SECRET, "1+2/3=%3D:x"])
@pytest.mark.parametrize("encode", [basic, unencoded])
def test_credentials_may_be_form_encoded_or_raw(tmp_path, name, secret, encode):
    path = tmp_path / "callers"
    path.write_text(line(name, secret))
    asked = Introspection(StubVerifier(), callers=read_callers(path))
    assert asked._knows(encode(name, secret)[1])
    assert not asked._knows(encode(f"{name}x", secret)[1])
    assert not asked._knows(encode(name, f"{secret}x")[1])


@pytest.mark.parametrize("name", ["warehouse", "ware+house", "stranger"])
@pytest.mark.parametrize("secret", [SECRET, "wrong"])
def test_every_caller_costs_the_same_comparisons(file, monkeypatch, name, secret):
    """Timing must not reveal whether a name or a secret is right."""
    compared = []

    def compare(one, other):
        compared.append((one, other))
        return one == other

    asked = Introspection(StubVerifier(), callers=read_callers(file))
    monkeypatch.setattr(introspect.hmac, "compare_digest", compare)
    asked._knows(unencoded(name, secret)[1])
    assert len(compared) == 2 * 2 * len(read_callers(file))


async def test_a_caller_may_present_a_token_with_the_scope(client):
    who = bearer(signed("service", scope=f"x {SCOPE}"))
    assert (await ask(client, who, token=signed("bob"))).json()["active"]


def raw(value):
    return b"authorization", value


STRANGERS = {
    "nobody": [],
    "unknown name": [basic("stranger")],
    "wrong secret": [basic(secret="f0" * 32)],
    "the digest": [basic(secret=sha256(SECRET.encode()).hexdigest())],
    "another's secret": [basic("warehouse", "old")],
    "no secret": [basic(secret="")],
    "no colon": [raw(b"Basic " + base64.b64encode(b"warehouse"))],
    "no base64": [raw(b"Basic !!!!")],
    "half of base64": [raw(b"Basic YTpi=")],
    "no text": [raw(b"Basic " + base64.b64encode(b"\xff:\xff"))],
    "too long": [basic("a" * 9_000)],
    "two": [basic(), basic()],
    "another scheme": [raw(b"Digest abc")],
    "empty": [raw(b"")],
    "token without scope": [bearer(signed("service", scope="other"))],
    "revoked token": [bearer(signed("alice", scope=SCOPE))],
    "expired token": [bearer(signed("service", scope=SCOPE, exp=7, iat=1))],
    "another's token": [bearer(signed("service", scope=SCOPE, aud="other"))],
    "forged token": [bearer(signed("service", scope=SCOPE)[:-4] + "AAAA")],
    "nonsense": [bearer("nonsense")],
    "two tokens": [bearer(signed("service", scope=SCOPE))] * 2,
    "token and secret": [bearer(signed("service", scope=SCOPE)), basic()],
}


@pytest.mark.parametrize("name", STRANGERS)
async def test_a_stranger_learns_nothing(client, name):
    """The same answer byte for byte, whatever the credentials and the token."""
    answers = [
        await ask(client, *STRANGERS[name], token=signed("bob")),
        await ask(client, *STRANGERS[name], token="nonsense"),
        await client.ask("POST", "/introspect", *STRANGERS[name], body=b"\xff"),
    ]
    nobody = await ask(client, token=signed("bob"))
    for answer in answers:
        assert (answer.status, answer.at_once) == (401, True)
        assert answer.body == b'{"error":"invalid_client"}' == nobody.body
        assert answer.headers == nobody.headers


async def test_the_challenge_names_each_enabled_scheme(jwks, file):
    challenges = []
    for who in (
        {"callers": read_callers(file)},
        {"scope": SCOPE},
        {"callers": read_callers(file), "scope": SCOPE},
    ):
        introspection = Introspection(StubVerifier(), **who)
        answer = introspection.answer(Request("POST", "/introspect", "", [], b"", ""))
        challenges.append([v for k, v in answer.headers if k == "www-authenticate"])
    ways = ['Basic realm="introspection"', 'Bearer realm="introspection"']
    assert challenges == [ways[:1], ways[1:], ways]


async def test_without_a_configured_scope_no_token_authenticates(jwks, file):
    callers = read_callers(file)
    async with serving(await store_as_of(0), jwks, callers=callers) as client:
        answer = await ask(client, bearer(signed("service", scope="None")))
    assert answer.status == 401


@pytest.mark.parametrize(("scope", "status"), [(SCOPE, 503), ("other", 401)])
async def test_a_caller_with_an_undecidable_token_must_retry(jwks, scope, status):
    """Only a token with the scope: others are strangers."""
    async with serving(await store_as_of(90_000), jwks, scope=SCOPE) as client:
        answer = await ask(client, bearer(signed("service", scope=scope)), token="a")
    assert answer.status == status


async def test_caller_and_token_may_both_have_to_wait():
    class Waiting(StubVerifier):
        def verify_or_await(self, token, **asked):
            return self.verify_async(token, **asked)

    body = b"token=a"
    headers = [FORM, bearer("b")]
    request = Request("POST", "/introspect", "", headers, body, "unix")
    answer = await Introspection(Waiting(scope=SCOPE), scope=SCOPE).answer(request)
    assert json.loads(answer.body)["active"]
    behind = Waiting(Reason.NOT_READY, scope=SCOPE)
    answer = await Introspection(behind, scope=SCOPE).answer(request)
    assert answer.status == 503


# Settings -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        "warehouse",
        "warehouse secret",
        f"warehouse {'0' * 64}",
        f"warehouse sha256:{'0' * 63}",
        f"warehouse sha256:{'G' * 64}",
        f"ware house sha256:{'0' * 64}",
        "warehouse md5:00",
    ],
)
def test_a_wrong_line_is_named_by_number_and_not_quoted(file, wrong):
    file.write_text(f"{line()}\n{wrong}\n")
    with pytest.raises(SettingsError, match=r"^callers:3: ") as refused:
        read_callers(file)
    assert wrong not in str(refused.value)


def test_a_missing_callers_file_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="cannot read the callers"):
        read_callers(tmp_path / "nowhere")


def test_at_least_one_caller_must_be_allowed():
    for wrong in ({}, {"callers": ()}):
        with pytest.raises(SettingsError, match="no caller may introspect"):
            Introspection(StubVerifier(), **wrong)
    with pytest.raises(SettingsError, match="not a scope"):
        Introspection(StubVerifier(), scope="a b")


@pytest.mark.parametrize("claim", ["scope", "scp"])
def test_a_list_of_scopes_becomes_one_string(claim):
    """RFC 7662 section 2.2: `scope` is a string; a member of two words would be two."""
    assert describe({claim: ["a", "b", "c d"], "azp": "till"}, ClaimNames()) == {
        "active": True,
        "token_type": "Bearer",
        "scope": "a b",
        "client_id": "till",
    }


@pytest.mark.parametrize("name", ["cid", "appid"])
def test_client_id_comes_from_the_claim_that_the_issuer_uses(name):
    described = describe(
        {name: "till", "azp": "no client"}, ClaimNames(clients=(name,))
    )
    assert described["client_id"] == "till"


@pytest.mark.parametrize("odd", [MappingProxyType({"a": 1}), ({"a": 1},), 5, None])
def test_a_malformed_claim_is_left_out(odd):
    """An issuer's `sub` may be anything if its user_claim is another."""
    described = describe(
        {"iss": ISSUER, "sub": odd, "aud": odd, "jti": odd}, ClaimNames()
    )
    assert described == {"active": True, "token_type": "Bearer", "iss": ISSUER}
