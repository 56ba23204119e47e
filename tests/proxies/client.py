"""Requests byte by byte: a library would normalise what these tests examine."""

import contextlib
import socket
import ssl
from typing import NamedTuple

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)

HOST = "api.example"
Headers = list[tuple[str, str]]


class Response(NamedTuple):
    """An answer to the client. Status 0: the connection was closed instead."""

    status: int
    headers: Headers
    body: bytes = b""

    def all(self, name: str) -> list[str]:
        """Return the values of a field."""
        return [value for each, value in self.headers if each.lower() == name]

    def one(self, name: str) -> str | None:
        """Return the only value of a field, or None; more than one fails."""
        values = self.all(name)
        assert len(values) < 2, f"{name}: {values}"
        return values[0] if values else None


class Client:
    """Speaks TLS to a proxy, and HTTP/1.1 or HTTP/2 over it."""

    def __init__(self, port: int, authority: str) -> None:
        self._port = port
        self._context = ssl.create_default_context(cafile=authority)

    def get(
        self,
        target: str,
        headers: Headers = (),
        method: str = "GET",
        body: bytes = b"",
        *,
        patience: float = 10,
    ) -> Response:
        """Send a request over HTTP/1.1, with target and fields unmodified."""
        with self._connect("http/1.1") as peer:
            peer.settimeout(patience)
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                peer.sendall(_head(method, target, headers) + body)
            return _read(peer, bodyless=method == "HEAD")

    def h2(self, target: str, headers: Headers = (), method: str = "GET") -> Response:
        """Send a request over HTTP/2."""
        with self._connect("h2") as peer:
            assert peer.selected_alpn_protocol() == "h2"
            return _ask_h2(peer, method, target, headers)

    def exchange(self, *sent: bytes) -> bytes:
        """Send raw bytes; return everything until the proxy closes."""
        received, closed = b"", contextlib.suppress(ConnectionError, ssl.SSLError)
        with self._connect("http/1.1") as peer, closed:
            for each in sent:
                peer.sendall(each)
            while data := peer.recv(65_536):
                received += data
        return received

    @contextlib.contextmanager
    def websocket(self, target: str, headers: Headers = ()):
        """Open a WebSocket; yields the answer and the connection."""
        fields = [
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            *headers,
        ]
        with self._connect("http/1.1") as peer:
            peer.sendall(_head("GET", target, fields))
            yield _read(peer), peer

    def _connect(self, protocol: str) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", self._port), 10)
        # Else the kernel delays the data after the handshake by 40 ms.
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        context = self._context
        context.set_alpn_protocols([protocol])
        return context.wrap_socket(plain, server_hostname="127.0.0.1")


def _head(method: str, target: str, headers: Headers) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", f"Host: {HOST}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _read(peer: ssl.SSLSocket, *, bodyless: bool = False) -> Response:
    raw = b""
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while b"\r\n\r\n" not in raw:
            if not (data := peer.recv(65_536)):
                break
            raw += data
    head, found, body = raw.partition(b"\r\n\r\n")
    if not found:
        return Response(0, [])
    start, *lines = head.decode("latin-1").split("\r\n")
    headers = [(n, v.strip()) for n, _, v in (line.partition(":") for line in lines)]
    response = Response(int(start.split(" ")[1]), headers)
    if response.status < 200 or bodyless:
        return response
    if response.all("transfer-encoding"):
        while not body.endswith(b"0\r\n\r\n"):
            body += peer.recv(65_536) or b"0\r\n\r\n"
        return response._replace(body=body)
    length = int((response.all("content-length") or ["0"])[0])
    while len(body) < length and (data := peer.recv(65_536)):
        body += data
    return response._replace(body=body)


def _ask_h2(
    peer: ssl.SSLSocket, method: str, target: str, headers: Headers
) -> Response:
    # As an attacker would: without checks and normalization.
    connection = H2Connection(
        H2Configuration(
            header_encoding="utf-8",
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
    )
    connection.initiate_connection()
    pseudo = [(":method", method), (":scheme", "https"), (":authority", HOST)]
    named = [(name.lower(), value) for name, value in headers]
    connection.send_headers(1, [*pseudo, (":path", target), *named], end_stream=True)
    response, body = Response(0, []), b""
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        peer.sendall(connection.data_to_send())
        while data := peer.recv(65_536):
            for event in connection.receive_data(data):
                match event:
                    case ResponseReceived():
                        fields = dict(event.headers)
                        response = Response(int(fields[":status"]), list(event.headers))
                    case DataReceived():
                        body += event.data
                    case StreamEnded() | StreamReset() | ConnectionTerminated():
                        return response._replace(body=body)
            peer.sendall(connection.data_to_send())
    return response._replace(body=body)
