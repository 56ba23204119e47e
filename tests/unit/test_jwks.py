"""The key ring: rotation, failures, unknown kids, and withdrawn keys."""

import asyncio

import pytest
import structlog
from prometheus_client import REGISTRY

from revocation.decision import Reason
from revocation.entries import UnixMs
from revocation.errors import SettingsError
from revocation.jwt import key_source
from revocation.jwt.authenticator import Authenticated, Authenticator
from revocation.jwt.jwks import KeyRing
from revocation.jwt.key_source import KeySource, Pace
from revocation.jwt.keys import read_key_set
from tests.installation import eventually
from tests.unit.jwks_server import JwksServer, answer
from tests.unit.rings import (
    BOTH,
    FAST,
    FIRST,
    SECOND,
    SLOW,
    Clock,
    counted,
    kids,
    rings,
)
from tests.unit.tokens import ISSUER, NOW, RULES, issuer, jwk, key_for, key_set, mint


@pytest.fixture
async def server():
    async with JwksServer(FIRST) as running:
        yield running


@pytest.fixture
async def ring(server):
    async with rings(server) as start:
        yield start


async def test_what_keeps_keys_fresh_is_started_again(ring, server, monkeypatch):
    monkeypatch.setattr("revocation.background._CHECK_SECONDS", 0.005)
    keys = await ring()
    keys._sources[ISSUER]._keeping._task.cancel()
    server.publish(SECOND)
    keys.drop(ISSUER, "key-1")
    await eventually(lambda: kids(keys) == {"key-2"}, pause=0.01)


async def test_keys_are_at_hand_once_started(ring):
    keys = await ring()
    assert keys.complete
    assert keys.known() == ((ISSUER, "key-1"),)
    found = keys.find(ISSUER, "key-1", "ES256")
    assert found.usable_until == NOW + 86_400_000
    assert keys.find(ISSUER, None, "ES256") is found
    assert keys.find(ISSUER, "key-1", "ES384") is None
    assert keys.find(ISSUER, "key-2", "ES256") is None
    assert keys.find("https://other.example/", "key-1", "ES256") is None


async def test_while_keys_rotate_both_count(server, ring):
    keys = await ring()
    who = Authenticator(keys.trusted, RULES, keys)
    old, new = mint(), mint(header={"kid": "key-2"}, key=key_for("ES256", "key-2"))
    assert who.authenticate(new, NOW).reason is Reason.KEY_UNKNOWN
    server.publish(BOTH)
    assert await keys.refresh(ISSUER)
    assert isinstance(who.authenticate(old, NOW), Authenticated)
    assert isinstance(who.authenticate(new, NOW), Authenticated)
    assert keys.find(ISSUER, None, "ES256") is None, "two may be meant"


async def test_a_key_that_stays_keeps_its_tokens_verified(server, ring):
    keys = await ring()
    who = Authenticator(keys.trusted, RULES, keys)
    token = mint()
    kept = who.authenticate(token, NOW)
    server.publish(BOTH)
    await keys.refresh(ISSUER)
    assert who.authenticate(token, NOW) is kept


async def test_a_key_that_leaves_the_set_takes_its_tokens_with_it(server, ring):
    keys = await ring()
    who = Authenticator(keys.trusted, RULES, keys)
    token = mint()
    assert isinstance(who.authenticate(token, NOW), Authenticated)
    server.publish(SECOND)
    await keys.refresh(ISSUER)
    assert who.authenticate(token, NOW).reason is Reason.KEY_UNKNOWN


async def test_another_key_under_the_same_kid_verifies_none_of_the_olds_tokens(
    server, ring
):
    keys = await ring()
    who = Authenticator(keys.trusted, RULES, keys)
    token = mint()
    assert isinstance(who.authenticate(token, NOW), Authenticated)
    server.publish(key_set(jwk("ES256", "key-2", kid="key-1")))
    await keys.refresh(ISSUER)
    assert who.authenticate(token, NOW).reason is Reason.SIGNATURE_INVALID


async def test_unknown_kids_make_the_set_be_read_once_only(server, ring):
    keys = await ring(SLOW)
    limited = counted("limited")
    assert not [await keys.refresh(ISSUER) for _ in range(50)].count(True)
    for _ in range(50):
        keys.request_refresh(ISSUER)
    assert len(server.requests) == 1
    assert counted("limited") == limited + 50


async def test_callers_at_the_same_time_share_one_reading(server, ring):
    keys = await ring()
    server.hold()
    callers = [asyncio.create_task(keys.refresh(ISSUER)) for _ in range(20)]
    await server.asked(2)
    server.publish(BOTH)
    server.release()
    assert await asyncio.gather(*callers) == [True] * 20
    assert len(server.requests) == 2
    assert kids(keys) == {"key-1", "key-2"}


async def test_issuers_of_many_tenants_share_one_reading(server):
    """They publish one set; what is dropped of it counts for none of them."""
    trusted = issuer(jwks_url=server.url, allow_private_addresses=True)
    tenants = {f"https://idp.example/{name}": trusted for name in ("acme", "umbrella")}
    apart = {ISSUER: trusted.model_copy(update={"max_stale_seconds": 3_600})}
    async with KeyRing(tenants | apart) as keys:
        assert len(server.requests) == 2
        one, other = (keys.find(name, "key-1", "ES256") for name in tenants)
        assert one is other is not None
        keys.drop("https://idp.example/acme", "key-1")
        assert keys.find("https://idp.example/umbrella", "key-1", "ES256") is None
        assert keys.find(ISSUER, "key-1", "ES256") is not None


async def test_a_cancelled_caller_does_not_end_the_reading_for_others(server, ring):
    keys = await ring()
    server.hold()
    impatient = asyncio.create_task(keys.refresh(ISSUER))
    patient = asyncio.create_task(keys.refresh(ISSUER))
    await server.asked(2)
    impatient.cancel()
    await asyncio.wait([impatient])
    server.release()
    assert await patient
    assert impatient.cancelled()


async def test_a_set_is_read_soon_without_waiting(server, ring):
    keys = await ring()
    server.publish(BOTH)
    await asyncio.to_thread(keys.request_refresh, ISSUER)
    await server.asked(2)


async def test_keys_count_on_while_the_set_cannot_be_read_but_not_for_ever(
    server, ring
):
    clock = Clock()
    keys = await ring(clock=clock, max_stale_seconds=3_600)
    who = Authenticator(keys.trusted, RULES, keys)
    server.answer = answer(b"", "503 Service Unavailable")
    failed = counted("failed")
    assert not await keys.refresh(ISSUER)
    assert counted("failed") > failed
    assert isinstance(who.authenticate(mint(), NOW), Authenticated)
    clock.now += 3_600_000
    late = mint(iat=clock.now // 1_000, exp=clock.now // 1_000 + 600)
    assert who.authenticate(late, clock()).reason is Reason.KEY_UNKNOWN
    assert not keys.complete
    server.publish(FIRST)
    assert await keys.refresh(ISSUER)
    assert isinstance(who.authenticate(late, clock()), Authenticated)


async def test_a_remembered_token_ends_with_its_stale_key(server, ring):
    keys = await ring(max_stale_seconds=300)
    who = Authenticator(keys.trusted, RULES, keys)
    token = mint()
    assert isinstance(who.authenticate(token, NOW), Authenticated)
    late = UnixMs(NOW + 300_000)
    assert who.authenticate(token, late).reason is Reason.KEY_UNKNOWN


async def test_a_failing_source_is_read_again_by_itself(server, ring):
    server.answer = answer(b"", "500 Internal Server Error")
    keys = await ring()
    assert not keys.complete
    await server.asked(3)
    server.publish(FIRST)
    await server.asked(len(server.requests) + 1)
    await keys.refresh(ISSUER)  # joins the reading that is under way
    assert keys.complete


def test_pauses_after_failures_grow_up_to_the_usual_one():
    source = KeySource(issuer(refresh_seconds=300), Pace(), Clock())
    assert 225 <= source._pause() <= 300
    longest = []
    for failures in range(1, 40):
        source._failures = failures
        longest.append(max(source._pause() for _ in range(50)))
    assert longest[0] <= 1
    assert longest[3] <= 8
    assert 200 < longest[-1] <= 300


async def test_a_withdrawn_key_verifies_nothing_from_now_on(server, ring):
    server.publish(BOTH)
    keys = await ring(SLOW)
    who = Authenticator(keys.trusted, RULES, keys)
    token = mint()
    assert isinstance(who.authenticate(token, NOW), Authenticated)
    dropped = REGISTRY.get_sample_value("revocation_keys_dropped_total")
    assert keys.drop(ISSUER, "key-1") == 1
    assert REGISTRY.get_sample_value("revocation_keys_dropped_total") == dropped + 1
    assert who.authenticate(token, NOW).reason is Reason.KEY_UNKNOWN
    who.forget(ISSUER, "key-1")
    assert not who._young
    assert kids(keys) == {"key-2"}


async def test_a_withdrawn_key_does_not_come_back_with_the_next_reading(server, ring):
    server.publish(BOTH)
    keys = await ring(SLOW)
    keys.drop(ISSUER, "key-1")
    await server.asked(2)
    await keys._sources[ISSUER].refresh(force=True)
    assert kids(keys) == {"key-2"}


async def test_a_withdrawn_key_does_not_come_back_under_another_name(server, ring):
    keys = await ring()
    keys.drop(ISSUER, "key-1")
    server.publish(key_set(jwk("ES256", kid="renamed"), jwk("ES256", "key-2")))
    await keys._sources[ISSUER].refresh(force=True)
    assert kids(keys) == {"key-2"}


async def test_no_other_key_takes_a_withdrawn_name(server, ring):
    keys = await ring()
    keys.drop(ISSUER, "key-1")
    server.publish(key_set(jwk("ES256", "key-2", kid="key-1")))
    await keys._sources[ISSUER].refresh(force=True)
    assert keys.known() == ()


async def test_a_reading_under_way_does_not_bring_a_withdrawn_key_back(server, ring):
    keys = await ring()
    server.hold()
    reading = asyncio.create_task(keys.refresh(ISSUER))
    await server.asked(2)
    keys.drop(ISSUER, "key-1")
    server.release()
    await reading
    assert keys.known() == ()


async def test_a_key_withdrawn_before_it_was_seen_never_counts(server, ring):
    keys = await ring()
    assert keys.drop(ISSUER, "key-2") == 0
    assert keys.drop("https://other.example/", "key-2") == 0
    server.publish(BOTH)
    await keys._sources[ISSUER].refresh(force=True)
    assert kids(keys) == {"key-1"}


async def test_a_withdrawal_from_another_thread_asks_for_a_successor(server, ring):
    keys = await ring(SLOW)
    server.publish(BOTH)
    await asyncio.to_thread(keys.drop, ISSUER, "key-1")
    await server.asked(2)


async def test_a_file_is_a_source_too(tmp_path):
    path = tmp_path / "jwks.json"
    path.write_bytes(key_set(jwk("HS256")))
    trusted = {ISSUER: issuer("HS256", jwks_file=path)}
    async with KeyRing(trusted, pace=FAST, clock=Clock()) as keys:
        who = Authenticator(trusted, RULES, keys)
        assert isinstance(who.authenticate(mint("HS256"), NOW), Authenticated)
        path.write_bytes(key_set(jwk("HS256", "key-2")))
        assert await keys.refresh(ISSUER)
        assert who.authenticate(mint("HS256"), NOW).reason is Reason.KEY_UNKNOWN


@pytest.mark.parametrize("content", [None, b"", b"[]", b"{}", b" " * 300_000])
async def test_a_file_that_is_no_key_set_is_refused_at_the_start(tmp_path, content):
    path = tmp_path / "jwks.json"
    if content is not None:
        path.write_bytes(content)
    keys = KeyRing({ISSUER: issuer(jwks_file=path)})
    with pytest.raises(SettingsError, match=r"jwks\.json"):
        await keys.start()


async def test_it_may_be_stopped_twice_and_keeps_its_keys(ring):
    keys = await ring()
    await keys.stop()
    await keys.stop()
    keys.request_refresh(ISSUER)
    keys.drop(ISSUER, "key-9")
    assert kids(keys) == {"key-1"}


async def test_keys_left_out_are_logged_once_with_their_number(server, ring):
    server.publish(key_set(jwk("ES256"), jwk("RS256"), {"kty": "odd", "kid": "me"}))
    with structlog.testing.capture_logs() as logs:
        keys = await ring()
        await keys.refresh(ISSUER)
    (line,) = logs
    assert line == {
        "event": "keys left out",
        "log_level": "warning",
        "source": "localhost",
        "usable": 1,
        "other_algorithm": 1,
        "unreadable": 1,
    }


async def test_thousands_of_sets_are_read_in_turn_at_the_start(monkeypatch):
    """Each reading has a time limit: all at once, none would keep it."""
    running, most = 0, 0

    async def read_keys(trusted, pace):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return read_key_set(FIRST, trusted)

    monkeypatch.setattr(key_source, "read_keys", read_keys)
    urls = {f"https://{n}.example": f"https://keys.example/{n}" for n in range(300)}
    trusted = {name: issuer(jwks_url=url) for name, url in urls.items()}
    async with KeyRing(trusted) as ring:
        assert ring.complete
    assert most == 128
