"""The output of `revocation issuers` in docs/token-verification.md is real."""

import re
import shlex
import tomllib

import pytest
from typer.testing import CliRunner

from revocation.__main__ import app
from revocation.settings import read_issuers
from tests.structure.sources import ROOT
from tests.unit.provider import OPENID, provider_over_tls
from tests.unit.test_issuers_discover import found
from tests.unit.test_issuers_try import NOW, of_okta
from tests.unit.tokens import jwk, key_set

PAGE = (ROOT / "docs" / "token-verification.md").read_text()
SHOWN = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
TYPED = [line for kind, text in SHOWN if kind == "sh" for line in text.splitlines()]
TRIES = [line for line in TYPED if " try " in line]
(DISCOVERS,) = [line for line in TYPED if " discover " in line]


@pytest.fixture
def provider(tmp_path, monkeypatch):
    with provider_over_tls(tmp_path, monkeypatch) as server:
        yield server


def words(line: str) -> list[str]:
    """Return what the shell would give to the command; it reads and writes files."""
    program, *found = shlex.split(re.sub(r" [<>] \S+", "", line))
    assert program == "revocation"
    return found


def test_commands_are_shown():
    assert len(TRIES) == 3


@pytest.mark.parametrize("line", TRIES)
def test_a_command_that_tries_a_token_runs(line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "keys.json").write_bytes(key_set(jwk("RS256")))
    assert line.endswith("< token.txt")
    result = CliRunner().invoke(app, words(line), input=of_okta())
    assert ("It passes" in result.output) == ("--preset" in line)


def test_the_documented_messages_are_those_of_tokens():
    wide = CliRunner(env={"COLUMNS": "400"})
    token = of_okta(aud="api://invoices", exp=NOW - 500)
    result = wide.invoke(app, words(TRIES[0]), input=token)
    said = {" ".join(line.split()) for line in result.output.splitlines()}
    (shown,) = [text for kind, text in SHOWN if kind == "text"]
    assert {" ".join(line.split()) for line in shown.splitlines()} <= said


def test_a_command_that_discovers_an_issuer_writes_what_is_shown(provider):
    *typed, url = words(DISCOVERS)
    assert typed == ["issuers", "discover"]
    host = "https://keycloak.example"
    issuer = url.replace(host, provider.root)
    keys = f"{issuer}/protocol/openid-connect/certs"
    provider.say(f"/realms/shop{OPENID}", issuer=issuer, jwks_uri=keys)
    path = keys.removeprefix(provider.root)
    provider.published[path] = provider.published["/jwks.json"]
    written = found(issuer).stdout.replace(provider.root, host)
    shown = next(text for kind, text in SHOWN if kind == "toml" and url in text)
    assert written == f"{shown}allow_private_addresses = true\n"
    assert list(read_issuers(tomllib.loads(shown)["issuers"])) == [url]
