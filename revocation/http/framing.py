"""Parses the head and frames the body of HTTP/1.1 requests. No IO.

llhttp (httptools) parses, as strictly as it can: it refuses a line that does not end
with CR LF, a folded line, a control character, a second `Content-Length`, or one beside
`Transfer-Encoding`. It gets exactly one request at a time, whose end is found here, so
that two parsers must agree on where the next one begins: request smuggling needs two
that disagree (RFC 9112 sections 6.3, 11.2).
"""

import re
from typing import Final, NamedTuple

from httptools import (
    HttpParserError,
    HttpParserInvalidMethodError,
    HttpParserUpgrade,
    HttpRequestParser,
)

from revocation.http.http_faults import (
    MALFORMED,
    NO_CODING,
    NO_EXPECTATION,
    NO_METHOD,
    NO_VERSION,
    body_too_large,
    headers_too_large,
    target_too_long,
)
from revocation.http.messages import HeadSuffices, HttpFault, ServerLimits

END_OF_HEAD: Final = b"\r\n\r\n"
_MAX_LINE: Final = 256
"""The rest of a request line; also a chunk's size and extensions, which are unused."""
_MAX_TRAILERS: Final = 4_096
_FREE_LINES: Final = 32
"""Of chunks, and of trailers: each costs a microsecond, however short it is."""
_MIN_MEAN: Final = 512
"""The minimum average size of further chunks, in bytes."""
_CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,8})(?:;[^\r\n]{0,247})?+\r\n")
# RFC 9112 section 3.2.2; without user information (RFC 9110 section 4.2.4).
_ABSOLUTE: Final = re.compile(rb"(?i:https?)://([^/?#@\s]+)(/[^?]*)?(\?.*)?")
_FRAMING: Final = frozenset(
    {b"host", b"connection", b"content-length", b"transfer-encoding", b"expect"}
)
_MAX_DIGITS: Final = 15
_TOO_LONG: Final = 10**_MAX_DIGITS
_VERSIONS: Final = ("1.1", "1.0")
_REST_OF_LINE: Final = len("  HTTP/1.1")


class RequestHead(NamedTuple):
    """A request's head, and the framing of its body.

    `length`: the body's bytes, if `chunked` is None. `persistent`: the client would
    keep the connection. `old`: HTTP/1.0. `waits`: the client sends its body only after
    `100 Continue`.
    """

    method: str
    path: str
    query: str
    headers: list[tuple[bytes, bytes]]
    length: int
    chunked: "Chunked | None"
    persistent: bool
    old: bool
    waits: bool


class _Fields:
    """Collects llhttp's callbacks for one request."""

    __slots__ = ("complete", "headers", "parts", "target", "trailing")

    def __init__(self) -> None:
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.parts: list[bytes] = []
        self.trailing = self.complete = False

    def on_url(self, target: bytes) -> None:
        self.target = target

    def on_header(self, name: bytes, value: bytes) -> None:
        # A trailer must never be read as a header (RFC 9110 section 6.5.1).
        if not self.trailing:
            self.headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        self.trailing = True

    def on_body(self, part: bytes) -> None:
        self.parts.append(part)

    def on_message_complete(self) -> None:
        self.complete = True


class Chunked:
    """A chunked body: this finds its end, and llhttp its content."""

    def __init__(
        self, parser: HttpRequestParser, fields: _Fields, limits: ServerLimits
    ) -> None:
        """Prepare for a body that is within the limits."""
        self.complete = False
        self._parser = parser
        self._fields = fields
        self._limits = limits
        self._data = self._lines = self._trailers = 0
        self._left = 0
        self._trailing = False

    @property
    def body(self) -> bytes:
        """The content received so far."""
        return b"".join(self._fields.parts)

    def take(self, buffer: bytearray) -> HttpFault | None:
        """Remove the body's bytes from the front; leave the rest."""
        size, fault = self._find_end(buffer)
        if fault is not None:
            return fault
        taken = bytes(buffer[:size])
        del buffer[:size]
        try:
            self._parser.feed_data(taken)
        except (HttpParserError, HttpParserUpgrade):
            return MALFORMED
        return None if self._fields.complete is self.complete else MALFORMED

    def _find_end(self, buffer: bytearray) -> tuple[int, HttpFault | None]:
        """Return how many bytes belong to the body so far, and its fault."""
        there = len(buffer)
        at = self._skip(0, there)
        while at < there and not self.complete:
            size = None if self._trailing else _CHUNK_LINE.match(buffer, at)
            if size is not None:
                fault = self._begin(int(size[1], 16))
                end = size.end()
            else:
                end = buffer.find(b"\r\n", at, at + _MAX_TRAILERS)
                if end < 0:
                    # A line that is too long, or ends without CR, stays invalid.
                    most = _MAX_TRAILERS if self._trailing else _MAX_LINE
                    bad = there - at >= most or buffer.find(b"\n", at) >= 0
                    return at, MALFORMED if bad else None
                end += len(b"\r\n")
                fault = self._take_trailer(end - at)
            if fault is not None:
                return at, fault
            at = self._skip(end, there) if self._left else end
        return at, None

    def _skip(self, at: int, there: int) -> int:
        """Return where a chunk's data ends, or how far it has arrived."""
        size = min(self._left, there - at)
        self._left -= size
        return at + size

    def _begin(self, length: int) -> HttpFault | None:
        self._lines += 1
        self._data += length
        if self._lines > _FREE_LINES + self._data // _MIN_MEAN:
            return body_too_large(self._limits)
        if length:
            self._left = length + 2
            too_large = self._data > self._limits.body_bytes
            return body_too_large(self._limits) if too_large else None
        self._trailing, self._lines = True, 0
        return None

    def _take_trailer(self, size: int) -> HttpFault | None:
        """Count a line including its end: a trailer, or one outside a chunk."""
        self._lines += 1
        self._trailers += size
        self.complete = size == len(b"\r\n")
        too_many = self._lines > _FREE_LINES or self._trailers > _MAX_TRAILERS
        return MALFORMED if too_many or not self._trailing else None


def find_head(
    buffer: bytearray, limits: ServerLimits, looked_at: int = 0
) -> int | HttpFault | None:
    """Return where the head ends, or its fault; None: read on.

    Args:
        buffer: the data so far; empty lines are removed from its front.
        limits: those of the target and of the whole head.
        looked_at: the length of the buffer when this last returned None. That part is
            not searched again, or a head sent byte by byte would cost its square.
    """
    # RFC 9112 section 2.2: an empty line before a request is to be ignored.
    while buffer.startswith(b"\r\n"):
        del buffer[:2]
        looked_at = 0
    before = max(0, looked_at + 1 - len(END_OF_HEAD))
    end = buffer.find(END_OF_HEAD, before, limits.header_bytes)
    if end >= 0:
        return end + len(END_OF_HEAD)
    longest = limits.target_bytes + _MAX_LINE
    if looked_at <= longest < len(buffer) and buffer.find(b"\r\n", 0, longest + 1) < 0:
        return target_too_long(limits)
    if len(buffer) >= limits.header_bytes:
        return headers_too_large(limits)
    if buffer and buffer != b"\r" and not buffer[:1].isalpha():
        return MALFORMED
    pairs = buffer.count(b"\r\n", max(0, looked_at - 1))
    return None if buffer.count(b"\n", looked_at) == pairs else MALFORMED


def read_head(  # noqa: PLR0911 - one for each fault
    raw: bytes, limits: ServerLimits, head_suffices: HeadSuffices = lambda _: False
) -> RequestHead | HttpFault:
    """Return the parsed head, or its fault.

    Args:
        raw: from the request line to the empty line.
        limits: those of the target, of the number of headers and of the body.
        head_suffices: for which paths the body may be of any length.
    """
    # Checked before parsing; two more line ends come on top.
    if raw.count(b"\n") > limits.headers + 2:
        return headers_too_large(limits)
    fields = _Fields()
    parser = HttpRequestParser(fields)
    upgrades = _parse(parser, raw)
    if isinstance(upgrades, HttpFault):
        return upgrades
    version, method = parser.get_http_version(), parser.get_method()
    if version not in _VERSIONS:
        return NO_VERSION
    fault = _check_size(raw, method, fields, limits)
    if fault is not None:
        return fault
    old = version == "1.0"
    framing = [each for each in fields.headers if each[0] in _FRAMING]
    body = _read_framing(framing, old=old)
    if isinstance(body, HttpFault):
        return body
    target = _read_target(method, fields)
    if target is None or (body.chunked and upgrades):
        return MALFORMED
    if body.length > limits.body_bytes and not head_suffices(target[0]):
        return body_too_large(limits)
    return RequestHead(
        method.decode("ascii"),
        *target,
        fields.headers,
        body.length,
        Chunked(parser, fields, limits) if body.chunked else None,
        body.persistent,
        old,
        body.waits and not old,
    )


def _parse(parser: HttpRequestParser, raw: bytes) -> bool | HttpFault:
    """Parse a head; return whether it requests an upgrade, or its fault."""
    try:
        parser.feed_data(raw)
    except HttpParserUpgrade:
        # A server may ignore it (RFC 9110 section 7.8), and proxies pass it on.
        return True
    except HttpParserInvalidMethodError:
        return NO_METHOD
    except HttpParserError:
        return MALFORMED
    return False


def _check_size(
    raw: bytes, method: bytes, fields: _Fields, limits: ServerLimits
) -> HttpFault | None:
    if len(fields.target) > limits.target_bytes:
        return target_too_long(limits)
    # llhttp accepts several spaces as one.
    exact = len(method) + len(fields.target) + _REST_OF_LINE
    return None if raw.find(b"\r\n") == exact else MALFORMED


class _Framing(NamedTuple):
    persistent: bool
    length: int = 0
    chunked: bool = False
    waits: bool = False


def _read_framing(  # noqa: PLR0911 - as above
    fields: list[tuple[bytes, bytes]], *, old: bool
) -> _Framing | HttpFault:
    """Return how the body is framed (RFC 9112 section 6.3)."""
    if len(fields) == 1 and fields[0][0] == b"host" and not old:
        return _USUAL
    options = [value for name, value in fields if name == b"connection"]
    named = {name: value for name, value in fields if name != b"connection"}
    # Each at most once, and HTTP/1.1 requires a host (section 3.2).
    if len(named) + len(options) != len(fields) or (not old and b"host" not in named):
        return MALFORMED
    persistent = _persistent(options, old=old)
    coding, digits = named.get(b"transfer-encoding"), named.get(b"content-length")
    expected = named.get(b"expect")
    if expected is not None and expected.lower() != b"100-continue":
        return NO_EXPECTATION
    if coding is not None:
        # Section 6.1: such an HTTP/1.0 request has faulty framing.
        if old or digits is not None:
            return MALFORMED
        if coding.lower() != b"chunked":
            return NO_CODING
        return _Framing(persistent, chunked=True, waits=expected is not None)
    if digits is None:
        return _Framing(persistent)
    if not digits.isdigit():
        return MALFORMED
    length = int(digits) if len(digits) <= _MAX_DIGITS else _TOO_LONG
    return _Framing(persistent, length, waits=expected is not None and length > 0)


_USUAL: Final = _Framing(persistent=True)


def _persistent(options: list[bytes], *, old: bool) -> bool:
    """Return whether the client keeps the connection open (RFC 9112 section 9.3)."""
    if not options:
        return not old
    listed = {option.strip(b" \t") for option in b",".join(options).lower().split(b",")}
    return b"close" not in listed and (not old or b"keep-alive" in listed)


def _read_target(method: bytes, fields: _Fields) -> tuple[str, str] | None:
    """Return path and query (RFC 9112 section 3.2), or None."""
    target = fields.target
    if not target.isascii() or b"#" in target:
        return None
    if not target.startswith(b"/"):
        if target == b"*":
            return ("*", "") if method == b"OPTIONS" else None
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute is None or method == b"CONNECT":
            return None
        # Section 3.2.2: the target's host counts, whatever the header says.
        fields.headers[:] = [
            (name, absolute[1] if name == b"host" else value)
            for name, value in fields.headers
        ]
        target = (absolute[2] or b"/") + (absolute[3] or b"")
    path, _, query = target.decode("ascii").partition("?")
    return path, query
