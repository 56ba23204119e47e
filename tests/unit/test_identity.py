"""The settings that a region records, and how readers and projectors compare them."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from revocation.entries import UnixMs
from revocation.errors import DisagreementError
from revocation.identity import (
    LAYOUT_VERSION,
    Expectation,
    Identity,
    Stated,
    compare,
    decode_identity,
    encode_identity,
    fingerprint,
    require_authority,
)
from tests.identities import LIFETIMES, identity

OLD, NEW, OTHER = (fingerprint(bytes([at]) * 32) for at in range(3))
NOW = UnixMs(1_790_000_000_000)
SHARED = [
    "max_token_lifetime_seconds",
    "max_session_seconds",
    "leeway_seconds",
    "clock_allowance_seconds",
]


def region(*peppers: str, **more: Any) -> Identity:
    return identity(2, peppers=peppers or (OLD,), **more)


def reader(*peppers: str, **more: Any) -> Expectation:
    lifetimes = LIFETIMES._replace(**more)
    return Expectation("eu", peppers or (OLD,), lifetimes)


# Encoding -----------------------------------------------------------------------------


def test_what_is_encoded_is_decoded():
    made = region(OLD, NEW, rotated_at=NOW, cluster_id=None)
    assert decode_identity(encode_identity(made)) == made


@pytest.mark.parametrize("value", [b"", b"{}", b"7", b"[]", b'{"lifetimes": 3}', b"{"])
def test_an_invalid_identity_is_decoded_as_none(value):
    assert decode_identity(value) is None


def test_a_fingerprint_tells_peppers_apart_and_is_no_pepper():
    secret = b"0123456789abcdef" * 4
    assert fingerprint(secret) == fingerprint(secret)
    assert len({OLD, NEW, OTHER, fingerprint(secret)}) == 4
    assert len(fingerprint(secret)) == 16


# Readers ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHARED)
def test_a_reader_that_needs_a_longer_memory_is_refused_with_both_values(name):
    theirs = getattr(LIFETIMES, name)
    with pytest.raises(DisagreementError) as caught:
        reader(**{name: theirs + 1}).require(region())
    for said in (name, f"REVOCATION_{name.upper()}", str(theirs), str(theirs + 1)):
        assert said in str(caught.value)


@pytest.mark.parametrize("name", SHARED)
def test_a_reader_that_needs_a_shorter_memory_is_stricter_and_may_read(name):
    reader(**{name: getattr(LIFETIMES, name) - 1}).require(region())


def test_how_often_entries_are_refreshed_is_no_concern_of_readers():
    reader(refresh_period_seconds=1).require(region())
    reader(refresh_period_seconds=10**6).require(region())


@pytest.mark.parametrize(
    ("lies_under", "looks_under", "agree"),
    [
        ((OLD,), (OLD,), True),
        ((OLD,), (NEW, OLD), True),
        ((NEW, OLD), (NEW, OLD), True),
        ((NEW, OLD), (OLD, NEW), True),
        ((OLD,), (NEW,), False),
        ((NEW, OLD), (OLD,), False),
        ((NEW, OLD), (NEW,), False),
    ],
)
def test_a_reader_needs_every_pepper_that_entries_lie_under(
    lies_under, looks_under, agree
):
    """So verifiers come first in a rotation, and are the first to take the new one."""
    expected = reader(*looks_under)
    if agree:
        expected.require(region(*lies_under))
        return
    with pytest.raises(DisagreementError, match="previous_pepper_file") as caught:
        expected.require(region(*lies_under))
    for each in (*lies_under, *looks_under):
        assert each in str(caught.value)


def test_a_reader_of_another_region_is_refused():
    with pytest.raises(DisagreementError, match="region is us in the region and eu"):
        reader().require(region(region="us"))


@pytest.mark.parametrize("layout", [LAYOUT_VERSION - 1, LAYOUT_VERSION + 1])
def test_a_reader_of_another_layout_is_refused(layout):
    with pytest.raises(DisagreementError, match="same release"):
        reader().require(region(layout=layout))


def test_a_region_that_states_nothing_is_not_read():
    with pytest.raises(DisagreementError, match="has no settings"):
        reader().require(None)


# Projectors ---------------------------------------------------------------------------


def test_a_projector_goes_on_in_its_own_region():
    found = compare(region(), region(), NOW)
    assert found == ((), (), False, region())
    found.refuse_foreign()
    found.refuse_changed()


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("region", "us"),
        ("topic_prefix", "test"),
        ("partitions", 3),
        ("cluster_id", "cluster-2"),
        ("layout", LAYOUT_VERSION - 1),
    ],
)
def test_a_foreign_store_is_refused(member, value):
    own = replace(region(), **{member: value})
    with pytest.raises(DisagreementError) as caught:
        compare(region(), own, NOW).refuse_foreign()
    assert str(value) in str(caught.value)
    assert str(getattr(region(), member)) in str(caught.value)


@pytest.mark.parametrize(("theirs", "ours"), [(None, "c"), ("c", None), (None, None)])
def test_a_broker_that_does_not_say_its_cluster_is_no_stranger(theirs, ours):
    own = region(cluster_id=ours)
    found = compare(region(cluster_id=theirs), own, NOW)
    assert not found.foreign
    assert found.adopted.cluster_id == (ours or theirs)


@pytest.mark.parametrize("name", SHARED)
@pytest.mark.parametrize("by", [-1, 1])
def test_entries_of_other_lifetimes_need_an_explicit_rebuild(name, by):
    changed = LIFETIMES._replace(**{name: getattr(LIFETIMES, name) + by})
    found = compare(region(), region(lifetimes=changed), NOW)
    assert not found.foreign
    with pytest.raises(DisagreementError, match="revocation rebuild eu") as caught:
        found.refuse_changed()
    assert name in str(caught.value)


def test_the_longer_refresh_period_is_adopted_in_place():
    """Else two projectors would adopt theirs in turns for ever."""
    longer = region(lifetimes=LIFETIMES._replace(refresh_period_seconds=10**6))
    assert compare(region(), longer, NOW) == ((), (), False, longer)
    assert compare(longer, region(), NOW) == ((), (), False, longer)


def test_what_a_later_release_states_is_not_taken_for_nothing():
    stated = orjson.loads(encode_identity(region(layout=LAYOUT_VERSION + 1)))
    later = orjson.dumps({**stated, "more": 1})
    with pytest.raises(DisagreementError, match="upgrade it"):
        compare(decode_identity(later), region(), NOW).refuse_foreign()


@pytest.mark.parametrize("stated", [None, region(layout=LAYOUT_VERSION - 1)])
def test_what_an_older_release_wrote_is_rebuilt_without_asking(stated):
    found = compare(stated, region(), NOW)
    assert (found.foreign, found.outdated) == ((), True)


# Rotation -----------------------------------------------------------------------------


def test_a_rotation_is_adopted_and_the_pepper_before_still_read():
    found = compare(region(OLD), region(NEW, OLD), NOW)
    assert found == ((), (), False, region(NEW, OLD, rotated_at=NOW))


def test_another_pepper_without_the_one_before_is_refused():
    found = compare(region(OLD), region(NEW), NOW)
    with pytest.raises(DisagreementError, match="revocation rebuild eu"):
        found.refuse_changed()


def test_a_projector_that_was_not_rotated_yet_may_go_on_meanwhile():
    """What it writes under the pepper before is still read."""
    rotated = region(NEW, OLD, rotated_at=NOW)
    assert compare(rotated, region(OLD), NOW) == ((), (), False, rotated)


@pytest.mark.parametrize("own", [(NEW,), (NEW, OLD)])
def test_the_pepper_before_is_read_until_a_rebuild(own):
    """No time tells when all that lay under it was written again."""
    rotated = region(NEW, OLD, rotated_at=NOW)
    later = UnixMs(NOW + 100 * LIFETIMES.window_ms)
    assert compare(rotated, region(*own), later) == ((), (), False, rotated)


def test_a_second_rotation_waits_for_the_rebuild_after_the_first():
    """Nobody could read what lies under the first of three peppers."""
    rotated, again = region(NEW, OLD, rotated_at=NOW), region(OTHER, NEW)
    with pytest.raises(DisagreementError, match=OLD):
        compare(rotated, again, NOW).refuse_changed()
    adopted = compare(region(NEW), again, NOW).adopted
    assert (adopted.peppers, adopted.rotated_at) == ((OTHER, NEW), NOW)


# Authorities --------------------------------------------------------------------------


def test_a_projector_takes_what_an_authority_of_its_own_lifetimes_writes():
    require_authority(Stated(LIFETIMES._asdict()), region())


@pytest.mark.parametrize("name", [*SHARED, "refresh_period_seconds"])
@pytest.mark.parametrize("by", [-1, 1])
def test_an_authority_may_keep_for_longer_and_refresh_more_often(name, by):
    value = getattr(LIFETIMES, name) + by
    stated = Stated(LIFETIMES._replace(**{name: value})._asdict())
    if (by > 0) == (name in SHARED):
        require_authority(stated, region())
        return
    with pytest.raises(DisagreementError, match=f"{name} is {value} there") as caught:
        require_authority(stated, region())
    assert f"{getattr(LIFETIMES, name)} here" in str(caught.value)


# Claim sets ---------------------------------------------------------------------------

DEVICE, ACTOR = ("device_id",), ("act.sub",)


def test_what_is_revocable_is_encoded():
    made = region(revocable_claims=(ACTOR, ("azp", "device_id")))
    assert decode_identity(encode_identity(made)) == made


def test_a_layout_from_before_there_were_claim_sets_is_read_and_outdated():
    """Else a store of another region would be taken for one that says nothing."""
    stated = orjson.loads(encode_identity(region(region="us", layout=2)))
    del stated["revocable_claims"]
    before = decode_identity(orjson.dumps(stated))
    found = compare(before, region(), NOW)
    assert found.outdated
    with pytest.raises(DisagreementError, match="region is us"):
        found.refuse_foreign()


@pytest.mark.parametrize(
    ("theirs", "ours", "agree"),
    [
        ((), (), True),
        ((), (DEVICE,), True),
        ((DEVICE,), (DEVICE,), True),
        ((DEVICE,), (ACTOR, DEVICE), True),
        ((DEVICE,), (), False),
        ((ACTOR, DEVICE), (DEVICE,), False),
        ((DEVICE,), (("azp", "device_id"),), False),
    ],
)
def test_a_reader_looks_for_each_claim_set_of_its_region(theirs, ours, agree):
    """So verifiers are the first to take a new one."""
    expected = reader()._replace(revocable_claims=ours)
    if agree:
        expected.require(region(revocable_claims=theirs))
        return
    with pytest.raises(DisagreementError, match="REVOCATION_REVOCABLE_CLAIMS"):
        expected.require(region(revocable_claims=theirs))


@pytest.mark.parametrize(
    ("accepted", "listed", "agree"),
    [
        ((), (DEVICE,), True),
        ((DEVICE,), (ACTOR, DEVICE), True),
        ((DEVICE,), (ACTOR,), False),
        ((DEVICE,), (), False),
    ],
)
def test_an_authority_accepts_no_set_that_the_projector_does_not_list(
    accepted, listed, agree
):
    stated, own = Stated(LIFETIMES._asdict(), accepted), region(revocable_claims=listed)
    if agree:
        require_authority(stated, own)
        return
    with pytest.raises(DisagreementError, match="revocable_claims is device_id there"):
        require_authority(stated, own)


def test_a_region_takes_further_sets_and_keeps_those_that_another_projector_lists():
    found = compare(
        region(revocable_claims=(DEVICE,)), region(revocable_claims=(ACTOR,)), NOW
    )
    assert found == ((), (), False, region(revocable_claims=(ACTOR, DEVICE)))
    again = compare(found.adopted, region(revocable_claims=()), NOW)
    assert again.adopted == found.adopted
