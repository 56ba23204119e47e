"""`revocation issuers try`: by a preset or by settings, and what it never prints."""

import json
import re
import time
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from revocation.__main__ import app
from revocation.cli import EXIT_NEGATIVE
from revocation.errors import SettingsError
from revocation.jwt.presets import presets
from tests.stations.beside import beside
from tests.unit.jwks_server import JwksServer
from tests.unit.tokens import AUDIENCE, ISSUER, encode, jwk, key_for, key_set, mint

OKTA = "https://acme.okta.com/oauth2/default"
NOW = int(time.time())
ODD_AUDIENCES = (5, True, 1.5, {"a": 1}, [5], "a" * 3_000, "\x1b\x7f", ["\u202e", "b"])


def times() -> dict[str, int]:
    """Return those of a token made just now: this module was imported long ago."""
    now = int(time.time())
    return {"iat": now - 10, "exp": now + 590}


def fresh(**claims: Any) -> str:
    return mint(**{**times(), **claims})


def of_okta(**claims: Any) -> str:
    own = {"cid": "0oa1", "client_id": ..., "scp": ["read"], "aud": "api://orders"}
    given = {**times(), "iss": OKTA, **own, **claims}
    return mint("RS256", header={"typ": None}, **given)


def tried(token: str, *words: str) -> Result:
    """Type the command, with the token on stdin."""
    width = {"COLUMNS": "240"}
    typed = ["issuers", "try", *words]
    return CliRunner(env=width).invoke(app, [*typed, "-"], input=f"{token}\n")


def states(result: Result) -> dict[str, str]:
    rows = result.stdout.split("\n\n")[1].splitlines()
    return dict(re.split(r"  +", row)[:2] for row in rows)


def test_a_token_passes_by_its_preset_as_far_as_it_is_looked_at():
    found = tried(of_okta(), "--preset", "okta", "--audience", "api://orders")
    assert found.exit_code == 0
    assert states(found).pop("signature") == "not looked at"
    assert "Assumed: --issuer" in found.stdout
    assert "Assumed: --audience" not in found.stdout
    assert 'client "0oa1"' in found.stdout
    assert "It passes as far as it was looked at" in found.stdout


def test_a_token_that_does_not_pass_is_explained_whole():
    token = of_okta(exp=NOW - 500, jti=...)
    found = tried(token, "--preset", "okta", "--audience", "api://invoices")
    assert found.exit_code == EXIT_NEGATIVE
    failing = {name for name, state in states(found).items() if state == "FAILS"}
    assert failing == {"audience", "required", "exp"}
    assert "It does not pass: audience_refused" in found.stdout


@pytest.mark.parametrize(("signer", "code"), [("key-1", 0), ("key-2", EXIT_NEGATIVE)])
def test_a_key_set_in_a_file_verifies_the_signature(tmp_path, signer, code):
    path = tmp_path / "jwks.json"
    path.write_bytes(key_set(jwk("RS256", signer, kid="key-1"), jwk("ES256", "other")))
    found = tried(of_okta(), "--preset", "okta", "--jwks-file", str(path))
    assert found.exit_code == code
    assert "1 other_algorithm" in found.stderr
    assert ("It passes." in found.stdout) == (code == 0)


def test_a_key_set_is_read_from_its_url_on_request():
    with beside(JwksServer(key_set(jwk("RS256")))) as (server, _):
        typed = ("--preset", "okta", "--jwks-url", server.url)
        refused = tried(of_okta(), *typed)
        assert "must begin with https" in str(refused.exception)
        found = tried(of_okta(), *typed, "--allow-private")
        assert found.exit_code == 0
        assert "It passes." in found.stdout
        (request,) = server.requests
        assert of_okta().encode() not in request


def test_an_issuers_own_key_set_is_read_only_on_request(monkeypatch):
    with beside(JwksServer(key_set(jwk("ES256")))) as (server, _):
        own = {"algorithms": ["ES256"], "audiences": [AUDIENCE]}
        keys = {"jwks_url": server.url, "allow_private_addresses": True}
        issuers = json.dumps({ISSUER: {**own, **keys}})
        monkeypatch.setenv("REVOCATION_ISSUERS", issuers)
        assert states(tried(fresh()))["signature"] == "not looked at"
        assert not server.requests
        assert states(tried(fresh(), "--fetch"))["signature"] == "passes"
        assert len(server.requests) == 1
        forged = mint(key=key_for("ES256", "key-2"), **times())
        assert "signature_invalid" in tried(forged, "--fetch").stdout


def test_a_token_with_another_issuer_is_held_to_the_keys_all_the_same(tmp_path):
    path = tmp_path / "jwks.json"
    path.write_bytes(key_set(jwk("RS256")))
    typed = ("--preset", "okta", "--issuer", f"{OKTA}/", "--jwks-file", str(path))
    told = states(tried(of_okta(), *typed))
    assert (told["issuer"], told["signature"]) == ("FAILS", "passes")


def test_a_key_set_that_cannot_be_read_is_no_key(tmp_path):
    path = str(tmp_path / "none.json")
    found = tried(of_okta(), "--preset", "okta", "--jwks-file", path)
    assert found.exit_code == EXIT_NEGATIVE
    assert "cannot be read" in found.stderr
    assert "key_unknown" in found.stdout


@pytest.fixture
def settings(monkeypatch):
    """Trust an issuer by settings, of which no key set is read."""
    own = {"algorithms": ["ES256"], "audiences": [AUDIENCE]}
    issuers = {ISSUER: {**own, "jwks_url": "https://idp.invalid/keys"}}
    monkeypatch.setenv("REVOCATION_ISSUERS", json.dumps(issuers))


def test_without_a_preset_settings_say_whom_to_trust(settings, tmp_path):
    assert tried(fresh()).exit_code == 0
    path = tmp_path / "jwks.json"
    path.write_bytes(key_set(jwk("ES256")))
    found = tried(fresh(), "--jwks-file", str(path))
    assert found.exit_code == 0
    assert "It passes." in found.stdout
    assert tried(fresh(aud="x")).exit_code == EXIT_NEGATIVE


@pytest.mark.parametrize("preset", ["okta", None])
@pytest.mark.parametrize(
    "own",
    [
        {"jwks_file": "/nowhere/jwks.json"},
        {"jwks_url": "https://idp.invalid/", "jwks_proxy": "http://proxy.invalid:1"},
    ],
    ids=["file", "proxy"],
)
def test_keys_that_are_typed_stand_for_those_of_settings(
    own, preset, tmp_path, monkeypatch
):
    given = {"algorithms": ["RS256"], "audiences": ["api://orders"], "preset": preset}
    monkeypatch.setenv(
        "REVOCATION_ISSUERS",
        json.dumps({OKTA: {"allow_untyped": True, **given, **own}}),
    )
    path = tmp_path / "jwks.json"
    path.write_bytes(key_set(jwk("RS256")))
    assert "It passes." in tried(of_okta(), "--jwks-file", str(path)).stdout
    if "jwks_file" in own:
        with beside(JwksServer(key_set(jwk("RS256")))) as (server, _):
            typed = ("--jwks-url", server.url, "--allow-private")
            assert "It passes." in tried(of_okta(), *typed).stdout


def test_the_lifetime_of_settings_counts(settings, monkeypatch):
    monkeypatch.setenv("REVOCATION_MAX_TOKEN_LIFETIME_SECONDS", "60")
    assert "lifetime_exceeded" in tried(fresh()).stdout


def test_the_lifetime_that_a_preset_needs_is_assumed():
    token = mint("RS256", header={"typ": "JWT"}, iat=NOW, exp=NOW + 80_000, scope="a")
    found = tried(token, "--preset", "auth0")
    assert found.exit_code == 0
    assert "REVOCATION_MAX_TOKEN_LIFETIME_SECONDS is 86400" in found.stdout


def test_a_tenant_stands_in_the_template_of_a_preset():
    tenant = "6f9a3f0c-2b1e-4a5d-9a57-3b1f7b0e8a11"
    own = {"oid": "u1", "uti": "t1", "tid": tenant, "azp": "a", "scp": "x"}
    issuer = f"https://login.microsoftonline.com/{tenant}/v2.0"
    dated = {"iat": NOW - 310, "exp": NOW + 3_600}
    token = mint("RS256", header={"typ": "JWT"}, **dated, iss=issuer, **own)
    typed = ("--preset", "entra", "--tenant", tenant)
    assert tried(token, *typed).exit_code == 0
    template = ("--issuer", "https://login.microsoftonline.com/{tid}/v2.0")
    assert tried(token, *typed, *template).exit_code == 0
    other = tried(token, "--preset", "entra", "--tenant", "contoso")
    assert other.exit_code == EXIT_NEGATIVE
    assert states(other)["values"] == "FAILS"


def test_presets_that_a_token_looks_like_are_named():
    assert "--preset okta" in tried(of_okta()).stdout
    assert "--preset entra" in tried(fresh(oid="a", uti="b", tid="c")).stdout
    assert "No preset looks like it" in tried(fresh()).stdout


def test_the_preset_that_was_tried_is_not_advised_again():
    typed = ("--preset", "okta", "--issuer", "https://acme.okta.com/oauth2/other")
    found = tried(of_okta(), *typed)
    assert "--preset okta" not in found.stdout
    assert "--issuer or --tenant must say its `iss`" in found.stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Nothing was given"),
        (f"Bearer {of_okta()}", "without `Bearer`"),
        (f"{of_okta().rpartition('.')[0]}.", "nobody signed"),
        ("a.b.c.d.e", "encrypted"),
        ("00opaque", "opaque"),
    ],
    ids=["empty", "bearer", "unsigned", "encrypted", "opaque"],
)
def test_text_that_is_not_a_signed_token_is_reported(text, said):
    found = tried(text, "--preset", "okta")
    assert found.exit_code == EXIT_NEGATIVE
    assert said in found.stdout.splitlines()[-1]


@pytest.mark.parametrize("columns", [60, 80])
def test_a_long_issuer_is_shown_whole_on_a_narrow_terminal(columns):
    issuer = f"https://login.microsoftonline.com/{'a-' * 40}tail/v2.0"
    typed = ["issuers", "try", "--preset", "rfc9068", "--issuer", f"{issuer}x", "-"]
    runner = CliRunner(env={"COLUMNS": str(columns)})
    found = runner.invoke(app, typed, input=fresh(iss=issuer))
    cells = [line[26:].rstrip() for line in found.stdout.splitlines()]
    assert issuer in "".join(cells)
    assert f"{issuer}x" in "".join(cells)


# What is never said -------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["--preset", "nobody", "TOKEN"],
        ["--preset", "okta", "TOKEN", "TOKEN"],
        ["--preset", "okta", "--issuer", "a b", "TOKEN"],
        ["--preset", "okta", "--jwks-url", "ftp://x", "TOKEN"],
        ["--preset", "okta", "--jwks-url", "x", "--jwks-file", "y", "TOKEN"],
        ["--preset", "okta", "--issuer", "https://{tid}/", "TOKEN"],
        ["--preset", "entra", "--tenant", "\\1", "TOKEN"],
        ["--audience", "x", "TOKEN"],
        ["--issuer", "x", "TOKEN"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("token", [of_okta(), of_okta(iss="https://{x}/"), "a.b.c"])
def test_what_was_typed_wrong_shows_nothing_of_the_token(words, token):
    typed = [token if each == "TOKEN" else each for each in words]
    found = CliRunner().invoke(app, ["issuers", "try", *typed])
    assert found.exit_code == 2 or isinstance(found.exception, SettingsError)
    said = f"{found.output}{found.stderr}{found.exception!r}"
    for part in token.split("."):
        assert len(part) < 2 or part not in said


@pytest.mark.parametrize("preset", [*presets(), None])
@pytest.mark.parametrize(
    "token",
    [
        *("", ".", "a.b.c", "x" * 100_000, "\x1b[2J", "ключ", "Bearer a.b.c"),
        ".".join(map(encode, (b'{"alg":"none"}', b'{"iss":["x"],"aud":{}}', b"x"))),
        of_okta(iss="https://{tid}/", aud=["", 5]),
        *(of_okta(cid=..., iat=None, aud=each) for each in ODD_AUDIENCES),
    ],
    ids=range(9 + len(ODD_AUDIENCES)),
)
def test_whatever_is_given_is_explained(token, preset):
    words = () if preset is None else ("--preset", preset)
    found = tried(token, *words)
    assert found.exit_code == EXIT_NEGATIVE
    assert "It does not pass" in found.stdout
    assert found.stdout.replace("\n", " ").isprintable()
    assert found.stdout.isascii()


def test_nothing_is_logged(caplog, tmp_path, capfd):
    path = str(tmp_path / "none.json")
    tried(of_okta(), "--preset", "okta", "--jwks-file", path)
    assert not caplog.records
    assert capfd.readouterr() == ("", "")
