"""Metrics: names and labels that dashboards can rely on."""

import re

import pytest
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from revocation import metrics

METRICS = {
    name: value
    for name, value in vars(metrics).items()
    if isinstance(value, MetricWrapperBase)
}
UNITS = ("_seconds", "_records", "_bytes", "_ratio", "_entries")
BOUNDED_LABELS = {
    *("type", "result", "code", "region", "partition"),
    *("reason", "route", "stale", "error", "cause", "status"),
    *("issuer", "member"),
}


def exposed(metric):
    """The name on `/metrics`: prometheus_client takes `_total` off and on."""
    return metric.describe()[0].name + ("_total" if isinstance(metric, Counter) else "")


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_a_metric_names_its_service_and_unit(metric):
    name = exposed(metric)
    assert re.fullmatch(r"revocation(_[a-z]+)+", name)
    if isinstance(metric, Gauge | Histogram):
        assert name.endswith(UNITS)
    else:
        assert isinstance(metric, Counter)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_a_metric_says_what_it_counts(metric):
    assert metric._documentation.endswith(".")


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_a_label_has_few_values_and_names_nobody(metric):
    assert set(metric._labelnames) <= BOUNDED_LABELS


def test_no_two_metrics_share_a_name():
    names = [exposed(metric) for metric in METRICS.values()]
    assert len(set(names)) == len(names)
