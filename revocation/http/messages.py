"""A handler's requests and responses, and their encoding. No IO.

The server alone frames answers: handlers set neither the length nor the connection's
fate, and a value that would begin another header field is refused here, whatever its
source.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Final, NamedTuple

import orjson

PROBLEM: Final = "application/problem+json"
"""The media type of problems (RFC 9457)."""

NO_STORE: Final = ("cache-control", "no-store")
"""For answers about a token: no cache may store them (RFC 9111)."""

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
"""RFC 9110 section 15.2.1."""

_FRAMING: Final = frozenset(
    {"connection", "content-length", "date", "keep-alive", "transfer-encoding"}
)
_STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\ndate: "
    for status in HTTPStatus
    if status >= HTTPStatus.OK
}
_BODYLESS: Final = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


class Request(NamedTuple):
    """A complete request.

    Attributes:
        method: as sent; methods are case-sensitive.
        path: the target before `?`, as sent: neither decoded nor normalised.
        query: the part after `?`, or nothing.
        headers: the fields in order, the names in lower case, without trailers.
        body: decoded if chunked, at most as long as the limit.
        peer: `address:port` of the client, or `unix`.
    """

    method: str
    path: str
    query: str
    headers: list[tuple[bytes, bytes]]
    body: bytes
    peer: str

    def __repr__(self) -> str:
        """Omit personal data, as logs and tracebacks show this."""
        return f"Request(method={self.method!r})"


class Response(NamedTuple):
    """An answer. The server adds `date`, `content-length` and `connection` itself."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes


Handler = Callable[[Request], Response | Awaitable[Response]]
"""Answers a request. A `Response`, unlike an awaitable, is sent without a task."""


HeadSuffices = Callable[[str], bool]
"""Returns whether requests to a path are answered without waiting for their body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """A client's limits in memory and time.

    `connections`: served at a time; more are refused with 503. `target_bytes`: 414.
    `header_bytes` (the request line included) and `headers`: 431. `body_bytes`: 413.
    `idle_seconds`: between requests; longer than the proxy keeps its connections, so
    that it never uses one that is being closed. `header_seconds` and `body_seconds`:
    for each as a whole, then 408. `handler_seconds`: for an awaited answer, then 503.
    `write_seconds`: how long a client may read nothing of its answer.
    `linger_seconds`: how long to read on after closing, so that the client gets its
    last answer rather than a reset (RFC 9112 section 9.6).
    """

    connections: int = 4_096
    target_bytes: int = 8_192
    header_bytes: int = 32_768
    headers: int = 100
    body_bytes: int = 65_536
    idle_seconds: float = 300.0
    header_seconds: float = 10.0
    body_seconds: float = 10.0
    handler_seconds: float = 10.0
    write_seconds: float = 10.0
    linger_seconds: float = 1.0

    @property
    def shortest_seconds(self) -> float:
        """The shortest time limit."""
        return min(
            *(self.idle_seconds, self.header_seconds, self.body_seconds),
            *(self.handler_seconds, self.write_seconds, self.linger_seconds),
        )


class HttpFault(NamedTuple):
    """Why a request is not served: a problem (RFC 9457) that quotes nothing of it."""

    status: int
    code: str
    detail: str


def problem(status: int, code: str, detail: str, *headers: tuple[str, str]) -> Response:
    """Return an error in the form of RFC 9457.

    Args:
        status: the HTTP status.
        code: the stable title, such as `body_too_large`.
        detail: for people; must quote nothing of the request.
        headers: additional ones.
    """
    content = {"type": "about:blank", "title": code, "status": status, "detail": detail}
    fields = (("content-type", PROBLEM), NO_STORE, *headers)
    return Response(status, fields, orjson.dumps(content))


def encode(response: Response, *, connection: str | None, headless: bool) -> bytes:
    """Return the bytes of an answer (RFC 9112 sections 4 to 6).

    Args:
        response: the handler's; its framing fields are dropped.
        connection: the value of the `connection` field, if any.
        headless: the request was HEAD: omit the body.

    Raises:
        ValueError: the status is unknown or interim, or a field would not be one field.
        TypeError: something in it has the wrong type.
    """
    status, headers, body = response
    line = _STATUS_LINES.get(status)
    if line is None:
        raise ValueError("no final status of HTTP")
    # Handlers reuse tuples of fields, which are cached.
    fields = _known(headers) if type(headers) is tuple else _join(headers)
    if status in _BODYLESS:
        body, length = b"", ""
    else:
        length = f"content-length: {len(body)}\r\n"
    if connection is not None:
        length = f"{length}connection: {connection}\r\n"
    head = f"{line}{_date()}\r\n{fields}{length}\r\n".encode("latin-1")
    return head if headless else head + body


def _join(headers: Sequence[tuple[str, str]]) -> str:
    """Return header fields as lines, without those that the server sets.

    Raises:
        ValueError: one would not be one field.
    """
    lines = [
        f"{name}: {value}\r\n"
        for name, value in headers
        if name.lower() not in _FRAMING
    ]
    text = "".join(lines)
    if not len(lines) == text.count("\r") == text.count("\n") or "\0" in text:
        raise ValueError("an invalid header field")
    return text


_known: Final = lru_cache(maxsize=4_096)(_join)


_dated = (0, "")


def _date() -> str:
    """Return the time in the form of RFC 9110 section 5.6.7, cached for a second."""
    global _dated  # noqa: PLW0603 - a cache of one value, replaced in one step
    second, text = _dated
    now = int(time.time())
    if now != second:
        text = formatdate(now, usegmt=True)
        _dated = (now, text)
    return text
