"""Logging: fixed phrases with key-values, as JSON lines on stderr.

Identifiers of users, sessions and tokens are never logged; receipts are.
"""

import logging
import sys

import structlog


def configure_logging() -> None:
    """Send structlog and the libraries' logging to stderr, warnings of the latter."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.WARNING,
        format='{"level":"%(levelname)s","logger":"%(name)s","event":"%(message)s"}',
    )
