"""The server's own error answers, and what it logs about them."""

import traceback
from typing import Final

import structlog

from revocation import metrics
from revocation.http.messages import HttpFault, Response, ServerLimits, problem

_log = structlog.get_logger()

MALFORMED: Final = HttpFault(400, "malformed_request", "This is not HTTP/1.1")
TIMED_OUT: Final = HttpFault(
    408, "request_timeout", "The request took too long to arrive"
)
NO_EXPECTATION: Final = HttpFault(
    417, "expectation_failed", "Only 100-continue can be expected"
)
NO_METHOD: Final = HttpFault(501, "not_implemented", "The method is not known here")
NO_CODING: Final = HttpFault(
    501, "not_implemented", "The only transfer coding known here is chunked"
)
NO_VERSION: Final = HttpFault(505, "version_not_supported", "Use HTTP/1.1")

LATE: Final = problem(
    503, "handler_timeout", "The answer took too long", ("retry-after", "1")
)
FULL: Final = problem(
    503,
    "too_many_connections",
    "Try another server, or later",
    ("retry-after", "1"),
)
_FAILED: Final = problem(500, "internal_error", "The request could not be served")


def body_too_large(limits: ServerLimits) -> HttpFault:
    """Return the fault of a body that is too large."""
    detail = f"the body may have {limits.body_bytes} bytes at most"
    return HttpFault(413, "body_too_large", detail)


def target_too_long(limits: ServerLimits) -> HttpFault:
    """Return the fault of a target that is too long."""
    detail = f"the target may have {limits.target_bytes} bytes at most"
    return HttpFault(414, "target_too_long", detail)


def headers_too_large(limits: ServerLimits) -> HttpFault:
    """Return the fault of a head that is too large."""
    detail = (
        f"there may be {limits.headers} headers, and {limits.header_bytes} bytes "
        "with the request line"
    )
    return HttpFault(431, "headers_too_large", detail)


def note_missing_body() -> None:
    """Log that a proxy announces a body that it does not send."""
    note_misconfigured(
        "body",
        "Content-Length or Transfer-Encoding announces a body that is not sent; to "
        'nginx add: proxy_pass_request_body off; proxy_set_header Content-Length "";',
    )


def note_misconfigured(cause: str, detail: str) -> None:
    """Count what a proxy's configuration lacks, and log it at intervals."""
    metrics.PROXY_MISCONFIGURED.labels(cause).inc()
    outage = f"proxy {cause}"
    _log.warning("proxy misconfigured", outage=outage, detail=detail)


def failed(error: BaseException) -> Response:
    """Log where a handler failed, without the message, which may quote the request.

    Returns:
        the answer to the client.
    """
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    _log.error(
        "handler failed",
        error=type(error).__name__,
        where=[f"{frame.filename}:{frame.lineno}" for frame in frames],
    )
    return _FAILED
