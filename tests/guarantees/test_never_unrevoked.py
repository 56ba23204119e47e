"""never-unrevoked: late appends, replays, rebuilds never make a revoked token pass."""

import asyncio
import time
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from aiokafka import TopicPartition

from revocation.decision import Reason, Rules, Verdict, decide
from revocation.entries import Entry, Status, Target
from revocation.events import UserDisabled, UserEnabled
from revocation.kafka.clients import new_consumer
from revocation.settings import KafkaSettings
from revocation.store.contract import Batch
from revocation.updates import decode_update
from revocation.verifier import Verifier, verifier as verifier_module
from tests.installation import Install, Installation, eventually, flush
from tests.misplaced import elsewhere, home, publish_at
from tests.traffic import ISSUER, SOURCE, claims, logged_out, logouts, user

pytestmark = [pytest.mark.guarantee, pytest.mark.connected, pytest.mark.timeout(240)]

USERS = 40


async def late_appends(installation: Installation) -> Counter[str]:
    """Have a paused worker append older entries after another's newer ones.

    The worker delays outputs by 4 s, so that a pause always finds some unsent.
    Returns the version that each user must end with.
    """
    slow = installation.add_authority("slow", unprotected="delay_outputs")
    await installation.ready()
    first, before = logouts(300, USERS, seed=5)
    await installation.publish(*first)
    await asyncio.sleep(1.5)  # taken, concluded, not yet sent
    slow.pause()
    installation.add_authority("other")
    second, after = logouts(300, USERS, seed=6)
    receipts = await installation.publish(*second)
    await installation.applied(receipts, within=60)
    slow.resume()
    return before + after


async def log_of_entries(installation: Installation) -> list[Entry]:
    """Return every user entry of the log, each partition in its order."""
    settings = KafkaSettings(**installation._typed())
    topic = settings.topics.entries
    consumer = new_consumer(settings, client_id="tests")
    await consumer.start()
    consumer.assign([TopicPartition(topic, n) for n in range(settings.partitions)])
    ends = await consumer.end_offsets(consumer.assignment())
    entries: list[Entry] = []
    while any([await consumer.position(tp) < end for tp, end in ends.items()]):
        for tp, records in (await consumer.getmany(timeout_ms=500)).items():
            for record in records:
                entries += decode_update(record.value, tp.partition).entries
    await consumer.stop()
    return entries


async def test_a_paused_worker_that_appends_older_entries_late(
    install: Install,
) -> None:
    """A user's last entry is an older one; a rebuilt region is correct nevertheless."""
    installation = await install()
    projector = installation.add_region("eu")
    expected = await late_appends(installation)

    async def older_after_newer() -> dict[Target, int]:
        last = {
            entry.target: entry.version for entry in await log_of_entries(installation)
        }
        return {
            target: version
            for target, version in last.items()
            if version < expected[target.id]
        }

    # What a compacted topic would keep, and a region rebuilt from it would hold.
    await eventually(older_after_newer, within=30)

    projector.kill()
    installation.stores["eu"].kill()
    installation.stores["eu"].launch()
    projector.start()
    await installation.ready("eu")
    answer = await installation.find("eu", *map(user, expected))
    assert expected == {
        target.id: entry.version for target, entry in answer.found.items()
    }


async def test_replays_and_reordering(install: Install) -> None:
    """Parts of the log in reverse, then all of it again, change nothing."""
    installation = await install()
    installation.add_region("eu")
    installation.add_authority()
    await installation.ready()
    published, expected = logouts(500, USERS, seed=9)
    await installation.applied(await installation.publish(*published))
    before = (await installation.find("eu", *map(user, expected))).found
    entries = await log_of_entries(installation)
    async with installation.reader("eu") as store:
        epoch = (await store.region()).epoch
        assert epoch is not None
        for again in (entries[:300], entries[::-1], entries):
            await store.apply(epoch, Batch(again, {}, {}))
    after = (await installation.find("eu", *map(user, expected))).found

    assert after == before


# Tokens dated ahead -------------------------------------------------------------------

AHEAD = (4, 20, 50, 70, 90)


def decide_without_allowance(*arguments: object, **options: Any) -> Verdict:
    """Accept tokens dated ahead as usual, with cut-offs that reach no further."""
    rules: Rules = options["rules"]
    earlier = options["skew_ms"] - rules.clock_allowance_ms // 2
    exact = replace(rules, clock_allowance_ms=0)
    return decide(*arguments, **{**options, "rules": exact, "skew_ms": earlier})


async def outlive(
    installation: Installation, verifier: Verifier, name: str
) -> tuple[dict[str, Reason], dict[str, set[Reason]]]:
    """Log out a user whose tokens are dated ahead; return verdicts before and after.

    After: until the tokens that passed before are no longer ahead.
    """
    dated = int(time.time())
    tokens = {
        f"{ahead}{said}": claims(name, now=dated + ahead, age=0, **version)
        for ahead in AHEAD
        for said, version in (("", {}), (" ver", {"ver": 0}))
    }
    before = {each: verifier.check(token).reason for each, token in tokens.items()}
    receipts = await installation.publish(logged_out(name))
    await verifier.wait_applied(receipts, timeout_seconds=20)
    await eventually(lambda: not verifier.check(claims(name, now=dated, age=90)))
    after: dict[str, set[Reason]] = {each: set() for each in tokens}
    passed = max(ahead for ahead in AHEAD if before[f"{ahead}"] is Reason.ACTIVE)

    def look() -> bool:
        for each, token in tokens.items():
            after[each].add(verifier.check(token).reason)
        return time.time() > dated + passed + 1

    await eventually(look, within=20)
    return before, after


async def test_tokens_dated_ahead(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token that passed before a logout stays rejected, whatever its date."""
    installation = await install()
    installation.add_region("eu")
    installation.add_authority()
    await installation.ready()
    async with installation.verifier("eu") as verifier:
        with monkeypatch.context() as patched:
            patched.setattr(verifier_module, "decide", decide_without_allowance)
            unprotected, outlived = await outlive(installation, verifier, "mallory")
        before, after = await outlive(installation, verifier, "alice")

    assert unprotected["4"] is Reason.ACTIVE
    assert Reason.ACTIVE in outlived["4"], "its date lets it outlive the logout"
    for token, reason in before.items():
        near, bare = token.startswith("4"), not token.endswith("ver")
        assert reason is (Reason.ACTIVE if near else Reason.UNVERIFIABLE)
        rejected = Reason.ISSUED_BEFORE_CUT_OFF if bare else Reason.VERSION_SUPERSEDED
        assert after[token] == {rejected if near else Reason.UNVERIFIABLE}


# Forwarded events ---------------------------------------------------------------------


async def enabled_before_disabled(install: Install, **authority: str) -> list[Status]:
    """Forward an enabling late, to a user who was disabled after it.

    Returns the user's status, and the status in a region rebuilt since.
    """
    installation = await install()
    installation.add_region("eu")
    station = installation.add_authority(**authority)
    await installation.ready()
    common = {"source": SOURCE, "issuer": ISSUER, "user": "mallory"}
    enabled, disabled = UserEnabled.new(**common), UserDisabled.new(**common)
    station.pause()
    placed = [(enabled, elsewhere(enabled, 4)), (disabled, home(disabled, 4))]
    receipts = await publish_at(installation, placed)
    station.resume()
    found = []
    for rebuilt in (False, True):
        if rebuilt:
            await flush(installation.stores["eu"])
            await installation.ready()
        await installation.applied(receipts)
        answer = await installation.find("eu", user("mallory"))
        found.append(answer.found[user("mallory")].status)
    return found


async def test_an_enabling_dated_when_forwarded_lifts_a_later_disabling(
    install: Install,
) -> None:
    """Without the protection, an event that arrives late counts as later."""
    found = await enabled_before_disabled(install, unprotected="date_when_forwarded")
    assert found == [Status.ACTIVE, Status.ACTIVE]


async def test_a_forwarded_enabling_lifts_no_later_disabling(
    install: Install,
) -> None:
    """It keeps the time of its own record, wherever and whenever it is concluded."""
    found = await enabled_before_disabled(install)
    assert found == [Status.DISABLED, Status.DISABLED]
