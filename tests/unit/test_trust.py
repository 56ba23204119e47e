"""The settings of a trusted issuer, and which mistakes are refused at once."""

import pytest
from pydantic import TypeAdapter, ValidationError

from revocation.jwt.trust import Algorithm, TrustedIssuer, media_type
from revocation.jwt.trusted_issuers import TrustedIssuers
from tests.unit.tokens import AUDIENCE, issuer

URL = "https://idp.example/jwks.json"


def test_an_issuer_that_follows_the_rules_is_short_to_describe():
    found = TrustedIssuer(jwks_url=URL, algorithms=["ES256"], audiences=[AUDIENCE])
    assert found.algorithms == (Algorithm.ES256,)
    assert found.types == ("at+jwt",)
    assert not found.allow_untyped
    assert not found.allow_private_addresses


@pytest.mark.parametrize("missing", ["algorithms", "audiences"])
def test_what_only_the_installation_knows_has_no_default(missing):
    given = {"jwks_url": URL, "algorithms": ["ES256"], "audiences": [AUDIENCE]}
    with pytest.raises(ValidationError, match=missing):
        TrustedIssuer(**{name: each for name, each in given.items() if name != missing})
    with pytest.raises(ValidationError, match=missing):
        TrustedIssuer(**{**given, missing: []})


@pytest.mark.parametrize(
    "alg", ["none", "None", "NONE", "es256", "ES256K", "RSA1_5", ""]
)
def test_an_unsupported_algorithm_cannot_be_configured(alg):
    with pytest.raises(ValidationError):
        issuer(alg)


@pytest.mark.parametrize("public", ["ES256", "EdDSA", "RS256", "PS512"])
def test_hmac_is_refused_beside_public_keys(public):
    with pytest.raises(ValidationError, match="mixes HMAC"):
        issuer("HS256", public)


def test_hmac_keys_come_from_a_file_only():
    assert issuer("HS256", "HS512").jwks_file is not None
    with pytest.raises(ValidationError, match="jwks_file only"):
        issuer("HS256", jwks_url=URL)


def test_keys_have_exactly_one_source():
    with pytest.raises(ValidationError, match="either"):
        issuer(jwks_url=URL, jwks_file="/etc/jwks.json")
    with pytest.raises(ValidationError, match="either"):
        issuer(jwks_url=None)


@pytest.mark.parametrize(
    "url",
    [
        *("http://idp.example/jwks", "ftp://idp.example/jwks", "file:///etc/passwd"),
        *("https://idp.example/{tid}/keys", "https://idp.example/tid}/keys"),
        *("https:///jwks", "https://", "jwks.json", "", "https://[::1/jwks"),
        *("https://user@idp.example/", "https://u:p@idp.example/", f"{URL}#part"),
        *("https://idp.example:port/", "https://idp.example/a b", f"{URL}\n"),
        "https://\u0131dp.example/",
    ],
)
def test_a_url_that_could_lead_elsewhere_is_refused(url):
    with pytest.raises(ValidationError):
        issuer(jwks_url=url)


def test_plain_http_is_for_private_addresses_only():
    assert issuer(jwks_url="http://keys.internal/", allow_private_addresses=True)
    with pytest.raises(ValidationError, match="https"):
        issuer(jwks_url="http://keys.internal/")


@pytest.mark.parametrize("given", ["at+jwt", "AT+JWT", "application/at+jwt"])
def test_a_type_is_kept_in_one_spelling(given):
    assert issuer(types=[given]).types == ("at+jwt",)


@pytest.mark.parametrize(
    "given",
    [
        *("jwt", "JWT", "application/jwt", "secevent+jwt", "logout+jwt", "dpop+jwt"),
        *("", "text/plain", "at+jwt; charset=utf-8", "at+\u212awt", "a/b/c", "*"),
    ],
)
def test_a_type_of_another_kind_or_none_is_refused(given):
    with pytest.raises(ValidationError):
        issuer(types=[given])


def test_untyped_tokens_are_an_explicit_choice():
    assert issuer(allow_untyped=True).types == ("at+jwt",)


@pytest.mark.parametrize(
    "option",
    [
        {"max_token_bytes": 0},
        {"max_token_bytes": 1 << 20},
        {"refresh_seconds": 0},
        {"refresh_seconds": 300, "max_stale_seconds": 60},
        {"audiences": [""]},
        {"verify_signature": False},
        {"verify": False},
        {"check_audience": False},
    ],
)
def test_no_option_weakens_the_rules_for_every_token(option):
    with pytest.raises(ValidationError):
        issuer(**option)


@pytest.mark.parametrize(
    "option",
    [
        *({"jwks_proxy": url} for url in ("", "proxy:3128", "socks5://proxy:1080")),
        *({"jwks_proxy": url} for url in ("http://", "http://p/x", "http://p?x")),
        *(
            {"jwks_proxy": url}
            for url in ("http://p:99999", "http://p q", "http://\u00fc")
        ),
        {"jwks_proxy": "http://user:secret@proxy:3128"},
        {"jwks_proxy": "http://proxy:3128", "allow_private_addresses": True},
        {"jwks_proxy": "http://proxy:3128", "allow_private_addresses": False},
        {"jwks_proxy": "http://proxy:3128", "jwks_url": "http://idp.example/"},
        {"jwks_proxy": "http://proxy:3128", "jwks_url": None, "jwks_file": "/x"},
    ],
)
def test_a_proxy_is_named_and_promises_nothing_about_addresses(option):
    assert issuer(jwks_url=URL, jwks_proxy="https://proxy:3128/").jwks_proxy
    with pytest.raises(ValidationError) as raised:
        issuer(**{"jwks_url": URL, **option})
    assert "secret" not in str(raised.value)


def test_trust_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        issuer().audiences = ("https://elsewhere.example/",)


def test_a_refusal_does_not_repeat_what_was_given():
    with pytest.raises(ValidationError) as raised:
        issuer(jwks_url="https://user:secret@idp.example/")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("name", ["https://idp.example/ ", 'a"b', "", "x" * 513])
def test_an_issuer_that_no_event_could_name_is_not_trusted(name):
    adapter = TypeAdapter(TrustedIssuers)
    given = {"jwks_url": URL, "algorithms": ["ES256"], "audiences": [AUDIENCE]}
    assert adapter.validate_python({"https://idp.example/": given})
    with pytest.raises(ValidationError):
        adapter.validate_python({name: given})


@pytest.mark.parametrize(
    ("typ", "meant"),
    [
        ("at+jwt", "at+jwt"),
        ("Application/AT+JWT", "at+jwt"),
        ("text/at+jwt", None),
        ("application/x/at+jwt", None),
        ("\u212awt", None),
    ],
)
def test_a_media_type_is_compared_as_rfc_7515_says(typ, meant):
    assert media_type(typ) == meant
