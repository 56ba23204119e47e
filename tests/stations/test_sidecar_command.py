"""`revocation sidecar` as a process, whose store is away."""

import json
import os
import signal
import sys

import httpx
import pytest

from tests.installation import Station, eventually
from tests.stations.sidecars import published
from tests.unit.tokens import AUDIENCE, ISSUER

PUBLIC = '[[rules]]\npath = "/health"\npublic = true\n'
REFUSED = 'revocation_rules_reloads_total{result="refused"} 1.0'


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "jwks.json").write_bytes(published())
    (tmp_path / "rules.toml").write_text(PUBLIC)
    (tmp_path / "pepper").write_text("0123456789abcdef" * 2)
    return tmp_path


@pytest.fixture
def station(folder):
    issuer = {
        "jwks_file": str(folder / "jwks.json"),
        "algorithms": ["ES256"],
        "audiences": [AUDIENCE],
    }
    settings = {
        "region": "eu",
        "store_url": "redis://127.0.0.1:1",
        "pepper_file": folder / "pepper",
        "issuers": json.dumps({ISSUER: issuer}),
        "sidecar_tcp": "false",
        "sidecar_socket": folder / "s",
        "sidecar_rules_file": folder / "rules.toml",
    }
    named = {f"REVOCATION_{name.upper()}": str(each) for name, each in settings.items()}
    command = [sys.executable, "-m", "revocation", "sidecar"]
    station = Station("sidecar", command, {**os.environ, **named}, folder / "log")
    yield station
    station.stop()


@pytest.fixture
async def client(folder):
    transport = httpx.AsyncHTTPTransport(uds=str(folder / "s"))
    async with httpx.AsyncClient(transport=transport, base_url="http://s") as client:
        yield client


async def test_it_starts_cold_reloads_and_ends_with_0(station, client, folder):
    station.start()

    async def alive():
        try:
            return (await client.get("/healthz")).status_code == 200
        except httpx.TransportError:
            return False

    async def told():
        return REFUSED in (await client.get("/metrics")).text

    await eventually(alive)
    assert (await client.get("/readyz")).status_code == 503
    (folder / "rules.toml").write_text("broken")
    station._signal(signal.SIGHUP)
    await eventually(told)
    assert (await client.get("/v1/authz/envoy/health")).status_code == 200
    station._signal(signal.SIGTERM)
    await eventually(lambda: station.exit_code is not None)
    log = (folder / "log").read_text()
    assert station.exit_code == 0, log
    assert "rules.toml:1: is no TOML" in log
    assert not (folder / "s").exists()


async def test_rules_that_are_wrong_end_it_with_their_lines(station, folder):
    (folder / "rules.toml").write_text(PUBLIC + "\n[[rules]]\npaht = 1\n")
    station.start()
    await eventually(lambda: station.exit_code is not None)
    assert station.exit_code == 2
    log = (folder / "log").read_text()
    assert "rules.toml:6: rules.paht: is not known here" in log
    assert "rules.toml:5: rules.path: Field required" in log
