"""Topics: partitioning, as Kafka's own clients see it."""

import re

import pytest
from aiokafka.partitioner import DefaultPartitioner, murmur2 as aiokafka_murmur2
from hypothesis import given, strategies as st

from revocation import events, ledger
from revocation.entries import Kind, Position, Target
from revocation.topics import (
    MAX_EVENT_BYTES,
    MAX_UPDATE_BYTES,
    Topics,
    murmur2,
    partition_of,
    record_key,
)
from revocation.updates import Update, encode_update
from tests.structure.sources import ROOT
from tests.unit.strategies import LIMITS, NOW, targets

ISSUER_BYTES = 512


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_gives_what_kafka_tests_for(data, expected):
    """The vectors of UtilsTest.testMurmur2 in Apache Kafka; Java's ints are signed."""
    assert murmur2(data) == expected % 2**32


@given(st.binary(max_size=70))
def test_murmur2_gives_what_aiokafka_gives(data):
    assert murmur2(data) == aiokafka_murmur2(data) % 2**32


@given(st.binary(min_size=1, max_size=40), st.integers(1, 50))
def test_a_record_goes_where_aiokafka_would_send_it(key, partitions):
    everywhere = list(range(partitions))
    chosen = DefaultPartitioner()(key, everywhere, everywhere)
    assert partition_of(key, partitions) == chosen


@given(targets())
def test_a_key_names_its_target(target):
    """The issuer holds no bar, so the first two bars end issuer and kind."""
    issuer, kind, name = record_key(target).decode().split("|", 2)
    assert Target(Kind(kind), issuer, name) == target


def test_topics_begin_with_their_prefix():
    topics = Topics(prefix="test")
    assert topics.events == "test.events"
    assert topics.entries == "test.entries"
    assert topics.dead_letters == "test.dead-letters"
    assert topics.rejections == "test.rejections"


def test_no_topic_is_compacted_or_cut_by_size_or_dated_by_producers():
    *specs, _ = Topics().specs(partitions=3, replication_factor=3, window_ms=1_000)
    assert [spec.name for spec in specs] == [
        "revocation.events",
        "revocation.entries",
        "revocation.forwarded",
        "revocation.dead-letters",
    ]
    for spec in specs:
        assert not spec.telemetry
        assert spec.partitions == 3
        assert spec.exact == {
            "cleanup.policy": "delete",
            "message.timestamp.type": "LogAppendTime",
            "retention.bytes": "-1",
            "unclean.leader.election.enable": "false",
        }
        assert spec.minimum["retention.ms"] == 1_000


def test_the_rejections_topic_is_bounded_and_not_required():
    """Nothing is concluded from it, so it may be cut short and need not be there."""
    *_, spec = Topics().specs(partitions=3, replication_factor=3, window_ms=1_000)
    assert spec.name == "revocation.rejections"
    assert spec.telemetry
    assert 0 < spec.minimum["retention.bytes"] < 2**30
    assert int(spec.exact["segment.bytes"]) < spec.minimum["retention.bytes"]


def test_the_guide_says_of_every_topic_who_may_write_it():
    """Above all of the one that only authorities may."""
    guide = (ROOT / "docs" / "events.md").read_text()
    row = re.compile(r"^\| `([a-z-]+)` \| ([^|]+) \| [a-z]", re.MULTILINE)
    writers = {f"revocation.{name}": who for name, who in row.findall(guide)}
    specs = Topics().specs(partitions=1, replication_factor=1, window_ms=1)
    assert writers.keys() >= {spec.name for spec in specs}
    assert writers[Topics().forwarded] == "authorities"


def test_the_largest_update_fits_into_its_topic():
    """An update that did not fit would stop its authority for good."""
    users = [f"{number:04}" + "x" * 250 for number in range(1_000)]
    entries = {}
    for offset in range(10):
        event = events.UsersRevoked.new(
            source="/idp", issuer="i" * ISSUER_BYTES, users=users
        )
        assert len(events.encode(event)) > 0.98 * MAX_EVENT_BYTES
        at = Position(1_023, 2**52 + offset, NOW)
        for target in events.targets(event):
            result = ledger.apply(entries.get(target), event, target, at, LIMITS)
            entries[target] = result.entry
    size = len(encode_update(Update(at, tuple(entries.values()))))
    _, spec, *_ = Topics().specs(partitions=1, replication_factor=1, window_ms=1)
    assert size < MAX_UPDATE_BYTES == spec.minimum["max.message.bytes"]
