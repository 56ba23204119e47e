"""docs/reference/metrics.md: the text of each metric, and its labels' docstring."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from prometheus_client.metrics import MetricWrapperBase

from revocation import metrics
from tests.reference.tables import UNITS, cells, docstrings
from tests.structure.sources import MODULES, ROOT

_STATIONS: Final = {
    "authority": "authority",
    "projector": "projector",
    "verifier": "verifier, sidecar",
    "jwt": "verifier, sidecar",
    "sidecar": "sidecar",
    "http": "sidecar",
    "guard": "refresh guard",
    "publisher.py": "publisher",
    "background.py": "publisher, verifier, sidecar",
    "watchdog.py": "authority, projector, sidecar",
}
"""Who runs a part of the package, and so counts what is counted there."""

_ORDER: Final = (
    *("publisher", "authority", "projector", "verifier", "sidecar", "refresh guard"),
)

_METRICS_HEAD: Final = """\
# Metrics

Made from the code by `make docs`. Authorities and projectors serve `/metrics` on
`metrics_host`:`metrics_port`, sidecars on their own port. Verifiers, publishers and
refresh guards count in the default registry of `prometheus_client`, which the service
that they are part of exposes. A metric with labels is absent until it is first counted.
[What to watch](../operations.md#what-to-watch) has the thresholds.
"""


class Metric(NamedTuple):
    """A metric as it is declared: `labels` is the docstring below it."""

    name: str
    metric: MetricWrapperBase
    labels: str


def declared_metrics() -> list[Metric]:
    """Return every metric, in the order of their declaration."""
    labels = dict(docstrings(MODULES["metrics.py"].tree.body))
    return [
        Metric(name, value, labels.get(name, ""))
        for name, value in vars(metrics).items()
        if isinstance(value, MetricWrapperBase)
    ]


def stations(name: str) -> list[str]:
    """Return who counts a metric, given its name in the code."""
    parts = [
        module.path.relative_to(ROOT / "revocation").parts[0]
        for module in MODULES.values()
        if f"metrics.{name}" in module.attributes
    ]
    named = ", ".join(_STATIONS[part] for part in parts).split(", ")
    return sorted({*named} - {""}, key=_ORDER.index)


def exposed(metric: MetricWrapperBase) -> str:
    """Return the name on `/metrics`: prometheus_client takes `_total` off and on."""
    name = metric.describe()[0].name
    return f"{name}_total" if metric._type == "counter" else name


def metrics_lines() -> Iterator[str]:
    yield _METRICS_HEAD
    yield cells("metric", "type", "unit", "counted by", "meaning", "labels")
    yield cells(*["---"] * 6)
    for name, metric, labels in declared_metrics():
        shown = exposed(metric)
        unit = UNITS[shown.rpartition("_")[2]]
        by = ", ".join(stations(name))
        meaning = metric._documentation
        yield cells(f"`{shown}`", metric._type, unit, by, meaning, labels)
    yield ""
