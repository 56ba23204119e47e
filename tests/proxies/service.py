"""The service behind the proxy: it trusts and records every request."""

import contextlib
import socketserver
import threading
from typing import NamedTuple, Self

END = b"\r\n\r\n"


class Seen(NamedTuple):
    """A request as it arrived."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        """Return the values of every field that a service may read as this one."""
        wanted = name.lower().replace("_", "-")
        return [
            value
            for each, value in self.headers
            if each.lower().replace("_", "-") == wanted
        ]


class Service:
    """An HTTP/1.1 server on a free port of the loopback interface."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        recorded = self.seen

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError, ValueError):
                    while serve(self.rfile, self.wfile, recorded):
                        pass

        class Threads(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True
            block_on_close = False

        self._server = Threads(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def take(self) -> list[Seen]:
        """Return the requests since the last call."""
        taken = list(self.seen)
        del self.seen[: len(taken)]
        return taken


def serve(rfile, wfile, recorded: list[Seen]) -> bool:
    """Answer one request; return whether another may follow."""
    start = rfile.readline(65_536).decode("latin-1").split(" ")
    if len(start) != 3:
        return False
    request = Seen(start[0], start[1], _fields(rfile), b"")
    body = _body(rfile, request)
    recorded.append(request._replace(body=body))
    if request.target.startswith("/broken"):
        wfile.write(b"HTTP/1.1 500 Broken\r\ncontent-length: 4\r\n\r\nours")
    elif "websocket" in [each.lower() for each in request.all("upgrade")]:
        return _echo(rfile, wfile)
    else:
        wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nserved")
    return True


def _fields(rfile) -> list[tuple[str, str]]:
    fields = []
    while line := rfile.readline(65_536).decode("latin-1").strip("\r\n"):
        name, _, value = line.partition(":")
        fields.append((name, value.strip()))
    return fields


def _body(rfile, request: Seen) -> bytes:
    if request.all("transfer-encoding"):
        body = b""
        while size := int(rfile.readline().split(b";")[0], 16):
            body += rfile.read(size)
            rfile.readline()
        # Trailers: some services read them as header fields.
        request.headers.extend(_fields(rfile))
        return body
    return rfile.read(int((request.all("content-length") or ["0"])[0]))


def _echo(rfile, wfile) -> bool:
    """A WebSocket, as a proxy sees one: it switches, then echoes bytes."""
    wfile.write(
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n"
        b"upgrade: websocket\r\n"
        b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    )
    while data := rfile.read1(1_024):
        wfile.write(data)
    return False
