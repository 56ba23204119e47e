"""The HTTP dialects in which proxies request authorization and read answers. Pure.

The path in its configuration identifies the proxy. Nothing that a client can send
affects that, nor where the original request is found:

- nginx (`auth_request`): in `X-Original-URI` and `X-Original-Method`, which our
  configuration overwrites; `Host` as the client sent it,
- Traefik (`forwardAuth`): in `X-Forwarded-Method`, `-Uri`, `-Host` and `-Proto`, which
  Traefik sets itself unless `trustForwardHeader` is on,
- Envoy (`ext_authz` over HTTP): the request itself, its path behind a prefix.

Malformed requests are refused. No proxy shows whether it will open a WebSocket: a
client may have sent the header fields of a handshake, and the rules allow for both.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import orjson

from revocation.errors import SettingsError
from revocation.http.messages import NO_STORE, Request, Response
from revocation.sidecar.authorizer import AuthzAnswer, AuthzRequest
from revocation.sidecar.identity_cache import IdentityCache

ENVOY_PREFIX: Final = "/v1/authz/envoy"
"""The `path_prefix` of Envoy's configuration."""

SCHEMES: Final = frozenset({"http", "https", "ws", "wss"})
"""The values that Traefik sends in `X-Forwarded-Proto`."""

_OK: Final = 200
_REMOVE: Final = "x-envoy-auth-headers-to-remove"

Field = tuple[bytes, bytes]
Statuses = Mapping[int, int]
"""Maps our statuses to the ones to send to a proxy instead."""


class Proxy(StrEnum):
    """The supported proxies."""

    NGINX = "nginx"
    TRAEFIK = "traefik"
    ENVOY = "envoy"


STATUSES: Final[Mapping[Proxy, Statuses]] = MappingProxyType(
    {Proxy.NGINX: MappingProxyType({400: 403, 431: 403})}
)
"""nginx forwards 401 and 403 and turns all else into 500, with an error in its log. So
a client's fault is 403 for nginx. 503 stays: it is our fault, clients retry after a
500, and `error_page 500 =503` turns it into 503."""


def check_statuses(statuses: Mapping[Proxy, Statuses]) -> None:
    """Check that every refusal stays a refusal.

    Raises:
        SettingsError: names the status that would not refuse.
    """
    for each in statuses.values():
        for ours, theirs in each.items():
            if not (400 <= ours <= 599 and 400 <= theirs <= 599):  # noqa: PLR2004 - RFC 9110 section 15
                raise SettingsError(
                    f"the status {theirs} in place of {ours} is not a refusal; choose "
                    "one of 400 to 599"
                )


class Dialect:
    """How one proxy sends requests and reads answers."""

    def __init__(
        self, proxy: Proxy, statuses: Statuses | None = None, lookalikes: str = ""
    ) -> None:
        """Prepare.

        Args:
            proxy: the proxy.
            statuses: the statuses that it gets in place of others.
            lookalikes: headers, joined by commas, for an Envoy to remove because it may
                not have shown them.
        """
        self.read: Callable[[Request], AuthzRequest | str] = _READERS[proxy]
        """Return the request to authorize, or what the proxy's configuration lacks."""
        self._proxy = proxy
        self._statuses = statuses or {}
        self._lookalikes = lookalikes
        self._passes = IdentityCache(self._write_pass)

    def write(self, answer: AuthzAnswer) -> Response:
        """Return the answer in the proxy's form."""
        if answer.status == _OK:
            return self._passes.of(answer)
        status = self._statuses.get(answer.status, answer.status)
        if status == answer.status:
            return Response(status, answer.headers_to_client, answer.body)
        # The status in the body is that of the answer (RFC 9457 section 3.1.2).
        body = orjson.dumps({**orjson.loads(answer.body), "status": status})
        return Response(status, answer.headers_to_client, body)

    def _write_pass(self, answer: AuthzAnswer) -> Response:
        headers = [*answer.headers_to_upstream, NO_STORE]
        if self._proxy is Proxy.ENVOY:
            removed, lookalikes = (
                ",".join(answer.remove_from_upstream),
                self._lookalikes,
            )
            both = f"{removed},{lookalikes}" if removed and lookalikes else ""
            headers.append((_REMOVE, both or removed or lookalikes))
        # nginx and Traefik remove headers that they should copy but do not find here.
        return Response(_OK, tuple(headers), b"")


def _read_nginx(request: Request) -> AuthzRequest | str:
    fields = dict(request.headers)
    named = _named(request.headers, fields, _NGINX)
    if named is None:
        return (
            "The proxy sets X-Original-Method and X-Original-URI, once each; see "
            "deploy/nginx"
        )
    method, path = named
    headers = [each for each in request.headers if each[0] not in _NGINX]
    host = fields.get(b"host", b"").decode("latin-1")
    websocket = _resembles_handshake(headers, fields)
    return AuthzRequest(method, path, headers, host, websocket=websocket)


def _read_traefik(request: Request) -> AuthzRequest | str:
    fields = dict(request.headers)
    named = _named(request.headers, fields, _TRAEFIK)
    if named is None:
        return (
            "The proxy sets X-Forwarded-Method, -Uri, -Host and -Proto, once each; see "
            "deploy/traefik"
        )
    method, path, host, scheme = named
    if scheme not in SCHEMES:
        return "The proxy sets X-Forwarded-Proto to the scheme; see deploy/traefik"
    # `Host` is the sidecar's; the pages' origin must match the host the client
    # requested.
    headers = [each for each in request.headers if each[0] != b"host"]
    headers.append((b"host", host.encode("latin-1")))
    websocket = _resembles_handshake(headers, fields)
    return AuthzRequest(method, path, headers, host, scheme, websocket)


def _read_envoy(request: Request) -> AuthzRequest | str:
    path = request.path.removeprefix(ENVOY_PREFIX)
    if path == request.path:
        return f"The proxy's path_prefix is {ENVOY_PREFIX}; see deploy/envoy"
    fields = dict(request.headers)
    host = fields.get(b"host", b"").decode("latin-1")
    websocket = _resembles_handshake(request.headers, fields)
    return AuthzRequest(
        request.method, path, request.headers, host, websocket=websocket
    )


_READERS: Final = {
    Proxy.NGINX: _read_nginx,
    Proxy.TRAEFIK: _read_traefik,
    Proxy.ENVOY: _read_envoy,
}
_NGINX: Final = (b"x-original-method", b"x-original-uri")
_TRAEFIK: Final = (
    *(b"x-forwarded-method", b"x-forwarded-uri"),
    *(b"x-forwarded-host", b"x-forwarded-proto"),
)


def _named(
    headers: Sequence[Field], fields: Mapping[bytes, bytes], names: Sequence[bytes]
) -> list[str] | None:
    """Return the values of required headers; each must occur once and not be empty.

    Args:
        headers: as received.
        fields: the same by name; one value of each name.
        names: the required ones.
    """
    if len(fields) < len(headers):
        came = [name for name, _ in headers]
        if any(came.count(name) > 1 for name in names):
            return None
    values = [fields.get(name, b"").decode("latin-1") for name in names]
    return values if all(values) else None


def _resembles_handshake(
    headers: Sequence[Field], fields: Mapping[bytes, bytes]
) -> bool:
    """Whether the request opens a WebSocket, or might seem to (RFC 6455 section 4.1).

    Arguments as for `_named`.
    """
    if b"\nsec-websocket-" in b"\n" + b"\n".join(fields):
        return True
    return b"upgrade" in fields and any(
        name == b"upgrade" and b"websocket" in value.lower() for name, value in headers
    )
