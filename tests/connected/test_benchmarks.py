"""Benchmarks that nobody runs each day still run."""

import os
import subprocess
import sys

import orjson
import pytest

from revocation.jwt.presets import presets
from tests.structure.sources import ROOT

pytestmark = [pytest.mark.connected, pytest.mark.timeout(120)]


def figures_of(name, *options):
    """The figures that a benchmark reports, by their names."""
    ran = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / name, *options],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
    )
    lines = [line for line in ran.stdout.splitlines() if line.startswith(b'{"name"')]
    return {line["name"]: line for line in map(orjson.loads, lines)}


def test_what_forwarding_costs_is_measured():
    """Few records say little about the cost, but that each of them is concluded."""
    figures = figures_of("forwarded.py", "--records", "200", "--rounds", "1")
    assert figures.keys() == {
        "forwarded.cpu",
        "forwarded.wall",
        "forwarded.conclude",
    }
    assert all(figure["ratio"] > 0 for figure in figures.values())


def test_what_presets_cost_is_measured():
    figures = figures_of("presets.py", "--rounds", "1", "--beside", str(ROOT))
    named = {f"presets.{name}" for name in [*presets(), "beside"]}
    assert figures.keys() == named
    assert all(figure["alternative"] > 0 for figure in figures.values())


def test_what_claim_sets_cost_is_measured():
    figures = figures_of("claim_sets.py", "--rounds", "1")
    assert {"claim_sets.recurring.one", "claim_sets.new.pair"} <= figures.keys()
    assert all(figure["alternative"] > 0 for figure in figures.values())
