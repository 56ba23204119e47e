"""`/metrics` and `/healthz` of stations that serve nothing else.

Served by threads, so that they answer even while the station's event loop does not.
"""

import socket
import threading
from collections.abc import Callable
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from revocation.errors import SettingsError

_TEXT: Final = ("Content-Type", "text/plain; charset=utf-8")


def serve(complain: Callable[[], str], *, host: str, port: int) -> None:
    """Serve `/metrics`, and `/healthz` with 200 or 503 and the reason, in a thread.

    Args:
        complain: returns what is wrong with the station; empty if nothing is.
        host: where to listen, a name or an address.
        port: where to listen.

    Raises:
        SettingsError: it cannot listen there.
    """
    metrics = make_wsgi_app()

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        if environ["PATH_INFO"] != "/healthz":
            return metrics(environ, start_response)
        complaint = complain()
        start_response("503 Service Unavailable" if complaint else "200 OK", [_TEXT])
        return [f"{complaint or 'ok'}\n".encode()]

    server = _listen(answer, host, port)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()


def _listen(answer: WSGIApplication, host: str, port: int) -> WSGIServer:
    try:
        (family, *_), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)

        class Server(ThreadingWSGIServer):
            address_family = family

        return make_server(host, port, answer, Server, handler_class=_Quiet)
    except OSError as error:
        raise SettingsError(
            f"cannot serve metrics and health on {host}:{port} ({error}); set "
            "REVOCATION_METRICS_HOST and REVOCATION_METRICS_PORT to an address of this "
            "machine and a free port, or end what listens there"
        ) from error


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name
        """Log nothing: probes come every second."""
