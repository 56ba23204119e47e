"""One HTTP/1.1 connection: requests in, answers out, in order, within limits.

One request is served at a time and the others wait in the buffer, which is bounded: so
pipelined requests are answered in order, and reading pauses for a client that does not
read its answers, or sends faster than it is served. An immediate answer costs no task.
The server checks the deadlines of all connections periodically: a timer for each
request would cost as much as parsing it.
"""

import asyncio
import math
from collections.abc import Awaitable
from enum import Enum
from inspect import isawaitable
from typing import Final, cast

from revocation.http import http_faults
from revocation.http.framing import END_OF_HEAD, RequestHead, find_head, read_head
from revocation.http.messages import (
    CONTINUE,
    HttpFault,
    Request,
    Response,
    encode,
    problem,
)
from revocation.http.server_state import ServerState

_TURN: Final = 32
"""How many pipelined requests are served before yielding to other connections."""
_MAX_WAITING: Final = 65_536
"""How many bytes may be buffered while a request is served; then reading pauses."""


class Phase(Enum):
    """What a connection waits for."""

    REQUEST = "the first byte of a request"
    HEAD = "the rest of a head"
    BODY = "the rest of a body"
    ANSWER = "the handler"
    CLOSE = "the client to close"


class HttpConnection(asyncio.Protocol):
    """Serves one client."""

    def __init__(self, shared: ServerState) -> None:
        """Prepare for a client."""
        self.phase = Phase.REQUEST
        self.deadline = self.write_deadline = math.inf
        self._shared = shared
        self._limits = shared.limits
        self._buffer = bytearray()
        self._looked_at = 0
        self._head: RequestHead | None = None
        self._task: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport
        self._peer = "unix"
        # The client closed its side; writing is paused; reading is; more is buffered.
        self._ended = self._paused = self._held = self._rescheduled = False
        # An announced body was neither received nor waited for.
        self._tls = self._counted = self._bodiless = False

    # Called by the event loop --------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, or refuse if there are too many connections."""
        shared = self._shared
        # uvloop's transports derive from no asyncio class.
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        if isinstance(peer, tuple):
            self._peer = f"{peer[0]}:{peer[1]}"
        self._tls = transport.get_extra_info("ssl_object") is not None
        if not shared.admit(self):
            if shared.crowded:
                self._transport.abort()
            else:
                self._write(http_faults.FULL, last=True)
            return
        self._counted = True
        self._wait(Phase.REQUEST, shared.limits.idle_seconds)

    def data_received(self, data: bytes) -> None:
        """Buffer the data; serve the requests that are complete."""
        self._bodiless = False
        if self.phase is Phase.CLOSE:
            return
        if self.phase is Phase.REQUEST and not self._buffer and self._serve_alone(data):
            return
        self._buffer += data
        if self.phase is Phase.ANSWER or self._paused or self._rescheduled:
            self._hold()
        else:
            self._advance()

    def eof_received(self) -> bool:
        """Answer what was requested before the client closed its side, then close."""
        self._ended = True
        self._shared.outbox.flush()
        unfinished = self.phase is Phase.ANSWER or self._paused or self._rescheduled
        return unfinished and not self._tls

    def pause_writing(self) -> None:
        """Serve nothing until the client reads its answers."""
        self._paused = True
        self.write_deadline = self._shared.loop.time() + self._limits.write_seconds
        if self.phase in (Phase.REQUEST, Phase.CLOSE):
            self.deadline = math.inf

    def resume_writing(self) -> None:
        """Continue to serve."""
        self._paused = False
        self.write_deadline = math.inf
        if self.phase is Phase.CLOSE:
            self._wait(Phase.CLOSE, self._limits.linger_seconds)
        self._advance()

    def connection_lost(self, _: Exception | None) -> None:
        """Forget the client and its requests."""
        shared = self._shared
        self.deadline = self.write_deadline = math.inf
        self.phase = Phase.CLOSE
        self._buffer.clear()
        if self._task is not None:
            self._task.cancel()
        shared.dismiss(self, counted=self._counted)
        self._counted = False
        if self._bodiless:
            http_faults.note_missing_body()

    # Called by the server ------------------------------------------------------------

    def expire(self) -> None:
        """End the request or connection that took too long."""
        if self.phase is Phase.CLOSE or self._paused:
            return self._transport.abort()
        if self.phase is Phase.REQUEST:
            return self._close()
        if self._task is not None:
            self._task.cancel()
            self._task = None
            self._shared.refused[503] += 1
            return self._write(http_faults.LATE, last=True)
        return self._refuse(http_faults.TIMED_OUT)

    def close_if_idle(self) -> None:
        """Close unless a request is in progress."""
        if self.phase is Phase.REQUEST and not self._rescheduled:
            self._close()

    def abort(self) -> None:
        """Close immediately."""
        self._transport.abort()

    # Steps ---------------------------------------------------------------------------

    def _advance(self) -> None:
        """Serve requests until one is incomplete, awaited or cannot be sent."""
        self._rescheduled = False
        for _ in range(_TURN):
            if self.phase in (Phase.ANSWER, Phase.CLOSE) or self._paused:
                return
            if not self._buffer and self._head is None:
                self._wait(Phase.REQUEST, self._limits.idle_seconds)
                break
            if not self._read():
                break
            self._serve()
        else:
            self._rescheduled = True
            self._hold()
            self._shared.loop.call_soon(self._advance)
            return
        self._idle()

    def _serve_alone(self, data: bytes) -> bool:
        """Serve data that is exactly one request, as usual; return whether it was."""
        end = data.find(END_OF_HEAD, 0, self._limits.header_bytes)
        if end + len(END_OF_HEAD) != len(data) or self._paused or self._rescheduled:
            return False
        head = read_head(data, self._limits, self._shared.head_suffices)
        if isinstance(head, HttpFault) or head.length or head.chunked is not None:
            return False
        self._head = head
        self._serve()
        if self.phase is Phase.REQUEST:
            self._wait(Phase.REQUEST, self._limits.idle_seconds)
        return True

    def _idle(self) -> None:
        """Wait for the rest of a request, unless the client closed its side."""
        if self.phase is Phase.CLOSE:
            return
        if self._ended:
            self._close()
        elif self._held:
            self._held = False
            self._transport.resume_reading()

    def _read(self) -> bool:
        """Read a request into `_head`; return whether it and its body are complete."""
        if self._head is None:
            read = self._read_head()
            if isinstance(read, HttpFault):
                self._refuse(read)
            if not isinstance(read, RequestHead):
                return False
            self._head = read
        head, buffer = self._head, self._buffer
        if self._shared.head_suffices(head.path):
            if head.chunked is not None or len(buffer) < head.length:
                self._do_without_body(head)
            return True
        if head.chunked is None:
            complete = len(buffer) >= head.length
        else:
            fault = head.chunked.take(buffer)
            if fault is not None:
                self._refuse(fault)
                return False
            complete = head.chunked.complete
        if not complete and self.phase is not Phase.BODY:
            self._wait(Phase.BODY, self._limits.body_seconds)
            if head.waits and not buffer:
                self._shared.outbox.put(self._transport, CONTINUE)
        return complete

    def _do_without_body(self, head: RequestHead) -> None:
        """Serve the head alone and last: all further data belongs to its body."""
        self._bodiless = not self._buffer
        self._head = head._replace(length=0, chunked=None, persistent=False)

    def _read_head(self) -> RequestHead | HttpFault | None:
        """Remove a head from the buffer; None if it is incomplete."""
        buffer = self._buffer
        end = find_head(buffer, self._limits, self._looked_at)
        self._looked_at = len(buffer) if end is None else 0
        if end is None:
            if not buffer:
                self._wait(Phase.REQUEST, self._limits.idle_seconds)
            elif self.phase is not Phase.HEAD:
                self._wait(Phase.HEAD, self._limits.header_seconds)
            return None
        if isinstance(end, HttpFault):
            return end
        raw = bytes(buffer if end == len(buffer) else buffer[:end])
        del buffer[:end]
        return read_head(raw, self._limits, self._shared.head_suffices)

    def _serve(self) -> None:
        """Answer the request in `_head`."""
        head = self._head
        assert head is not None  # noqa: S101 - was read
        if head.chunked is not None:
            body = head.chunked.body
        elif head.length:
            body = bytes(self._buffer[: head.length])
            del self._buffer[: head.length]
        else:
            body = b""
        request = Request(*head[:4], body, self._peer)
        try:
            answer = self._shared.handler(request)
        except Exception as error:  # noqa: BLE001 - the client gets an answer
            answer = http_faults.failed(error)
        if isinstance(answer, Response) or not isawaitable(answer):
            self._answer(answer)
            return
        self._wait(Phase.ANSWER, self._limits.handler_seconds)
        self._task = self._shared.loop.create_task(self._await(answer))

    async def _await(self, answer: Awaitable[Response]) -> None:
        try:
            response = await answer
        except asyncio.CancelledError as error:
            if self.phase is not Phase.ANSWER:
                raise
            # Not cancelled by us: a task that the handler awaited was.
            response = http_faults.failed(error)
        except Exception as error:  # noqa: BLE001 - as above
            response = http_faults.failed(error)
        if self.phase is Phase.ANSWER:
            self._task = None
            self._answer(response)
            self._advance()

    def _answer(self, response: Response) -> None:
        """Send the answer to the request in `_head`."""
        head, self._head = self._head, None
        assert head is not None  # noqa: S101 - there is a request
        last = not head.persistent or self._shared.draining
        kept = "keep-alive" if head.old else None
        self._write(
            response,
            last=last,
            connection="close" if last else kept,
            headless=head.method == "HEAD",
        )

    def _refuse(self, fault: HttpFault) -> None:
        self._shared.refused[fault.status] += 1
        self._write(problem(*fault), last=True)

    def _write(
        self,
        response: Response,
        *,
        last: bool,
        connection: str | None = "close",
        headless: bool = False,
    ) -> None:
        try:
            sent = encode(response, connection=connection, headless=headless)
        except (ValueError, TypeError, AttributeError) as error:
            failure = http_faults.failed(error)
            sent = encode(failure, connection=connection, headless=headless)
        # Before it is sent: sending may call `pause_writing`.
        self.phase = Phase.REQUEST
        self._shared.outbox.put(self._transport, sent)
        if last:
            self._shared.outbox.flush()
            self._finish()

    def _finish(self) -> None:
        """Close for writing but read on, so that the client gets its last answer."""
        self._buffer.clear()
        self._wait(Phase.CLOSE, self._limits.linger_seconds)
        if self._ended or not self._transport.can_write_eof():
            self._transport.close()
            return
        self._transport.write_eof()
        if self._held:
            self._held = False
            self._transport.resume_reading()

    def _close(self) -> None:
        self._shared.outbox.flush()
        self._transport.close()

    def _hold(self) -> None:
        """Pause reading while enough is buffered."""
        if len(self._buffer) > _MAX_WAITING and not self._held:
            self._held = True
            self._transport.pause_reading()

    def _wait(self, phase: Phase, seconds: float) -> None:
        self.phase = phase
        self.deadline = self._shared.loop.time() + seconds
