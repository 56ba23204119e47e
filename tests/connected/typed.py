"""`revocation` as a command: a real process with an installation's settings."""

import asyncio
import json
import time
from typing import Any

from revocation.entries import Target
from tests.forked import FORKER, Done
from tests.installation import Installation
from tests.traffic import claims

NOWHERE = "127.0.0.1:1"
"""An address without a listener."""


def typed(
    installation: Installation, *words: str, stdin: bytes = b"", **more: str
) -> Done:
    """Run `revocation ...` with the installation's settings."""
    regions = {name: store.url for name, store in installation.stores.items()}
    settings = {"regions": json.dumps(regions), "region": "eu", **more}
    if "eu" in regions:
        settings.setdefault("store_url", regions["eu"])
    # Wide, else a long path would wrap.
    env = {**installation.env(**settings), "COLUMNS": "400"}
    return FORKER.run("revocation", words, env, stdin)


def publish(installation: Installation, *words: str, **options: Any) -> Done:
    """Publish, wait until it is applied, and print JSON."""
    common = ("--wait", "applied", "--json")
    return typed(installation, "publish", *words, *common, **options)


def token(name: str, **more: object) -> bytes:
    return json.dumps(claims(name, now=int(time.time()), **more)).encode()


def has(installation: Installation, *targets: Target) -> bool:
    answer = asyncio.run(installation.find("eu", *targets))
    return set(answer.found) == set(targets)
