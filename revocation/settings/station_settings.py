"""Settings of the stations that events flow through, of publishers and of waiting."""

import re
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import quote, urlsplit

from pydantic import Field, ValidationInfo, field_validator, model_validator

from revocation.claims.claim_sets import RevocableClaims
from revocation.decision import Rules
from revocation.entries import Limits, longest_ms
from revocation.identity import Expectation, Identity, Lifetimes, Stated, fingerprint
from revocation.settings.issuer_settings import IssuerSettings
from revocation.settings.route_settings import RouteSettings
from revocation.settings.settings_source import Settings, read_secret
from revocation.tls import Tls
from revocation.topics import Topics

_RECONNECT_SECONDS: Final = 4.0
_BROKER: Final = re.compile(r"(\[[\w:.%]+\]|[\w.-]+)(:(?P<port>\d{1,5}))?")
_MAX_PORT: Final = 65_535

Region = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]


class LimitSettings(Settings):
    """Lifetimes, and the claims that events may revoke by.

    All processes of an installation must agree on these.
    """

    max_token_lifetime_seconds: int = Field(3_600, ge=1, le=31 * 86_400)
    """The longest `exp - iat` of an access token; longer-lived ones are rejected."""
    max_session_seconds: int = Field(86_400, ge=1, le=400 * 86_400)
    """How long an ended session without `exp` stays on the denylist."""
    leeway_seconds: int = Field(60, ge=0, le=600)
    """How long past `exp`, and before `nbf`, a verifier may accept a token."""
    clock_allowance_seconds: int = Field(5, ge=1, le=60)
    """How far apart the clocks of issuers, brokers, stores and verifiers may be. Tokens
    issued further in the future are refused; those issued this close to a cut-off,
    before or after, are judged by their `ver`, and rejected without one."""
    refresh_period_seconds: int = Field(86_400, ge=1, le=31 * 86_400)
    """Every standing entry is emitted again once per this period."""
    max_outage_seconds: int = Field(3 * 86_400, ge=0, le=31 * 86_400)
    """The longest outage of a region that loses nothing."""
    revocable_claims: RevocableClaims = ()
    """Further claims that events may revoke tokens by: names, or lists of names that
    must match together: `["device_id", "act.sub", ["azp", "device_id"]]`."""

    @property
    def limits(self) -> Limits:
        """How long tokens and sessions live, as the ledger and the stores need it."""
        longest_token = longest_ms(self.max_token_lifetime_seconds)
        return Limits(
            longest_token_ms=longest_token,
            # A token may outlive its session, and must stay revoked.
            longest_session_ms=max(self.max_session_seconds * 1_000, longest_token),
            leeway_ms=self._grace_seconds * 1_000,
        )

    @property
    def rules(self) -> Rules:
        """The verifiers' rules."""
        return Rules(
            longest_token_ms=longest_ms(self.max_token_lifetime_seconds),
            clock_allowance_ms=self.clock_allowance_seconds * 1_000,
            leeway_ms=self.leeway_seconds * 1_000,
            revocable_claims=self.revocable_claims,
        )

    @property
    def lifetimes(self) -> Lifetimes:
        """The lifetimes that the processes of a region compare."""
        return Lifetimes(*(getattr(self, name) for name in Lifetimes._fields))

    @property
    def _grace_seconds(self) -> int:
        """How long past `exp` a token may pass, by the slowest verifier's clock."""
        return self.leeway_seconds + self.clock_allowance_seconds

    @property
    def relevance_ms(self) -> int:
        """How long after its cut-off a subject entry can reach an unexpired token."""
        return self.limits.relevance_ms

    @property
    def window_ms(self) -> int:
        """How far back a rebuild reads, to see every entry that matters."""
        return self.lifetimes.window_ms

    @property
    def retention_ms(self) -> int:
        """How long the log keeps records: the window plus the longest outage."""
        return self.window_ms + self.max_outage_seconds * 1_000


class KafkaSettings(LimitSettings):
    """How to reach Kafka, and the topics there."""

    bootstrap_servers: str = "localhost:9092"
    """The bootstrap brokers, as `host:port`, separated by commas. Clients connect in
    plain text. Verifiers and sidecars connect for `report_rejections` only."""
    topic_prefix: str = Field("revocation", pattern=r"^[a-zA-Z0-9._-]{1,100}$")
    """The prefix of all topics and consumer groups: its own for each installation."""
    partitions: int = Field(12, ge=1, le=1_024)
    """Partitions of each topic; changing it later loses the order of events."""
    replication_factor: int = Field(3, ge=1)
    """How many brokers keep each record; `topics init` creates topics with it."""

    @field_validator("bootstrap_servers")
    @classmethod
    def _hosts_and_ports(cls, value: str) -> str:
        for each in value.split(","):
            found = _BROKER.fullmatch(each.strip())
            if found is None or int(found["port"] or 0) > _MAX_PORT:
                raise ValueError(
                    f"{each!r} is not host:port; separate several by commas, as in "
                    "kafka-1:9092,kafka-2:9092, and put an IPv6 address in brackets"
                )
        return value

    @property
    def topics(self) -> Topics:
        """The topics' names."""
        return Topics(prefix=self.topic_prefix)


class PepperSettings(Settings):
    """The secret that turns identifiers into digests."""

    pepper_file: Path
    """At least 32 random bytes; the same file for every process of a region."""
    previous_pepper_file: Path | None = None
    """During a rotation: the previous pepper, still read, no longer written."""

    @model_validator(mode="after")
    def _two_peppers(self) -> Self:
        if self.previous_pepper_file == self.pepper_file:
            raise ValueError(
                "previous_pepper_file and pepper_file name the same file; name the "
                "previous pepper, or none if no rotation is under way"
            )
        return self

    @property
    def peppers(self) -> tuple[bytes, ...]:
        """The peppers, the one for writing first.

        Raises:
            SettingsError: a file is missing or too short.
        """
        files = (self.pepper_file, self.previous_pepper_file)
        return tuple(read_secret(path) for path in files if path is not None)

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """The fingerprints that identify the peppers; see `identity.fingerprint`.

        Raises:
            SettingsError: a file is missing or too short.
        """
        return tuple(map(fingerprint, self.peppers))


class TlsSettings(Settings):
    """Certificates for stores with `rediss://` URLs, as PEM files."""

    store_ca_file: Path | None = None
    """The only certificate authorities to trust; by default, those of the system."""
    store_cert_file: Path | None = None
    """The client certificate, for a store that requires one (mutual TLS)."""
    store_key_file: Path | None = None
    """The key of that certificate."""

    @property
    def tls(self) -> Tls:
        """The certificates."""
        return Tls(
            ca_file=self.store_ca_file,
            cert_file=self.store_cert_file,
            key_file=self.store_key_file,
        )


class StoreSettings(PepperSettings, TlsSettings, LimitSettings):
    """One region's store."""

    region: Region
    """The region whose store `store_url` is; lower-case letters, digits and dashes."""
    store_password_file: Path | None = None
    """The password of the user in `store_url`, rather than in the URL itself."""
    store_url: str = Field(repr=False)
    """For instance `redis://user@host:6379/0` or `unix:///run/valkey.sock`;
    docs/store-layout.md lists those for TLS, Sentinels and clusters."""
    store_prefix: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,16}$")] = "r"
    """The prefix of every key, as a Redis Cluster hash tag."""
    max_clock_skew_ms: int = Field(2_000, ge=1)
    """The process refuses to start if the store's clock differs by more."""

    @property
    def expectation(self) -> Expectation:
        """The identity that a reader with these settings expects of the region.

        Raises:
            SettingsError: a pepper file is missing or too short.
        """
        return Expectation(
            *(self.region, self.fingerprints, self.lifetimes, self.revocable_claims)
        )

    @model_validator(mode="after")
    def _skew_within_allowance(self) -> Self:
        if self.max_clock_skew_ms > self.clock_allowance_seconds * 1_000:
            raise ValueError(
                "max_clock_skew_ms is more than clock_allowance_seconds allows for: a "
                "store would drop a revocation that a verifier still needs"
            )
        return self

    @field_validator("store_url")
    @classmethod
    def _with_password(cls, url: str, known: ValidationInfo) -> str:
        path = known.data.get("store_password_file")
        if path is None:
            return url
        parts = urlsplit(url)
        user, _, host = parts.netloc.rpartition("@")
        if ":" in user:
            raise ValueError("has a password, and store_password_file names another")
        password = quote(read_secret(path, least_bytes=1), safe="")
        return parts._replace(netloc=f"{user}:{password}@{host}").geturl()


class PublisherSettings(IssuerSettings, KafkaSettings):
    """A producer of events."""

    source: str = "revocation-cli"
    """The CloudEvents `source` of events published from the command line."""


class _WorkerSettings(KafkaSettings):
    instance_id: str | None = None
    """Static membership (KIP-345): the same name rejoins its group at once."""
    session_timeout_ms: int = Field(6_000, ge=1_000)
    """A worker silent for longer loses its partitions to another."""
    heartbeat_interval_ms: int = Field(1_500, ge=100)
    """How often a worker sends its group a heartbeat; at most a third of
    `session_timeout_ms`."""
    metrics_host: str = "127.0.0.1"
    """The address that serves `/metrics` and `/healthz`."""
    metrics_port: int = Field(0, ge=0, le=65_535)
    """The port of `/metrics` and `/healthz`; 0 serves neither."""

    @property
    def stall_seconds(self) -> float:
        """After how long without progress a worker counts as hung.

        A worker may have to wait until another one's session ends, and to reconnect.
        """
        return self.session_timeout_ms / 1_000 + _RECONNECT_SECONDS

    @model_validator(mode="after")
    def _heartbeats_in_time(self) -> Self:
        if self.heartbeat_interval_ms * 3 > self.session_timeout_ms:
            raise ValueError(
                "heartbeat_interval_ms must be at most a third of session_timeout_ms, "
                "or one lost heartbeat moves every partition"
            )
        return self


class AuthoritySettings(IssuerSettings, _WorkerSettings):
    """A worker of the authority."""

    authority_id: str = Field(
        default_factory=lambda known: f"{known['topic_prefix']}-authority",
        pattern=r"^[a-zA-Z0-9._-]+$",
    )
    """Consumer group: its workers share partitions; a second group is a twin. The
    default is `<topic_prefix>-authority`, so that each installation has its own."""
    data_dir: Path = Path(".revocation/authority")
    """The ledger's RocksDB files; keep it across restarts."""
    pulse_interval_ms: int = Field(250, ge=10, le=60_000)
    """How often every partition gets a pulse."""
    events_framing: Literal["none", "confluent"] = "none"
    """`confluent`: strip the five-byte frame that a schema registry's serializers put
    before the JSON, where there is one."""
    batch_interval_ms: int = Field(10, ge=0, le=1_000)
    """The least time between batches of entries: under load, larger batches wake the
    regions less often."""

    @property
    def stated(self) -> Stated:
        """The settings that projectors compare with their own."""
        return Stated(self.lifetimes._asdict(), self.revocable_claims)


class ProjectorSettings(StoreSettings, _WorkerSettings):
    """A projector of one region."""

    on_changed_settings: Literal["refuse", "rebuild"] = "refuse"
    """What to do if the region's entries were written with other settings: `rebuild`
    empties it and reads the log again. A store of another region or Kafka is still
    refused."""

    @property
    def group_id(self) -> str:
        """The consumer group of the region's projectors."""
        return f"{self.topic_prefix}-projector-{self.region}"

    def identity(self, cluster_id: str | None) -> Identity:
        """Return the identity of the region that this projector maintains.

        Args:
            cluster_id: of the Kafka cluster that the settings name, if known.

        Raises:
            SettingsError: a pepper file is missing or too short.
        """
        return Identity(
            region=self.region,
            cluster_id=cluster_id,
            topic_prefix=self.topic_prefix,
            partitions=self.partitions,
            peppers=self.fingerprints,
            lifetimes=self.lifetimes,
            revocable_claims=self.revocable_claims,
        )


class RegionsSettings(RouteSettings, PepperSettings, TlsSettings, KafkaSettings):
    """All regions at once, for `status` and for waiting until a receipt is applied."""

    regions: dict[Region, str] = Field({}, repr=False, validate_default=True)
    """Store URL of each region, as JSON: `{"eu": "redis://...", "us": "..."}`."""
    store_prefix: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,16}$")] = "r"
    """The prefix of every key, as a Redis Cluster hash tag; the same in all regions."""

    @field_validator("regions")
    @classmethod
    def _some(cls, value: dict[str, str]) -> dict[str, str]:
        if not value:
            raise ValueError('name at least one: REVOCATION_REGIONS={"eu": "redis://"}')
        return value
