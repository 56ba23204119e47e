"""Answers Envoy over gRPC: the service `envoy.service.auth.v3.Authorization`.

    service = ExtAuthz(authorizer)
    await service.start("unix:/run/revocation/grpc.sock")

A thin mapping: `authorizer.py` makes the decisions. Needs the extra `grpc`, so import
this only where Envoy uses gRPC. Messages are those of Envoy's own definitions
(xds-protos). Any failure here is a denial, with 503: never an acceptance, and never a
gRPC error whose meaning depends on the proxy's configuration.
"""

import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import structlog

from revocation import metrics
from revocation.errors import SettingsError
from revocation.http.listening import Unix, inode, remove
from revocation.http.messages import NO_STORE
from revocation.sidecar.authorizer import Authorizer, AuthzAnswer, AuthzRequest

try:
    import grpc
    import grpc.aio
    from envoy.config.core.v3.base_pb2 import HeaderValueOption
    from envoy.service.auth.v3.attribute_context_pb2 import AttributeContext
    from envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse
    from google.protobuf.message import DecodeError
except ModuleNotFoundError as error:
    raise SettingsError(
        f"gRPC for Envoy needs the package of {error.name!r}, which is not installed; "
        "install revocation[grpc], or let Envoy use HTTP"
    ) from error

_log = structlog.get_logger()

SERVICE: Final = "envoy.service.auth.v3.Authorization"
MAX_MESSAGE_BYTES: Final = 262_144
"""Envoy accepts 60 KiB of headers by default; the rest of a message is small."""

_MAX_QUESTIONS: Final = 4_096
_UNIX: Final = "unix:"
_OK, _PERMISSION_DENIED, _UNAUTHENTICATED = 0, 7, 16
_UNAUTHORIZED: Final = 401
_UNAVAILABLE: Final = 503
_REFUSALS: Final = range(400, 600)
"""RFC 9110 section 15."""
_OVERWRITE: Final = HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
# RFC 9110 section 5.1 and 5.5: valid field names and values.
_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE: Final = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_RETRY_AFTER: Final = (("retry-after", "2"), NO_STORE)


class ExtAuthz:
    """Serves the one method `Check`."""

    def __init__(self, authorizer: Authorizer) -> None:
        """Prepare; nothing listens yet."""
        self._authorizer = authorizer
        self._server: grpc.aio.Server | None = None
        self._socket: tuple[Unix, int | None] | None = None

    async def start(self, address: str, *, mode: int = 0o660) -> int:
        """Listen; return the port, or 1 for a unix socket.

        Args:
            address: `unix:/path` or `host:port`.
            mode: the permissions of a unix socket.

        Raises:
            SettingsError: it cannot listen there.
        """
        options = (
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            # Two sidecars on one port would each get some of the requests.
            ("grpc.so_reuseport", 0),
        )
        # Beyond that, Envoy is refused immediately, and answers 503, without waiting.
        server = grpc.aio.server(
            options=options, maximum_concurrent_rpcs=_MAX_QUESTIONS
        )
        check: grpc.RpcMethodHandler[bytes, CheckResponse]
        check = grpc.unary_unary_rpc_method_handler(
            self._serve, response_serializer=CheckResponse.SerializeToString
        )
        handler = grpc.method_handlers_generic_handler(SERVICE, {"Check": check})
        server.add_generic_rpc_handlers((handler,))
        try:
            if address.startswith(_UNIX):
                made = Unix(path=Path(address.removeprefix(_UNIX)), mode=mode)
                port = _bind(server, made)
                self._socket = made, inode(made)
            else:
                port = server.add_insecure_port(address)
        except (RuntimeError, OSError) as error:
            raise SettingsError(
                f"gRPC cannot listen on {address!r}; is it taken, its path too long, "
                "or its folder missing or not writable?"
            ) from error
        await server.start()
        self._server = server
        return port

    async def stop(self, *, grace_seconds: float = 5.0) -> None:
        """Answer pending requests, then stop; may be called twice."""
        server, self._server = self._server, None
        made, self._socket = self._socket, None
        if made is not None:
            remove(*made)
        if server is not None:
            await server.stop(grace_seconds)

    async def _serve(self, message: bytes, _: object) -> CheckResponse:
        try:
            request = CheckRequest.FromString(message)
        except DecodeError:
            # A client's bytes that are not UTF-8, for instance. gRPC would treat it as
            # our error and log a traceback each time.
            refused = self._authorizer.refuse("The request cannot be read")
            return write_answer(refused)
        return await self.check(request)

    async def check(self, request: CheckRequest) -> CheckResponse:
        """Answer one request. Never raises."""
        try:
            answer = self._authorizer.authorize(read_request(request))
            if not isinstance(answer, AuthzAnswer):
                answer = await answer
            return write_answer(answer)
        except Exception as error:  # noqa: BLE001 - any failure is a denial
            # Only its type: the message could quote the request.
            _log.error("ext_authz failed", error=type(error).__name__)
            metrics.AUTHZ_ANSWERS.labels(_UNAVAILABLE).inc()
            return _denied(_UNAVAILABLE, _RETRY_AFTER, b"")


def _bind(server: grpc.aio.Server, made: Unix) -> int:
    """Bind to a unix socket that accepts no connection before its mode is set.

    gRPC listens as soon as it binds, with the mode that the umask leaves. So it binds
    in a folder that no other user may enter, and renames the socket afterwards. The
    umask itself stays: all threads share it.

    Raises:
        SettingsError: another process serves there, or the file is not a socket.
        RuntimeError: gRPC cannot bind.
        OSError: the folder is missing or not writable.
    """
    made.require_free()
    with tempfile.TemporaryDirectory(prefix=".", dir=made.path.parent) as private:
        unnamed = Path(private) / "s"
        # gRPC parses it as a URI.
        port = server.add_insecure_port(_UNIX + quote(str(unnamed)))
        unnamed.chmod(made.mode)
        unnamed.rename(made.path)
    return port


def read_request(request: CheckRequest) -> AuthzRequest:
    """Return the request to authorize, from Envoy's message."""
    http = request.attributes.request.http
    host = http.host
    headers = []
    named = websocket = False
    for name, value in _fields(http):
        if name.startswith(":"):
            continue
        headers.append((name.encode(), value))
        if name == "host":
            named = True
        # Looking like a handshake is enough.
        elif name.startswith("sec-websocket-") or (
            name == "upgrade" and b"websocket" in value.lower()
        ):
            websocket = True
    if not named:
        headers.append((b"host", host.encode()))
    return AuthzRequest(http.method, http.path, headers, host, http.scheme, websocket)


def write_answer(answer: AuthzAnswer) -> CheckResponse:
    """Return an answer in Envoy's form; only 200 lets the request pass."""
    if answer.status in _REFUSALS:
        return _denied(answer.status, answer.headers_to_client, answer.body)
    if answer.status != 200:  # noqa: PLR2004 - OK only
        # To the client it would look like a success.
        return _denied(_UNAVAILABLE, _RETRY_AFTER, b"")
    reply = CheckResponse()
    reply.status.code = _OK
    passed = reply.ok_response
    passed.SetInParent()
    _add(passed.headers, answer.headers_to_upstream)
    _add(passed.response_headers_to_add, answer.headers_to_client)
    if answer.remove_from_upstream:
        given = {name.lower() for name, _ in answer.headers_to_upstream}
        # Envoy removes last: a name in both would be lost.
        passed.headers_to_remove.extend(
            [name for name in answer.remove_from_upstream if name.lower() not in given]
        )
    return reply


def _denied(
    status: int, headers: Iterable[tuple[str, str]], body: bytes
) -> CheckResponse:
    reply = CheckResponse()
    reply.status.code = (
        _UNAUTHENTICATED if status == _UNAUTHORIZED else _PERMISSION_DENIED
    )
    denial = reply.denied_response
    denial.status.code = status
    # Envoy counts the body itself.
    _add(denial.headers, [each for each in headers if each[0] != "content-length"])
    denial.body = body.decode("utf-8", "replace")
    return reply


def _add(options: Any, headers: Iterable[tuple[str, str]]) -> None:
    """Add header fields that replace those of the same name.

    In place: building a separate message and copying it costs three times as much.
    """
    for name, value in headers:
        if _NAME.fullmatch(name) is None or _VALUE.fullmatch(value) is None:
            raise SettingsError("a header field of the answer cannot be sent")
        option = options.add()
        option.append_action = _OVERWRITE
        field = option.header
        field.key = name
        field.value = value


def _fields(http: AttributeContext.HttpRequest) -> Iterator[tuple[str, bytes]]:
    """Read both forms; with `encode_raw_headers` none is merged or changed."""
    # Not `items()`: protobuf's is not in C, and slow even if empty.
    for name in http.headers:
        yield name.lower(), http.headers[name].encode()
    for field in http.header_map.headers:
        yield field.key.lower(), field.raw_value or field.value.encode()
