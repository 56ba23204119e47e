"""Logging: fixed phrases with key-value pairs, as JSON lines on stderr.

Identifiers of users, sessions and tokens are never logged; receipts are. Lines that
repeat while a broker or a store is away are logged once, then once every ten seconds,
with the number of lines held back.
"""

import logging
import sys
import threading
import time
from typing import Any, Final

import structlog
from structlog.typing import EventDict, Processor

HOLD_SECONDS: Final = 10.0
_LIBRARIES: Final = ("aiokafka", "faust", "mode")

_SHARED: Final[tuple[Processor, ...]] = (
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)
_RENDERED: Final[tuple[Processor, ...]] = (
    structlog.processors.format_exc_info,
    structlog.processors.JSONRenderer(),
)


class Outages:
    """Admits one line about an outage every ten seconds, and counts the others.

    Our own lines name their outage by the key `outage`. Those of the Kafka libraries
    belong to Kafka's, unless they have an exception, which may be new.
    """

    def __init__(self) -> None:
        """Prepare."""
        self._lock = threading.Lock()
        self._passed_at: dict[object, float] = {}
        self._held_back: dict[object, int] = {}

    def admit(self, outage: object, now: float) -> int | None:
        """Return how many lines were held back before this one; None to hold it back.

        Args:
            outage: what the line is about.
            now: in seconds of a monotonic clock.
        """
        with self._lock:
            passed_at = self._passed_at.get(outage)
            if passed_at is not None and now - passed_at < HOLD_SECONDS:
                self._held_back[outage] = self._held_back.get(outage, 0) + 1
                return None
            self._passed_at[outage] = now
            return self._held_back.pop(outage, 0)

    def of_ours(self, _: Any, __: str, event: EventDict) -> EventDict:
        """Hold lines back, as a structlog processor."""
        outage = event.get("outage")
        held_back = 0 if outage is None else self.admit(outage, time.monotonic())
        if held_back is None:
            raise structlog.DropEvent
        return {**event, "held_back": held_back} if held_back else event

    def of_libraries(self, record: logging.LogRecord) -> bool:
        """Hold records back, as a logging filter."""
        is_new = record.levelno >= logging.CRITICAL
        if is_new or not record.name.startswith(_LIBRARIES):
            return True
        outage: object = (record.name, record.msg) if record.exc_info else "kafka"
        held_back = self.admit(outage, time.monotonic())
        record.held_back = held_back
        return held_back is not None


def configure_logging() -> None:
    """Send structlog, the libraries' warnings and uncaught exceptions to stderr."""
    outages = Outages()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            outages.of_ours,
            *_SHARED,
            *_RENDERED,
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(outages.of_libraries)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, _note_held_back],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_SHARED,
                *_RENDERED,
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.captureWarnings(capture=True)
    threading.excepthook = _log_uncaught


def _note_held_back(_: Any, __: str, event: EventDict) -> EventDict:
    held_back = getattr(event["_record"], "held_back", 0)
    return {**event, "held_back": held_back} if held_back else event


def _log_uncaught(failed: threading.ExceptHookArgs) -> None:
    failure = failed.exc_type, failed.exc_value, failed.exc_traceback
    structlog.get_logger().critical("unexpected failure", exc_info=failure)
