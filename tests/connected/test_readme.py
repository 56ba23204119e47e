"""The lines of README.md and of the Keycloak example, run verbatim.

Sibling: `test_docs.py`, for the Python of all pages.
"""

import asyncio
import json
import re
import subprocess
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from revocation.entries import Kind, Target
from tests.connected.test_docs import run
from tests.connected.typed import publish
from tests.documents import blocks
from tests.installation import Installation, eventually
from tests.structure.sources import ROOT
from tests.unit.tokens import AUDIENCE, ISSUER, jwk, key_set, mint

pytestmark = [pytest.mark.connected, pytest.mark.timeout(180)]

FIRST, OWN = (block for block in blocks("sh") if block.page == "README.md")
(SERVICE,) = (
    block
    for block in blocks("python")
    if block.page == "README.md" and "FastAPI" in block.text
)


def settings(installation: Installation) -> dict[str, str]:
    """Return the content of `embedded up`'s exported file as variables."""
    regions = {name: store.url for name, store in installation.stores.items()}
    return {**installation.env(regions=json.dumps(regions)), "PYTHONPATH": str(ROOT)}


def type_lines(lines: list[str], installation: Installation, folder: Path) -> str:
    """Run lines in a shell, and return their output."""
    command = f"{sys.executable} -m revocation"
    done = subprocess.run(
        ["sh"],
        input="\n".join(lines).replace(".venv/bin/revocation", command),
        env=settings(installation),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def token(sub: str) -> str:
    now = int(time.time())
    about = {"sub": sub, "client_id": "readme", "jti": f"of-{sub}"}
    return mint(iss=ISSUER, aud=AUDIENCE, **about, iat=now - 60, exp=now + 600)


def test_the_first_lines(running: Installation, tmp_path: Path) -> None:
    """The stations of `embedded up` run already; each comment states the output."""
    lines = [
        line
        for line in FIRST.text.splitlines()
        if " embedded " not in line and "REVOCATION_CONFIG" not in line
    ]
    printed = type_lines(lines, running, tmp_path)
    at = 0
    for said in ("active in eu, as of ", "REJECTED: issued_before_cut_off in eu"):
        assert f"# {said}" in FIRST.text
        at = printed.index(said, at)
    assert "No problems." in printed[at:]


def test_a_token_of_your_own(running: Installation, tmp_path: Path) -> None:
    """The lines use a preset; here the key set is a file instead of the issuer's."""
    keys = tmp_path / "jwks.json"
    keys.write_bytes(key_set(jwk("ES256")))
    (tmp_path / "token.jwt").write_text(token("reader") + "\n")
    url = '"jwks_url": "https://idp.example/jwks"'
    assert url in OWN.text
    text = OWN.text.replace(url, f'"jwks_file": "{keys}"').replace(",\n  ", ", ")
    printed = type_lines(text.splitlines(), running, tmp_path)
    checked, verified, tried = printed.split("\n", 2)
    assert checked.startswith("active in eu, ")
    assert verified.startswith("active in eu, ")
    assert "signature" in tried


async def test_the_fastapi_service(
    running: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the deleted dataset rejects older tokens."""
    keys = tmp_path / "jwks.json"
    keys.write_bytes(key_set(jwk("ES256")))
    trusted = {"jwks_file": str(keys), "preset": "rfc9068", "audiences": [AUDIENCE]}
    own = {"region": "eu", "store_url": running.stores["eu"].url}
    for name, value in running.env(
        **own, issuers=json.dumps({ISSUER: trusted})
    ).items():
        monkeypatch.setenv(name, value)
    app = (await run(SERVICE, running))["app"]
    assert isinstance(app, FastAPI)
    headers = {"authorization": f"Bearer {token('writer')}"}
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(app.router.lifespan_context(app))
        client = await stack.enter_async_context(
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url="http://service"
            )
        )

        async def puts(name: str) -> int:
            answer = await client.put(f"/datasets/{name}", headers=headers)
            return answer.status_code

        assert (await client.put("/datasets/42")).status_code == 401
        assert await puts("42") == 200
        publish(running, "data-deleted", "--issuer", ISSUER, "--resource", "dataset:42")

        async def is_rejected() -> bool:
            return await puts("42") == 401

        await eventually(is_rejected)
        assert await puts("7") == 200


def test_the_keycloak_example(running: Installation) -> None:
    """It publishes known event types, and exits with 1 for the rest."""
    issuer = "https://keycloak.example/realms/shop"
    own = {"realmName": "shop", "time": time.time_ns() // 1_000_000}
    lines = [
        {**own, "id": "1", "type": "LOGOUT", "sessionId": "0f1e2d3c"},
        {**own, "id": "2", "type": "INVENTED"},
        [{**own, "operationType": "DELETE", "resourcePath": "users/8f14e45f"}],
    ]
    done = subprocess.run(
        [sys.executable, "-m", "examples.keycloak_events", issuer, "shop"],
        input="\n".join(map(json.dumps, lines)),
        env=settings(running),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "line 2: not understood, nothing published: its type" in done.stderr
    assert re.search(r"^ +1 revocation\.session\.ended$", done.stderr, re.MULTILINE)
    meant = (
        Target(Kind.SESSION, issuer, "0f1e2d3c"),
        Target(Kind.USER, issuer, "8f14e45f"),
    )
    asyncio.run(eventually(lambda: has_all(running, *meant)))


async def has_all(installation: Installation, *targets: Target) -> bool:
    answer = await installation.find("eu", *targets)
    return set(answer.found) == set(targets)
