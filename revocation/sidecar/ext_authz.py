"""Envoy asks over gRPC: `envoy.service.auth.v3.Authorization`, as others over HTTP.

    service = ExtAuthz(authorizer)
    await service.start("unix:/run/revocation/grpc.sock")

A thin mapping: what is decided is decided in `authz.py`. Needs the extra `grpc`, so
import this only where Envoy is to ask over gRPC. Messages are those of Envoy's own
definitions (xds-protos). Whatever goes wrong here is a denial, with 503: never an
acceptance, and never a gRPC error whose meaning the proxy's configuration decides.
"""

import contextlib
import inspect
import re
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import structlog

from revocation import metrics
from revocation.errors import SettingsError
from revocation.sidecar.authz import Authorizer, AuthzAnswer, AuthzRequest

try:
    import grpc
    import grpc.aio
    from envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption
    from envoy.service.auth.v3.attribute_context_pb2 import AttributeContext
    from envoy.service.auth.v3.external_auth_pb2 import (
        CheckRequest,
        CheckResponse,
        DeniedHttpResponse,
        OkHttpResponse,
    )
    from envoy.type.v3.http_status_pb2 import HttpStatus
    from google.protobuf.message import DecodeError
    from google.rpc.status_pb2 import Status
except ModuleNotFoundError as error:
    raise SettingsError(
        f"gRPC for Envoy needs the package of {error.name!r}, which is not installed; "
        "install revocation[grpc], or let Envoy ask over HTTP"
    ) from error

_log = structlog.get_logger()

SERVICE: Final = "envoy.service.auth.v3.Authorization"
MAX_MESSAGE_BYTES: Final = 262_144
"""Envoy takes 60 KiB of headers by default, and the rest of a message is small."""

_MOST_QUESTIONS: Final = 4_096
_UNIX: Final = "unix:"
_OK, _PERMISSION_DENIED, _UNAUTHENTICATED = 0, 7, 16
_UNAUTHORIZED: Final = 401
_UNAVAILABLE: Final = 503
_REFUSALS: Final = range(400, 600)
"""RFC 9110 section 15."""
_OVERWRITE: Final = HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
# RFC 9110 section 5.1 and 5.5: what may be sent on as a field.
_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE: Final = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_RETRY_AFTER: Final = (("retry-after", "2"), ("cache-control", "no-store"))


class ExtAuthz:
    """Serves the one method `Check`."""

    def __init__(self, authorizer: Authorizer) -> None:
        """Prepare; nothing listens yet."""
        self._authorizer = authorizer
        self._server: grpc.aio.Server | None = None

    async def start(self, address: str, *, mode: int = 0o660) -> int:
        """Listen; returns the port, of a socket 1.

        Args:
            address: `unix:/path` or `host:port`.
            mode: who may connect to a socket, by the file's owner and group.

        Raises:
            SettingsError: nobody can listen there.
        """
        options = (
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            # Two sidecars on one port would each get a part of the questions.
            ("grpc.so_reuseport", 0),
        )
        # Beyond that Envoy is refused at once, and says 503, instead of waiting.
        server = grpc.aio.server(
            options=options, maximum_concurrent_rpcs=_MOST_QUESTIONS
        )
        check: grpc.RpcMethodHandler[bytes, CheckResponse]
        check = grpc.unary_unary_rpc_method_handler(
            self._serve, response_serializer=CheckResponse.SerializeToString
        )
        handler = grpc.method_handlers_generic_handler(SERVICE, {"Check": check})
        server.add_generic_rpc_handlers((handler,))
        path = None
        if address.startswith(_UNIX):
            path = Path(address.removeprefix(_UNIX))
            _require_free(path)
        try:
            port = server.add_insecure_port(address)
            if path is not None:
                path.chmod(mode)
        except (RuntimeError, OSError) as error:
            raise SettingsError(
                f"gRPC cannot listen on {address!r}; is it taken, or the folder not "
                "there or not writable?"
            ) from error
        await server.start()
        self._server = server
        return port

    async def stop(self, *, grace_seconds: float = 5.0) -> None:
        """Answer what was asked, then end; may be called twice."""
        server, self._server = self._server, None
        if server is not None:
            await server.stop(grace_seconds)

    async def _serve(self, message: bytes, _: object) -> CheckResponse:
        try:
            asked = CheckRequest.FromString(message)
        except DecodeError:
            # A client's bytes that are no UTF-8, for instance. Left to gRPC, it would
            # be an error of ours, and each would put a traceback into the log.
            refused = self._authorizer.refuse("The request cannot be read")
            return write_answer(refused)
        return await self.check(asked)

    async def check(self, asked: CheckRequest) -> CheckResponse:
        """Answer one question. Never raises."""
        try:
            answer = self._authorizer.authorize(read_request(asked))
            if inspect.isawaitable(answer):
                answer = await answer
            return write_answer(answer)
        except Exception as error:  # noqa: BLE001 - whatever it was: a denial
            # Its type alone: a message could quote the request.
            _log.error("ext_authz failed", error=type(error).__name__)
            metrics.AUTHZ_ANSWERS.labels(_UNAVAILABLE).inc()
            return _denied(_UNAVAILABLE, _RETRY_AFTER, b"")


def _require_free(path: Path) -> None:
    """Check that nobody serves there: gRPC would take the socket's place unasked.

    Raises:
        SettingsError: somebody does.
    """
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as probe:
        # A full backlog must not hold us up; it also says that somebody listens.
        probe.settimeout(0)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError, NotADirectoryError):
            return
        except OSError:
            pass
    raise SettingsError(
        f"another process serves {path}, or it is no socket, or its path is too long; "
        "end it, or choose another path"
    )


def read_request(asked: CheckRequest) -> AuthzRequest:
    """Return what Envoy tells about the request in question."""
    http = asked.attributes.request.http
    headers = [pair for pair in _fields(http) if not pair[0].startswith(b":")]
    if not any(name == b"host" for name, _ in headers):
        headers.append((b"host", http.host.encode()))
    return AuthzRequest(
        method=http.method,
        path=http.path,
        headers=headers,
        host=http.host,
        scheme=http.scheme,
        websocket=any(map(_opens_websocket, headers)),
    )


def write_answer(answer: AuthzAnswer) -> CheckResponse:
    """Return an answer as Envoy reads it; only 200 lets the request pass."""
    if answer.status in _REFUSALS:
        return _denied(answer.status, answer.headers_to_client, answer.body)
    if answer.status != 200:  # noqa: PLR2004 - OK, and nothing else
        # To the client it would look as if it had passed.
        return _denied(_UNAVAILABLE, _RETRY_AFTER, b"")
    given = {name.lower() for name, _ in answer.headers_to_upstream}
    passed = OkHttpResponse(
        headers=_options(answer.headers_to_upstream),
        # Envoy removes last: a name in both would be lost.
        headers_to_remove=[
            name for name in answer.remove_from_upstream if name.lower() not in given
        ],
        response_headers_to_add=_options(answer.headers_to_client),
    )
    return CheckResponse(status=Status(code=_OK), ok_response=passed)


def _denied(
    status: int, headers: Iterable[tuple[str, str]], body: bytes
) -> CheckResponse:
    code = _UNAUTHENTICATED if status == _UNAUTHORIZED else _PERMISSION_DENIED
    denial = DeniedHttpResponse(
        status=HttpStatus(code=status),
        # Envoy counts the body itself.
        headers=_options(pair for pair in headers if pair[0] != "content-length"),
        body=body.decode("utf-8", "replace"),
    )
    return CheckResponse(status=Status(code=code), denied_response=denial)


def _options(headers: Iterable[tuple[str, str]]) -> list[HeaderValueOption]:
    """Return header fields that replace those of the same name."""
    options = []
    for name, value in headers:
        if _NAME.fullmatch(name) is None or _VALUE.fullmatch(value) is None:
            raise SettingsError("a header field of the answer cannot be sent")
        field = HeaderValue(key=name, value=value)
        options.append(HeaderValueOption(header=field, append_action=_OVERWRITE))
    return options


def _fields(http: AttributeContext.HttpRequest) -> Iterator[tuple[bytes, bytes]]:
    """Both ways to tell them; with `encode_raw_headers` none is merged or changed."""
    for name, value in http.headers.items():
        yield name.lower().encode(), value.encode()
    for field in http.header_map.headers:
        yield field.key.lower().encode(), field.raw_value or field.value.encode()


def _opens_websocket(field: tuple[bytes, bytes]) -> bool:
    """Whether a field belongs to a handshake: to look like one is enough."""
    name, value = field
    return name.startswith(b"sec-websocket-") or (
        name == b"upgrade" and b"websocket" in value.lower()
    )
