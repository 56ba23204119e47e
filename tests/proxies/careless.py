"""A sidecar that passes every request and sets no identity headers.

Even then a client's own identity headers must not reach the service: the proxy's
configuration alone must remove them.
"""

import contextlib
import socketserver
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import grpc
from envoy.service.auth.v3.external_auth_pb2 import CheckResponse, OkHttpResponse

from revocation.sidecar.ext_authz import SERVICE

PASS = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
_PASS = CheckResponse(ok_response=OkHttpResponse()).SerializeToString()


class _Unix(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False


class _Tcp(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False


class Careless:
    """Listens on every address that a configuration uses; a context manager.

    `reply` is its complete answer over HTTP, in bytes.
    """

    def __init__(self, folder: Path) -> None:
        self.reply = PASS
        self.socket = folder / "careless.sock"
        self.grpc_socket = folder / "careless-grpc.sock"
        handler = self._handler()
        tcp = _Tcp(("127.0.0.1", 0), handler)
        self._servers = [_Unix(str(self.socket), handler), tcp]
        self.port: int = tcp.server_address[1]
        check = grpc.unary_unary_rpc_method_handler(lambda *_: _PASS)
        handler = grpc.method_handlers_generic_handler(SERVICE, {"Check": check})
        self._grpc = grpc.server(ThreadPoolExecutor(2))
        self._grpc.add_generic_rpc_handlers((handler,))
        self._grpc.add_insecure_port(f"unix:{self.grpc_socket}")

    def __enter__(self) -> Self:
        for server in self._servers:
            threading.Thread(target=server.serve_forever, daemon=True).start()
        self._grpc.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._grpc.stop(None).wait(5)
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def _handler(self) -> type[socketserver.StreamRequestHandler]:
        answering = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    while self.rfile.readline(65_536):
                        while self.rfile.readline(65_536).strip():
                            pass
                        self.wfile.write(answering.reply)
                        if answering.reply != PASS:
                            return

        return Handler
