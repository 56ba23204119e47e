"""Every metric, declared once. Times are in seconds, labels have few values.

The text of a metric and the docstring below it, which explains its labels, make
docs/reference/metrics.md: `make docs` writes it.
"""

from collections.abc import Iterable
from threading import Lock
from typing import Final
from weakref import WeakSet

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics_core import Metric


class Tally:
    """Counts for a labelled counter, in a tenth of the time that the counter takes.

    `tally.count += 1` from any thread: the interpreter switches threads at calls and
    jumps only. It is added to the counter when that is scraped, or at `flush`.
    """

    def __init__(self, counter: Counter) -> None:
        """Prepare; lives as long as somebody holds it."""
        self.count = 0
        self._counter = counter
        self._flushed = 0
        self._lock = Lock()
        _TALLIES.add(self)

    def flush(self) -> None:
        """Add to the counter what was counted since."""
        with self._lock:
            counted = self.count
            self._counter.inc(counted - self._flushed)
            self._flushed = counted


_TALLIES: Final[WeakSet[Tally]] = WeakSet()


class _Tallied(Counter):
    def collect(self) -> Iterable[Metric]:
        for tally in list(_TALLIES):
            tally.flush()
        return super().collect()


_PROPAGATION_BUCKETS: Final = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)

EVENTS = Counter(
    "revocation_events_total",
    "Events the authority concluded on, by type and result.",
    ["type", "result"],
)
"""`type`: the event's type. `result`: `accepted`, `duplicate` (the same event again) or
`superseded` (too late to change anything)."""
CLAMPED = Counter(
    "revocation_clamped_cut_offs_total",
    "Times of producers that cannot be right, replaced by safe ones. Alarm on any.",
)
LEFT_OUT = Counter(
    "revocation_members_left_out_total",
    "Optional members of events that could not be read, by name. Alarm on any.",
    ["member"],
)
"""`member`: the name of the member, such as `time` or `exp`."""
UNKNOWN_ISSUERS = Counter(
    "revocation_unknown_issuer_events_total",
    "Events about issuers that no verifier trusts, by the authority's settings. Alarm "
    "on any.",
)
FORWARDED = Counter(
    "revocation_forwarded_events_total",
    "Events, or parts of bulk events, found in another partition than their target's.",
)
DEAD_LETTERS = Counter(
    "revocation_dead_letters_total",
    "Records parked in the dead letters, by error code. Alarm on any.",
    ["code"],
)
"""`code`: why it was parked, such as `invalid_event` or `token_as_id`; docs/events.md
lists them."""
REFRESHED = Counter(
    "revocation_refreshed_entries_total", "Standing entries emitted again."
)
APPLIED = Counter(
    "revocation_applied_entries_total",
    "Entries written to the regional store.",
    ["region"],
)
"""`region`: the region."""
WATERMARK = Gauge(
    "revocation_watermark_timestamp_seconds",
    "As of when a partition is applied in a region, by the brokers' clock.",
    ["region", "partition"],
)
"""`region`: the region. `partition`: the partition's number."""
LAG = Gauge(
    "revocation_lag_records",
    "Records of the entries topic not yet applied.",
    ["region", "partition"],
)
"""`region`: the region. `partition`: the partition's number."""
PROPAGATION = Histogram(
    "revocation_propagation_seconds",
    "From a pulse's append to its being applied in a region.",
    ["region"],
    buckets=_PROPAGATION_BUCKETS,
)
"""`region`: the region."""
STORE_RETRIES = Counter(
    "revocation_store_retries_total",
    "Writes to the regional store tried again, by error code.",
    ["region", "code"],
)
"""`region`: the region. `code`: `store_unavailable` (away, read-only or out of memory)
or `store_cold` (somebody else begins an epoch)."""
REBUILDS = Counter(
    "revocation_rebuilds_total",
    "Rebuilds of a partition from the log.",
    ["region"],
)
"""`region`: the region."""
VERDICTS = _Tallied(
    "revocation_verdicts_total",
    "Verdicts given, by reason, route class and whether the region was behind.",
    ["reason", "route", "stale"],
)
"""`reason`: `active` or why not; docs/verifier.md lists them. `route`: the route class.
`stale`: `True` where the region was older than the route's `fresh_ms`, else `False`."""
REPLICA_ENTRIES = Gauge(
    "revocation_replica_entries", "Entries that a verifier holds in memory.", ["region"]
)
"""`region`: the region."""
REPLICA_SNAPSHOTS = Counter(
    "revocation_replica_snapshots_total",
    "Snapshots loaded, by what made them necessary.",
    ["region", "cause"],
)
"""`region`: the region. `cause`: `start`, `stalled` (its feed stood still),
`store_cold` (the region was begun anew) or `store_moved_back` (the feed lost
records)."""
FEED_RETRIES = Counter(
    "revocation_feed_retries_total",
    "Attempts to follow the regional store that failed, by error code.",
    ["region", "code"],
)
"""`region`: the region. `code`: of the error, such as `store_unavailable`,
`settings_disagree` or `replica_full`."""
AGREEMENT = Gauge(
    "revocation_region_agreement_ratio",
    "1 while a verifier's settings are those of its region and it finds the region's "
    "canaries, else 0: it gives no verdict then. Alarm on 0.",
    ["region"],
)
"""`region`: the region."""
INTROSPECTIONS = Counter(
    "revocation_introspections_total",
    "Questions to the fallback because the region was behind, by result.",
    ["result"],
)
"""`result`: `active`, `rejected`, `unanswered` (the fallback is behind itself, cannot
tell, or failed lately), `timeout` or `error`."""
JWKS_REFRESHES = Counter(
    "revocation_jwks_refreshes_total", "Key sets fetched, by result.", ["result"]
)
"""`result`: `read`, `failed` or `limited` (asked for again too soon)."""
KEYS_DROPPED = Counter(
    "revocation_keys_dropped_total",
    "Keys taken out: revoked, or their private half published.",
)
TOKENS_FROM_AHEAD = Counter(
    "revocation_tokens_from_ahead_total",
    "Tokens dated further ahead than is accepted, by trusted issuer. Alarm on any.",
    ["issuer"],
)
"""`issuer`: one of the setting `issuers`, or `other`."""
VERSION_DOUBTS = Counter(
    "revocation_version_doubts_total",
    "Tokens whose version claim is doubtful, by issuer and cause. Alarm on any.",
    ["issuer", "cause"],
)
"""`issuer`: the issuer. `cause`: `backwards` (a user's version fell) or `constant` (it
never differs)."""
USE_AFTER_REVOCATION = Counter(
    "revocation_uses_after_revocation_total",
    "Revoked tokens presented, by the reason they were rejected for.",
    ["reason"],
)
"""`reason`: as in `revocation_verdicts_total`."""
REJECTION_EVENTS = Counter(
    "revocation_rejection_events_total", "Rejections told on the rejections topic."
)
REJECTIONS_DROPPED = Counter(
    "revocation_rejection_events_dropped_total",
    "Rejections not told on the rejections topic, by cause.",
    ["cause"],
)
"""`cause`: `no_room` (more than are sampled), `not_acknowledged` (by Kafka) or
`stopped` (the verifier ended)."""
REFRESHES = Counter(
    "revocation_refreshes_total",
    "Refreshes that the refresh guard judged, by reason.",
    ["reason"],
)
"""`reason`: `allowed`, `concurrent`, `reused`, `revoked`, `expired`, `unverifiable` or
`stale`; docs/refresh-guard.md explains them."""
RULES_RELOADS = Counter(
    "revocation_rules_reloads_total",
    "Times a sidecar read its rules file again, by result. Alarm on `refused`.",
    ["result"],
)
"""`result`: `applied` or `refused`."""
RULES_CURRENT = Gauge(
    "revocation_rules_current_ratio",
    "1 while the rules in force are those of the file, 0 while it cannot be used.",
)
STALLS = Counter(
    "revocation_stalls_total",
    "Parts that made no progress although they should have, by cause. Alarm on any.",
    ["cause"],
)
"""`cause`: what stood still; docs/operations.md lists them."""
AUTHZ_ANSWERS = _Tallied(
    "revocation_authz_answers_total",
    "Answers of a sidecar to proxies, by status before a proxy's own needs.",
    ["status"],
)
"""`status`: the HTTP status, also over gRPC."""
PROXY_MISCONFIGURED = Counter(
    "revocation_proxy_misconfigured_total",
    "Requests of proxies that lack a header or a body that they announce. Alarm on "
    "any.",
    ["cause"],
)
"""`cause`: `header` or `body`."""
INTROSPECTION_ANSWERS = Counter(
    "revocation_introspection_answers_total",
    "Answers of a sidecar to RFC 7662 requests, by result.",
    ["result"],
)
"""`result`: `active`, `inactive`, `behind` (the region's knowledge is too old) or
`refused` (the caller may not ask)."""
