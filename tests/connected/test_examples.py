"""The example services as real processes: a token works until it is revoked."""

import json

import httpx
import pytest
from joserfc.jwk import ECKey, KeySet

from revocation.local.process import free_ports
from tests.installation import Install, Installation, Station, eventually

pytestmark = [pytest.mark.connected, pytest.mark.timeout(180)]


def flask_service(installation: Installation, port: str) -> Station:
    """Return the Flask service, which verifies signatures itself."""
    program = ["flask", "--app", "examples.flask_service", "run", "--port", port]
    return service(installation, program, JWT_SECRET_KEY="k" * 64)


def fastapi_service(installation: Installation, port: str) -> Station:
    """Return the FastAPI service, which leaves all checks to the verifier."""
    key = ECKey.generate_key("P-256", {"kid": "key-1", "use": "sig", "alg": "ES256"})
    private, public = installation.folder / "key", installation.folder / "jwks"
    private.write_text(json.dumps(key.as_dict(private=True)))
    public.write_text(json.dumps(KeySet([key]).as_dict(private=False)))
    trusted = {
        "jwks_file": str(public),
        "algorithms": ["ES256"],
        "audiences": ["https://api.example/"],
        "version_claim": "ver",
    }
    issuers = json.dumps({"https://fastapi.example/": trusted})
    program = ["uvicorn", "examples.fastapi_service:app", "--port", port]
    return service(
        installation, program, SIGNING_KEY_FILE=str(private), REVOCATION_ISSUERS=issuers
    )


def service(
    installation: Installation, program: list[str], **environment: str
) -> Station:
    settings = {
        "region": "eu",
        "store_url": installation.stores["eu"].url,
        "write_max_staleness_ms": "1000",
    }
    station = Station(
        "service",
        program,
        {**installation.env(**settings), **environment},
        installation.folder / "service.log",
    )
    installation.stations["service"] = station
    return station


class Caller:
    """A user who logs in to a service, and uses its datasets."""

    def __init__(self, client: httpx.AsyncClient, name: str) -> None:
        self._client = client
        self._name = name
        self._headers: dict[str, str] = {}

    async def log_in(self) -> "Caller":
        """Get a token."""
        answer = await self._client.post(f"/login/{self._name}")
        return self._hold(answer)

    def _hold(self, answer: httpx.Response) -> "Caller":
        assert answer.status_code == 200, answer.text
        self._headers = {"authorization": f"Bearer {answer.json()['token']}"}
        self._refresh = answer.json().get("refresh", "")
        return self

    async def refresh(self) -> int:
        """Exchange the refresh token; on success use the new tokens."""
        headers = {"authorization": f"Bearer {self._refresh}"}
        answer = await self._client.post("/refresh", headers=headers)
        if answer.status_code == 200:
            self._hold(answer)
        return answer.status_code

    async def ask(self, method: str, path: str = "/datasets/42") -> httpx.Response:
        """Send a request with the token."""
        return await self._client.request(method, path, headers=self._headers)

    async def gets(self, method: str, status: int) -> bool:
        """Return whether a request for a dataset gets a status."""
        return (await self.ask(method)).status_code == status

    async def log_out(self, path: str = "/logout") -> None:
        """End this token, or all of the user's."""
        assert (await self.ask("POST", path)).status_code == 204


async def answers(client: httpx.AsyncClient) -> bool:
    """Return whether the service has started."""
    try:
        return (await client.get("/datasets/42")).status_code == 401
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("start", [flask_service, fastapi_service])
async def test_a_service(install: Install, start) -> None:
    """A logout takes effect within seconds; behind, the service refuses writes."""
    installation = await install(partitions=2)
    projector = installation.add_region("eu")
    installation.add_authority()
    await installation.ready()
    (port,) = free_ports(1)
    start(installation, str(port)).start()
    url = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=20) as client:
        await eventually(lambda: answers(client), within=40)
        await revoke(client)
        await fall_behind(client, projector)
    assert "Traceback" not in (installation.folder / "service.log").read_text()


async def revoke(client: httpx.AsyncClient) -> None:
    """Log out of one token, then of all, and log in again."""
    here, there = Caller(client, "ann"), Caller(client, "ann")
    await here.log_in()
    await there.log_in()
    for method in ("GET", "PUT"):
        await eventually(lambda method=method: here.gets(method, 200))
    assert (await here.ask("GET")).json()["as_of"] > 0
    assert (await here.ask("GET", "/me")).json() == {"id": "ann"}

    await here.log_out()
    await eventually(lambda: here.gets("GET", 401), within=10)
    refused = await here.ask("GET")
    assert 'error="invalid_token"' in refused.headers["www-authenticate"]
    assert (await here.ask("GET", "/me")).status_code == 401
    assert await there.gets("GET", 200)

    await there.log_out("/logout-everywhere")
    await eventually(lambda: there.gets("PUT", 401), within=10)
    assert await (await there.log_in()).gets("GET", 200)
    assert await here.gets("GET", 401)


async def test_a_logout_ends_the_refresh_token(install: Install) -> None:
    """As docs/migrating.md shows: it ends the session's refresh token, too."""
    installation = await install(partitions=2)
    installation.add_region("eu")
    installation.add_authority()
    await installation.ready()
    (port,) = free_ports(1)
    flask_service(installation, str(port)).start()
    url = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=20) as client:
        await eventually(lambda: answers(client), within=40)
        here, there, other = (Caller(client, "ann") for _ in range(3))
        for each in here, there, other:
            await each.log_in()
            assert await each.refresh() == 200
            assert await each.gets("GET", 200)
        await here.log_out()
        await eventually(lambda: here.gets("GET", 401), within=10)
        assert await here.refresh() == 401
        assert await there.refresh() == 200
        assert await there.gets("GET", 200)
        await there.log_out("/logout-everywhere")
        await eventually(lambda: there.gets("GET", 401), within=10)
        assert [await each.refresh() for each in (there, other)] == [401, 401]
        assert await (await there.log_in()).refresh() == 200
    assert "Traceback" not in (installation.folder / "service.log").read_text()


async def fall_behind(client: httpx.AsyncClient, projector: Station) -> None:
    """Stop the flow of events; a logout meanwhile is not lost."""
    bob = await Caller(client, "bob").log_in()
    assert await bob.gets("GET", 200)
    projector.pause()
    await eventually(lambda: bob.gets("PUT", 503), within=10)
    behind = await bob.ask("PUT")
    assert int(behind.headers["retry-after"]) > 0
    assert "www-authenticate" not in behind.headers
    assert await bob.gets("GET", 200)
    await bob.log_out()
    projector.resume()
    await eventually(lambda: bob.gets("PUT", 401), within=20)
    again = await bob.log_in()
    await eventually(lambda: again.gets("PUT", 200), within=20)
