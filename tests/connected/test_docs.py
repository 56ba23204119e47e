"""Each Python block in the documents runs verbatim on a real installation."""

import ast
import inspect
import json
import time
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI

from revocation import Verifier
from tests.documents import Block, blocks
from tests.installation import Installation, eventually
from tests.traffic import claims, user
from tests.unit.tokens import AUDIENCE, ISSUER, jwk, key_for, key_set, mint

pytestmark = [pytest.mark.connected, pytest.mark.timeout(120)]

ELSEWHERE = {
    "docs/migrating.md": "parts of `examples/`, which test_examples.py runs completely",
}
"""Pages whose blocks do not run here, and why."""
RUN = [block for block in blocks("python") if not block.is_of_an_example]


@pytest.fixture
def configured(running: Installation, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """Put a service's settings into this process' environment."""
    jwks = running.folder / "jwks.json"
    jwks.write_bytes(key_set(jwk("ES256")))
    trusted = {"jwks_file": str(jwks), "algorithms": ["ES256"], "version_claim": "ver"}
    issuers = json.dumps({ISSUER: {**trusted, "audiences": [AUDIENCE]}})
    service = {"region": "eu", "store_url": running.stores["eu"].url}
    for name, value in running.env(**service, issuers=issuers).items():
        monkeypatch.setenv(name, value)
    return running


def given() -> dict[str, Any]:
    """Return what the blocks presuppose: a token, a service, an issuer's row."""
    now = int(time.time())
    about = {"sub": "shown", "jti": "of-shown", "iat": now - 60, "exp": now + 600}
    row = SimpleNamespace(
        sub="shown",
        client_id="shop",
        sid="family",
        jti="refresh",
        issued_at_ms=(now - 60) * 1_000,
        expires_at_ms=(now + 86_400) * 1_000,
        ver=0,
        device="device-1",
        rotated_at_ms=None,
    )
    return {
        "claims": claims("shown", now=now),
        "token": mint(key=key_for("ES256"), iss=ISSUER, **about),
        "row": row,
        "app": FastAPI(),
        "verifier": Verifier.from_settings(),
    }


async def run(block: Block, installation: Installation) -> dict[str, Any]:
    """Run a block, with the names of this installation."""
    settings = installation.settings
    text = block.text
    for shown, meant in {
        "store_url=...": f"store_url={installation.stores['eu'].url!r}",
        "localhost:9092": settings["bootstrap_servers"],
        'revocation.events",': f'{settings["topic_prefix"]}.events",',
    }.items():
        text = text.replace(shown, meant)
    names = given()
    code = compile(text, str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    ran = eval(code, names)
    if inspect.isawaitable(ran):
        await ran
    return names


@pytest.mark.parametrize("block", RUN, ids=str)
async def test_the_shown_code_runs(block: Block, configured: Installation) -> None:
    names = await run(block, configured)
    if "receipts" in names:
        await configured.applied(list(names["receipts"]))
    for answer in ("verdict", "verification", "decision"):
        if answer in names:
            assert names[answer], names[answer]
    if "event" in names and isinstance(names["event"], dict):
        name = names["event"]["data"]["user"]

        async def is_applied() -> bool:
            return bool((await configured.find("eu", user(name))).found)

        await eventually(is_applied, within=20)


def test_few_blocks_run_elsewhere() -> None:
    pages = {block.page for block in blocks("python") if block.is_of_an_example}
    assert pages == ELSEWHERE.keys()
    assert len(RUN) >= 5
