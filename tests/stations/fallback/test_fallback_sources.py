"""Fallbacks against stores in memory and real HTTP servers on this machine.

Siblings: `test_answers.py` (answers of a sidecar and an issuer) and
`unit/test_fallback.py` (limits, counting and order).
"""

import json
import socket
from types import SimpleNamespace

import pytest
from starlette.responses import JSONResponse, RedirectResponse, Response

from revocation.decision import Reason, Verdict
from revocation.entries import Entry, Kind, Position, Status, Target
from revocation.sidecar.checks import Checker
from revocation.verifier.base_verifier import VerifierParts
from revocation.verifier.fallback import (
    FirstOf,
    RegionFallback,
    SidecarFallback,
)
from revocation.verifier.remote_verifier import RemoteVerifier
from tests.stations.fallback.checks import (
    PATIENT,
    POLICY,
    RULES,
    WITH_SETS,
    as_of,
    ask,
    check_request,
    cut_off,
    sidecar_answer,
    store_as_of,
    token,
)
from tests.stations.regions import now_ms
from tests.stations.sidecars import listening
from tests.traffic import ISSUER

# Another region's store ---------------------------------------------------------------


async def test_a_fresher_region_answers():
    fallback = RegionFallback(await store_as_of(300, cut_off()))
    active, rejected = await ask(fallback, check_request("bob")), await ask(fallback)
    assert active.reason is Reason.ACTIVE
    assert 300 <= active.staleness_ms < 5_000
    assert rejected.reason is Reason.ISSUED_BEFORE_CUT_OFF
    assert rejected.receipt == "0-7"


async def test_kid_and_resources_are_looked_up_there():
    revoked = Entry(
        Target(Kind.KEY, ISSUER, "k1"), Position(0, 8, 0), status=Status.DISABLED
    )
    fallback = RegionFallback(
        await store_as_of(0, revoked, cut_off(Kind.RESOURCE, "dataset:42"))
    )
    key = await ask(fallback, check_request(kid="k1"))
    data = await ask(fallback, check_request(resources=["dataset:42"]))
    assert (key.reason, data.reason) == (Reason.KEY_REVOKED, Reason.RESOURCE_DELETED)


async def test_claim_sets_are_looked_up_there():
    fallback = RegionFallback(
        await store_as_of(0, cut_off(Kind.CLAIMS, "act.sub=agent-1"))
    )
    agent = check_request(act={"sub": "agent-1"})
    rejected = await ask(fallback, agent, rules=WITH_SETS)
    other = await ask(fallback, check_request(act={"sub": "agent-2"}), rules=WITH_SETS)
    assert rejected.reason is Reason.CLAIMS_REVOKED
    assert other.active


@pytest.mark.parametrize(("age_ms", "rebuilt"), [(5_500, True), (0, False)])
async def test_a_region_that_is_itself_behind_gives_no_answer(age_ms, rebuilt):
    store = await store_as_of(age_ms, rebuilt=rebuilt)
    assert await ask(RegionFallback(store)) is None


async def test_a_rejection_counts_however_far_the_region_is_behind():
    late = RegionFallback(await store_as_of(3_600_000, cut_off()))
    assert (await ask(late)).reason is Reason.ISSUED_BEFORE_CUT_OFF


async def test_an_unverifiable_token_is_reported_as_such():
    verdict = await ask(RegionFallback(await store_as_of()), check_request(jti=7))
    assert verdict.reason is Reason.UNVERIFIABLE


async def test_an_unreachable_region_answers_once_it_is_back():
    store = await store_as_of()
    store.available = False
    fallback = RegionFallback(store)
    await fallback.start()
    assert await ask(fallback) is None
    store.available = True
    assert await ask(fallback)
    await fallback.stop()


async def test_a_region_with_a_wrong_clock_is_not_used():
    store = await store_as_of()
    fallback = RegionFallback(store)
    store.skew_ms = -2_001
    assert await ask(fallback) is None
    store.skew_ms = -2_000
    assert (await ask(fallback)).staleness_ms >= 2_000


@pytest.mark.parametrize(
    ("ours_ms", "theirs_ms", "active"),
    [(0, 0, True), (0, -1_500, False), (1_500, 0, False)],
)
async def test_a_token_dated_ahead_is_refused_by_either_clock(
    ours_ms, theirs_ms, active
):
    """Both may be behind the clock that dates cut-offs, or that one behind ours."""
    store = await store_as_of()
    store.skew_ms = theirs_ms
    check = check_request(iat=now_ms() / 1_000 + 4.5)
    verdict = await ask(RegionFallback(store), check, skew_ms=ours_ms)
    assert verdict.active is active


async def test_the_clocks_are_not_compared_for_each_request():
    store = await store_as_of()
    fallback = RegionFallback(store)
    for _ in range(5):
        assert await ask(fallback)
    assert store.measured == 1


# Over HTTP ----------------------------------------------------------------------------

BAD_ANSWERS = {
    "status 500": JSONResponse({"active": False}, status_code=500),
    "status 401": JSONResponse({"active": False}, status_code=401),
    "status 201": JSONResponse({"active": False}, status_code=201),
    "no JSON": Response("active"),
    "empty": Response(""),
    "no object": JSONResponse([{"active": False}]),
    "said twice": Response('{"active": false, "active": true}'),
    "active as text": JSONResponse({"active": "false"}),
    "active as number": JSONResponse({"active": 0}),
    "active missing": JSONResponse({"reason": "active"}),
    "compressed": Response(b"\x1f\x8b", headers={"content-encoding": "gzip"}),
    "too long": Response(json.dumps({"active": False, "more": "x" * 65_536})),
    "redirect": RedirectResponse("/elsewhere", status_code=307),
}


@pytest.mark.parametrize("answer", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
async def test_a_bad_answer_is_no_answer(answer, server, asked_by_http):
    server.answer = answer
    assert await ask(asked_by_http) is None
    assert len(server.requests) == 1


async def test_a_refused_connection_is_no_answer(started):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    fallback = SidecarFallback(f"http://127.0.0.1:{port}", **PATIENT)
    assert await ask(await started(fallback)) is None


async def test_a_server_that_hangs_is_no_answer(server, started):
    server.hang.clear()
    fallback = SidecarFallback(server.url, timeout_ms=100)
    assert await ask(await started(fallback)) is None
    assert len(server.requests) == 1


async def test_before_the_start_and_after_the_stop_there_is_no_answer(server, sidecar):
    assert await ask(SidecarFallback(server.url)) is None
    await sidecar.stop()
    assert await ask(sidecar) is None
    assert not server.requests
    await sidecar.start()
    assert await ask(sidecar) is None
    assert server.requests


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"jti": None}, Reason.UNVERIFIABLE),
        ({"exp": 1}, Reason.EXPIRED),
        ({"exp": 4_000_000_000}, Reason.LIFETIME_EXCEEDED),
    ],
)
async def test_a_fault_of_the_token_itself_needs_no_request(
    more, reason, server, asked_by_http
):
    assert (await ask(asked_by_http, check_request(**more))).reason is reason
    assert not server.requests


async def test_the_environments_proxy_is_not_used(monkeypatch, server, started):
    """It would see tokens, and could forge answers."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    server.answer = sidecar_answer(
        Verdict(active=True, reason=Reason.ACTIVE, **as_of())
    )
    assert await ask(await started(SidecarFallback(server.url, **PATIENT)))


async def test_a_region_that_is_behind_leaves_it_to_the_issuer(server, issuer):
    server.answer = JSONResponse({"active": False})
    fallback = FirstOf([RegionFallback(await store_as_of(10_000)), issuer], **PATIENT)
    assert (await ask(fallback)).reason is Reason.INTROSPECTION_INACTIVE


# All together -------------------------------------------------------------------------

POLICIES = {"write": POLICY}


async def test_a_verifier_whose_region_is_behind_asks_a_fresher_one():
    late = await store_as_of(10_000)
    fresh = await store_as_of(0, cut_off())
    fallback = RegionFallback(fresh, **PATIENT)
    parts = VerifierParts(store=late, rules=RULES, policies=POLICIES, fallback=fallback)
    async with RemoteVerifier(parts) as verifier:
        active = await verifier.check_async(token("bob"), route="write")
        rejected = await verifier.check_async(token("alice"), route="write")
        fresh.available = False
        unanswered = await verifier.check_async(token("bob"), route="write")
    assert active.reason is Reason.ACTIVE
    assert active.staleness_ms < 5_000
    assert rejected.reason is Reason.ISSUED_BEFORE_CUT_OFF
    assert unanswered.reason is Reason.STALE


async def test_a_real_sidecar_is_understood(started):
    store = await store_as_of(0, cut_off())
    parts = VerifierParts(store=store, rules=RULES, policies=POLICIES)
    routes = frozenset(POLICIES)
    verifier = RemoteVerifier(parts)
    soon = SimpleNamespace(check_or_await=verifier.check_async)
    checker = Checker(soon, region="us", routes=routes, verifies=False)
    async with verifier, listening(checker.answer) as url:
        fallback = await started(SidecarFallback(url, **PATIENT))
        active, rejected = (
            await ask(fallback, check_request("bob")),
            await ask(fallback),
        )
        store.available = False
        unanswered = await ask(fallback, check_request("bob"))
    assert active.reason is Reason.ACTIVE
    assert rejected.reason is Reason.ISSUED_BEFORE_CUT_OFF
    assert rejected.entry.target == Target(Kind.USER, ISSUER, "alice")
    assert rejected.receipt == "0-7"
    assert unanswered is None
