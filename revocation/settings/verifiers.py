"""Settings of verifiers and sidecars."""

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from revocation.decision import StalenessPolicy
from revocation.settings.source import read_secret
from revocation.settings.stations import KafkaSettings, StoreSettings
from revocation.trust import Issuer, TrustedIssuers

RouteClass = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]


class IntrospectionClient(BaseModel):
    """How to ask an issuer whether one of its tokens is active (RFC 7662)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    """The issuer's introspection endpoint."""
    issuer: Issuer
    """The `iss` of the tokens that are sent there, and no others."""
    client_id: str = Field(min_length=1)
    secret_file: Path
    """The client's secret, for HTTP Basic (RFC 6749 section 2.3.1)."""

    @property
    def secret(self) -> str:
        """The client's secret.

        Raises:
            SettingsError: the file cannot be read.
        """
        return read_secret(self.secret_file, least_bytes=1).decode()


class VerifierSettings(StoreSettings, KafkaSettings):
    """A verifier of one region. Kafka is needed for `report_rejections` only."""

    write_max_staleness_ms: int = Field(5_000, ge=0)
    """Writes are rejected when the region knows nothing newer than this."""
    read_max_staleness_ms: int = Field(60_000, ge=0)
    routes: dict[RouteClass, StalenessPolicy] = Field(default_factory=dict)
    """More route classes, or `read` and `write` in detail: `fresh_ms`,
    `max_staleness_ms`, `beyond` (`deny`, `allow` or `introspect`)."""
    issuers: TrustedIssuers = Field(default_factory=dict)
    """Whose tokens `verify` trusts, by their exact `iss`; see `trust.TrustedIssuer`."""
    replica_max_entries: int = Field(5_000_000, ge=1)
    """How many entries a verifier holds in memory, before it refuses more."""
    start_timeout_seconds: float = Field(10.0, ge=0)
    """How long a verifier that starts waits for its replica."""

    fallback_store_url: str | None = Field(None, repr=False)
    """Asked where a policy says `introspect`: the store of another region."""
    fallback_sidecar_url: str | None = None
    """The same: a sidecar of another region."""
    introspection: IntrospectionClient | None = None
    """The same: the issuer."""
    fallback_timeout_ms: int = Field(500, ge=1, le=60_000)
    """The longest that all of them together may take."""

    report_rejections: bool = False
    """Tell the rejections topic of revoked tokens that are used."""
    instance: str = Field(default_factory=socket.gethostname)
    """Tells this verifier from others of the region, in those events."""

    @property
    def policies(self) -> Mapping[str, StalenessPolicy]:
        """The staleness policy of each route class."""
        return {
            "read": StalenessPolicy(max_staleness_ms=self.read_max_staleness_ms),
            "write": StalenessPolicy(max_staleness_ms=self.write_max_staleness_ms),
            **self.routes,
        }


class SidecarSettings(VerifierSettings):
    """A sidecar: a verifier over HTTP."""

    sidecar_host: str = "127.0.0.1"
    sidecar_port: int = Field(8_181, ge=0, le=65_535)
