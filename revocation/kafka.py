"""How this service speaks to Kafka: one home for what could lose a revocation.

aiokafka's own defaults are `acks=1`, no idempotence, `auto_offset_reset="latest"` and
automatic commits; each of them loses records somewhere.
"""

from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from revocation.entries import Position
from revocation.errors import RevocationError
from revocation.settings import KafkaSettings

_MAX_REQUEST_BYTES = 2 * 1_048_576 + 65_536
"""A dead letter of the largest record, with its headers."""


def new_producer(settings: KafkaSettings, *, client_id: str) -> AIOKafkaProducer:
    """Return a producer whose acknowledged records are in the log once, in order.

    `request_timeout_ms` is also how long a record may wait for a broker that is away.
    """
    return AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap_servers,
        client_id=client_id,
        acks="all",
        enable_idempotence=True,
        max_request_size=_MAX_REQUEST_BYTES,
        request_timeout_ms=60_000,
        retry_backoff_ms=100,
    )


def new_telemetry_producer(
    settings: KafkaSettings, *, client_id: str
) -> AIOKafkaProducer:
    """Return a producer of what may be lost: it gives up early and asks for less."""
    return AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap_servers,
        client_id=client_id,
        acks=1,
        linger_ms=20,
        request_timeout_ms=3_000,
        retry_backoff_ms=250,
    )


def new_consumer(
    settings: KafkaSettings, *topics: str, client_id: str, **options: Any
) -> AIOKafkaConsumer:
    """Return a consumer that starts at the beginning and commits nothing by itself."""
    return AIOKafkaConsumer(
        *topics,
        bootstrap_servers=settings.bootstrap_servers,
        client_id=client_id,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        retry_backoff_ms=100,
        **options,
    )


def dead_letter_value(key: bytes | None, value: bytes | None) -> bytes | None:
    """Return the original value; empty if there is no key either.

    aiokafka sends no record that has neither, other clients do.
    """
    return b"" if key is None and value is None else value


def dead_letter_headers(
    error: RevocationError, topic: str, at: Position
) -> list[tuple[str, bytes]]:
    """Return the headers that a dead letter has beside its original ones."""
    described = {
        "code": error.code,
        "message": error,
        "topic": topic,
        "partition": at.partition,
        "offset": at.offset,
        "timestamp": at.time,
    }
    return [
        (f"dead-letter-{name}", str(value).encode("ascii", "backslashreplace"))
        for name, value in described.items()
    ]
