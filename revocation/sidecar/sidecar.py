"""The sidecar as a process: assembles its parts by the settings, starts and stops them.

    sidecar = Sidecar(settings)
    await sidecar.start()
    ...
    await sidecar.stop()

It listens before its replica is complete, and reports that it is not ready. It stops
the server first, so that pending requests still get answers from a running verifier.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final, Protocol

import structlog

from revocation.errors import SettingsError
from revocation.extras import require_extra
from revocation.http.http_server import (
    Listener,
    Server,
    ServerLimits,
    ServerTls,
    Tcp,
    Unix,
)
from revocation.settings import SidecarSettings
from revocation.sidecar.authorizer import Authorizer, IdentityHeaders
from revocation.sidecar.checks import Checker
from revocation.sidecar.endpoints import Endpoints, laxest_bound_ms
from revocation.sidecar.introspect import Introspection, read_callers
from revocation.sidecar.proxies import STATUSES, Proxy, Statuses
from revocation.sidecar.rules_file import RulesFile
from revocation.verifier import Verifier
from revocation.watchdog import STOP_SECONDS, ProgressExpectation, stopping
from revocation.web.access_guard import AccessPolicy
from revocation.web.bearer import Refusals
from revocation.web.credentials import CredentialRules

_log = structlog.get_logger()

_STALL_SECONDS: Final = 10.0


class _Grpc(Protocol):
    async def start(self, address: str, *, mode: int) -> int: ...

    async def stop(self, *, grace_seconds: float) -> None: ...


class Sidecar:
    """A sidecar, with all its parts."""

    def __init__(
        self, settings: SidecarSettings, *, verifier: Verifier | None = None
    ) -> None:
        """Prepare; nothing listens yet.

        Args:
            settings: of the sidecar.
            verifier: replaces the one that the settings describe.

        Raises:
            SettingsError: names what is missing or wrong; of the rules, each line.
        """
        self._settings = settings
        self._verifier = verifier or Verifier.from_settings(settings)
        self.rules = RulesFile(settings.sidecar_rules_file, policies=settings.policies)
        self._authorizer = self._make_authorizer() if settings.issuers else None
        self.endpoints = self._make_endpoints()
        self.server = Server(
            self.endpoints.handle,
            listeners(settings),
            limits=limits(settings),
            head_suffices=self.endpoints.head_suffices,
        )
        self._grpc = self._make_grpc()
        self._reloading: asyncio.Future[None] | None = None
        self._is_stopping = False

    # Life ----------------------------------------------------------------------------

    async def start(self) -> None:
        """Follow the rules, listen, start the verifier.

        Raises:
            SettingsError: it cannot listen, or the certificates are wrong.
        """
        try:
            await self.rules.start()
            await self.server.start()
            if self._grpc is not None and self._settings.sidecar_grpc is not None:
                mode = _socket_mode(self._settings)
                await self._grpc.start(self._settings.sidecar_grpc, mode=mode)
            # Last: it may wait for issuers' keys, and until then answers `not_ready`.
            await self._verifier.start()
        except BaseException:
            await self.stop(grace_seconds=0)
            raise

    async def stop(self, *, grace_seconds: float | None = None) -> None:
        """Answer pending requests, then end; may be called twice."""
        self._is_stopping = True
        if grace_seconds is None:
            grace_seconds = self._settings.sidecar_drain_seconds
        servers: list[Server | _Grpc] = [self.server]
        if self._grpc is not None:
            servers.append(self._grpc)
        await asyncio.gather(
            *(server.stop(grace_seconds=grace_seconds) for server in servers)
        )
        await self.rules.stop()
        await self._verifier.stop()

    def expect(self) -> list[ProgressExpectation]:
        """Return what a watchdog expects to progress; callable from any thread.

        That is the feed, which its own watch should have repaired, and the event loop.
        """
        watch, seconds = self._verifier.feed_watch, _STALL_SECONDS
        problem = self._verifier.problem
        drain_seconds = STOP_SECONDS + self._settings.sidecar_drain_seconds
        return [
            ProgressExpectation("event loop", watch.looks, watch.looks > 0, seconds),
            ProgressExpectation(
                "feed", self._verifier.freshness, bool(problem), seconds
            ),
            stopping(is_stopping=self._is_stopping, seconds=drain_seconds),
        ]

    def reload(self) -> None:
        """Schedule a reload of rules and certificates; invalid ones are only logged."""
        self._reloading = asyncio.ensure_future(self._reload())

    async def _reload(self) -> None:
        await self.rules.reload()
        try:
            await self.server.reload_certificates()
        except SettingsError as error:
            _log.warning("certificates not loaded", error=str(error))

    # Parts ---------------------------------------------------------------------------

    def _make_authorizer(self) -> Authorizer:
        settings = self._settings
        headers = settings.sidecar_identity_headers
        removed = settings.sidecar_remove_headers
        named: dict[str, Any] = {} if headers is None else {"headers": headers}
        refusals = Refusals(
            realm=settings.sidecar_realm,
            resource_metadata=settings.sidecar_resource_metadata,
        )
        credentials = CredentialRules(
            cookie=settings.sidecar_cookie, own_origins=settings.sidecar_own_origins
        )
        return Authorizer(
            self._verifier,
            self.rules,
            steps=AccessPolicy(credentials=credentials, refusals=refusals),
            identity=IdentityHeaders(**named, remove=removed),
            names_of=self._verifier.rules.names_of,
        )

    def _make_endpoints(self) -> Endpoints:
        settings = self._settings
        policies = settings.policies
        asks_others = (
            settings.fallback_store_url is not None
            or settings.fallback_sidecar_url is not None
            or settings.introspection is not None
        )
        return Endpoints(
            self._verifier,
            region=settings.region,
            checker=Checker(
                self._verifier,
                region=settings.region,
                routes=frozenset(policies),
                verifies=bool(settings.issuers),
            ),
            authorizer=self._authorizer,
            introspection=self._make_introspection(),
            statuses=_statuses(settings),
            bound_ms=laxest_bound_ms(policies, asks_others=asks_others),
        )

    def _make_introspection(self) -> Introspection | None:
        settings = self._settings
        path, scope = (
            settings.sidecar_callers_file,
            settings.sidecar_introspection_scope,
        )
        if path is None and scope is None:
            return None
        if not settings.issuers:
            raise SettingsError(
                "introspection is configured and no issuers are, so no token could be "
                "verified; set REVOCATION_ISSUERS"
            )
        return Introspection(
            self._verifier,
            callers=() if path is None else read_callers(path),
            scope=scope,
            route=settings.sidecar_introspection_route,
            names_of=self._verifier.rules.names_of,
        )

    def _make_grpc(self) -> _Grpc | None:
        if self._settings.sidecar_grpc is None:
            return None
        if self._authorizer is None:
            raise SettingsError(
                "gRPC for Envoy is configured and no issuers are, so no token could be "
                "verified; set REVOCATION_ISSUERS"
            )
        require_extra("grpc", "gRPC for Envoy (REVOCATION_SIDECAR_GRPC)")
        from revocation.sidecar.ext_authz import ExtAuthz  # noqa: PLC0415 - needs the extra

        return ExtAuthz(self._authorizer)


def listeners(settings: SidecarSettings) -> list[Listener]:
    """Return the listeners."""
    found: list[Listener] = []
    if settings.sidecar_tcp:
        cert, key = settings.sidecar_cert_file, settings.sidecar_key_file
        tls = None
        if cert is not None and key is not None:
            authorities = settings.sidecar_client_ca_file
            tls = ServerTls(cert_file=cert, key_file=key, client_ca_file=authorities)
        host, port = settings.sidecar_host, settings.sidecar_port
        found.append(Tcp(host=host, port=port, tls=tls))
    if settings.sidecar_socket is not None:
        mode = _socket_mode(settings)
        found.append(Unix(path=settings.sidecar_socket, mode=mode))
    return found


def _socket_mode(settings: SidecarSettings) -> int:
    return int(settings.sidecar_socket_mode, 8)


def limits(settings: SidecarSettings) -> ServerLimits:
    """Return the limits of a client."""
    return ServerLimits(
        connections=settings.sidecar_max_connections,
        header_bytes=settings.sidecar_max_header_bytes,
        body_bytes=settings.sidecar_max_body_bytes,
        idle_seconds=settings.sidecar_idle_seconds,
    )


def _statuses(settings: SidecarSettings) -> Mapping[Proxy, Statuses]:
    configured = settings.sidecar_statuses
    if configured is None:
        return STATUSES
    unknown = sorted(configured.keys() - set(Proxy))
    if unknown:
        known = ", ".join(Proxy)
        raise SettingsError(
            f"sidecar_statuses names {', '.join(unknown)}; the proxies are {known}"
        )
    return {Proxy(name): statuses for name, statuses in configured.items()}
