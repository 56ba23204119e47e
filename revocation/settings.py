"""Settings: one frozen class per process, read from the environment and one file.

Each field `x` is read from `REVOCATION_X`, else from the TOML file that
`REVOCATION_CONFIG` names, else has a default that is safe. Secrets come from files
named here, never from this project.
"""

import os
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from revocation.decision import Rules
from revocation.errors import SettingsError
from revocation.ledger import Limits
from revocation.topics import Topics

MIN_PEPPER_BYTES: Final = 32
_CONFIG_VARIABLE: Final = "REVOCATION_CONFIG"

Region = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]


class _Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="REVOCATION_", frozen=True, extra="ignore"
    )

    def __init__(self, **values: Any) -> None:
        """Read the settings; keyword arguments win.

        Raises:
            SettingsError: names each setting that is missing or wrong.
        """
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise SettingsError(_explain(error)) from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - not used here
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        sources = [init_settings, env_settings]
        path = os.environ.get(_CONFIG_VARIABLE)
        if path:
            if not Path(path).is_file():
                raise SettingsError(f"{_CONFIG_VARIABLE} names no file: {path}")
            sources.append(TomlConfigSettingsSource(settings_cls, Path(path)))
        return tuple(sources)


def _explain(error: ValidationError) -> str:
    lines = []
    for each in error.errors(include_url=False, include_input=False):
        name = "_".join(map(str, each["loc"])).upper()
        lines.append(f"{'REVOCATION_' + name if name else 'settings'}: {each['msg']}")
    return "; ".join(lines)


class LimitSettings(_Settings):
    """How long things live. All processes of an installation must agree on these."""

    max_token_lifetime_seconds: int = Field(3_600, ge=1, le=31 * 86_400)
    """The longest `exp - iat` of an access token; longer-lived ones are rejected."""
    max_session_seconds: int = Field(86_400, ge=1, le=400 * 86_400)
    """How long an ended session without `exp` stays on the denylist."""
    leeway_seconds: int = Field(60, ge=0, le=600)
    """How long past `exp` a verifier may still accept a token."""
    clock_allowance_seconds: int = Field(5, ge=0, le=60)
    """How close to a cut-off the `ver` claim is believed over `iat`."""
    refresh_period_seconds: int = Field(86_400, ge=1, le=31 * 86_400)
    """Every standing entry is emitted again once per this period."""
    max_outage_seconds: int = Field(3 * 86_400, ge=0, le=31 * 86_400)
    """The longest outage of a region after which nothing is missing."""

    @property
    def limits(self) -> Limits:
        """The ledger's limits."""
        return Limits(
            longest_token_ms=self.max_token_lifetime_seconds * 1_000,
            longest_session_ms=self.max_session_seconds * 1_000,
            leeway_ms=self.leeway_seconds * 1_000,
        )

    @property
    def rules(self) -> Rules:
        """The verifiers' rules."""
        return Rules(
            longest_token_ms=self.max_token_lifetime_seconds * 1_000,
            clock_allowance_ms=self.clock_allowance_seconds * 1_000,
            leeway_ms=self.leeway_seconds * 1_000,
        )

    @property
    def relevance_ms(self) -> int:
        """How long after its cut-off a subject entry can touch a living token."""
        return (self.max_token_lifetime_seconds + self.leeway_seconds) * 1_000

    @property
    def window_ms(self) -> int:
        """How far back a rebuild reads: it then has seen every entry that matters."""
        longest = max(self.max_token_lifetime_seconds, self.max_session_seconds)
        seconds = longest + self.leeway_seconds + self.refresh_period_seconds
        return seconds * 1_000

    @property
    def retention_ms(self) -> int:
        """How long the log keeps records: the window plus the longest outage."""
        return self.window_ms + self.max_outage_seconds * 1_000


class KafkaSettings(LimitSettings):
    """How to reach Kafka, and the topics there."""

    bootstrap_servers: str = "localhost:9092"
    topic_prefix: str = Field("revocation", pattern=r"^[a-zA-Z0-9._-]{1,100}$")
    partitions: int = Field(12, ge=1, le=1_024)
    """Partitions of each topic; can never be changed without losing the order."""
    replication_factor: int = Field(3, ge=1)

    @property
    def topics(self) -> Topics:
        """The topics' names."""
        return Topics(prefix=self.topic_prefix)


class PepperSettings(_Settings):
    """The secret that turns identifiers into digests."""

    pepper_file: Path
    """At least 32 random bytes; the same file for every process of a region."""
    previous_pepper_file: Path | None = None
    """While rotating: the pepper before, still read, no longer written."""

    @property
    def peppers(self) -> tuple[bytes, ...]:
        """The peppers, the one that is written first.

        Raises:
            SettingsError: a file is missing or too short.
        """
        files = (self.pepper_file, self.previous_pepper_file)
        return tuple(_read_secret(path) for path in files if path is not None)


def _read_secret(path: Path) -> bytes:
    try:
        secret = path.read_bytes().strip()
    except OSError as error:
        raise SettingsError(f"cannot read the secret in {path}: {error}") from error
    if len(secret) < MIN_PEPPER_BYTES:
        raise SettingsError(
            f"the secret in {path} has {len(secret)} bytes, at least "
            f"{MIN_PEPPER_BYTES} are needed; `openssl rand -hex 32 > {path}` makes one"
        )
    return secret


class StoreSettings(PepperSettings, LimitSettings):
    """One region's store."""

    region: Region
    store_url: str
    """For instance `redis://user:password@host:6379/0` or `unix:///run/valkey.sock`."""
    store_prefix: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,16}$")] = "r"
    """Begins every key, as a Redis Cluster hash tag."""
    max_clock_skew_ms: int = Field(2_000, ge=1)
    """Start is refused when the store's clock differs by more."""


class PublisherSettings(KafkaSettings):
    """A producer of events."""

    source: str = "revocation-cli"
    """The CloudEvents `source` of events published from the command line."""


class AuthoritySettings(KafkaSettings):
    """A worker of the authority."""

    authority_id: str = Field("revocation-authority", pattern=r"^[a-zA-Z0-9._-]+$")
    """Consumer group; workers of one group share partitions, a second group is a twin."""
    instance_id: str | None = None
    """Static membership (KIP-345): the same worker under the same name rejoins at once."""
    data_dir: Path = Path(".revocation/authority")
    """The ledger's RocksDB files; keep it across restarts."""
    pulse_interval_ms: int = Field(250, ge=10, le=60_000)
    session_timeout_ms: int = Field(6_000, ge=1_000)
    """A worker silent for longer loses its partitions to another."""
    heartbeat_interval_ms: int = Field(1_500, ge=100)
    metrics_port: int = Field(0, ge=0, le=65_535)
    """Where `/metrics` is served, on loopback; 0 means nowhere."""

    @model_validator(mode="after")
    def _heartbeats_in_time(self) -> "AuthoritySettings":
        if self.heartbeat_interval_ms * 3 > self.session_timeout_ms:
            raise ValueError(
                "heartbeat_interval_ms must be at most a third of session_timeout_ms, "
                "or one lost heartbeat moves every partition"
            )
        return self


class ProjectorSettings(StoreSettings, KafkaSettings):
    """A projector of one region."""

    instance_id: str | None = None
    """Static membership (KIP-345): the same worker under the same name rejoins at once."""
    session_timeout_ms: int = Field(6_000, ge=1_000)
    heartbeat_interval_ms: int = Field(1_500, ge=100)
    metrics_port: int = Field(0, ge=0, le=65_535)
    """Where `/metrics` is served, on loopback; 0 means nowhere."""


class VerifierSettings(StoreSettings):
    """A verifier or sidecar of one region."""

    write_max_staleness_ms: int = Field(5_000, ge=0)
    """Writes are rejected when the region knows nothing newer than this."""
    read_max_staleness_ms: int = Field(60_000, ge=0)


class SidecarSettings(VerifierSettings):
    """A sidecar: a verifier over HTTP."""

    sidecar_host: str = "127.0.0.1"
    sidecar_port: int = Field(8_181, ge=0, le=65_535)


class RegionsSettings(PepperSettings, KafkaSettings):
    """All regions at once, for `status` and for waiting until a receipt is applied."""

    regions: dict[Region, str] = Field(default_factory=dict)
    """Store URL of each region, as JSON: `{"eu": "redis://...", "us": "..."}`."""
    store_prefix: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,16}$")] = "r"

    @field_validator("regions")
    @classmethod
    def _some(cls, value: dict[str, str]) -> dict[str, str]:
        if not value:
            raise ValueError('name at least one: REVOCATION_REGIONS={"eu": "redis://"}')
        return value
