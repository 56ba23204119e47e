"""A real HTTP server that serves key sets, or misbehaves on request."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Self


def answer(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    """Return a whole HTTP response."""
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", "connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class JwksServer:
    """An async context manager; `answer` is what is sent, as whole bytes.

    `requests` holds what was asked. While `held` is set, nobody is answered; with
    `drip`, the answer comes byte by byte and never ends.
    """

    def __init__(self, body: bytes = b"", *, tls: ssl.SSLContext | None = None) -> None:
        self.answer: bytes | Callable[[], bytes] = answer(body)
        self.requests: list[bytes] = []
        self.drip = False
        self._free = asyncio.Event()
        self._free.set()
        self._asked = asyncio.Condition()
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        scheme = "https" if self._tls else "http"
        return f"{scheme}://localhost:{self.port}/jwks.json"

    def publish(self, body: bytes) -> None:
        self.answer = answer(body)

    def hold(self) -> None:
        self._free.clear()

    def release(self) -> None:
        self._free.set()

    async def asked(self, times: int) -> None:
        """Wait until it was asked so many times."""
        async with self._asked:
            await self._asked.wait_for(lambda: len(self.requests) >= times)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", ssl=self._tls
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._respond(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _respond(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        async with self._asked:
            self.requests.append(request)
            self._asked.notify_all()
        await self._free.wait()
        said = self.answer() if callable(self.answer) else self.answer
        while self.drip:
            writer.write(b"H")
            await writer.drain()
            await asyncio.sleep(0.01)
        writer.write(said)
        await writer.drain()
