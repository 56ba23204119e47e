"""`revocation sidecar` as a process, with an unreachable store."""

import json
import os
import signal

import httpx
import pytest

from tests.installation import Station, eventually
from tests.stations.sidecars import published, signed
from tests.unit.tokens import AUDIENCE, ISSUER

MARKER = "zaphod-b"
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
    command = ["revocation", "sidecar"]
    station = Station("sidecar", command, {**os.environ, **named}, folder / "log")
    yield station
    station.stop()


@pytest.fixture
async def client(folder):
    transport = httpx.AsyncHTTPTransport(uds=str(folder / "s"))
    async with httpx.AsyncClient(transport=transport, base_url="http://s") as client:
        yield client


async def alive(client):
    try:
        return (await client.get("/healthz")).status_code == 200
    except httpx.TransportError:
        return False


async def test_it_starts_cold_reloads_and_ends_with_0(station, client, folder):
    station.start()

    async def reloaded():
        return REFUSED in (await client.get("/metrics")).text

    await eventually(lambda: alive(client))
    assert (await client.get("/readyz")).status_code == 503
    (folder / "rules.toml").write_text("broken")
    station._signal(signal.SIGHUP)
    await eventually(reloaded)
    assert (await client.get("/v1/authz/envoy/health")).status_code == 200
    station._signal(signal.SIGTERM)
    await eventually(lambda: station.exit_code is not None)
    log = (folder / "log").read_text()
    assert station.exit_code == 0, log
    assert "rules.toml:1: is not TOML" in log
    assert not (folder / "s").exists()


async def test_wrong_rules_end_it_and_name_their_lines(station, folder):
    (folder / "rules.toml").write_text(PUBLIC + "\n[[rules]]\npaht = 1\n")
    station.start()
    await eventually(lambda: station.exit_code is not None)
    assert station.exit_code == 2
    log = (folder / "log").read_text()
    assert "rules.toml:6: rules.paht: is not known here" in log
    assert "rules.toml:5: rules.path: Field required" in log


async def test_no_content_of_a_request_is_logged_or_counted(station, client):
    """Whatever it names, and however malformed it is."""
    station.start()
    await eventually(lambda: alive(client))
    for token in (signed(MARKER, jti=MARKER), signed(MARKER, iss=MARKER), MARKER):
        bearer = {"authorization": f"Bearer {token}", "x-auth-subject": MARKER}
        for path in (f"/datasets/{MARKER}", f"//{MARKER}/%2e%2e/"):
            original = {"x-original-method": "GET", "x-original-uri": path}
            traefik = {
                "x-forwarded-method": "PUT",
                "x-forwarded-uri": path,
                "x-forwarded-host": MARKER,
                "x-forwarded-proto": "https",
            }
            await client.get("/v1/authz/nginx", headers=bearer | original)
            await client.get("/v1/authz/traefik", headers=bearer | traefik)
            await client.delete(f"/v1/authz/envoy{path}", headers=bearer)
        asked = {"token": token, "resources": [f"person:{MARKER}"]}
        await client.post("/v1/check", json=asked)
        await client.post("/v1/check", json={"claims": {"sub": MARKER}, MARKER: 1})
        await client.post("/introspect", data={"token": token}, auth=(MARKER, MARKER))
        await client.get(f"/{MARKER}", headers=bearer)
    scraped = (await client.get("/metrics")).text
    station._signal(signal.SIGTERM)
    await eventually(lambda: station.exit_code is not None)
    log = station.log.read_text()

    assert MARKER not in scraped
    assert MARKER not in log
    assert "revocation_authz_answers_total" in scraped
    assert "sidecar started" in log
