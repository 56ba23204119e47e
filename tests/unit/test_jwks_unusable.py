"""A set without usable keys counts as unread, and a long one delays nobody."""

import threading

import pytest
import structlog

from revocation.decision import Reason
from revocation.entries import UnixMs
from revocation.errors import SettingsError
from revocation.jwt import keys as reading
from revocation.jwt.authenticator import Authenticated, Authenticator
from revocation.jwt.jwks import KeyRing
from tests.unit.jwks_server import JwksServer
from tests.unit.rings import FIRST, SECOND, Clock, counted, kids, rings
from tests.unit.tokens import ISSUER, NOW, RULES, issuer, jwk, key_for, key_set, mint

UNUSABLE = {
    "empty": b'{"keys": []}',
    "no key set": b'{"error": "maintenance"}',
    "no JSON": b"<html>",
    "nothing": b"",
    "for another algorithm": key_set(jwk("RS256"), jwk("ES384")),
    "to encrypt": key_set(jwk("ES256", use="enc")),
    "under names that tokens cannot have": key_set(jwk("ES256", kid="schl\u00fcssel")),
    "twice under one name": key_set(jwk("ES256"), jwk("ES256", "key-2", kid="key-1")),
    "private": key_set(key_for("ES256", "key-3").as_dict(private=True)),
}


@pytest.fixture
async def server():
    async with JwksServer(FIRST) as running:
        yield running


@pytest.fixture
async def ring(server):
    async with rings(server) as start:
        yield start


@pytest.mark.parametrize("name", UNUSABLE)
async def test_a_set_without_a_usable_key_was_not_read(server, ring, name):
    """The keys before count on, but not for ever; then it is we who are not ready."""
    clock = Clock()
    keys = await ring(clock=clock, max_stale_seconds=3_600)
    who = Authenticator(keys.trusted, RULES, keys)
    server.publish(UNUSABLE[name])
    failed = counted("failed")
    with structlog.testing.capture_logs() as logs:
        assert not await keys.refresh(ISSUER)
    assert counted("failed") > failed
    assert ("key set not read", "localhost") in {
        (line["event"], line["source"]) for line in logs
    }
    assert isinstance(who.authenticate(mint(), NOW), Authenticated)
    assert not keys.unread(ISSUER)
    clock.now += 3_600_000
    late = mint(iat=clock.now // 1_000, exp=clock.now // 1_000 + 600)
    assert who.authenticate(late, clock()).reason is Reason.KEY_UNKNOWN
    assert keys.unread(ISSUER)
    server.publish(SECOND)
    assert await keys.refresh(ISSUER)
    assert kids(keys) == {"key-2"}


async def test_a_reading_that_failed_prolongs_nothing(server, ring):
    clock = Clock()
    keys = await ring(clock=clock)
    until = keys.find(ISSUER, "key-1", "ES256").usable_until
    clock.now += 60_000
    server.publish(UNUSABLE["empty"])
    await keys.refresh(ISSUER)
    assert keys.find(ISSUER, "key-1", "ES256").usable_until == until


async def test_a_set_that_still_has_keys_is_believed(server, ring):
    """One left it: its tokens end, for that is how issuers withdraw keys."""
    keys = await ring()
    server.publish(key_set(jwk("ES256", "key-2"), jwk("RS256"), {"kty": "odd"}))
    assert await keys.refresh(ISSUER)
    assert kids(keys) == {"key-2"}


@pytest.mark.parametrize("name", UNUSABLE)
async def test_a_file_without_a_usable_key_is_refused_at_the_start(tmp_path, name):
    path = tmp_path / "jwks.json"
    path.write_bytes(UNUSABLE[name])
    keys = KeyRing({ISSUER: issuer(jwks_file=path)})
    with pytest.raises(SettingsError, match=r"jwks\.json.* cannot be used: \w"):
        await keys.start()


async def test_the_refusal_says_what_is_wrong_with_the_keys(tmp_path):
    path = tmp_path / "jwks.json"
    path.write_bytes(key_set(jwk("RS256"), jwk("ES384"), {"kid": "me"}))
    with pytest.raises(SettingsError, match="2 other_algorithm, 1 unreadable"):
        await KeyRing({ISSUER: issuer(jwks_file=path)}).start()


async def test_an_empty_kid_names_no_key(server, ring):
    server.publish(key_set(jwk("ES256", kid="")))
    keys = await ring()
    assert keys.known() == ()
    assert keys.find(ISSUER, None, "ES256").kid is None


async def test_a_set_is_read_apart_from_the_event_loop(server, ring, monkeypatch):
    """Hundreds of keys take long enough to be felt by every request."""
    threads, read = [], reading.read_key_set

    def read_key_set(*args):
        threads.append(threading.get_ident())
        return read(*args)

    monkeypatch.setattr(reading, "read_key_set", read_key_set)
    keys = await ring()
    assert await keys.refresh(ISSUER)
    assert len(threads) == 2
    assert threading.get_ident() not in threads


async def test_a_key_that_another_replaces_under_its_name(server, ring):
    clock = Clock()
    keys = await ring(clock=clock)
    who = Authenticator(keys.trusted, RULES, keys)
    now = UnixMs(clock.now)
    server.publish(key_set(jwk("ES256", "key-2", kid="key-1")))
    new = mint(key=key_for("ES256", "key-2"))
    assert who.authenticate(new, now).reason is Reason.SIGNATURE_INVALID
    assert await keys.refresh(ISSUER)
    assert isinstance(who.authenticate(new, now), Authenticated)
