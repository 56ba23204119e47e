"""The Kafka topics: names, required settings, and partitioning.

A target is always in one partition, and an update has the partition number of the
record that caused it, so all topics have the same number of partitions.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from revocation.entries import Target

PULSE_KEY: Final = b"revocation.pulse"
"""The key of a pulse, a record that matters only by its position and time."""

PULSE_VALUE: Final = b"{}"

MAX_EVENT_BYTES: Final = 262_144
"""The largest event; it holds 1,000 users of 200 bytes each."""

MAX_UPDATE_BYTES: Final = 2_097_152
"""The largest update: entries of 1,000 users of one event, with their history."""

_DAY_MS: Final = 86_400_000
_MAX_RECORD_BYTES: Final = 1_048_576
_MAX_COPY_BYTES: Final = 2 * _MAX_RECORD_BYTES
"""A forwarded record or dead letter: a record of the events topic with more headers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicSpec:
    """The required settings of a topic; those in `minimum` may be larger.

    `telemetry`: no revocation depends on the topic, so stations start even if it is
    missing or has other settings than it was created with.
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
        """Events from producers."""
        return f"{self.prefix}.events"

    @property
    def forwarded(self) -> str:
        """Events that were published to another partition than their target's.

        Only authorities may write here: each record counts as a copy of another.
        """
        return f"{self.prefix}.forwarded"

    @property
    def entries(self) -> str:
        """Updates from the authority."""
        return f"{self.prefix}.entries"

    @property
    def dead_letters(self) -> str:
        """Records that could not be read, in their original bytes."""
        return f"{self.prefix}.dead-letters"

    @property
    def rejections(self) -> str:
        """Rejections of revoked tokens, sampled; digests only."""
        return f"{self.prefix}.rejections"

    def specs(
        self, *, partitions: int, replication_factor: int, window_ms: int
    ) -> tuple[TopicSpec, ...]:
        """Return the specifications of all topics.

        `cleanup.policy=delete`: in a compacted topic the last record of a key wins, and
        a paused authority may append an older entry after a newer one.
        `retention.bytes`: a size limit would truncate the log before its time.
        `LogAppendTime`: the brokers' clock alone dates every record (KIP-32).
        `unclean.leader.election`: a replica that is behind must not become the leader.
        `min.insync.replicas`: an acknowledged record must outlive its leader.

        Args:
            partitions: of each topic.
            replication_factor: of each topic.
            window_ms: how long a record must stay readable for a region to be rebuilt.
        """
        log_settings = {
            "cleanup.policy": "delete",
            "message.timestamp.type": "LogAppendTime",
            "retention.bytes": "-1",
            "unclean.leader.election.enable": "false",
        }
        durable = {
            "retention.ms": window_ms,
            "min.insync.replicas": min(2, max(1, replication_factor - 1)),
        }
        return (
            TopicSpec(
                name=self.events,
                partitions=partitions,
                exact=log_settings,
                minimum={**durable, "max.message.bytes": _MAX_RECORD_BYTES},
            ),
            TopicSpec(
                name=self.entries,
                partitions=partitions,
                exact=log_settings,
                minimum={**durable, "max.message.bytes": MAX_UPDATE_BYTES},
            ),
            *(
                TopicSpec(
                    name=name,
                    partitions=partitions,
                    exact=log_settings,
                    minimum={**durable, "max.message.bytes": _MAX_COPY_BYTES},
                )
                for name in (self.forwarded, self.dead_letters)
            ),
            self._rejections_spec(partitions),
        )

    def _rejections_spec(self, partitions: int) -> TopicSpec:
        """Limit it in time and bytes: unlike the others, it may be truncated."""
        return TopicSpec(
            name=self.rejections,
            partitions=partitions,
            exact={
                "cleanup.policy": "delete",
                # Kafka deletes only whole segments.
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
    """Return the partition of a record key, as Kafka's Java client computes it."""
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
