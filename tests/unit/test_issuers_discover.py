"""`revocation issuers discover`: its output, and the metadata that it refuses."""

import json
import tomllib

import pytest
from click.testing import Result
from typer.testing import CliRunner

from revocation.__main__ import app
from revocation.cli import EXIT_NEGATIVE
from revocation.cli.issuers_discover import _lines, _name, _values
from revocation.jwt.issuer_discovery import (
    Algorithms,
    Metadata,
    _read,
    issuer_of,
    places,
)
from revocation.jwt.presets import presets
from revocation.jwt.trust import Algorithm
from revocation.settings import VerifierSettings
from tests.unit.jwks_server import answer
from tests.unit.provider import KEYS, OAUTH, OPENID, provider_over_tls, serving
from tests.unit.tokens import encode, jwk, key_set

WEAK = {"kty": "RSA", "kid": "weak", "n": encode(b"\xff" * 128), "e": "AQAB"}


@pytest.fixture
def provider(tmp_path, monkeypatch):
    with provider_over_tls(tmp_path, monkeypatch) as server:
        yield server


def discovered(url: str, *words: str) -> Result:
    return CliRunner().invoke(app, ["issuers", "discover", *words, url])


def found(url: str) -> Result:
    return discovered(url, "--allow-private")


def loaded(written: str, folder, monkeypatch) -> VerifierSettings:
    """Read what was written as the settings file of a verifier."""
    path = folder / "revocation.toml"
    path.write_text(written)
    monkeypatch.setenv("REVOCATION_CONFIG", str(path))
    pepper = folder / "pepper"
    pepper.write_text("0123456789abcdef" * 2)
    return VerifierSettings(
        region="eu", store_url="redis://localhost", pepper_file=pepper
    )


def refusal(result: Result) -> str:
    assert result.exit_code == EXIT_NEGATIVE, result
    assert result.stdout == ""
    return result.stderr


# What is written ----------------------------------------------------------------------


def test_what_is_written_are_settings(provider, tmp_path, monkeypatch):
    provider.say(OPENID)
    result = found(provider.root)
    assert result.exit_code == 0
    (trusted,) = loaded(result.stdout, tmp_path, monkeypatch).issuers.values()
    assert trusted.algorithms == (Algorithm.ES256, Algorithm.RS256)
    assert trusted.jwks_url == provider.url
    assert "the metadata of https://localhost" in result.stderr
    assert "# who you are" in result.stdout
    assert provider.asked_for == [OPENID, "/jwks.json"]


def test_the_metadata_of_rfc_8414_stands_before_the_path(provider):
    issuer = f"{provider.root}/tenants/1"
    provider.say(f"{OAUTH}/tenants/1", issuer=issuer)
    result = found(issuer)
    assert issuer in tomllib.loads(result.stdout)["issuers"]
    openid, oauth, _ = provider.asked_for
    assert openid == f"/tenants/1{OPENID}"
    assert oauth == f"{OAUTH}/tenants/1"


def test_a_preset_is_guessed_by_the_issuers_name(provider, tmp_path, monkeypatch):
    issuer = f"{provider.root}/realms/shop"
    jwks_uri = f"{issuer}/protocol/openid-connect/certs"
    provider.say(f"/realms/shop{OPENID}", issuer=issuer, jwks_uri=jwks_uri)
    provider.published[jwks_uri.removeprefix(provider.root)] = answer(KEYS)
    result = found(issuer)
    (written,) = tomllib.loads(result.stdout)["issuers"].values()
    assert written["preset"] == "keycloak"
    assert "jwks_url" not in written
    assert "By its name it looks like Keycloak" in result.stderr
    settings = loaded(result.stdout, tmp_path, monkeypatch)
    assert settings.issuers[issuer].jwks_url == jwks_uri


def test_a_template_is_written_with_its_tenants(provider, tmp_path, monkeypatch):
    issuer = f"{provider.root}/{{tenantid}}/v2.0"
    provider.say(f"/common/v2.0{OPENID}", issuer=issuer)
    result = found(f"{provider.root}/common/v2.0")
    assert "a template, not an issuer" in result.stderr
    (written,) = tomllib.loads(result.stdout)["issuers"].values()
    assert written["tenants"] == ["your-tenant"]
    issuers = loaded(result.stdout, tmp_path, monkeypatch).issuers
    assert list(issuers) == [f"{provider.root}/your-tenant/v2.0"]


@pytest.mark.parametrize("name", presets())
def test_what_is_written_of_a_preset_is_not_refused(name, tmp_path, monkeypatch):
    example = presets()[name].issuer
    keys = presets()[name].key_set_url(example) or f"{example}/keys"
    metadata = Metadata(example, keys, (), f"{example}{OPENID}")
    algorithms = Algorithms((Algorithm.RS256,), None, {})
    values = _values(metadata, algorithms, example, (name,))
    written = "\n".join(_lines(example, values))
    (trusted,) = loaded(written, tmp_path, monkeypatch).issuers.values()
    assert trusted.preset == name
    assert trusted.jwks_url == keys


ENTRA = "https://login.microsoftonline.com"


def test_entras_template_has_the_claim_that_its_tokens_have(tmp_path, monkeypatch):
    keys = f"{ENTRA}/common/discovery/v2.0/keys"
    said = {"issuer": f"{ENTRA}/{{tenantid}}/v2.0", "jwks_uri": keys}
    metadata = _read(json.dumps(said).encode(), f"{ENTRA}/common/v2.0", "", http=False)
    assert isinstance(metadata, Metadata)
    name = _name(metadata, ("entra",))
    assert name == f"{ENTRA}/{{tid}}/v2.0"
    algorithms = Algorithms((Algorithm.RS256,), None, {})
    values = _values(metadata, algorithms, name, ("entra",))
    written = "\n".join(_lines(name, values))
    issuers = loaded(written, tmp_path, monkeypatch).issuers
    (tenant,) = issuers.values()
    assert tenant.jwks_url == f"{ENTRA}/your-tenant/discovery/v2.0/keys"
    assert values.keys() == {"preset", "tenants", "algorithms", "audiences"}


@pytest.mark.parametrize(
    ("keys", "names", "said"),
    [
        ([jwk("RS256", alg=None)], ["RS256"], "Some have no `alg`: RS256"),
        ([jwk("EdDSA", alg=None)], ["Ed25519", "EdDSA"], "Ed25519, EdDSA"),
        ([jwk("PS384"), jwk("ES512", "b")], ["ES512", "PS384"], "ES512, PS384"),
        ([jwk("ES256"), jwk("RS256", "b", use="enc")], ["ES256"], "1 other_use"),
        ([jwk("ES256"), jwk("HS256", "b")], ["ES256"], "1 other_algorithm"),
    ],
)
def test_the_algorithms_are_those_of_the_keys(provider, keys, names, said):
    provider.say(OPENID, id_token_signing_alg_values_supported=["HS256", "RS256", 5])
    provider.published["/jwks.json"] = answer(key_set(*keys))
    result = found(provider.root)
    (written,) = tomllib.loads(result.stdout)["issuers"].values()
    assert written["algorithms"] == names
    assert said in result.stderr


def test_what_the_metadata_names_is_taken_for_keys_without_algorithm(provider):
    provider.say(OPENID, id_token_signing_alg_values_supported=["ES256", "PS256"])
    provider.published["/jwks.json"] = answer(key_set(jwk("RS256", alg=None)))
    (written,) = tomllib.loads(found(provider.root).stdout)["issuers"].values()
    assert written["algorithms"] == ["PS256"]


@pytest.mark.parametrize("end", [OPENID, ""])
def test_a_url_may_be_that_of_the_metadata(provider, end):
    provider.say(OPENID)
    assert found(f"{provider.root}{end}").exit_code == 0


@pytest.mark.parametrize(
    ("issuer", "openid", "oauth"),
    [
        ("https://a.example", OPENID, OAUTH),
        ("https://a.example/", OPENID, OAUTH),
        ("https://a.example/x/y", f"/x/y{OPENID}", f"{OAUTH}/x/y"),
        ("https://a.example/x/", f"/x{OPENID}", f"{OAUTH}/x"),
    ],
)
def test_where_metadata_may_be(issuer, openid, oauth):
    host = "https://a.example"
    assert places(issuer) == (f"{host}{openid}", f"{host}{oauth}")
    assert issuer_of(host + oauth, http=False) == issuer.removesuffix("/")


# What is not believed -----------------------------------------------------------------


def test_the_metadata_of_another_issuer_is_not_used(provider):
    provider.say(OPENID, issuer="https://other.example")
    said = refusal(found(provider.root))
    assert '"https://other.example" and not of the requested issuer' in said
    assert "/jwks.json" not in provider.asked_for


@pytest.mark.parametrize(("asked", "said"), [("", "/"), ("/", "")])
def test_a_trailing_slash_makes_another_issuer(provider, asked, said):
    provider.say(OPENID, issuer=f"{provider.root}{said}")
    which = "with a trailing slash" if said else "without a trailing slash"
    assert which in refusal(found(f"{provider.root}{asked}"))


@pytest.mark.parametrize(
    "issuer",
    [
        "{root}/{{tenantid}}/v2.0/",
        "{root}/{{a}}/{{b}}",
        "{root}/{{a}}{{b}}/v2.0",
        "https://{{tenantid}}/common/v2.0",
        "{{tenantid}}",
        "{root}/{{tenantid}}",
    ],
)
def test_only_one_part_of_the_path_may_be_a_tenants(provider, issuer):
    provider.say(f"/common/v2.0{OPENID}", issuer=issuer.format(root=provider.root))
    said = refusal(found(f"{provider.root}/common/v2.0"))
    assert "must not be used" in said


@pytest.mark.parametrize(
    ("jwks_uri", "said"),
    [
        ("ftp://localhost/keys", "must begin with https"),
        ("https://user:secret@localhost/keys", "neither user, password"),
        ("https://localhost/keys#x", "nor fragment"),
        ("https://[bad/keys", "not a URL"),
        ("/keys", "not a URL with a host"),
        ("https://localhost/\x1b[2J", "not a URL with a host"),
        (5, "no `jwks_uri`"),
        (..., "no `jwks_uri`"),
    ],
)
def test_keys_are_read_from_safe_places_only(provider, jwks_uri, said):
    provider.say(OPENID, jwks_uri=jwks_uri)
    told = refusal(found(provider.root))
    assert said in told
    assert "secret" not in told
    assert "/jwks.json" not in provider.asked_for


def test_keys_are_not_read_by_http():
    said = {"issuer": "https://a.example", "jwks_uri": "http://a.example/keys"}
    found = _read(json.dumps(said).encode(), "https://a.example", "", http=False)
    assert "must begin with https" in str(found)


def test_a_quote_in_a_url_ends_no_text(provider, tmp_path, monkeypatch):
    path = '/keys"]\\nallow_untyped=true'
    provider.say(OPENID, jwks_uri=f"{provider.root}{path}")
    metadata = provider.published[OPENID]
    provider.answer = lambda: (
        metadata if provider.asked_for[-1] == OPENID else answer(KEYS)
    )
    result = found(provider.root)
    (trusted,) = loaded(result.stdout, tmp_path, monkeypatch).issuers.values()
    assert trusted.jwks_url == f"{provider.root}{path}"
    assert not trusted.allow_untyped


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (answer(b" " * 300_000), "262144 bytes"),
        (answer(b"", "302 Found", location="https://other.example"), "no redirect"),
        (answer(b"<html>"), "not strict JSON"),
        (answer(b"\xff\xfe"), "not strict JSON"),
        (answer(b"[" * 10_000), "not strict JSON"),
        (answer(b'{"issuer":"a","issuer":"b"}'), "not strict JSON"),
        (answer(b"[]"), "not a JSON object"),
        (answer(b"{}"), "names no `issuer`"),
        (answer(b'{"issuer":["a"]}'), "names no `issuer`"),
        (answer(b'{"issuer":"\\u001b[2J\\u202e"}'), '"\\u001b[2J\\u202e"'),
        (b"nonsense\r\n\r\n", "cannot be read"),
    ],
)
def test_invalid_metadata_is_not_used(provider, said, why):
    provider.published[OPENID] = said
    assert why in refusal(found(provider.root))


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (answer(b"", "302 Found", location="https://other.example"), "no redirect"),
        (answer(b"{}"), "no array `keys`"),
        (answer(key_set()), "no key that can be used"),
        (answer(key_set(jwk("HS256"))), "no key that can be used"),
        (answer(key_set(WEAK)), "no key that can be used"),
    ],
)
def test_an_unusable_key_set_is_reported(provider, said, why):
    provider.say(OPENID)
    provider.published["/jwks.json"] = said
    assert why in refusal(found(provider.root))


def test_private_addresses_are_contacted_only_if_allowed(provider):
    provider.say(OPENID)
    assert "not public" in refusal(discovered(provider.root))
    assert not provider.requests


def test_http_is_used_only_if_allowed():
    with serving(tls=None) as provider:
        provider.say(OPENID)
        refused = discovered(provider.root)
        assert refused.exit_code == 2
        assert not provider.requests
        result = found(provider.root)
        assert "allow_private_addresses = true" in result.stdout


def test_a_certificate_that_nobody_vouches_for_is_refused(provider, monkeypatch):
    provider.say(OPENID)
    monkeypatch.delenv("SSL_CERT_FILE")
    assert "cannot be read" in refusal(found(provider.root))


@pytest.mark.parametrize(
    "url",
    ["", "a", "https://", "https://a.example?x", "https://u:p@a.example", "https://[a"],
)
def test_an_invalid_issuer_is_not_contacted(url):
    assert discovered(url).exit_code == 2
