"""A sidecar as services and orchestrators see it. Sibling: test_cli.py."""

import signal
import time
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from revocation.local import Kafka
from tests.installation import Installation, Station, eventually
from tests.traffic import claims, logged_out

pytestmark = [
    pytest.mark.connected,
    pytest.mark.timeout(120),
    pytest.mark.asyncio(loop_scope="module"),
]

PROBLEM = "application/problem+json"
Running = tuple[Installation, Station, httpx.AsyncClient]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(
    kafka: Kafka, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    """Start a region with an authority, and a ready sidecar; for all tests here."""
    folder = tmp_path_factory.mktemp("sidecar")
    installation = Installation(folder, kafka.bootstrap_servers, partitions=2)
    try:
        await installation.create_topics()
        installation.add_region("eu")
        installation.add_authority()
        station, url = installation.add_sidecar("eu")
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            await eventually(lambda: has_status(client, "/readyz", 200), within=40)
            yield installation, station, client
    finally:
        installation.stop()


async def has_status(client: httpx.AsyncClient, path: str, status: int) -> bool:
    """Return whether a path answers with a status; a starting sidecar does not."""
    try:
        return (await client.get(path)).status_code == status
    except httpx.TransportError:
        return False


async def checked(client: httpx.AsyncClient, name: str, **more: object) -> dict:
    """Return the verdict about a user's token of a minute ago."""
    body = {"claims": claims(name, now=int(time.time())), **more}
    answer = await client.post("/v1/check", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()


async def test_verdicts_before_and_after_a_revocation(running: Running) -> None:
    """The receipt in a rejection is the publisher's."""
    installation, _, client = running
    before = await checked(client, "ann", route="write")
    (receipt,) = await installation.publish(logged_out("ann"))
    await installation.applied([receipt])
    after = await checked(client, "ann")

    assert (before["active"], before["reason"]) == (True, "active")
    assert (before["receipt"], before["stale"]) == (None, False)
    assert (after["active"], after["reason"]) == (False, "issued_before_cut_off")
    assert after["receipt"] == str(receipt)
    assert after["as_of"] >= before["as_of"]
    for verdict in (before, after):
        assert verdict["region"] == "eu"
        assert 0 <= verdict["staleness_ms"] < 5_000
        assert abs(time.time() * 1_000 - verdict["as_of"]) < 60_000
    assert (await checked(client, "bob"))["active"]


async def test_wrong_requests_are_explained(running: Running) -> None:
    """Each is a problem document (RFC 9457), and the next request is served."""
    _, _, client = running
    good = claims("alice", now=int(time.time()))

    async def refused(content: bytes) -> tuple[int, str]:
        return problem(await client.post("/v1/check", content=content))

    async def refused_json(**body: object) -> tuple[int, str]:
        return problem(await client.post("/v1/check", json=body))

    for content in (b"", b"{", b"[]", b'"text"', b"\xff", b'{"claims": "\\ud800"}'):
        assert await refused(content) == (400, "invalid_request"), content
    for body in (
        {},
        {"claims": []},
        {"claims": good, "kid": 7},
        {"claims": good, "resources": "dataset:1"},
        {"claims": good, "resources": ["dataset:1"] * 65},
        {"claims": good, "unknown": True},
    ):
        assert await refused_json(**body) == (400, "invalid_request"), body
    unknown = await refused_json(claims=good, route="admin")
    assert unknown == (400, "unknown_route_class")
    assert await refused(b" " * 65_537) == (413, "body_too_large")
    get = await client.get("/v1/check")
    assert problem(get) == (405, "method_not_allowed")
    assert get.headers["allow"] == "POST"
    assert problem(await client.get("/v2/check")) == (404, "not_found")
    assert (await checked(client, "alice"))["active"]


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Return status and title of a problem document."""
    assert answer.headers["content-type"] == PROBLEM, answer.text
    document = answer.json()
    assert document["type"] == "about:blank"
    assert document["status"] == answer.status_code
    assert document["detail"]
    return answer.status_code, document["title"]


async def test_odd_claims_are_a_verdict(running: Running) -> None:
    """Whatever the token contains, the answer is no error, and never `active`."""
    _, _, client = running
    good = claims("alice", now=int(time.time()))

    for odd in (
        {"sub": ""},
        {"exp": 1e300},
        {"iat": "now"},
        {"iss": None},
        {"sub": {}},
    ):
        answer = await client.post("/v1/check", json={"claims": {**good, **odd}})
        assert answer.status_code == 200, odd
        verdict = answer.json()
        assert (verdict["active"], verdict["reason"]) == (False, "unverifiable"), odd
        assert verdict["detail"], odd


async def test_readiness_and_metrics(running: Running) -> None:
    """What probes and Prometheus read."""
    _, _, client = running
    await checked(client, "alice", route="write")
    ready = await client.get("/readyz")
    metrics = await client.get("/metrics")

    assert (await client.get("/healthz")).text == "ok\n"
    assert ready.headers["cache-control"] == "no-store"
    body = ready.json()
    assert (body["ready"], body["region"]) == (True, "eu")
    assert body["as_of"] > 0
    assert metrics.headers["content-type"].startswith("text/plain")
    counted = [line for line in metrics.text.splitlines() if 'route="write"' in line]
    assert any('reason="active"' in line for line in counted), metrics.text


async def test_a_store_that_stops_and_returns(running: Running) -> None:
    """The replica still answers, ever staler; the sidecar survives and recovers."""
    installation, station, client = running
    (receipt,) = await installation.publish(logged_out("carol"))
    await installation.applied([receipt])

    async def rejected() -> bool:
        return (await checked(client, "carol"))["receipt"] == str(receipt)

    await eventually(rejected)
    installation.stores["eu"].kill()
    first, second = [(await checked(client, "bob")) for _ in range(2)]
    assert first["active"]
    assert first["as_of"] == second["as_of"]
    assert await rejected()
    assert (await client.get("/healthz")).status_code == 200
    assert station.exit_code is None

    installation.stores["eu"].launch()

    async def fresher() -> bool:
        return (await checked(client, "bob"))["as_of"] > second["as_of"]

    await eventually(fresher, within=40)
    assert await rejected()


async def test_sigterm_ends_it_with_exit_code_0(running: Running) -> None:
    """A stop by an orchestrator is no failure."""
    _, station, client = running
    station._signal(signal.SIGTERM)
    await eventually(lambda: station.exit_code is not None)
    code, log = station.exit_code, station.log.read_text()
    station.start()
    await eventually(lambda: has_status(client, "/readyz", 200), within=40)

    assert code == 0
    assert "Traceback" not in log
