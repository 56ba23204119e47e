"""docs/issuers.md and each preset's page: settings, events and tables are correct."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from revocation.__main__ import app
from revocation.entries import Kind
from revocation.events import EVENT_TYPES, Event, parse, targets
from revocation.jwt.authenticator import Authenticated, Authenticator
from revocation.jwt.presets import preset, presets
from revocation.settings import VerifierSettings
from tests.structure.sources import ROOT
from tests.unit.issuer_events import verdict
from tests.unit.issuer_tokens import SAMPLES
from tests.unit.tokens import NOW, FixedKeys, jwk, key_set

DOCS = ROOT / "docs"
INDEX = (DOCS / "issuers.md").read_text()
PAGES = {path.stem: path.read_text() for path in (DOCS / "issuers").glob("*.md")}
ROW = re.compile(r"^\| .* \| `(revocation\.[a-z_.]+)` \| `(\{.*\})` \|$", re.MULTILINE)


def settings(page: str, tmp_path: Path) -> VerifierSettings:
    """Read the page's only block of settings, with what every verifier needs."""
    (block,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    pepper = tmp_path / "pepper"
    pepper.write_bytes(b"p" * 32)
    own = {"region": "eu", "store_url": "redis://s", "pepper_file": pepper}
    return VerifierSettings(**own, **tomllib.loads(block))


def sent(name: str) -> list[Event]:
    """Return the events of a page, as they are sent."""
    issuer = preset(name).issuer
    envelope = {"specversion": "1.0", "source": "/idp"}
    return [
        parse(
            {
                **envelope,
                "id": f"{name}-{number}",
                "type": type_,
                "data": {"issuer": issuer, **json.loads(data)},
            }
        )
        for number, (type_, data) in enumerate(ROW.findall(PAGES[name]))
    ]


def verified(found: VerifierSettings, name: str) -> Any:
    sample = SAMPLES[name]
    trusted = found.issuers[sample.issuer]
    ring = FixedKeys(key_set(jwk(sample.algorithm)), trusted)
    authenticator = Authenticator(found.issuers, found.rules, ring)
    return authenticator.authenticate(sample.compact, NOW)


def test_every_preset_has_a_page_that_is_named_in_the_index() -> None:
    named = re.findall(
        r"^\| \[`([a-z0-9-]+)`\]\(issuers/(.+)\.md\)", INDEX, re.MULTILINE
    )
    assert named == [(name, name) for name in presets()]
    assert PAGES.keys() == presets().keys()


def test_the_index_begins_with_settings_that_load(tmp_path: Path) -> None:
    assert "https://keycloak.example/realms/shop" in settings(INDEX, tmp_path).issuers


@pytest.mark.parametrize("name", presets())
def test_the_settings_of_a_page_verify_a_token(name: str, tmp_path: Path) -> None:
    found = verified(settings(PAGES[name], tmp_path), name)
    assert isinstance(found, Authenticated), found


@pytest.mark.parametrize("name", presets())
def test_each_event_of_a_page_refuses_the_token(name: str) -> None:
    sample = SAMPLES[name]
    found = sample.authenticator().authenticate(sample.compact, NOW)
    assert isinstance(found, Authenticated)
    for event in sent(name):
        assert not verdict(found, event), event.type


@pytest.mark.parametrize("name", presets())
def test_a_page_says_how_to_log_out_disable_and_delete(name: str) -> None:
    """And has an event for each kind of target that its tokens name."""
    said = [event for event in sent(name) for _ in targets(event)]
    kinds = {target.kind for event in said for target in targets(event)}
    assert Kind.USER in kinds
    assert (
        {"revocation.user.logged_out", "revocation.user.disabled"}
        <= {event.type for event in said}
        <= EVENT_TYPES.keys()
    )
    assert f"`issuer` is `{preset(name).issuer}` here" in PAGES[name]


@pytest.mark.parametrize("name", presets())
def test_a_page_has_what_the_command_prints(name: str) -> None:
    printed = CliRunner().invoke(app, ["issuers", "show", name, "--markdown"]).output
    current = PAGES[name].split("## What is reached, and what is not\n\n")[1]
    assert current == printed, (
        f"replace the end of docs/issuers/{name}.md by the output of "
        f"`revocation issuers show {name} --markdown`"
    )


@pytest.mark.parametrize("path", re.findall(r"\]\(([^)]+)\)", INDEX))
def test_what_the_index_links_is_there(path: str) -> None:
    assert (DOCS / path).is_file()
