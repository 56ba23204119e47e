"""Presets: each file is consistent, and its documentation can be copied."""

import tomllib
from pathlib import Path

import pytest
from pydantic import TypeAdapter
from typer.testing import CliRunner

from revocation.__main__ import app
from revocation.errors import SettingsError
from revocation.jwt.presets import Preset, preset, presets
from revocation.jwt.trusted_issuers import TrustedIssuer, TrustedIssuers
from revocation.settings import TokenSettings, VerifierSettings
from tests.unit.tokens import AUDIENCE

ADAPTER: TypeAdapter[dict[str, TrustedIssuer]] = TypeAdapter(TrustedIssuers)
TENANT = "6f9a3f0c-2b1e-4a5d-9a57-3b1f7b0e8a11"


def show(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["issuers", "show", *arguments])
    assert result.exit_code == 0
    return result.output


def trusted(name: str) -> TrustedIssuer:
    found = preset(name)
    where = {} if found.key_set_url(found.issuer) else {"jwks_url": "https://k.example"}
    given = {"preset": name, "audiences": [AUDIENCE], **where}
    return ADAPTER.validate_python({found.issuer: given})[found.issuer]


def test_presets_are_in_alphabetical_order() -> None:
    assert [*presets()] == sorted(presets())


@pytest.mark.parametrize("name", presets())
def test_a_preset_fills_in_all_but_the_audience(name: str) -> None:
    assert trusted(name).preset == name


@pytest.mark.parametrize("name", presets())
def test_no_preset_takes_a_claim_for_a_version(name: str) -> None:
    assert trusted(name).names.version is None


@pytest.mark.parametrize("name", ["auth0", "entra", "uaa", "zitadel"])
def test_a_lifetime_that_the_installation_has_not_is_refused_at_start(
    name: str, tmp_path: Path
) -> None:
    pepper = tmp_path / "pepper"
    pepper.write_bytes(b"p" * 32)
    needed = trusted(name).max_token_lifetime_seconds
    own = {"region": "eu", "store_url": "redis://s", "pepper_file": pepper}
    issuers = {preset(name).issuer: {"preset": name, "audiences": [AUDIENCE]}}
    said = f"set REVOCATION_MAX_TOKEN_LIFETIME_SECONDS to {needed} for all processes"
    with pytest.raises(SettingsError, match=said):
        VerifierSettings(**own, issuers=issuers)
    assert VerifierSettings(**own, issuers=issuers, max_token_lifetime_seconds=needed)


@pytest.mark.parametrize("name", presets())
def test_a_remedy_is_for_a_claim_that_is_needed(name: str) -> None:
    needed = {"aud", "iat", *trusted(name).names.required}
    assert preset(name).remedies.keys() <= needed


@pytest.mark.parametrize("name", presets())
def test_only_who_has_no_access_tokens_accepts_id_tokens(name: str) -> None:
    assert trusted(name).id_tokens is (name in {"firebase", "google"})


@pytest.mark.parametrize(
    ("name", "issuer", "url"),
    [
        (
            "keycloak",
            "https://k/realms/a",
            "https://k/realms/a/protocol/openid-connect",
        ),
        ("auth0", "https://a.eu.auth0.com/", "https://a.eu.auth0.com/.well-known/jwks"),
        ("okta", "https://o/oauth2/default", "https://o/oauth2/default/v1/keys"),
        (
            "entra",
            f"https://login.microsoftonline.com/{TENANT}/v2.0",
            f"https://login.microsoftonline.com/{TENANT}/discovery/v2.0/keys",
        ),
        (
            "entra",
            f"https://sts.windows.net/{TENANT}/",
            f"https://login.microsoftonline.com/{TENANT}/discovery/v2.0/keys",
        ),
        (
            "entra-b2c",
            f"https://a.b2clogin.com/tfp/{TENANT}/b2c_1_in/v2.0/",
            f"https://a.b2clogin.com/{TENANT}/b2c_1_in/discovery/v2.0/keys",
        ),
        ("uaa", "https://uaa.example/oauth/token", "https://uaa.example/token_keys"),
        ("google", "https://accounts.google.com", "https://www.googleapis.com/oauth2"),
    ],
)
def test_a_preset_knows_where_the_key_set_is(name: str, issuer: str, url: str) -> None:
    found = preset(name).key_set_url(issuer)
    assert found is not None
    assert found.startswith(url)


@pytest.mark.parametrize(
    ("name", "issuer"),
    [
        ("entra", "https://sts.windows.net/"),
        ("entra", f"https://sts.windows.net/{TENANT}/more/"),
        ("entra", f"https://sts.windows.net.attacker.example/{TENANT}/"),
        ("entra-b2c", f"https://a.b2clogin.com/{TENANT}/v2.0/"),
        ("uaa", "https://uaa.example/oauth/token/"),
        ("fusionauth", "acme.com"),
        ("rfc9068", "https://idp.example"),
    ],
)
def test_or_says_that_it_does_not(name: str, issuer: str) -> None:
    assert preset(name).key_set_url(issuer) is None


def test_a_dot_in_a_shape_is_a_dot() -> None:
    found = Preset(
        title="T",
        tokens="t",
        issuer="i",
        issuers=("https://a.b/{x}",),
        jwks_url="https://k/{x}",
        settings={},
    )
    assert found.key_set_url("https://a.b/c") == "https://k/c"
    assert found.key_set_url("https://aXb/c") is None


def test_all_presets_are_listed() -> None:
    assert [line.split()[0] for line in show().splitlines()] == [*presets()]


@pytest.mark.parametrize("name", presets())
def test_what_is_shown_can_be_copied(name: str) -> None:
    """As it stands, and with what the preset fills in no longer a comment."""
    shown = show(name)
    settings, *_ = shown[shown.index("[issuers.") :].split("\n\n")
    for text in (settings, "\n".join(map(uncomment, settings.splitlines()))):
        (options,) = ADAPTER.validate_python(tomllib.loads(text)["issuers"]).values()
        options = options.model_copy(update={"audiences": (), "jwks_url": None})
        expected = trusted(name)
        assert options == expected.model_copy(
            update={"audiences": (), "jwks_url": None}
        )


@pytest.mark.parametrize("name", presets())
def test_what_is_shown_is_all_that_is_needed_for_long_lived_tokens(name: str) -> None:
    """An installation refuses issuers whose tokens live longer than it remembers."""
    _, settings = show(name).split("\n\n", 1)
    text, *_ = settings.split("# What the preset fills in")
    copied = tomllib.loads(text)
    for issuer in copied["issuers"].values():
        issuer["jwks_url"] = "https://idp.example/keys"
    assert TokenSettings(**copied).rules


def uncomment(line: str) -> str:
    return line.removeprefix("# ") if " = " in line else line


@pytest.mark.parametrize("name", presets())
def test_what_to_change_and_what_to_know_is_shown(name: str) -> None:
    shown, found = show(name), preset(name)
    for sentence in (*found.remedies.values(), *found.notes):
        assert sentence in shown
    assert "session.ended" in shown


def test_an_unknown_preset_is_wrong_usage() -> None:
    result = CliRunner().invoke(app, ["issuers", "show", "oktaa"])
    assert result.exit_code == 2
    assert "okta" in result.output
