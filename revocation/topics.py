"""The Kafka topics: names, the settings that promises rest on, who goes where.

One target is always in one partition, and an update lies in the partition number of the
record that caused it, so all topics have equally many partitions.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from revocation.entries import Target

PULSE_KEY: Final = b"revocation.pulse"
"""Key of a pulse: a record whose place and time in the log is all it says."""

PULSE_VALUE: Final = b"{}"

MAX_EVENT_BYTES: Final = 262_144
"""The largest event; 1,000 users of 200 bytes fit."""

MAX_UPDATE_BYTES: Final = 2_097_152
"""The largest update: what 1,000 users of one event come to, with their history."""

_DAY_MS: Final = 86_400_000
_MAX_RECORD_BYTES: Final = 1_048_576
_MAX_PASSED_ON_BYTES: Final = 2 * _MAX_RECORD_BYTES
"""A forwarded record or dead letter: a record of the events topic and more headers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicSpec:
    """A topic as it must be. `minimum` holds settings that may be larger, not less.

    `telemetry`: no revocation depends on it, so it is made with these settings, and
    neither missing nor changed a reason for a station not to start.
    """

    name: str
    partitions: int
    exact: Mapping[str, str] = field(default_factory=dict)
    minimum: Mapping[str, int] = field(default_factory=dict)
    telemetry: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """The names of one installation's topics."""

    prefix: str = "revocation"

    @property
    def events(self) -> str:
        """What producers say happened."""
        return f"{self.prefix}.events"

    @property
    def forwarded(self) -> str:
        """Events that lay in another partition than their target's.

        Only authorities may write it: what is here counts as a copy of another record.
        """
        return f"{self.prefix}.forwarded"

    @property
    def entries(self) -> str:
        """What the authority concluded."""
        return f"{self.prefix}.entries"

    @property
    def dead_letters(self) -> str:
        """What could not be read, in its original bytes."""
        return f"{self.prefix}.dead-letters"

    @property
    def rejections(self) -> str:
        """Which revoked tokens were presented, sampled; digests only."""
        return f"{self.prefix}.rejections"

    def specs(
        self, *, partitions: int, replication_factor: int, window_ms: int
    ) -> tuple[TopicSpec, ...]:
        """Return the topics as they must be.

        `cleanup.policy=delete`: in a compacted topic the last record of a key wins, and
        a paused authority may append an older entry after a newer one.
        `retention.bytes`: a limit in bytes would cut the log before its time.
        `LogAppendTime`: one clock, the brokers', dates every record (KIP-32).
        `unclean.leader.election`: a replica that is behind must not become the truth.
        `min.insync.replicas`: an acknowledged record must outlive its leader.

        Args:
            partitions: of each topic.
            replication_factor: of each topic.
            window_ms: how long a record must stay readable for a region to be rebuilt.
        """
        logged = {
            "cleanup.policy": "delete",
            "message.timestamp.type": "LogAppendTime",
            "retention.bytes": "-1",
            "unclean.leader.election.enable": "false",
        }
        kept = {
            "retention.ms": window_ms,
            "min.insync.replicas": min(2, max(1, replication_factor - 1)),
        }
        return (
            TopicSpec(
                name=self.events,
                partitions=partitions,
                exact=logged,
                minimum={**kept, "max.message.bytes": _MAX_RECORD_BYTES},
            ),
            TopicSpec(
                name=self.entries,
                partitions=partitions,
                exact=logged,
                minimum={**kept, "max.message.bytes": MAX_UPDATE_BYTES},
            ),
            *(
                TopicSpec(
                    name=name,
                    partitions=partitions,
                    exact=logged,
                    minimum={**kept, "max.message.bytes": _MAX_PASSED_ON_BYTES},
                )
                for name in (self.forwarded, self.dead_letters)
            ),
            self._rejections_spec(partitions),
        )

    def _rejections_spec(self, partitions: int) -> TopicSpec:
        """Bound it in time and bytes: unlike the others, it may be cut short."""
        return TopicSpec(
            name=self.rejections,
            partitions=partitions,
            exact={
                "cleanup.policy": "delete",
                # Only whole segments are deleted.
                "segment.bytes": str(64 * _MAX_RECORD_BYTES),
            },
            minimum={
                "retention.ms": 7 * _DAY_MS,
                "retention.bytes": 256 * _MAX_RECORD_BYTES,
                "max.message.bytes": _MAX_RECORD_BYTES,
            },
            telemetry=True,
        )


def record_key(target: Target) -> bytes:
    """Return the key of the target's records."""
    return str(target).encode()


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a record key, as Kafka's Java client chooses it."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def murmur2(data: bytes) -> int:
    """Return Kafka's 32-bit murmur2 hash (org.apache.kafka.common.utils.Utils)."""
    factor, mask = 0x5BD1E995, 0xFFFFFFFF
    words, rest = divmod(len(data), 4)
    value = 0x9747B28C ^ len(data)
    for word in struct.unpack_from(f"<{words}I", data):
        chunk = word * factor & mask
        value = (value * factor ^ (chunk ^ chunk >> 24) * factor) & mask
    if rest:
        value = (value ^ int.from_bytes(data[-rest:], "little")) * factor & mask
    value = (value ^ value >> 13) * factor & mask
    return value ^ value >> 15
