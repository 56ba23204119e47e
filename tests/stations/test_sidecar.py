"""The sidecar over HTTP, without a socket; `connected/test_sidecar.py` has one."""

import contextlib
import json

import httpx
import pytest

from revocation.decision import Reason
from revocation.entries import Kind
from revocation.sidecar.http import MAX_BODY_BYTES, create_app
from revocation.verifier import feed
from tests.installation import eventually
from tests.stations.test_verifier import cut_off, store_as_of, token, with_replica


@pytest.fixture
async def store():
    return await store_as_of(0, cut_off(Kind.USER, "alice"))


@contextlib.asynccontextmanager
async def serving(store):
    """A client of a sidecar that has just been started."""
    app = create_app(with_replica(store), region="eu")
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://sidecar") as client,
    ):
        yield client


@pytest.fixture
async def client(store):
    async with serving(store) as client:
        await eventually(lambda: status_is(client, 200), pause=0)
        yield client


async def status_is(client, status):
    return (await client.get("/readyz")).status_code == status


async def check(client, name="bob", **more):
    return await client.post("/v1/check", json={"claims": token(name), **more})


def is_problem(answer, status, code):
    """RFC 9457: the media type and the members."""
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert body.keys() == {"type", "status", "title", "detail"}
    assert (body["type"], body["status"], body["title"]) == (
        "about:blank",
        status,
        code,
    )
    assert body["detail"]
    return body["detail"]


# Check --------------------------------------------------------------------------------


async def test_a_verdict_has_everything_that_it_rests_on(client, store):
    answer = await check(client)
    body = answer.json()
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert body.pop("staleness_ms") < 1_000
    assert body == {
        "active": True,
        "reason": "active",
        "as_of": (await store.region()).freshness.as_of,
        "stale": False,
        "receipt": None,
        "detail": None,
        "region": "eu",
    }


async def test_a_rejection_is_an_answer_as_well(client):
    """200: the question was understood, and this is what is known."""
    answer = await check(client, "alice")
    assert answer.status_code == 200
    assert answer.json()["reason"] == "issued_before_cut_off"
    assert answer.json()["receipt"] == "0-7"


async def test_no_verdict_may_be_kept_by_a_cache(client):
    for answer in (await check(client), await client.get("/readyz")):
        assert answer.headers["cache-control"] == "no-store"


async def test_all_that_may_be_asked(client):
    answer = await check(client, route="write", kid="k1", resources=["dataset:42"])
    assert answer.json()["active"]


async def test_claims_that_are_no_claims_are_unverifiable(client):
    """Whatever a token holds is no error of the caller's."""
    for claims in ({}, {"iss": 7}, {"iss": "x", "iat": "yesterday"}):
        answer = await client.post("/v1/check", json={"claims": claims})
        assert answer.status_code == 200
        assert answer.json()["reason"] == Reason.UNVERIFIABLE
        assert answer.json()["detail"]


async def test_a_store_that_is_away_leaves_what_is_known(client, store):
    """The replica answers on, and says how old it is."""
    store.available = False
    for name, active in (("bob", True), ("alice", False)):
        answer = await check(client, name)
        assert answer.status_code == 200
        assert answer.json()["active"] is active


# Wrong requests -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"not json",
        b"[]",
        b'"claims"',
        b"{}",
        b'{"claims": null}',
        b'{"claims": []}',
        b'{"claims": "eyJ"}',
        b'{"claims": {}, "kid": 7}',
        b'{"claims": {}, "route": null}',
        b'{"claims": {}, "resources": "dataset:42"}',
        b'{"claims": {}, "resources": [7]}',
        b'{"claims": {}, "surprise": 1}',
        b'{"claims": {"sub": "\xff"}}',
        b'{"claims": {"sub": "\\ud800"}}',
        b'{"claims": ' + b'{"a":' * 5_000,
        json.dumps({"claims": {}, "resources": ["a:b"] * 65}).encode(),
    ],
    ids=lambda body: body[:40].decode("latin1"),
)
async def test_a_wrong_body_is_explained(client, body):
    answer = await client.post("/v1/check", content=body)
    is_problem(answer, 400, "invalid_request")


async def test_the_wrong_member_is_named_and_not_quoted(client):
    """What is in it may be somebody's."""
    answer = await client.post(
        "/v1/check", json={"claims": {}, "kid": {"user": "zaphod"}}
    )
    detail = is_problem(answer, 400, "invalid_request")
    assert "kid" in detail
    assert "zaphod" not in detail


async def test_an_unknown_route_class_is_explained(client):
    detail = is_problem(await check(client, route="wirte"), 400, "unknown_route_class")
    assert "read, write" in detail


async def test_a_body_that_is_too_large_is_refused(client):
    body = b" " * (MAX_BODY_BYTES + 1)
    answer = await client.post("/v1/check", content=body)
    detail = is_problem(answer, 413, "body_too_large")
    assert str(MAX_BODY_BYTES) in detail


async def test_a_body_of_unknown_length_is_read_no_further_than_allowed(client):
    """Chunked, without a content-length: refused as soon as it is too large."""
    sent = 0

    async def endless():
        nonlocal sent
        while True:
            sent += 1
            assert sent < 100, "read on"
            yield b" " * 4_096

    answer = await client.post("/v1/check", content=endless())
    assert "content-length" not in answer.request.headers
    is_problem(answer, 413, "body_too_large")


async def test_a_body_in_chunks_is_read_whole(client):
    async def parts():
        for byte in json.dumps({"claims": token("bob")}).encode():
            yield bytes([byte])

    answer = await client.post("/v1/check", content=parts())
    assert answer.json()["active"]


async def test_the_largest_body_is_read(client):
    body = json.dumps({"claims": token("bob")}).encode()
    answer = await client.post("/v1/check", content=body.ljust(MAX_BODY_BYTES))
    assert answer.json()["active"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/check", 405, "method_not_allowed"),
        ("PUT", "/v1/check", 405, "method_not_allowed"),
        ("POST", "/readyz", 405, "method_not_allowed"),
        ("GET", "/", 404, "not_found"),
        ("POST", "/v1/chekc", 404, "not_found"),
    ],
)
async def test_a_wrong_place_is_explained(client, method, path, status, code):
    answer = await client.request(method, path)
    assert path in is_problem(answer, status, code)
    assert ("allow" in answer.headers) == (status == 405)


# Health -------------------------------------------------------------------------------


async def test_a_complete_replica_is_ready(client, store):
    answer = await client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {
        "ready": True,
        "region": "eu",
        "as_of": (await store.region()).freshness.as_of,
        "loaded": 1,
        "total": 1,
    }


async def test_a_store_that_is_away_makes_it_neither_unready_nor_dead(client, store):
    """It can answer; whether it may is for the policies. A restart would not help."""
    store.available = False
    assert (await client.get("/readyz")).status_code == 200
    assert (await client.get("/healthz")).status_code == 200


async def test_a_sidecar_may_be_started_before_its_store(store, monkeypatch):
    """It lives, says that it is not ready, and is as soon as the store is there."""
    monkeypatch.setattr(feed, "_FIRST_BACKOFF_SECONDS", 0.001)
    store.available = False
    async with serving(store) as client:
        verdict = (await check(client)).json()
        assert (verdict["active"], verdict["reason"]) == (False, "not_ready")
        assert await status_is(client, 503)
        assert (await client.get("/readyz")).json()["ready"] is False
        store.available = True
        await eventually(lambda: status_is(client, 200), pause=0.001)
        assert (await check(client)).json()["active"]


async def test_a_store_whose_clock_is_wrong_is_never_ready(store, monkeypatch):
    """Until somebody sets it right."""
    monkeypatch.setattr(feed, "_FIRST_BACKOFF_SECONDS", 0.001)

    async def skewed():
        return 3_600_000

    with monkeypatch.context() as wrong:
        wrong.setattr(store, "clock_skew_ms", skewed)
        async with serving(store) as client:
            assert await status_is(client, 503)
            assert (await check(client)).json()["reason"] == "not_ready"
            wrong.undo()
            await eventually(lambda: status_is(client, 200), pause=0.001)


async def test_verdicts_are_there_to_be_scraped(client):
    await check(client)
    answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    wanted = 'revocation_verdicts_total{reason="active",route="read",stale="False"}'
    assert wanted in answer.text
