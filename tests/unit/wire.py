"""A connection of the sidecar's server without a socket."""

import asyncio
from typing import NamedTuple

from revocation.http.http_connection import HttpConnection
from revocation.http.messages import Response, ServerLimits
from revocation.http.server_state import ServerState

GET = b"GET /a?b=c HTTP/1.1\r\nhost: x\r\n\r\n"
POST = b"POST /p HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello"
HEAD_OF_CHUNKED = b"POST /p HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n"
CHUNKED = (
    HEAD_OF_CHUNKED + b"\r\n2\r\nhe\r\n3;why=not\r\nllo\r\n0\r\nx-trailer: t\r\n\r\n"
)


def get(*fields, line=b"GET / HTTP/1.1"):
    """A request with these header fields."""
    return b"\r\n".join([line, b"host: x", *fields, b"", b""])


class Answer(NamedTuple):
    """What a client reads of one answer."""

    status: int
    headers: dict[str, str]
    body: bytes


class Wire(asyncio.Transport):
    """Keeps what a connection sends; `full` as when the client reads nothing."""

    def __init__(self, handler, limits=None, *, shared=None):
        super().__init__()
        self.shared = shared or ServerState(handler, limits or ServerLimits())
        self._sent = bytearray()
        self.closed = self.ended = self.reading_paused = self.aborted = False
        self.connection = HttpConnection(self.shared)
        self.connection.connection_made(self)

    # What the server does ------------------------------------------------------------

    def get_extra_info(self, name, default=None):
        return ("192.0.2.1", 4_711) if name == "peername" else default

    def write(self, data):
        assert not self.ended, "written after the end"
        assert self.aborted or not self.closed, "written after it was closed"
        self._sent += data

    def can_write_eof(self):
        return True

    def write_eof(self):
        self.ended = True

    def is_closing(self):
        return self.closed

    def close(self):
        if not self.closed:
            self.closed = True
            self.connection.connection_lost(None)

    def abort(self):
        self.aborted = True
        self.close()

    def pause_reading(self):
        assert not self.reading_paused
        self.reading_paused = True

    def resume_reading(self):
        assert self.reading_paused
        self.reading_paused = False

    # What the client does ------------------------------------------------------------

    def send(self, data, *, step=0):
        """Send, in pieces of `step` bytes."""
        for first in range(0, len(data), step or len(data) or 1):
            if not self.closed:
                self.connection.data_received(data[first : first + (step or len(data))])

    def end(self):
        """Close the client's side."""
        if not self.connection.eof_received():
            self.close()

    @property
    def sent(self):
        """What has been sent once the event loop had its turn."""
        self.shared.outbox.flush()
        return self._sent

    @property
    def over(self):
        """Whether the server takes no more requests."""
        return self.closed or self.ended

    def answers(self, *, head=False):
        """Read every answer; nothing may be left."""
        found, rest = [], bytes(self.sent)
        while rest:
            text, _, rest = rest.partition(b"\r\n\r\n")
            line, *fields = text.decode("latin-1").split("\r\n")
            headers = dict(field.split(": ", 1) for field in fields)
            assert len(headers) == len(fields)
            status = int(line.removeprefix("HTTP/1.1 ")[:3])
            length = 0 if head else int(headers.get("content-length", 0))
            found.append(Answer(status, headers, rest[:length]))
            assert len(rest) >= length
            rest = rest[length:]
        return found

    @property
    def answer(self):
        """The only answer."""
        (answer,) = self.answers()
        return answer


def echo(request):
    """Answer with what was asked."""
    text = f"{request.method} {request.path} {request.query} ".encode()
    return Response(200, (("content-type", "text/plain"),), text + request.body)
