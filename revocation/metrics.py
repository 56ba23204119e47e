"""Every metric, declared once. Times are in seconds, labels have few values."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_PROPAGATION_BUCKETS: Final = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)

EVENTS = Counter(
    "revocation_events_total",
    "Events the authority concluded on, by type and result.",
    ["type", "result"],
)
CLAMPED = Counter(
    "revocation_clamped_cut_offs_total",
    "Times of producers that cannot be right, replaced by safe ones. Alarm on any.",
)
REROUTED = Counter(
    "revocation_rerouted_events_total",
    "Events found in a partition that is not their target's, and sent on.",
)
DEAD_LETTERS = Counter(
    "revocation_dead_letters_total",
    "Records parked in the dead letters, by error code. Alarm on any.",
    ["code"],
)
REFRESHED = Counter(
    "revocation_refreshed_entries_total", "Standing entries emitted again."
)
APPLIED = Counter(
    "revocation_applied_entries_total",
    "Entries written to the regional store.",
    ["region"],
)
WATERMARK = Gauge(
    "revocation_watermark_timestamp_seconds",
    "As of when a partition is applied in a region, by the brokers' clock.",
    ["region", "partition"],
)
LAG = Gauge(
    "revocation_lag_records",
    "Records of the entries topic not yet applied.",
    ["region", "partition"],
)
PROPAGATION = Histogram(
    "revocation_propagation_seconds",
    "From a pulse's append to its being applied in a region.",
    ["region"],
    buckets=_PROPAGATION_BUCKETS,
)
STORE_RETRIES = Counter(
    "revocation_store_retries_total",
    "Writes to the regional store tried again, by error code.",
    ["region", "code"],
)
REBUILDS = Counter(
    "revocation_rebuilds_total",
    "Rebuilds of a partition from the log.",
    ["region"],
)
VERDICTS = Counter(
    "revocation_verdicts_total",
    "Verdicts given, by reason, route class and whether the region was behind.",
    ["reason", "route", "stale"],
)
STALENESS = Gauge(
    "revocation_staleness_seconds", "Age of the latest verdict's watermark.", ["region"]
)
