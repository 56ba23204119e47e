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
"""What must fit beside the longest token."""


class IntrospectionClient(BaseModel):
    """How to ask an issuer whether one of its tokens is active (RFC 7662)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    """The issuer's introspection endpoint."""
    issuer: Issuer
    """The `iss` of the tokens that are sent there, and no others."""
    client_id: str = Field(min_length=1)
    """The client that asks, as the issuer knows it."""
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
    """Whose store a command asks that asks one region."""

    region: Region | None = None
    """The region to ask; `--region` says the same."""
    regions: dict[Region, str] = Field({}, repr=False)
    """Store URL of each region, as JSON; used where `store_url` is not set."""
    store_url: str | None = Field(None, repr=False)
    """The store to ask, whatever `regions` says."""

    @property
    def found(self) -> dict[str, Any]:
        """The region and its store among those of all regions, if no other is named.

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
    """What is asked of tokens, and how their claims are read."""

    claims: ClaimMapping = Field(default_factory=ClaimMapping)
    """How `check` reads the claims of issuers that are not among `issuers`."""

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
    """How many entries a verifier holds in memory, before it refuses more."""
    start_timeout_seconds: float = Field(10.0, ge=0)
    """How long a verifier that starts waits for its replica."""

    fallback_store_url: str | None = Field(None, repr=False)
    """Asked where a policy says `introspect`: the store of another region."""
    fallback_sidecar_url: str | None = None
    """Asked where a policy says `introspect`: a sidecar of another region."""
    introspection: IntrospectionClient | None = None
    """Asked where a policy says `introspect`: the issuer itself (RFC 7662)."""
    fallback_timeout_ms: int = Field(500, ge=1, le=60_000)
    """The longest that all fallbacks together may take."""

    report_rejections: bool = False
    """Publish uses of revoked tokens to the rejections topic."""
    instance: str = Field(default_factory=socket.gethostname)
    """Tells this verifier from others of its region, in rejection events."""


class SidecarSettings(VerifierSettings):
    """A sidecar: a verifier over HTTP, for services and for proxies."""

    sidecar_host: str = "127.0.0.1"
    """The address to listen on by TCP."""
    sidecar_port: int = Field(8_181, ge=0, le=65_535)
    """The port to listen on by TCP; 0 takes a free one."""
    sidecar_tcp: bool = True
    """Whether to listen on TCP at all; false where a unix socket is enough."""
    sidecar_socket: Path | None = None
    """A unix socket to listen on as well."""
    sidecar_socket_mode: str = Field("660", pattern=r"^0?[0-7]{3}$")
    """The mode of unix sockets, gRPC's included: who may connect, as for chmod."""
    sidecar_grpc: str | None = Field(None, min_length=1)
    """Where Envoy asks by gRPC: `unix:/run/...` or `host:port`."""
    sidecar_cert_file: Path | None = None
    """Serve TCP by TLS with this chain; read again when it changes."""
    sidecar_key_file: Path | None = None
    """The private key of `sidecar_cert_file`, as PEM."""
    sidecar_client_ca_file: Path | None = None
    """Clients over TLS must show a certificate of one of these authorities."""

    sidecar_rules_file: Path | None = None
    """What paths ask for; without it every path needs a token. docs/sidecar.md."""
    sidecar_identity_headers: dict[str, str] | None = Field(None, max_length=16)
    """Header names and the claim each has, as JSON; see docs/sidecar.md for those that
    are there unless this is set."""
    sidecar_remove_headers: tuple[str, ...] = ()
    """Further headers that services are not to see, such as `["authorization"]`."""
    sidecar_cookie: str | None = None
    """A cookie to take tokens from; its name begins with `__Host-`."""
    sidecar_own_origins: tuple[str, ...] = ()
    """Origins of the service's pages, where they are not the host asked for."""
    sidecar_realm: str = "api"
    """Names the service in challenges (RFC 9110 section 11.5)."""
    sidecar_resource_metadata: str | None = None
    """The URL of the service's metadata, for challenges (RFC 9728)."""
    sidecar_statuses: dict[str, dict[int, int]] | None = None
    """What a proxy is told in place of a status: `{"nginx": {"400": 403}}`."""

    sidecar_callers_file: Path | None = None
    """A file of those who may introspect: lines of `name sha256:<digest of the
    secret>`."""
    sidecar_introspection_scope: str | None = None
    """A scope: who has a token with it may introspect."""
    sidecar_introspection_route: RouteClass = "read"
    """The route class whose policy answers `/introspect`."""

    sidecar_max_connections: int = Field(4_096, ge=1)
    """How many connections may be open at once; one more is answered with 503."""
    sidecar_max_header_bytes: int = Field(32_768, ge=1_024, le=1_048_576)
    """The request line and all header fields; more is 431. Room for the issuers'
    longest tokens (`max_token_bytes`) and 8 KiB is needed."""
    sidecar_max_body_bytes: int = Field(65_536, ge=1_024, le=16_777_216)
    """More is 413. Room for the longest token and 1 KiB is needed."""
    sidecar_idle_seconds: float = Field(300.0, gt=0)
    """How long a connection may wait; longer than proxies keep theirs."""
    sidecar_drain_seconds: float = Field(10.0, ge=0)
    """How long answers under way may take after SIGTERM."""

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
