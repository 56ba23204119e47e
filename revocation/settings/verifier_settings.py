"""Settings of verifiers and sidecars."""

import socket
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from revocation.claims.claim_mapping import ClaimMapping
from revocation.claims.claims import Rules
from revocation.errors import SettingsError
from revocation.jwt.trust import Issuer, longest_token_bytes
from revocation.settings.issuer_settings import IssuerSettings
from revocation.settings.route_settings import RouteClass, RouteSettings
from revocation.settings.settings_source import Settings, read_secret
from revocation.settings.station_settings import (
    KafkaSettings,
    LimitSettings,
    Region,
    StoreSettings,
)

_BESIDE_TOKEN: Final = {
    "sidecar_max_header_bytes": 8_192,
    "sidecar_max_body_bytes": 1_024,
}
"""What must fit in addition to the longest token."""


class IntrospectionClient(BaseModel):
    """How to introspect tokens at their issuer (RFC 7662)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    """The issuer's introspection endpoint."""
    issuer: Issuer
    """The `iss` of the tokens to introspect there; no others are sent."""
    client_id: str = Field(min_length=1)
    """The client's identifier, as registered at the issuer."""
    secret_file: Path
    """The client's secret, for HTTP Basic (RFC 6749 section 2.3.1)."""

    @property
    def secret(self) -> str:
        """The client's secret.

        Raises:
            SettingsError: the file cannot be read.
        """
        return read_secret(self.secret_file, least_bytes=1).decode()


class OneRegionSettings(Settings):
    """The store that a command for one region reads."""

    region: Region | None = None
    """The region to read; the same as `--region`."""
    regions: dict[Region, str] = Field({}, repr=False)
    """Store URL of each region, as JSON; used where `store_url` is not set."""
    store_url: str | None = Field(None, repr=False)
    """The store to read; takes precedence over `regions`."""

    @property
    def found(self) -> dict[str, Any]:
        """The region and its store, from `regions` unless `store_url` is set.

        Raises:
            SettingsError: names the regions that can be chosen.
        """
        if self.store_url is not None:
            return {}
        known = ", ".join(self.regions)
        region = known if self.region is None else self.region
        if region in self.regions:
            return {"region": region, "store_url": self.regions[region]}
        if not known:
            raise SettingsError(
                "no store is configured: set REVOCATION_CONFIG to the file that "
                "`revocation embedded up` names, or REVOCATION_STORE_URL"
            )
        wrong = "no region is chosen" if self.region is None else f"no region {region}"
        raise SettingsError(f"{wrong}: give --region one of {known}")


class TokenSettings(IssuerSettings, LimitSettings):
    """Requirements of tokens, and how to read their claims."""

    claims: ClaimMapping = Field(default_factory=ClaimMapping)
    """How `check` reads the claims of issuers that `issuers` does not name."""

    @property
    def rules(self) -> Rules:
        """The verifiers' rules, with the claim names of each issuer."""
        named = {issuer: each.names for issuer, each in self.issuers.items()}
        return replace(super().rules, names=self.claims.names, issuers=named)

    @model_validator(mode="after")
    def _kept_long_enough(self) -> Self:
        most = self.max_token_lifetime_seconds
        mappings = {**self.issuers, "claims": self.claims}
        for name, each in mappings.items():
            own = each.max_token_lifetime_seconds
            if own is not None and own > most:
                raise ValueError(
                    f"the tokens of {name} live for up to {own} s, and revocations are "
                    f"kept for {most} s: set REVOCATION_MAX_TOKEN_LIFETIME_SECONDS to "
                    f"{own} for all processes of the installation, or "
                    "max_token_lifetime_seconds of the issuer to less"
                )
        return self


class VerifierSettings(TokenSettings, RouteSettings, StoreSettings, KafkaSettings):
    """A verifier of one region. Kafka is needed for `report_rejections` only."""

    replica_max_entries: int = Field(5_000_000, ge=1)
    """How many entries a verifier holds in memory before it refuses more."""
    start_timeout_seconds: float = Field(10.0, ge=0)
    """How long a verifier waits for its replica when it starts."""

    fallback_store_url: str | None = Field(None, repr=False)
    """A fallback where a policy says `introspect`: the store of another region."""
    fallback_sidecar_url: str | None = None
    """A fallback where a policy says `introspect`: a sidecar of another region."""
    introspection: IntrospectionClient | None = None
    """A fallback where a policy says `introspect`: the issuer itself (RFC 7662)."""
    fallback_timeout_ms: int = Field(500, ge=1, le=60_000)
    """The time limit of all fallbacks together."""

    report_rejections: bool = False
    """Publish uses of revoked tokens to the rejections topic."""
    instance: str = Field(default_factory=socket.gethostname)
    """Distinguishes this verifier from others of its region in rejection events."""


class SidecarSettings(VerifierSettings):
    """A sidecar: a verifier over HTTP, for services and for proxies."""

    sidecar_host: str = "127.0.0.1"
    """The address to listen on over TCP."""
    sidecar_port: int = Field(8_181, ge=0, le=65_535)
    """The port to listen on over TCP; 0 takes a free one."""
    sidecar_tcp: bool = True
    """Whether to listen on TCP at all; false where a unix socket is enough."""
    sidecar_socket: Path | None = None
    """A unix socket to listen on as well."""
    sidecar_socket_mode: str = Field("660", pattern=r"^0?[0-7]{3}$")
    """The mode of unix sockets, gRPC's included: who may connect, as for chmod."""
    sidecar_grpc: str | None = Field(None, min_length=1)
    """The address for Envoy's gRPC requests: `unix:/run/...` or `host:port`."""
    sidecar_cert_file: Path | None = None
    """Serve TCP over TLS with this chain; reloaded when it changes."""
    sidecar_key_file: Path | None = None
    """The private key of `sidecar_cert_file`, as PEM."""
    sidecar_client_ca_file: Path | None = None
    """Clients over TLS must present a certificate of one of these authorities."""

    sidecar_rules_file: Path | None = None
    """The rules for paths; without it every path needs a token. See docs/sidecar.md."""
    sidecar_identity_headers: dict[str, str] | None = Field(None, max_length=16)
    """Header names and the claim that each carries, as JSON; docs/sidecar.md lists the
    defaults."""
    sidecar_remove_headers: tuple[str, ...] = ()
    """Further headers to hide from services, such as `["authorization"]`."""
    sidecar_cookie: str | None = None
    """A cookie to take tokens from; its name begins with `__Host-`."""
    sidecar_own_origins: tuple[str, ...] = ()
    """Origins of the service's pages, if they differ from the request's host."""
    sidecar_realm: str = "api"
    """Names the service in challenges (RFC 9110 section 11.5)."""
    sidecar_resource_metadata: str | None = None
    """The URL of the service's metadata, for challenges (RFC 9728)."""
    sidecar_statuses: dict[str, dict[int, int]] | None = None
    """The status that a proxy gets in place of another: `{"nginx": {"400": 403}}`."""

    sidecar_callers_file: Path | None = None
    """A file of the callers that may introspect: lines of `name sha256:<digest of the
    secret>`."""
    sidecar_introspection_scope: str | None = None
    """A scope: callers whose token has it may introspect."""
    sidecar_introspection_route: RouteClass = "read"
    """The route class whose policy answers `/introspect`."""

    sidecar_max_connections: int = Field(4_096, ge=1)
    """How many connections may be open at once; further ones get 503."""
    sidecar_max_header_bytes: int = Field(32_768, ge=1_024, le=1_048_576)
    """The limit of the request line and all header fields; more is 431. It must leave
    room for the issuers' longest tokens (`max_token_bytes`) and 8 KiB."""
    sidecar_max_body_bytes: int = Field(65_536, ge=1_024, le=16_777_216)
    """The limit of a body; more is 413. It must leave room for the longest token and
    1 KiB."""
    sidecar_idle_seconds: float = Field(300.0, gt=0)
    """How long a connection may be idle; longer than proxies keep theirs."""
    sidecar_drain_seconds: float = Field(10.0, ge=0)
    """How long pending answers may take after SIGTERM."""

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if not self.sidecar_tcp and self.sidecar_socket is None:
            raise ValueError("name a sidecar_socket, or leave sidecar_tcp on")
        if (self.sidecar_cert_file is None) != (self.sidecar_key_file is None):
            raise ValueError("sidecar_cert_file and sidecar_key_file go together")
        if self.sidecar_client_ca_file is not None and self.sidecar_cert_file is None:
            raise ValueError("sidecar_client_ca_file needs a sidecar_cert_file")
        if self.sidecar_introspection_route not in self.policies:
            raise ValueError("sidecar_introspection_route is no route class")
        return self

    @model_validator(mode="after")
    def _room_for_tokens(self) -> Self:
        longest = longest_token_bytes(self.issuers.values()) if self.issuers else 0
        for name, more in _BESIDE_TOKEN.items():
            if self.issuers and getattr(self, name) < longest + more:
                raise ValueError(
                    f"{name} has no room for a token of {longest} bytes, which an "
                    f"issuer's max_token_bytes allows: set {name} to {longest + more} "
                    "or more, or max_token_bytes to less"
                )
        return self
