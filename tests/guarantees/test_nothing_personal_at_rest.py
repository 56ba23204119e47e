"""nothing-personal-at-rest: no identifier in the clear in caches, logs or metrics."""

import asyncio
import urllib.request

import pytest
from redis.asyncio import Redis

from revocation import events
from revocation.events import Event, encode
from revocation.local.process import free_ports
from revocation.local.valkey_server import Valkey
from tests.installation import Install, Installation
from tests.traffic import ISSUER, SOURCE

pytestmark = [pytest.mark.guarantee, pytest.mark.connected, pytest.mark.timeout(120)]

MARKER = "zaphod-b"
NOWHERE_LOOKED_FOR = events.ClaimsRevoked.new(
    source=SOURCE, issuer=ISSUER, claims={MARKER: MARKER}
)
POISONED = b'{"specversion":"1.0","type":"zaphod-b","user":"zaphod-b"}'


def revealing() -> list[Event]:
    """Return one event of each kind, with the marker in every identifier."""
    new = {"source": SOURCE, "issuer": ISSUER}
    return [
        events.TokenRevoked.new(**new, jti=MARKER),
        events.SessionEnded.new(**new, sid=MARKER),
        events.UserDisabled.new(**new, user=MARKER, reason=MARKER),
        events.GrantRevoked.new(**new, user=MARKER, client=MARKER),
        events.ClientRevoked.new(**new, client=MARKER),
        events.TenantRevoked.new(**new, tenant=MARKER),
        events.KeyRevoked.new(**new, kid=MARKER),
        events.ClaimsRevoked.new(**new, claims={"device_id": MARKER}),
        events.DataDeleted.new(**new, resource=f"person:{MARKER}"),
        events.UsersRevoked.new(**new, users=[MARKER, "somebody"]),
    ]


async def cached(store: Valkey) -> bytes:
    """Return every key and value of a store."""
    found = []
    async with Redis.from_url(store.url) as client:
        async for key in client.scan_iter():
            found.append(key)
            match await client.type(key):
                case b"string":
                    found.append(await client.get(key))
                case b"hash":
                    found.append(repr(await client.hgetall(key)).encode())
                case b"stream":
                    found.append(repr(await client.xrange(key)).encode())
    assert found
    return b"\n".join(found)


async def metrics(ports: list[int]) -> bytes:
    """Return what Prometheus would scrape."""
    return b"".join([await asyncio.to_thread(scrape, port) for port in ports])


def scrape(port: int) -> bytes:
    """Return one station's metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        return bytes(answer.read())


async def reveal(
    installation: Installation, unprotected: str | None
) -> tuple[bytes, bytes, bytes]:
    """Publish marked events; return the contents of cache, logs and metrics."""
    ports = free_ports(2)
    installation.settings["revocable_claims"] = '["device_id"]'
    installation.add_region("eu", unprotected=unprotected, metrics_port=str(ports[0]))
    installation.add_authority(metrics_port=str(ports[1]))
    await installation.ready()
    async with installation.publisher() as publisher:
        assert publisher._producer is not None
        topic = f"{installation.settings['topic_prefix']}.events"
        await publisher._producer.send_and_wait(topic, POISONED)
        await publisher._producer.send_and_wait(topic, encode(NOWHERE_LOOKED_FOR))
    receipts = await installation.publish(*revealing())
    await installation.applied(receipts)
    logs = b"".join(
        station.log.read_bytes() for station in installation.stations.values()
    )
    return await cached(installation.stores["eu"]), logs, await metrics(ports)


async def test_identifiers_as_keys_are_found(install: Install) -> None:
    """Without the protection the search finds them, so it would find a leak."""
    cache, _, _ = await reveal(await install(), "identifiers_as_keys")

    assert MARKER.encode() in cache


async def test_no_identifier_in_cache_logs_or_metrics(install: Install) -> None:
    """Of no kind, and not in what is reported about an unreadable record."""
    cache, logs, scraped = await reveal(await install(), None)

    assert MARKER.encode() not in cache
    assert MARKER.encode() not in logs
    assert MARKER.encode() not in scraped
    assert b"dead letter" in logs
    assert b"revocation_events_total" in scraped
