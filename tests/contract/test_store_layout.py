"""The content of a server is as docs/store-layout.md states.

Sibling: `test_redis_store.py`, for the calls.
"""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from redis.asyncio import Redis
from redis.crc import key_slot

from revocation.entries import Entry, Kind, Status, Target, Version
from revocation.store import layout as layout_module
from revocation.store.contract import Batch
from revocation.store.layout import Digests, IssuersDigests, Layout, digest, name
from revocation.store.redis_store import RedisStore
from tests.contract.conftest import (
    LIMITS,
    MAX_TOKEN_MS,
    PEPPER,
    OpenStore,
    now_ms,
)
from tests.contract.samples import (
    denied,
    histories,
    kept_until,
    mark,
    put,
    subject,
    target,
)
from tests.identities import identity
from tests.servers import Server

pytestmark = pytest.mark.connected

DOCUMENT = Path(__file__).parents[2] / "docs" / "store-layout.md"


async def feed(raw: Redis, layout: Layout) -> list[dict[bytes, bytes]]:
    return [fields for _, fields in await raw.xrange(layout.feed)]


async def test_nothing_in_the_store_names_a_target(
    redis_store: RedisStore, raw: Redis, layout: Layout
) -> None:
    entries = [denied(name="a-jti"), subject(), subject(kind=Kind.RESOURCE)]
    await put(redis_store, *entries)

    seen = b""
    async for key in raw.scan_iter(match=layout.tag + b"*"):
        seen += key + (await raw.dump(key) or b"")

    assert layout.key(entries[0].target) in seen
    for each in (b"a-jti", b"one", b"issuer", b"user"):
        assert each not in seen


async def test_all_keys_of_a_region_are_in_one_slot(layout: Layout) -> None:
    keys = [layout.meta, layout.feed, *layout.keys([target(kind) for kind in Kind])]

    assert len({key_slot(key) for key in keys}) == 1


@given(history=histories())
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
async def test_keys_expire_with_the_merged_entry(
    redis_store: RedisStore,
    raw: Redis,
    layout: Layout,
    history: tuple[list[Entry], list[int]],
) -> None:
    entries, order = history
    await put(redis_store, *[entries[at] for at in order])

    expires_at = await raw.pexpiretime(layout.key(entries[0].target))
    assert expires_at == kept_until(*entries)


async def test_the_longest_lifetime_ever_set_counts(
    server: Server,
    open_store: OpenStore,
    redis_store: RedisStore,
    raw: Redis,
    layout: Layout,
) -> None:
    longer = open_store(
        server.url,
        layout,
        limits=LIMITS._replace(longest_token_ms=2 * MAX_TOKEN_MS),
    )
    entry = subject(1)
    later = replace(entry, version=Version(2), source=subject(2).source)
    expiries = []
    for store, each in ((redis_store, entry), (longer, entry), (redis_store, later)):
        await put(store, each)
        expires_at = await raw.pexpiretime(layout.key(entry.target))
        expiries.append(expires_at - entry.source.time)

    assert expiries == [MAX_TOKEN_MS, 2 * MAX_TOKEN_MS, 2 * MAX_TOKEN_MS]


async def test_numbers_keep_all_their_digits(
    redis_store: RedisStore, raw: Redis, layout: Layout
) -> None:
    one, other = subject(2**53 - 3, version=2**53 - 5), subject(2**53 - 2, version=1)

    await put(redis_store, one, other)

    value = await raw.get(layout.key(one.target))
    assert value.startswith(b"0-9007199254740990 9007199254740987 ")
    assert b"e+" not in value


async def test_the_feed_contains_the_writes(
    redis_store: RedisStore, raw: Redis, layout: Layout
) -> None:
    token, user = denied(), subject(status=Status.DISABLED)
    await redis_store.begin("epoch", identity())
    await redis_store.apply("epoch", Batch([token, user], {0: mark(1, as_of=5)}, {}))

    begun, applied = await feed(raw, layout)

    first, _ = [fed for fed, _ in await raw.xrange(layout.feed)]
    cold = {b"epoch": b"epoch", b"ready": b"0", b"as_of": b"0"}
    assert begun == {**cold, b"after": b""}
    moment = user.source.time
    assert applied == {
        b"after": first,
        b"epoch": b"epoch",
        b"ready": b"1",
        b"as_of": b"5",
        name(token.target, PEPPER): b"%d 0-7" % token.expires_at,
        name(user.target, PEPPER): b"-1 0-7 1 %d disabled %d %d 0" % ((moment,) * 3),
    }


async def test_the_feed_is_silent_without_news(
    redis_store: RedisStore, raw: Redis, layout: Layout
) -> None:
    batch = Batch([denied(), subject()], {0: mark(1)}, {})
    await redis_store.begin("epoch", identity(2))
    await redis_store.apply("epoch", batch)
    before = await feed(raw, layout)

    await redis_store.apply("epoch", batch)
    await redis_store.apply("epoch", Batch([], {0: mark(2)}, {}))

    assert await feed(raw, layout) == before


async def test_the_feed_states_the_freshness_of_the_region(
    redis_store: RedisStore, raw: Redis, layout: Layout
) -> None:
    await redis_store.begin("epoch", identity())
    for each in (mark(1, as_of=5, rebuilt=False), mark(2, as_of=6), mark(2, as_of=7)):
        await redis_store.apply("epoch", Batch([], {0: each}, {}))

    stated = [(each[b"ready"], each[b"as_of"]) for each in await feed(raw, layout)]

    assert stated == [(b"0", b"0"), (b"0", b"5"), (b"1", b"6"), (b"1", b"7")]


async def test_the_feed_omits_refused_writes(
    redis_store: RedisStore, raw: Redis, layout: Layout
) -> None:
    await put(redis_store, denied(left_ms=-1))

    assert len(await feed(raw, layout)) == 1


async def test_the_feed_reports_a_lapsed_disabling(
    redis_store: RedisStore, raw: Redis, layout: Layout
) -> None:
    age = 2 * MAX_TOKEN_MS
    await put(redis_store, subject(1, status=Status.DISABLED, age_ms=age))
    late = subject(2, status=Status.ACTIVE, age_ms=age - 1)
    await put(redis_store, late)

    value = (await feed(raw, layout))[-1][name(late.target, PEPPER)]

    assert int(value.split()[0]) <= now_ms()
    assert b" active " in value


# Digests ------------------------------------------------------------------------------

_issuers = st.text(
    st.characters(codec="utf-8", exclude_characters="|"), min_size=1, max_size=8
)
_targets = st.builds(Target, st.sampled_from(Kind), _issuers, st.text(max_size=8))


@given(one=_targets, other=_targets)
def test_digests_do_not_collide_across_kinds_and_issuers(
    one: Target, other: Target
) -> None:
    assert (digest(one, PEPPER) == digest(other, PEPPER)) == (one == other)
    assert digest(one, PEPPER) != digest(one, PEPPER[::-1])


def test_a_name_reveals_only_the_kind() -> None:
    names = [name(target(kind), PEPPER) for kind in Kind]

    assert {len(each) for each in names} == {17}
    assert len({each[:1] for each in names}) == len(Kind)


def test_the_documented_digests_are_correct() -> None:
    document = DOCUMENT.read_text()
    pepper = re.search(r"pepper `(\w{64})`", document)
    assert pepper is not None
    examples = re.findall(
        r"^ +(\S+)\|(\w+)\|(\S+) +([0-9a-f]{32})$", document, re.MULTILINE
    )

    assert len(examples) == 3
    for issuer, kind, id_, expected in examples:
        described = Target(Kind(kind), issuer, id_)
        assert digest(described, pepper[1].encode()).hex() == expected


def test_caches_of_digests_are_emptied_when_they_are_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(layout_module, "_CACHED_ISSUERS", 2)
    digests = IssuersDigests([PEPPER])
    of_users = Digests(Kind.USER, "issuer", PEPPER, limit=2)
    for name_ in ("one", "two", "three"):
        assert digests[name_] is digests[name_]
        of_users[name_]

    assert list(digests) == list(of_users) == ["three"]
