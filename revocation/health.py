"""`/metrics` and `/healthz` of stations that serve nothing else.

From threads, so that they answer also while the station's event loop does not.
"""

import socket
import threading
from collections.abc import Callable
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from prometheus_client import make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

_TEXT: Final = [("Content-Type", "text/plain; charset=utf-8")]


class Health:
    """Whether a station lives: nothing is wrong, as far as anybody knows.

    `complain` returns what is wrong, or nothing. Before `started` nothing is served
    yet, so a station that waits for it is not well.
    """

    def __init__(self, complain: Callable[[], str]) -> None:
        """Prepare."""
        self._complain = complain
        self.is_started = False

    @property
    def complaint(self) -> str:
        """What is wrong; empty when nothing is."""
        return self._complain() or ("" if self.is_started else "still starting")


def serve(health: Health, *, host: str, port: int) -> None:
    """Serve `/metrics`, and `/healthz` with 200 or 503 and the reason, by a thread.

    Raises:
        OSError: it cannot listen there.
    """
    metrics = make_wsgi_app()

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        if environ["PATH_INFO"] != "/healthz":
            return metrics(environ, start_response)
        complaint = health.complaint
        start_response("503 Service Unavailable" if complaint else "200 OK", _TEXT)
        return [f"{complaint or 'ok'}\n".encode()]

    (family, *_), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)

    class Server(ThreadingWSGIServer):
        address_family = family

    server = make_server(host, port, answer, Server, handler_class=_Quiet)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name
        """Log nothing: probes come every second."""
